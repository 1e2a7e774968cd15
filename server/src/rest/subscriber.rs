//! Who is one caller as far as an address tells: what connections are counted by, and what a quota is kept for.
//!
//! Invariant: of IPv6, 64 bits count, which are one subscriber's to choose from; an IPv4 address that is written as IPv6 is
//! the same subscriber.

use std::net::IpAddr;

/// An address, as far as it is one caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subscriber {
    /// All of an IPv4 address.
    V4(u32),
    /// The network of an IPv6 address.
    V6(u64),
}

impl From<IpAddr> for Subscriber {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscriber_is_an_address_or_a_network() {
        let of = |text: &str| Subscriber::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_ne!(of("0.0.0.1"), of("0:0:0:1::"), "numbers alone are no subscriber");
    }
}
