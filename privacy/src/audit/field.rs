//! What a field of an audit event can be, and how each is written.
//!
//! Invariant: every field has one form and none is free text. What an operator writes about a person is sealed before it
//! comes here ([`seal_detail`](super::seal_detail)), and is the one field of any length.

use std::net::IpAddr;

use data_encoding::HEXLOWER;
use minicbor::{Decoder, Encoder};
use thiserror::Error;

use super::pseudonym::Pseudonym;
use super::tree::Hash;
use crate::cbor::{Malformed, Sink, Written, array, length};
use crate::secret::Fingerprint;

/// The longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// What an operator or the engine calls a thing, such as an API key or a setting: 1 to [`MAX_NAME_BYTES`] printable
/// ASCII characters without spaces. Never the name of a person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// A text that is no [`Name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a name in the audit log has 1 to {MAX_NAME_BYTES} printable ASCII characters without spaces")]
pub struct NameError;

impl Name {
    /// Checks and takes a name.
    pub fn new(name: &str) -> Result<Name, NameError> {
        let fits = (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Name(name.to_owned())) } else { Err(NameError) }
    }

    /// The name as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a field of an event can be.
pub(super) trait Field: Sized {
    fn write(&self, e: &mut Encoder<Sink>) -> Written;
    fn read(d: &mut Decoder<'_>) -> Result<Self, Malformed>;
    /// As an answer of the audit interface has it: numbers in decimal, bytes in hex.
    fn show(&self) -> String;
    /// One that depends on `seed` alone.
    #[cfg(test)]
    fn example(seed: u8) -> Self;
}

macro_rules! fields {
    ($($kind:ty, $field:ident, $e:ident => $write:expr, $d:ident => $read:expr, $show:expr, $seed:ident => $example:expr;)*) => {$(
        impl Field for $kind {
            fn write(&self, $e: &mut Encoder<Sink>) -> Written {
                let $field = self;
                $write.map(drop)
            }

            fn read($d: &mut Decoder<'_>) -> Result<Self, Malformed> {
                Ok($read)
            }

            fn show(&self) -> String {
                let $field = self;
                $show
            }

            #[cfg(test)]
            fn example($seed: u8) -> Self {
                $example
            }
        }
    )*};
}

fields! {
    u64, field, e => e.u64(*field), d => d.u64()?, field.to_string(), seed => u64::from(seed) << (seed % 50);
    bool, field, e => e.bool(*field), d => d.bool()?, field.to_string(), seed => seed.is_multiple_of(2);
    [u8; 16], field, e => e.bytes(field), d => array(d)?, HEXLOWER.encode(field), seed => [seed; 16];
    Hash, field, e => e.bytes(field), d => array(d)?, HEXLOWER.encode(field), seed => [seed; 32];
    Fingerprint, field, e => e.bytes(&field.0), d => Fingerprint(array(d)?), field.to_string(), seed => Fingerprint([seed; 8]);
    Pseudonym, field, e => e.bytes(field.as_bytes()), d => Pseudonym::from_bytes(array(d)?),
        HEXLOWER.encode(field.as_bytes()),
        seed => Pseudonym::from_bytes([seed; 32]);
    Name, field, e => e.str(&field.0), d => Name::new(d.str()?).map_err(|_| Malformed)?, field.0.clone(),
        seed => Name(format!("name-{seed}"));
    IpAddr, field, e => match field {
            IpAddr::V4(address) => e.bytes(&address.octets()),
            IpAddr::V6(address) => e.bytes(&address.octets()),
        },
        d => match d.bytes()? {
            octets if octets.len() == 4 => <[u8; 4]>::try_from(octets).map_err(|_| Malformed)?.into(),
            octets => <[u8; 16]>::try_from(octets).map_err(|_| Malformed)?.into(),
        },
        field.to_string(),
        seed => if seed.is_multiple_of(2) { [seed; 4].into() } else { [seed; 16].into() };
    Vec<u8>, field, e => e.bytes(field), d => d.bytes()?.to_vec(), HEXLOWER.encode(field), seed => vec![seed; usize::from(seed % 70)];
}

/// A list of none or one.
impl<F: Field> Field for Option<F> {
    fn write(&self, e: &mut Encoder<Sink>) -> Written {
        e.array(self.iter().len() as u64)?;
        self.iter().try_for_each(|field| field.write(e))
    }

    fn read(d: &mut Decoder<'_>) -> Result<Self, Malformed> {
        match length(d)? {
            0 => Ok(None),
            1 => F::read(d).map(Some),
            _ => Err(Malformed),
        }
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(|| "none".to_owned(), Field::show)
    }

    #[cfg(test)]
    fn example(seed: u8) -> Self {
        (!seed.is_multiple_of(3)).then(|| F::example(seed))
    }
}
