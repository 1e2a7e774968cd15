//! Networks: the addresses that a key may be used from.
//!
//! Invariant: an IPv4 address is the same one whether it is written as such or inside IPv6 (`::ffff:a.b.c.d`), so that
//! a socket that takes both does not let through, or refuse, what the list did not mean.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// The addresses that share the first bits with one: `10.0.0.0/8`, `2001:db8::/32`, or a single one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// A text that is no [`Network`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "a network is an address such as 10.1.2.3, or one with the number of its first bits and no others set: 10.0.0.0/8"
)]
pub struct NetworkError;

impl Network {
    /// Whether `address` is in it.
    pub fn has(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                masked(ours.to_bits().into(), self.bits, 32) == masked(theirs.to_bits().into(), self.bits, 32)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                masked(ours.to_bits(), self.bits, 128) == masked(theirs.to_bits(), self.bits, 128)
            }
            _ => false,
        }
    }
}

/// The first `bits` of a number of `width` bits.
fn masked(number: u128, bits: u8, width: u8) -> u128 {
    number.checked_shr(u32::from(width.saturating_sub(bits))).unwrap_or_default()
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().map_err(|_| NetworkError)?;
        let address = written.to_canonical();
        let width: u8 = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => width,
            // Counted in a form that is not kept.
            Some(_) if written != address => return Err(NetworkError),
            Some(bits) if bits.len() <= 3 && bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                bits.parse().map_err(|_| NetworkError)?
            }
            Some(_) => return Err(NetworkError),
        };
        let number = match address {
            IpAddr::V4(address) => address.to_bits().into(),
            IpAddr::V6(address) => Ipv6Addr::to_bits(address),
        };
        let rest = u32::from(width.checked_sub(bits).ok_or(NetworkError)?);
        // One with other bits set was meant differently from how it would be read.
        let is_clean = number.trailing_zeros() >= rest;
        if is_clean { Ok(Network { address, bits }) } else { Err(NetworkError) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn networks_have_their_addresses() {
        let has = |network: &str, address: &str| {
            network
                .parse::<Network>()
                .ok()
                .zip(address.parse().ok())
                .is_some_and(|(network, address)| network.has(address))
        };
        assert!(has("10.0.0.0/8", "10.255.1.2") && !has("10.0.0.0/8", "11.0.0.0"));
        assert!(has("10.0.0.0/8", "::ffff:10.1.1.1") && !has("::/0", "10.1.1.1") && has("0.0.0.0/0", "255.1.1.1"));
        assert!(has("::ffff:192.168.0.1", "192.168.0.1") && !has("192.168.0.1", "192.168.0.2"));
        assert!(has("2001:db8::/32", "2001:db8:1::1") && !has("2001:db8::/32", "2001:db9::"));
        for bad in ["", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/+8", "10.0.0.0/", "::ffff:10.0.0.0/104", "a", "10.0.0/8"]
        {
            assert_eq!(bad.parse::<Network>(), Err(NetworkError), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn text_leads_back(number: u128, bits in 0u8..=128, is_v4: bool) {
            let (width, bits) = if is_v4 { (32, bits.min(32)) } else { (128, bits) };
            let number = number & if is_v4 { u128::from(u32::MAX) } else { u128::MAX };
            let rest = u32::from(width - bits);
            let number = number.checked_shr(rest).and_then(|n| n.checked_shl(rest)).unwrap_or_default();
            let address: IpAddr = if is_v4 { IpAddr::V4((number as u32).into()) } else { IpAddr::V6(number.into()) };
            prop_assume!(address == address.to_canonical());
            let network = Network { address, bits };
            prop_assert_eq!(network.to_string().parse(), Ok(network));
            prop_assert!(network.has(address));
        }

        #[test]
        fn any_text_is_a_network_or_an_error(text in "[0-9a-f.:/]{0,24}") {
            let _ = text.parse::<Network>();
        }
    }
}
