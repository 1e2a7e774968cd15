//! From a passphrase to a key: Argon2id (RFC 9106), with a cost that is written beside what the key wraps.
//!
//! Invariant: a cost is within bounds before anything is computed, so that no file makes a passphrase cheap to guess
//! and none demands more than 4 GiB of memory. One lane, because this crate starts no threads: more lanes would serve
//! whoever guesses in parallel and nobody else.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::secret::SectionKey;

/// Bytes of a salt, as RFC 9106 §3.1 recommends.
pub(super) const SALT: usize = 16;

/// A passphrase, byte for byte as it was typed: no normalisation, no trimming. Wiped on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Passphrase(String);

impl Passphrase {
    /// Takes a passphrase.
    ///
    /// # Errors
    /// [`CostError::Empty`]: an empty one protects nothing.
    pub fn new(passphrase: impl Into<String>) -> Result<Passphrase, CostError> {
        let passphrase = Passphrase(passphrase.into());
        if passphrase.0.is_empty() { Err(CostError::Empty) } else { Ok(passphrase) }
    }
}

/// What one guess at a passphrase costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    memory_kib: u32,
    passes: u32,
}

/// Why a passphrase gives no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CostError {
    /// There is no passphrase.
    #[error("a passphrase must not be empty")]
    Empty,
    /// Guessing would be cheap.
    #[error(
        "{memory_kib} KiB in {passes} passes is too cheap to guess; at least {} KiB in {} passes are needed",
        Cost::MEMORY_KIB_MIN,
        Cost::PASSES_MIN
    )]
    Cheap {
        /// The memory asked for, in KiB.
        memory_kib: u32,
        /// The passes over it asked for.
        passes: u32,
    },
    /// More than any honest setting asks for.
    #[error("{memory_kib} KiB in {passes} passes is more than is granted; the file may be forged")]
    Dear {
        /// The memory asked for, in KiB.
        memory_kib: u32,
        /// The passes over it asked for.
        passes: u32,
    },
    /// The memory is not there.
    #[error("{memory_kib} KiB of memory are needed to try a passphrase, and cannot be had")]
    Memory {
        /// The memory asked for, in KiB.
        memory_kib: u32,
    },
}

impl Cost {
    /// 256 MiB in 3 passes: about a second on one core of a server. Twelve times RFC 9106's second recommendation in
    /// memory, at its number of passes.
    pub const DEFAULT: Cost = Cost { memory_kib: 256 * 1024, passes: 3 };
    /// The least memory: 19 MiB, the least that OWASP's Password Storage Cheat Sheet names for two passes.
    pub const MEMORY_KIB_MIN: u32 = 19 * 1024;
    /// The fewest passes at that memory, from the same sheet.
    pub const PASSES_MIN: u32 = 2;
    /// The most memory: 4 GiB, twice RFC 9106's first recommendation.
    pub const MEMORY_KIB_MAX: u32 = 4 * 1024 * 1024;
    /// The most memory times passes, in KiB: four passes over the most memory, under a minute on one core.
    pub const WORK_KIB_MAX: u64 = 4 * Cost::MEMORY_KIB_MAX as u64;

    /// A cost within the bounds.
    ///
    /// # Errors
    /// [`CostError::Cheap`] or [`CostError::Dear`], if it is not.
    pub fn new(memory_kib: u32, passes: u32) -> Result<Cost, CostError> {
        if memory_kib < Cost::MEMORY_KIB_MIN || passes < Cost::PASSES_MIN {
            return Err(CostError::Cheap { memory_kib, passes });
        }
        if memory_kib > Cost::MEMORY_KIB_MAX || u64::from(memory_kib) * u64::from(passes) > Cost::WORK_KIB_MAX {
            return Err(CostError::Dear { memory_kib, passes });
        }
        Ok(Cost { memory_kib, passes })
    }

    /// Memory of one guess, in KiB.
    pub fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Passes over it.
    pub fn passes(self) -> u32 {
        self.passes
    }

