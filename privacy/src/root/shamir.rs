//! Secret sharing after Shamir ("How to share a secret", CACM 22, 1979) over GF(2⁸) with the polynomial of AES, byte by
//! byte, as draft-mcgrew-tss-03 has it: a polynomial's value at 0 is the secret, at 1, 2, … the shares.
//!
//! Invariant: nothing here branches on a secret or looks one up in a table, and all of it is wiped. That, a fixed
//! length and randomness from outside are why it is written here: libraries leave coefficients in freed memory. They
//! serve as oracles in the tests instead. With coefficients uniform over the whole field, fewer shares than the
//! threshold say nothing about the secret, to whatever computing power.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// Bytes of a secret, and of a share of it.
pub(super) const SECRET: usize = 32;

/// What a secret and its shares are.
pub(super) type Bytes = Zeroizing<[u8; SECRET]>;

/// Shares 1 to `count` of `secret`, of which `threshold` give it back. The caller has checked 1 ≤ threshold ≤ count.
pub(super) fn split(
    secret: &[u8; SECRET],
    threshold: u8,
    count: u8,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Vec<(u8, Bytes)> {
    let mut coefficients: Vec<Bytes> = Vec::with_capacity(usize::from(threshold));
    coefficients.push(Zeroizing::new(*secret));
    for _ in 1..threshold {
        let mut coefficient = Zeroizing::new([0; SECRET]);
        rng.fill_bytes(&mut coefficient[..]);
        coefficients.push(coefficient);
    }
    (1..=count).map(|x| (x, evaluate(&coefficients, x))).collect()
}

/// The secret of these shares, which have different places, none 0. Any shares have one: whether it is the one that was
/// split, the caller must tell by other means.
pub(super) fn combine(shares: &[(u8, &[u8; SECRET])]) -> Bytes {
    let mut secret = Zeroizing::new([0; SECRET]);
    for (x, share) in shares {
        // Lagrange's coefficient at 0. Places are public, only the shares are not.
        let others = || shares.iter().map(|(other, _)| *other).filter(|other| other != x);
        let above = others().fold(1, multiply);
        let below = others().fold(1, |product, other| multiply(product, other ^ x));
        let coefficient = multiply(above, invert(below));
        for (sum, byte) in secret.iter_mut().zip(share.iter()) {
            *sum ^= multiply(*byte, coefficient);
        }
    }
    secret
}

/// The polynomial with these coefficients, lowest first, at `x` (Horner).
fn evaluate(coefficients: &[Bytes], x: u8) -> Bytes {
    let mut value = Zeroizing::new([0; SECRET]);
    for coefficient in coefficients.iter().rev() {
        for (byte, add) in value.iter_mut().zip(coefficient.iter()) {
            *byte = multiply(*byte, x) ^ add;
        }
    }
    value
}

/// The product in GF(2⁸) modulo x⁸ + x⁴ + x³ + x + 1 (FIPS 197 §4.2).
fn multiply(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    for _ in 0..8 {
        product ^= a & (b & 1).wrapping_neg();
        a = (a << 1) ^ (0x1b & (a >> 7).wrapping_neg());
        b >>= 1;
    }
    product
}

/// The inverse: a²⁵⁴. Of 0, which has none, 0.
fn invert(a: u8) -> u8 {
    let mut power = a;
    for _ in 0..6 {
        power = multiply(multiply(power, power), a);
    }
    multiply(power, power)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use vsss_rs::Gf256;

    use super::*;

    /// Polynomials modulo another, written out: shift and subtract.
    fn product(a: u8, b: u8) -> u8 {
        let mut long: u16 = (0..8).filter(|bit| b >> bit & 1 == 1).fold(0, |sum, bit| sum ^ (u16::from(a) << bit));
        for bit in (8..16).rev() {
            if long >> bit & 1 == 1 {
                long ^= 0x11b << (bit - 8);
            }
        }
        long as u8
    }

    #[test]
    fn the_field_is_that_of_aes() {
        // FIPS 197 §4.2: {57} • {83} = {c1}, {57} • {13} = {fe}.
        assert_eq!((multiply(0x57, 0x83), multiply(0x57, 0x13)), (0xc1, 0xfe));
        for a in 0..=255 {
            for b in 0..=255 {
                assert_eq!(multiply(a, b), product(a, b));
            }
            assert_eq!(multiply(a, invert(a)), u8::from(a != 0));
        }
    }

    /// draft-mcgrew-tss-03 §9, its five bytes padded to ours.
    #[test]
    fn the_published_shares_hold() {
        let padded = |bytes: [u8; 5]| {
            let mut padded = [0; SECRET];
            padded[..5].copy_from_slice(&bytes);
            padded
        };
        let (one, two) = (padded([0xb9, 0xfa, 0x07, 0xe1, 0x85]), padded([0xf5, 0x40, 0x9b, 0x45, 0x11]));
        assert_eq!(*combine(&[(1, &one), (2, &two)]), padded([0x74, 0x65, 0x73, 0x74, 0x00]));
        let line: [u8; SECRET] = std::array::from_fn(|at| padded([0x74, 0x65, 0x73, 0x74, 0x00])[at] ^ one[at]);
        let coefficients = [Zeroizing::new(padded([0x74, 0x65, 0x73, 0x74, 0x00])), Zeroizing::new(line)];
        assert_eq!((*evaluate(&coefficients, 1), *evaluate(&coefficients, 2)), (one, two));
    }

    fn chosen(shares: &[(u8, Bytes)], threshold: usize, seed: u64) -> Vec<(u8, &[u8; SECRET])> {
        let mut places: Vec<usize> = (0..shares.len()).collect();
        for at in (1..places.len()).rev() {
            places.swap(at, (seed.rotate_left(at as u32) % (at as u64 + 1)) as usize);
        }
        places.into_iter().take(threshold).map(|at| (shares[at].0, &*shares[at].1)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn enough_shares_give_the_secret_and_one_fewer_another(
            secret: [u8; SECRET], threshold in 2..=9_u8, more in 0..=9_u8, seed: u64,
        ) {
            let shares = split(&secret, threshold, threshold + more, &mut StdRng::seed_from_u64(seed));
            prop_assert_eq!(shares.len(), usize::from(threshold + more));
            prop_assert_eq!(*combine(&chosen(&shares, usize::from(threshold), seed)), secret);
            prop_assert_eq!(*combine(&chosen(&shares, shares.len(), seed)), secret);
            prop_assert_ne!(*combine(&chosen(&shares, usize::from(threshold) - 1, seed)), secret);
        }

        /// Another's code combines what ours splits, and ours what it splits.
        #[test]
        fn shares_are_those_of_another_library(secret: [u8; SECRET], threshold in 2..=9_u8, more in 0..=9_u8, seed: u64) {
            let rng = &mut StdRng::seed_from_u64(seed);
            let count = threshold + more;
            let ours = split(&secret, threshold, count, rng);
            let theirs: Vec<Vec<u8>> = ours.iter().map(|(x, y)| [&[*x][..], &y[..]].concat()).collect();
            prop_assert_eq!(Gf256::combine_array(&theirs[usize::from(more)..]).unwrap(), secret.to_vec());
            let theirs = Gf256::split_array(usize::from(threshold), usize::from(count), secret, rng).unwrap();
            let ours: Vec<_> = theirs.iter().map(|share| (share[0], share[1..].try_into().unwrap())).collect();
            prop_assert_eq!(*combine(&ours[usize::from(more)..]), secret);
        }
    }

    /// Whatever the secret, one share of two takes every value equally often: all 256 coefficients, counted.
    #[test]
    fn a_share_alone_says_nothing() {
        for secret in [0_u8, 1, 0x53, 0xff] {
            for x in 1..=255_u8 {
                let mut seen = [false; 256];
                for coefficient in 0..=255_u8 {
                    let line = [Zeroizing::new([secret; SECRET]), Zeroizing::new([coefficient; SECRET])];
                    seen[usize::from(evaluate(&line, x)[0])] = true;
                }
                assert!(seen.iter().all(|seen| *seen));
            }
        }
    }

    /// Coefficients must be drawn with zero among them (RUSTSEC-2024-0398): without, a share is never the secret.
    #[test]
    fn coefficients_may_be_zero() {
        let rng = &mut StdRng::seed_from_u64(1);
        let equal: usize = (0..64)
            .map(|_| {
                let shares = split(&[9; SECRET], 2, 2, rng);
                shares[0].1.iter().filter(|byte| **byte == 9).count()
            })
            .sum();
        // 2048 draws at 1 in 256: 8 expected, none has odds of e⁻⁸.
        assert!(equal > 0);
    }
}
