//! Root keys as text, and the places one may come from.
//!
//! Invariant: exactly 32 bytes or an error; a short, long or mistyped key is never padded, cut or hashed into one,
//! because the result would silently be another key. This room reads nothing: the engine brings the text.

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::secret::RootKey;

/// Where a root key came from. [`RootKeySource::ORDER`] is the order in which sources are asked; the first that
/// holds a key wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootKeySource {
    /// Given by the program that opens the database.
    Explicit,
    /// The variable `LETHEDB_ROOT_KEY` holds the key.
    Variable,
    /// The variable `LETHEDB_ROOT_KEY_FILE` names a file that holds it.
    File,
    /// A systemd credential.
    Credential,
    /// Unwrapped by a passphrase (Argon2id).
    Passphrase,
    /// Combined from m of n shares.
    Shares,
    /// A file in the user's configuration directory, made on first use.
    Auto,
}

impl RootKeySource {
    /// Every source, first asked first.
    pub const ORDER: [RootKeySource; 7] = [
        RootKeySource::Explicit,
        RootKeySource::Variable,
        RootKeySource::File,
        RootKeySource::Credential,
        RootKeySource::Passphrase,
        RootKeySource::Shares,
        RootKeySource::Auto,
    ];

    /// The source in words, for messages to the operator.
    pub fn describe(self) -> &'static str {
        match self {
            RootKeySource::Explicit => "given by the caller",
            RootKeySource::Variable => "environment variable LETHEDB_ROOT_KEY",
            RootKeySource::File => "file named by LETHEDB_ROOT_KEY_FILE",
            RootKeySource::Credential => "systemd credential",
            RootKeySource::Passphrase => "passphrase",
            RootKeySource::Shares => "key shares",
            RootKeySource::Auto => "key file in the user's configuration directory",
        }
    }
}

/// Why a text is no root key. It never quotes the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ParseError {
    /// Neither 64 characters (hex) nor 44 (base64), surrounding whitespace aside.
    #[error("a root key is 64 hex digits or 44 base64 characters; this text has {characters}")]
    Length {
        /// Bytes found after trimming.
        characters: usize,
    },
    /// The right length, but not the alphabet.
    #[error("a root key is 64 hex digits or 44 base64 characters; this text has another character")]
    Alphabet,
}

/// Reads a root key from 64 hex digits (either case) or 44 characters of standard padded base64 (RFC 4648 §4),
/// with whitespace around them ignored.
pub fn parse_root_key(text: &str) -> Result<RootKey, ParseError> {
    let text = text.trim();
    let encoding = match text.len() {
        64 => &HEXLOWER_PERMISSIVE,
        44 => &BASE64,
        characters => return Err(ParseError::Length { characters }),
    };
    let bytes = Zeroizing::new(encoding.decode(text.as_bytes()).map_err(|_| ParseError::Alphabet)?);
    let bytes = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| ParseError::Alphabet)?;
    Ok(RootKey::from_bytes(bytes))
}

/// The key as 64 lower-case hex digits, wiped when dropped.
pub fn format_root_key(key: &RootKey) -> Zeroizing<String> {
    Zeroizing::new(HEXLOWER.encode(key.expose()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn both_forms_read_back(bytes: [u8; 32]) {
            let hex = format_root_key(&RootKey::from_bytes(bytes));
            let padded = format!("  {}\n", hex.as_str());
            for text in [padded, hex.to_uppercase(), BASE64.encode(&bytes)] {
                let key = parse_root_key(&text).unwrap();
                prop_assert_eq!(key.expose(), &bytes);
            }
        }

        #[test]
        fn any_text_is_a_key_or_an_error(text in ".{0,80}") {
            let _ = parse_root_key(&text);
        }
    }

    #[test]
    fn near_misses_are_refused() {
        let hex = "ab".repeat(32);
        let inner_space = format!("{} {}", &hex[..31], &hex[32..]);
        for (text, want) in [
            ("", ParseError::Length { characters: 0 }),
            (&hex[1..], ParseError::Length { characters: 63 }),
            (&format!("0{hex}"), ParseError::Length { characters: 65 }),
            (&inner_space, ParseError::Alphabet),
            (&"g".repeat(64), ParseError::Alphabet),
            // 44 characters that decode to 33 bytes, and non-zero bits after the last byte.
            (&"A".repeat(44), ParseError::Alphabet),
            (&format!("{}B=", "A".repeat(42)), ParseError::Alphabet),
        ] {
            assert_eq!(parse_root_key(text).err(), Some(want));
        }
    }

    #[test]
    fn sources_are_described_apart() {
        let mut words = RootKeySource::ORDER.map(RootKeySource::describe).to_vec();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), RootKeySource::ORDER.len());
    }
}
