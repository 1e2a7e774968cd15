//! A root key in shares: m of n people give it back, fewer have nothing.
//!
//! ```text
//! version 1 | set 8 | fingerprint of the root key 8 | threshold 1 | place 1 | share 32 | checksum 4
//! lethe-share-… base32 in groups of five
//! ```
//!
//! Invariant: shares of different sets are never combined, a mistyped share is found before it is combined, and a key
//! that is not the one that was split is never given out: the key's fingerprint, which says nothing usable about it,
//! stands in every share. Each failure says what its bearer should do.

use std::collections::BTreeMap;

use data_encoding::BASE32_NOPAD;
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::shamir::{self, SECRET};
use crate::secret::{Fingerprint, RootKey};

const VERSION: u8 = 1;
const PREFIX: &str = "lethe-share-";
const CHECKSUM: usize = 4;
const BYTES: usize = 1 + 8 + 8 + 1 + 1 + SECRET + CHECKSUM;
/// Characters of a share between two dashes.
const GROUP: usize = 5;

/// One share of a root key. It prints, copies and compares as little as a key does.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Share {
    set: [u8; 8],
    root_key: [u8; 8],
    threshold: u8,
    place: u8,
    value: [u8; SECRET],
}

/// How a root key cannot be split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SplitError {
    /// With a threshold of one, every share is the key.
    #[error("a root key is shared among 2 or more, not {threshold}")]
    Threshold {
        /// The threshold asked for.
        threshold: u8,
    },
    /// There would never be enough shares.
    #[error("{count} shares cannot reach a threshold of {threshold}")]
    Count {
        /// The threshold asked for.
        threshold: u8,
        /// The number of shares asked for.
        count: u8,
    },
}

/// Why a text is no share. It never quotes the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ParseShareError {
    /// It does not begin as a share does.
    #[error("a share begins with {PREFIX}")]
    Prefix,
    /// Written by a newer version of this engine.
    #[error("the share has version {found}, the newest known here is {max}")]
    Newer {
        /// The share's version.
        found: u8,
        /// The newest that is known here.
        max: u8,
    },
    /// Too short or too long, or with a character that no share has.
    #[error("a share has letters, the digits 2 to 7 and dashes, none may be missing")]
    Alphabet,
    /// A character is wrong.
    #[error("the share is mistyped: its checksum does not fit")]
    Checksum,
}

/// Why shares do not give a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CombineError {
    /// More people are needed.
    #[error("{have} of the {need} different shares that are needed are here")]
    TooFew {
        /// How many different shares there are.
        have: u8,
        /// How many are needed.
        need: u8,
    },
    /// They are not from one splitting. An older set of the same key is another set.
    #[error("the shares are of different sets; all must have been made together")]
    Mixed,
    /// Two shares claim the same place and differ, or the key that they give is not the one that was split: a share was
    /// altered, not mistyped.
    #[error("a share was altered: together they give another key than the one that was split")]
    Altered,
}

impl Share {
    /// The set it was made in, shown beside it so that people can tell sets apart.
    pub fn set(&self) -> [u8; 8] {
        self.set
    }

    /// The root key that the set gives.
    pub fn root_key(&self) -> Fingerprint {
        Fingerprint(self.root_key)
    }

    /// How many shares of the set give the key.
    pub fn threshold(&self) -> u8 {
        self.threshold
    }

    /// Its place in the set, from 1.
    pub fn place(&self) -> u8 {
        self.place
    }

    /// The share as text, wiped when dropped.
    pub fn format(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES));
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.set);
        bytes.extend_from_slice(&self.root_key);
        bytes.extend_from_slice(&[self.threshold, self.place]);
        bytes.extend_from_slice(&self.value);
        let checksum = checksum(&bytes);
        bytes.extend_from_slice(&checksum);
        let digits = Zeroizing::new(BASE32_NOPAD.encode(&bytes));
        // Room from the start, so that growing leaves no copy behind.
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + 2 * digits.len()));
        text.push_str(PREFIX);
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && at % GROUP == 0 {
                text.push('-');
            }
            text.push(digit.to_ascii_lowercase());
        }
        text
    }

    /// Reads a share from text. Letters may be of either case; dashes and whitespace after the prefix are ignored.
    pub fn parse(text: &str) -> Result<Share, ParseShareError> {
        let text = text.trim();
        let head = text.get(..PREFIX.len()).filter(|head| head.eq_ignore_ascii_case(PREFIX));
        head.ok_or(ParseShareError::Prefix)?;
        let mut digits = Zeroizing::new(Vec::with_capacity(text.len()));
        let ignored = |byte: &u8| *byte == b'-' || byte.is_ascii_whitespace();
        digits.extend(
            text.bytes().skip(PREFIX.len()).filter(|byte| !ignored(byte)).map(|byte| byte.to_ascii_uppercase()),
        );
        let bytes = Zeroizing::new(BASE32_NOPAD.decode(&digits).map_err(|_| ParseShareError::Alphabet)?);
        let (content, found) = bytes.split_last_chunk::<CHECKSUM>().ok_or(ParseShareError::Alphabet)?;
        if *found != checksum(content) {
            let is_whole = bytes.len() == BYTES;
            return Err(if is_whole { ParseShareError::Checksum } else { ParseShareError::Alphabet });
        }
        let (version, content) = content.split_first().ok_or(ParseShareError::Alphabet)?;
        if *version != VERSION {
            return Err(ParseShareError::Newer { found: *version, max: VERSION });
        }
        Share::from_content(content).ok_or(ParseShareError::Checksum)
    }

    fn from_content(content: &[u8]) -> Option<Share> {
        let (set, content) = content.split_first_chunk()?;
        let (root_key, content) = content.split_first_chunk()?;
        let (&[threshold, place], value) = content.split_first_chunk()?;
        let value = *<&[u8; SECRET]>::try_from(value).ok()?;
        (threshold > 1 && place > 0).then_some(Share { set: *set, root_key: *root_key, threshold, place, value })
    }
}

