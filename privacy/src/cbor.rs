//! Deterministic CBOR (RFC 8949 §4.2.1: shortest integers, definite lengths): what every durable form of this crate is
//! written in.
//!
//! Invariant: one encoding per content. Decoding is total, allocates no more than its input justifies, and refuses all
//! bytes that encoding would not give, because it encodes again and compares. What is written is wiped, since it may
//! hold keys.

use std::convert::Infallible;

use minicbor::encode::{self, Write};
use minicbor::{Decoder, Encoder, decode};
use zeroize::Zeroizing;

/// The bytes are no content of the kind asked for.
#[derive(Debug)]
pub(crate) struct Malformed;

impl From<decode::Error> for Malformed {
    fn from(_: decode::Error) -> Self {
        Malformed
    }
}

/// Grows without leaving copies of keys in freed memory.
#[derive(Default)]
pub(crate) struct Sink(Zeroizing<Vec<u8>>);

impl Write for Sink {
    type Error = Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        if self.0.capacity() - self.0.len() < bytes.len() {
            let mut grown = Zeroizing::new(Vec::with_capacity(2 * (self.0.len() + bytes.len()) + 1024));
            grown.extend_from_slice(&self.0);
            self.0 = grown;
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// What an encoder's step gives; memory takes every write.
pub(crate) type Written = Result<(), encode::Error<Infallible>>;

/// The bytes of what `content` writes.
pub(crate) fn written(content: impl FnOnce(&mut Encoder<Sink>) -> Written) -> Zeroizing<Vec<u8>> {
    let mut encoder = Encoder::new(Sink::default());
    let result = content(&mut encoder);
    debug_assert!(result.is_ok(), "memory takes every write");
    encoder.into_writer().0
}

/// The content of `bytes`, if these are the very bytes that it has when encoded `again`.
pub(crate) fn decoded<T>(
    bytes: &[u8],
    again: impl FnOnce(&T) -> Zeroizing<Vec<u8>>,
    content: impl FnOnce(&mut Decoder<'_>) -> Result<T, Malformed>,
) -> Result<T, Malformed> {
    let value = content(&mut Decoder::new(bytes))?;
    if **again(&value) == *bytes { Ok(value) } else { Err(Malformed) }
}

/// The length of the list that begins here.
pub(crate) fn length(d: &mut Decoder<'_>) -> Result<u64, Malformed> {
    d.array()?.ok_or(Malformed)
}

/// Begins a list that must have `expected` members.
pub(crate) fn fixed(d: &mut Decoder<'_>, expected: u64) -> Result<(), Malformed> {
    if length(d)? == expected { Ok(()) } else { Err(Malformed) }
}

/// A byte string of exactly `N` bytes.
pub(crate) fn array<const N: usize>(d: &mut Decoder<'_>) -> Result<[u8; N], Malformed> {
    d.bytes()?.try_into().map_err(|_| Malformed)
}

/// Whether `next` may follow `last` in a list that is strictly rising.
pub(crate) fn rising<T: Ord>(last: Option<&T>, next: &T) -> Result<(), Malformed> {
    if last.is_none_or(|last| last < next) { Ok(()) } else { Err(Malformed) }
}
