//! The one connection that is opened outwards: a key set, from the URL that an administrator set.
//!
//! Invariant: bounded in size and time, follows no redirect, asks no proxy, and connects only to addresses that were looked at
//! after the name was resolved, so that a name which resolves to something else later gains nothing (DNS rebinding). The
//! networks that are not of the whole world are refused unless the administrator allowed them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use thiserror::Error;
use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// The largest answer, in bytes.
pub const BYTES_MAX: u64 = 64 << 10;
/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where key sets come from.
pub trait Fetch: Send + Sync {
    /// What is at the URL.
    ///
    /// # Errors
    /// [`FetchError`].
    fn fetch(&self, url: &str, allows_private: bool) -> Result<Vec<u8>, FetchError>;
}

/// Why there is no key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the keys of the issuer could not be fetched")]
pub struct FetchError;

/// From the network.
pub struct Https;

impl Fetch for Https {
    fn fetch(&self, url: &str, allows_private: bool) -> Result<Vec<u8>, FetchError> {
        let config = Agent::config_builder()
            .https_only(!allows_private)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(PATIENCE))
            .max_response_header_size(16 << 10)
            .max_idle_connections(0)
            .build();
        let resolver = Outside { allows_private, system: DefaultResolver::default() };
        let agent = Agent::with_parts(config, DefaultConnector::default(), resolver);
        let failed = |error: ureq::Error| {
            tracing::warn!(%error, "the keys of an issuer of tokens could not be fetched");
            FetchError
        };
        let mut response = agent.get(url).call().map_err(failed)?;
        if response.status() != 200 {
            tracing::warn!(status = response.status().as_u16(), "the keys of an issuer of tokens are not there");
            return Err(FetchError);
        }
        response.body_mut().with_config().limit(BYTES_MAX).read_to_vec().map_err(failed)
    }
}

/// Resolves names, and refuses what is not of the whole world.
#[derive(Debug)]
struct Outside {
    allows_private: bool,
    system: DefaultResolver,
}

impl Resolver for Outside {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.system.resolve(uri, config, timeout)?;
        if self.allows_private || found.iter().all(|address| is_worldwide(address.ip())) {
            return Ok(found);
        }
        Err(ureq::Error::HostNotFound)
    }
}

/// Whether an address is reached the same way from everywhere (IANA's registries of special-purpose addresses).
pub fn is_worldwide(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_worldwide_v4(address),
        IpAddr::V6(address) => is_worldwide_v6(address),
    }
}

fn is_worldwide_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let is_special = match first {
        0 | 10 | 127 | 224..=255 => true,
        100 => (64..=127).contains(&second),
        169 => second == 254,
        172 => (16..=31).contains(&second),
        192 => second == 168 || (second == 0 && (third == 0 || third == 2)) || (second == 88 && third == 99),
        198 => second == 18 || second == 19 || (second == 51 && third == 100),
        203 => second == 0 && third == 113,
        _ => false,
    };
    !is_special
}

fn is_worldwide_v6(address: Ipv6Addr) -> bool {
    // Unicast that is handed out (2000::/3), without what holds an IPv4 address or stands for nobody.
    let [first, second, ..] = address.segments();
    first & 0xe000 == 0x2000 && first != 0x2002 && !(first == 0x2001 && (second < 0x0200 || second == 0x0db8))
}
