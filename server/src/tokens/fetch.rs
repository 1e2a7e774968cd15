//! The one connection that others than the operator have opened outwards: a key set, from the URL that an administrator set.
//!
//! Invariant: bounded in size and time, follows no redirect, asks no proxy. A URL is one over TLS, at port 443 and of an
//! address that is reached the same way from everywhere; or its host and port are in the server's own settings. The name is
//! resolved once, every address it has is looked at, and the connection goes to those very addresses, so that a name which
//! resolves to something else later gains nothing (DNS rebinding). What an environment says changes none of this: whoever
//! administers one could otherwise have the server look into networks that are not theirs (SSRF).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
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
    fn fetch(&self, url: &str) -> Result<Vec<u8>, FetchError>;
}

/// Why there is no key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the keys of the issuer could not be fetched")]
pub struct FetchError;

/// Why nothing is fetched from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "keys are fetched over https:// from port 443 alone; whoever runs the server can allow another host:port in server.private_issuers"
)]
pub struct OutOfReach;

/// Where key sets may be fetched from.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// `host:port` of those that may be anywhere, and without TLS.
    private: BTreeSet<String>,
}

/// From the network.
pub struct Https(pub Reach);

impl Reach {
    /// Any place of the whole world, and these, each `host:port`.
    pub fn new(private: &[String]) -> Self {
        Self { private: private.iter().map(|place| place.to_ascii_lowercase()).collect() }
    }

    /// Whether the server's settings let this one be anywhere, and without TLS.
    ///
    /// # Errors
    /// [`OutOfReach`].
    pub fn check(&self, url: &str) -> Result<bool, OutOfReach> {
        let uri: Uri = url.parse().map_err(|_| OutOfReach)?;
        let has_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(OutOfReach),
        };
        let host = uri.host().ok_or(OutOfReach)?.to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(if has_tls { 443 } else { 80 });
        let is_private = self.private.contains(&format!("{host}:{port}"));
        if is_private || (has_tls && port == 443) { Ok(is_private) } else { Err(OutOfReach) }
    }
}

impl Fetch for Https {
    fn fetch(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        let is_private = self.0.check(url).map_err(|OutOfReach| {
            tracing::warn!("the keys of an issuer of tokens are not where the settings let them be fetched from");
            FetchError
        })?;
        let failed = |error: ureq::Error| {
            tracing::warn!(%error, "the keys of an issuer of tokens could not be fetched");
            FetchError
        };
        let mut response = agent(is_private).get(url).call().map_err(failed)?;
        if response.status() != 200 {
            tracing::warn!(status = response.status().as_u16(), "the keys of an issuer of tokens are not there");
            return Err(FetchError);
        }
        response.body_mut().with_config().limit(BYTES_MAX).read_to_vec().map_err(failed)
    }
}

/// What asks, for one URL.
fn agent(is_private: bool) -> Agent {
    let config = Agent::config_builder()
        .https_only(!is_private)
        .max_redirects(0)
        .proxy(None)
        .timeout_global(Some(PATIENCE))
        .max_response_header_size(16 << 10)
        .max_idle_connections(0)
        .build();
    let resolver = Outside { is_private, system: DefaultResolver::default() };
    Agent::with_parts(config, DefaultConnector::default(), resolver)
}

/// Resolves names, and refuses what is not of the whole world.
#[derive(Debug)]
struct Outside {
    is_private: bool,
    system: DefaultResolver,
}

impl Resolver for Outside {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.system.resolve(uri, config, timeout)?;
        if may_connect(self.is_private, &found) {
            return Ok(found);
        }
        Err(ureq::Error::HostNotFound)
    }
}

/// Whether a connection may be opened to a name that has these addresses: all of them, since any may be taken.
pub fn may_connect(is_private: bool, addresses: &[SocketAddr]) -> bool {
    is_private || addresses.iter().all(|address| is_worldwide(address.ip()))
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

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::TcpListener;

    use ureq::Timeout;
    use ureq::unversioned::transport::time::Duration as Left;

    use super::*;

    /// Twice over: by what is checked before, and by what asks, before it resolves anything.
    #[test]
    #[allow(clippy::disallowed_methods, reason = "the other end of a fetch")]
    fn nobody_is_connected_to_without_tls_unless_the_settings_name_them() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let place = listener.local_addr().unwrap().to_string();
        let url = format!("http://{place}/keys");
        assert_eq!(Https(Reach::default()).fetch(&url), Err(FetchError));
        assert!(matches!(agent(false).get(&url).call(), Err(ureq::Error::RequireHttpsOnly(_))));
        let knocks = || listener.accept().map(drop).map_err(|error| error.kind());
        assert_eq!(knocks(), Err(ErrorKind::WouldBlock), "nobody ever connected");
    }

    /// What a name resolves to when it is connected to decides, not what its text looks like.
    #[test]
    fn a_name_is_looked_at_by_its_addresses_when_it_is_connected_to() {
        let left = NextTimeout { after: Left::NotHappening, reason: Timeout::Resolve, per_read: None, per_write: None };
        let config = Agent::config_builder().build();
        for uri in ["https://localhost/keys", "https://127.0.0.1/keys", "https://[::1]/keys"] {
            let resolve = |is_private| {
                let resolver = Outside { is_private, system: DefaultResolver::default() };
                resolver.resolve(&uri.parse().unwrap(), &config, left)
            };
            assert!(matches!(resolve(false), Err(ureq::Error::HostNotFound)), "{uri}");
            assert!(!resolve(true).unwrap().is_empty(), "{uri}");
        }
    }
}
