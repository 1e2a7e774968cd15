//! Requests that come one after the other under one head: the pages and batches of a stream.
//!
//! Invariant: each is asked for its key, pays, is given its time and is counted as a request of its own, so that nobody who
//! streams has more for less. The head paid for the first of them, and for none else; it is counted beside them all. What the
//! first costs beyond it may be owed, as a body may; the others pay all of it before anything is done for them.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::MatchedPath;
use axum::http::{Extensions, HeaderMap, Method, StatusCode};
use engine::{Clock, SystemClock};
use tokio::time::timeout;

use super::auth::{Caller, Peer, admitted};
use super::cost;
use super::end_user::USER_TOKEN;
use super::error::{Problem, Refusal};
use super::metrics::Known;
use super::state::App;

/// Those of one head.
pub struct Again {
    app: App,
    headers: HeaderMap,
    extensions: Extensions,
    has_begun: bool,
}

impl Again {
    /// Under a head of these headers and extensions, which was let in.
    pub fn new(app: App, headers: HeaderMap, extensions: Extensions) -> Self {
        Self { app, headers, extensions, has_begun: false }
    }

    /// Does the next one: lets it in for `units` beside what a head costs, and has it counted, whatever `work` comes to.
    ///
    /// # Errors
    /// Those of a request that is not let in; `request_timeout`; what `work` says.
    pub async fn next<T, F: Future<Output = Result<T, Problem>>>(
        &mut self,
        units: u32,
        work: impl FnOnce(HeaderMap, Caller) -> F,
    ) -> Result<T, Problem> {
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        let (running, begun) = (self.app.metrics().begin(), SystemClock.now_us());
        let done = self.timely(async {
            let caller = self.let_in(is_first, units).await?;
            work(self.headers.clone(), caller).await
        });
        let done = done.await;
        drop(running);
        let took = SystemClock.now_us().saturating_sub(begun);
        let (status, problem) = match &done {
            Ok(_) => (StatusCode::OK, None),
            Err(problem) => {
                (StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), Some(problem.code))
            }
        };
        let route = self.extensions.get::<MatchedPath>().map_or("unknown", MatchedPath::as_str);
        self.app.metrics().answered(Known::of(&Method::POST), route, status, problem, took);
        done
    }

    /// Whose it is, once it paid: its address before it is asked for its key, and more for a key that is not good.
    async fn let_in(&self, is_first: bool, units: u32) -> Result<Caller, Problem> {
        let address = self.extensions.get::<Peer>().map(|Peer(address)| *address);
        if !is_first {
            self.charge_address(address)?;
        }
        let caller = match (admitted(&self.app, &self.headers, &self.extensions).await, address) {
            (Err(problem), Some(address)) if problem.status == StatusCode::UNAUTHORIZED.as_u16() => {
                self.app.purses().fine_address(address, cost::BAD_KEY)?;
                Err(problem)
            }
            (admitted, _) => admitted,
        }?;
        match is_first {
            true => self.app.owe(units)?,
            false => self.app.charge(units.saturating_add(1))?,
        }
        Ok(caller)
    }

    fn charge_address(&self, address: Option<IpAddr>) -> Result<(), Problem> {
        let token = if self.headers.contains_key(USER_TOKEN) { cost::TOKEN } else { 0 };
        address.map_or(Ok(()), |address| self.app.purses().charge_address(address, 1 + token))
    }

    async fn timely<T>(&self, work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
        let late = || {
            let detail = "it took longer than limits.request_seconds; what it began may still be done";
            Problem::new(Refusal::SlowRequest, detail)
        };
        match self.app.config().limits.request_seconds {
            0 => work.await,
            seconds => timeout(Duration::from_secs(seconds), work).await.unwrap_or_else(|_| Err(late())),
        }
    }
}