    /// The key that this passphrase gives with this salt.
    pub(super) fn key(self, passphrase: &Passphrase, salt: &[u8; SALT]) -> Result<SectionKey, CostError> {
        let Cost { memory_kib, passes } = self;
        let dear = |_| CostError::Dear { memory_kib, passes };
        let params = Params::new(memory_kib, passes, 1, Some(32)).map_err(dear)?;
        // Reserved by hand, so that a host without the memory gets an answer rather than an abort.
        let (mut blocks, count) = (Vec::new(), params.block_count());
        blocks.try_reserve_exact(count).map_err(|_| CostError::Memory { memory_kib })?;
        blocks.resize(count, Block::new());
        let mut blocks = Zeroizing::new(blocks);
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(passphrase.0.as_bytes(), salt, &mut *key, &mut blocks[..])
            .map_err(dear)?;
        Ok(SectionKey::from_bytes(*key))
    }
}

impl Default for Cost {
    fn default() -> Self {
        Cost::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
    use data_encoding::HEXLOWER;

    use super::*;

    /// RFC 9106 §5.3. It asks for a secret and associated data, which this room has not: it holds the crate to the
    /// standard, the next test holds this room to the crate.
    #[test]
    fn the_vector_of_the_standard_holds() {
        let params = argon2::ParamsBuilder::new()
            .m_cost(32)
            .t_cost(3)
            .p_cost(4)
            .data(argon2::AssociatedData::new(&[4; 12]).unwrap())
            .build()
            .unwrap();
        let argon2 = Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params.clone()).unwrap();
        let (mut blocks, mut tag) = (vec![Block::new(); params.block_count()], [0; 32]);
        argon2.hash_password_into_with_memory(&[1; 32], &[2; 16], &mut tag, &mut blocks[..]).unwrap();
        assert_eq!(HEXLOWER.encode(&tag), "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659");
    }

    /// From the tests of the reference implementation: 64 MiB in two passes and one lane. Its salt has eight bytes, so
    /// the same call with ours stands beside it.
    #[test]
    fn the_key_is_argon2id_with_one_lane() {
        let params = Params::new(1 << 16, 2, 1, Some(32)).unwrap();
        let hash = |salt: &[u8]| {
            let (mut blocks, mut tag) = (vec![Block::new(); params.block_count()], [0; 32]);
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
            argon2.hash_password_into_with_memory(b"password", salt, &mut tag, &mut blocks[..]).unwrap();
            tag
        };
        let want = "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7";
        assert_eq!(HEXLOWER.encode(&hash(b"somesalt")), want);
        let cost = Cost::new(1 << 16, 2).unwrap();
        let key = cost.key(&Passphrase::new("password").ok().unwrap(), b"somesaltsomesalt").ok().unwrap();
        assert_eq!(*key.expose(), hash(b"somesaltsomesalt"));
    }

    #[test]
    fn costs_have_bounds() {
        let (min, max) = (Cost::MEMORY_KIB_MIN, Cost::MEMORY_KIB_MAX);
        for (memory_kib, passes) in [(min, 2), (max, 4), (min, 862), (256 * 1024, 3)] {
            assert!(Cost::new(memory_kib, passes).is_ok(), "{memory_kib} {passes}");
        }
        for (memory_kib, passes) in [(0, 0), (min - 1, 2), (min, 1), (min - 1, 1000), (max, 1)] {
            assert_eq!(Cost::new(memory_kib, passes), Err(CostError::Cheap { memory_kib, passes }));
        }
        for (memory_kib, passes) in [(max + 1, 2), (max, 5), (u32::MAX, u32::MAX), (min, 863)] {
            assert_eq!(Cost::new(memory_kib, passes), Err(CostError::Dear { memory_kib, passes }));
        }
        assert_eq!(Cost::new(Cost::DEFAULT.memory_kib, Cost::DEFAULT.passes), Ok(Cost::default()));
        assert_eq!(Passphrase::new("").err(), Some(CostError::Empty));
    }
}