/// Splits a root key into `count` shares, of which any `threshold` give it back.
///
/// # Errors
/// [`SplitError`], if the threshold is below 2 or above the count.
pub fn split_root_key(
    key: &RootKey,
    threshold: u8,
    count: u8,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<Vec<Share>, SplitError> {
    if threshold < 2 {
        return Err(SplitError::Threshold { threshold });
    }
    if count < threshold {
        return Err(SplitError::Count { threshold, count });
    }
    let mut set = [0; 8];
    rng.fill_bytes(&mut set);
    let root_key = key.fingerprint().0;
    let shares = shamir::split(key.expose(), threshold, count, rng);
    let share = |(place, value): (u8, shamir::Bytes)| Share { set, root_key, threshold, place, value: *value };
    Ok(shares.into_iter().map(share).collect())
}

/// Gives back the root key that these shares were made of. The same share twice counts once; more than are needed do
/// no harm, and all of them are looked at.
///
/// # Errors
/// [`CombineError`], which tells too few, mixed and altered shares apart.
pub fn combine_root_key(shares: &[Share]) -> Result<RootKey, CombineError> {
    let first = shares.first().ok_or(CombineError::TooFew { have: 0, need: 2 })?;
    let kind = |share: &Share| (share.set, share.root_key, share.threshold);
    if shares.iter().any(|share| kind(share) != kind(first)) {
        return Err(CombineError::Mixed);
    }
    let mut different: BTreeMap<u8, &[u8; SECRET]> = BTreeMap::new();
    for share in shares {
        if different.insert(share.place, &share.value).is_some_and(|same| *same != share.value) {
            return Err(CombineError::Altered);
        }
    }
    // Places are 1 to 255.
    let have = u8::try_from(different.len()).unwrap_or(u8::MAX);
    if have < first.threshold {
        return Err(CombineError::TooFew { have, need: first.threshold });
    }
    // Through all of them goes the same polynomial, unless one was altered.
    let different: Vec<_> = different.into_iter().collect();
    let key = RootKey::from_bytes(*shamir::combine(&different));
    if key.fingerprint() == first.root_key() { Ok(key) } else { Err(CombineError::Altered) }
}

fn checksum(content: &[u8]) -> [u8; CHECKSUM] {
    let digest = Sha256::new().chain_update(b"lethedb share v1\0").chain_update(content).finalize();
    let mut checksum = [0; CHECKSUM];
    checksum.copy_from_slice(&digest[..CHECKSUM]);
    checksum
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn key() -> RootKey {
        RootKey::from_bytes([0x42; 32])
    }

    fn split(threshold: u8, count: u8, seed: u64) -> Vec<Share> {
        split_root_key(&key(), threshold, count, &mut StdRng::seed_from_u64(seed)).unwrap()
    }

    fn again(share: &Share) -> Share {
        Share::parse(&share.format()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn combined(shares: Vec<Share>) -> Result<[u8; 32], CombineError> {
        combine_root_key(&shares).map(|key| *key.expose())
    }

    #[test]
    fn any_enough_shares_give_the_key() {
        let shares = split(3, 5, 1);
        for mask in 0..32_u8 {
            let some = || shares.iter().filter(|share| mask >> (share.place - 1) & 1 == 1).map(again).collect();
            let have = mask.count_ones() as u8;
            let want = match have {
                0 => Err(CombineError::TooFew { have: 0, need: 2 }),
                1 | 2 => Err(CombineError::TooFew { have, need: 3 }),
                _ => Ok([0x42; 32]),
            };
            assert_eq!(combined(some()), want);
            // Twice the same shares are no more shares.
            assert_eq!(combined(some().into_iter().chain(some()).collect()), want);
        }
    }

    #[test]
    fn sets_do_not_mix() {
        let (a, b) = (split(2, 3, 1), split(2, 3, 2));
        assert_eq!(combined(vec![again(&a[0]), again(&b[1])]), Err(CombineError::Mixed));
        let mut other = again(&a[1]);
        other.threshold = 3;
        assert_eq!(combined(vec![again(&a[0]), other]), Err(CombineError::Mixed));
    }

    #[test]
    fn altered_shares_give_no_key() {
        let shares = split(2, 3, 1);
        let altered = || {
            let mut share = again(&shares[1]);
            share.value[7] ^= 1;
            again(&share)
        };
        assert_eq!(combined(vec![again(&shares[0]), altered()]), Err(CombineError::Altered));
        assert_eq!(combined(vec![again(&shares[1]), altered()]), Err(CombineError::Altered));
        // Even among enough that were not.
        assert_eq!(combined(vec![again(&shares[0]), again(&shares[2]), altered()]), Err(CombineError::Altered));
        // A threshold that was lowered in all of them opens nothing.
        let lowered = split(3, 3, 1).into_iter().take(2).map(|mut share| {
            share.threshold = 2;
            share
        });
        assert_eq!(combined(lowered.collect()), Err(CombineError::Altered));
    }

    #[test]
    fn impossible_splits_are_refused() {
        let split = |threshold, count| {
            split_root_key(&key(), threshold, count, &mut StdRng::seed_from_u64(1)).map(|shares| shares.len())
        };
        assert_eq!(split(0, 3), Err(SplitError::Threshold { threshold: 0 }));
        assert_eq!(split(1, 3), Err(SplitError::Threshold { threshold: 1 }));
        assert_eq!(split(4, 3), Err(SplitError::Count { threshold: 4, count: 3 }));
        assert_eq!(split(2, 255), Ok(255));
        assert_eq!(split(255, 255), Ok(255));
    }

    /// A share that was printed must stay readable.
    #[test]
    fn the_form_of_a_share_is_pinned() {
        let share = Share { set: [1; 8], root_key: [2; 8], threshold: 2, place: 3, value: [4; SECRET] };
        let text = "lethe-share-aeaqc-aibae-aqcai-caiba-eaqca-ibaea-yeaqc-aibae-aqcai-baeaq-caiba-eaqca-ibaea-qcaib-aeaqc-aibae-atopq-z2f";
        assert_eq!(*share.format(), text);
        let typed = format!("  {}\n", text.to_uppercase().replace('-', " ").replace("LETHE SHARE ", "Lethe-Share-"));
        for text in [text, &typed, &format!("{PREFIX}{}", text[PREFIX.len()..].replace('-', ""))] {
            let read = Share::parse(text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((read.set(), read.root_key().0), ([1; 8], [2; 8]));
            assert_eq!((read.threshold(), read.place(), read.value), (2, 3, [4; SECRET]));
        }
    }

    fn with_checksum(content: &[u8]) -> String {
        format!("{PREFIX}{}", BASE32_NOPAD.encode(&[content, &checksum(content)].concat()))
    }

    #[test]
    fn other_texts_are_told_apart() {
        let parsed = |text: &str| Share::parse(text).map(drop);
        let text = split(2, 2, 1)[0].format();
        for (wrong, want) in [
            ("", ParseShareError::Prefix),
            ("lethe_sk_abc", ParseShareError::Prefix),
            ("lethe-shareé", ParseShareError::Prefix),
            (PREFIX, ParseShareError::Alphabet),
            (&text[..text.len() - 1], ParseShareError::Alphabet),
            (&format!("{}a", *text), ParseShareError::Alphabet),
            (&text.replace('-', "_"), ParseShareError::Prefix),
            (&format!("{PREFIX}{}", text[PREFIX.len()..].replacen('a', "1", 1)), ParseShareError::Alphabet),
            (&with_checksum(&[2; 60]), ParseShareError::Newer { found: 2, max: 1 }),
            (&with_checksum(&[1; BYTES - CHECKSUM - 1]), ParseShareError::Checksum),
            (&with_checksum(&[[1; 17].as_slice(), &[0; 34]].concat()), ParseShareError::Checksum),
        ] {
            assert_eq!(parsed(wrong), Err(want), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn one_mistyped_character_is_found(seed: u64, at: prop::sample::Index, to in "[a-z2-7]") {
            let text = split(2, 2, seed)[0].format();
            let at = PREFIX.len() + at.index(text.len() - PREFIX.len());
            prop_assume!(&text[at..=at] != "-" && text[at..=at] != to);
            let mistyped = format!("{}{to}{}", &text[..at], &text[at + 1..]);
            prop_assert!(Share::parse(&mistyped).is_err());
        }

        #[test]
        fn any_text_is_a_share_or_an_error(text in "(lethe-share-)?.{0,120}") {
            let _ = Share::parse(&text);
        }
    }
}
