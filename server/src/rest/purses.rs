//! Whose buckets a request empties: those of its end user, of its key and of its environment, and its address's.
//!
//! Invariant: a request pays out of all of them or out of none, so that who is refused for one has spent nothing of another:
//! a flood that its environment refuses would else have spent its key.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use engine::Clock;

use super::error::{Problem, Refusal};
use super::quota::Quota;
use super::regulars::Regular;
use super::subscriber::Subscriber;
use super::visit::Visit;
use crate::config::Limits;

const KEY: &str = "this API key";
const ENVIRONMENT: &str = "this environment";
/// Places for buckets of end users, as a power of two: of a thousand who ask at once, one in a thousand shares a bucket.
const END_USERS_BITS: u32 = 20;

/// Buckets for each kind of caller.
pub struct Purses {
    end_user: Quota,
    key: Quota,
    environment: Quota,
    address: Quota,
}

/// What one request pays out of.
type Purse<'a> = (&'a Quota, Holder<'a>, &'static str);

/// How [`Quota::charge`] and [`Quota::owe`] are called.
type Pay<'a> = fn(&Quota, &Holder<'a>, u32) -> Result<(), Duration>;

#[derive(Hash)]
enum Holder<'a> {
    Number(u64),
    Name(&'a str),
}

impl Purses {
    /// As the limits have it.
    pub fn new(limits: &Limits, clock: &Arc<dyn Clock>) -> Self {
        let quota = |units| Quota::new(units, limits.burst_seconds, Arc::clone(clock));
        Self {
            end_user: quota(limits.end_user_units).with_places(END_USERS_BITS),
            key: quota(limits.key_units),
            environment: quota(limits.environment_units),
            address: quota(limits.address_units),
        }
    }

    /// Has this caller pay `units` for being let in.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn charge(&self, visit: &Visit, units: u32) -> Result<(), Problem> {
        self.pay(visit, units, Quota::charge)
    }

    /// Whether a regular could pay anything now; nothing is paid.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn look(&self, regular: &Regular) -> Result<(), Problem> {
        let key = regular.key.and_then(|of| Some((KEY, self.key.lacks(&Holder::Number(of))?)));
        let lacks = || Some((ENVIRONMENT, self.environment.lacks(&Holder::Name(&regular.lane))?));
        key.or_else(lacks).map_or(Ok(()), |(whose, wait)| Err(beyond(whose, wait)))
    }

    /// Has this caller, who was let in, pay `units` more, or owe them.
    ///
    /// # Errors
    /// `rate_limited`, if they owe too much already.
    pub fn owe(&self, visit: &Visit, units: u32) -> Result<(), Problem> {
        self.pay(visit, units, Quota::owe)
    }

    /// Has an address pay `units`.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn charge_address(&self, address: IpAddr, units: u32) -> Result<(), Problem> {
        let charged = self.address.charge(&Subscriber::from(address), units);
        charged.map_err(|wait| beyond("this address", wait))
    }

    /// Has an address pay `units`, or all it has.
    ///
    /// # Errors
    /// `rate_limited`, if it did not have so many.
    pub fn fine_address(&self, address: IpAddr, units: u32) -> Result<(), Problem> {
        let fined = self.address.fine(&Subscriber::from(address), units);
        fined.map_err(|wait| beyond("this address", wait))
    }

    fn pay<'a>(&'a self, visit: &'a Visit, units: u32, pay: Pay<'a>) -> Result<(), Problem> {
        let end_user: Option<Purse<'_>> =
            visit.end_user.map(|of| (&self.end_user, Holder::Number(of), "this end user"));
        let key = visit.key.map(|of| (&self.key, Holder::Number(of), KEY));
        let environment = Some((&self.environment, Holder::Name(&visit.lane), ENVIRONMENT));
        let purses = [end_user, key, environment];
        for (at, (quota, holder, whose)) in purses.iter().flatten().enumerate() {
            pay(quota, holder, units).map_err(|wait| {
                purses.iter().flatten().take(at).for_each(|(quota, holder, _)| quota.give_back(holder, units));
                beyond(whose, wait)
            })?;
        }
        Ok(())
    }
}

fn beyond(whose: &str, wait: Duration) -> Problem {
    let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1);
    let detail = format!("{whose} spent its units; ask again in {seconds} s");
    Problem::new(Refusal::RateLimited, detail).retry_after(seconds)
}

#[cfg(test)]
mod tests;
