//! Proofs against the definitions of RFC 6962, the published ones, and everything near a true one.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::convert::Infallible;

use proptest::prelude::*;

use super::super::tree::reference::{self, hash, published, published_roots};
use super::*;

fn from_leaves(leaves: &[Hash]) -> impl FnMut(u64, u32) -> Result<Hash, Infallible> {
    move |start, height| Ok(reference::root(&leaves[start as usize..][..1 << height]))
}

fn inclusion(leaves: &[Hash], index: u64, size: u64) -> InclusionProof {
    let Ok(proof) = InclusionProof::make(index, size, &mut from_leaves(leaves));
    proof.unwrap()
}

fn consistency(leaves: &[Hash], old: u64, new: u64) -> ConsistencyProof {
    let Ok(proof) = ConsistencyProof::make(old, new, &mut from_leaves(leaves));
    proof.unwrap()
}

/// `PATH` of RFC 6962 §2.1.1.
fn path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(reference::split(leaves.len()));
    let (mut below, beside) = match index.checked_sub(left.len()) {
        None => (path(index, left), reference::root(right)),
        Some(index) => (path(index, right), reference::root(left)),
    };
    below.push(beside);
    below
}

/// `SUBPROOF` of RFC 6962 §2.1.2.
fn subproof(old: usize, leaves: &[Hash], is_known: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if is_known { Vec::new() } else { vec![reference::root(leaves)] };
    }
    let (left, right) = leaves.split_at(reference::split(leaves.len()));
    let (mut below, beside) = match old.checked_sub(left.len()) {
        None | Some(0) => (subproof(old, left, is_known), reference::root(right)),
        Some(old) => (subproof(old, right, false), reference::root(left)),
    };
    below.push(beside);
    below
}

#[test]
fn proofs_are_those_of_the_definitions() {
    let leaves = reference::leaves(40);
    for size in 1..=40 {
        let new = reference::root(&leaves[..size]);
        for at in 0..size {
            let proof = inclusion(&leaves, at as u64, size as u64);
            assert_eq!(proof.path, path(at, &leaves[..size]));
            assert_eq!(proof.verify(&leaves[at], &new), Ok(()));
            let proof = consistency(&leaves, at as u64 + 1, size as u64);
            assert_eq!(proof.path, subproof(at + 1, &leaves[..size], true));
            assert_eq!(proof.verify(&reference::root(&leaves[..=at]), &new), Ok(()));
        }
        assert_eq!(consistency(&leaves, 0, size as u64).verify(&reference::root(&[]), &new), Ok(()));
    }
}

/// From the tests of certificate-transparency: `(index, size, path)`.
#[test]
fn published_inclusion_proofs_hold() {
    for (index, size, want) in [
        (0_u64, 1_u64, &[][..]),
        (
            0,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            5,
            8,
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
        (
            1,
            5,
            &[
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ] {
        let proof = inclusion(&published(), index, size);
        assert_eq!(proof.path, want.iter().map(|hex| hash(hex)).collect::<Vec<_>>());
        assert_eq!(proof.verify(&published()[index as usize], &published_roots()[size as usize - 1]), Ok(()));
    }
}

/// From the same tests: `(old size, new size, path)`.
#[test]
fn published_consistency_proofs_hold() {
    for (old, new, want) in [
        (1_u64, 1_u64, &[][..]),
        (
            1,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            6,
            8,
            &[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (
            2,
            5,
            &[
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
        (
            6,
            7,
            &[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
    ] {
        let proof = consistency(&published(), old, new);
        assert_eq!(proof.path, want.iter().map(|hex| hash(hex)).collect::<Vec<_>>());
        let root = |size: u64| published_roots()[size as usize - 1];
        assert_eq!(proof.verify(&root(old), &root(new)), Ok(()));
    }
}

/// Sizes that are always, and never, consistent, as in the same tests.
#[test]
fn trivial_consistency_is_judged_too() {
    let (a, b, none) = ([1; 32], [2; 32], reference::root(&[]));
    let proof = |old_size, new_size, path: &[Hash]| ConsistencyProof { old_size, new_size, path: path.to_vec() };
    assert_eq!(proof(0, 0, &[]).verify(&none, &none), Ok(()));
    assert_eq!(proof(0, 1, &[]).verify(&none, &b), Ok(()));
    assert_eq!(proof(1, 1, &[]).verify(&b, &b), Ok(()));
    for (wrong, old, new, error) in [
        (proof(0, 1, &[]), a, b, ProofError::Root),
        (proof(0, 0, &[]), none, b, ProofError::Root),
        (proof(1, 1, &[]), a, b, ProofError::Root),
        (proof(1, 0, &[]), a, b, ProofError::Position),
        (proof(2, 1, &[]), a, b, ProofError::Position),
        (proof(1, 2, &[]), a, b, ProofError::Length),
        (proof(3, 4, &[]), a, b, ProofError::Length),
        (proof(0, 1, &[none]), none, b, ProofError::Length),
        (proof(1, 1, &[none]), b, b, ProofError::Length),
    ] {
        assert_eq!(wrong.verify(&old, &new), Err(error));
    }
}

#[test]
fn no_proof_is_made_about_what_is_not_there() {
    let leaves = reference::leaves(4);
    assert_eq!(InclusionProof::make(4, 4, &mut from_leaves(&leaves)), Ok(None));
    assert_eq!(InclusionProof::make(0, 0, &mut from_leaves(&leaves)), Ok(None));
    assert_eq!(ConsistencyProof::make(5, 4, &mut from_leaves(&leaves)), Ok(None));
    let failing = &mut |_, _| Err("no such tile");
    assert_eq!(InclusionProof::make(1, 4, failing), Err("no such tile"));
    assert_eq!(ConsistencyProof::make(3, 4, failing), Err("no such tile"));
}

/// Every proof that differs from a true one in one hash, more or fewer hashes.
fn near(path: &[Hash], bit: usize) -> Vec<Vec<Hash>> {
    let flipped = (0..path.len()).map(|at| {
        let mut path = path.to_vec();
        path[at][bit / 8] ^= 1 << (bit % 8);
        path
    });
    let added = (0..=path.len()).map(|at| [&path[..at], &[[7; 32]], &path[at..]].concat());
    let removed = (0..path.len()).map(|at| [&path[..at], &path[at + 1..]].concat());
    flipped.chain(added).chain(removed).collect()
}

proptest! {
    #[test]
    fn nothing_near_an_inclusion_proof_holds(size in 1..600_u64, index: prop::sample::Index, bit in 0..256_usize) {
        let leaves = reference::leaves(size);
        let index = index.index(size as usize) as u64;
        let (leaf, root) = (leaves[index as usize], reference::root(&leaves));
        let proof = inclusion(&leaves, index, size);
        prop_assert_eq!(proof.verify(&leaf, &root), Ok(()));
        for path in near(&proof.path, bit) {
            let found = InclusionProof { path, ..proof }.verify(&leaf, &root);
            prop_assert!(found.is_err());
        }
        let mut other = leaf;
        other[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(proof.verify(&other, &root), Err(ProofError::Root));
        for wrong in [index.wrapping_sub(1), index + 1, index ^ 2, index ^ (1 << (bit % 64)), u64::MAX] {
            let found = InclusionProof { index: wrong, ..proof.clone() }.verify(&leaf, &root);
            prop_assert!(found.is_err());
        }
        for size in [0, size * 2, size / 2, size | 1 << 63] {
            let is_same_way = InclusionProof { size, ..proof.clone() }.verify(&leaf, &root);
            prop_assert!(is_same_way.is_err() || size == proof.size, "size {size}");
        }
    }

    #[test]
    fn nothing_near_a_consistency_proof_holds(new in 2..600_u64, old: prop::sample::Index, bit in 0..256_usize) {
        let leaves = reference::leaves(new);
        let old = old.index(new as usize - 1) as u64 + 1;
        let (before, after) = (reference::root(&leaves[..old as usize]), reference::root(&leaves));
        let proof = consistency(&leaves, old, new);
        prop_assert_eq!(proof.verify(&before, &after), Ok(()));
        for path in near(&proof.path, bit) {
            let found = ConsistencyProof { path, ..proof }.verify(&before, &after);
            prop_assert!(found.is_err());
        }
        prop_assert!(proof.verify(&after, &before).is_err());
        prop_assert!(proof.verify(&before, &before).is_err());
        // A log that changed a leaf of the earlier tree has no proof that it did not.
        let mut forged = leaves.clone();
        forged[bit % old as usize][0] ^= 1;
        let proof = consistency(&forged, old, new);
        prop_assert!(proof.verify(&before, &reference::root(&forged)).is_err());
    }

    #[test]
    fn any_proof_is_judged_without_a_panic(index: u64, size: u64, path in prop::collection::vec(any::<Hash>(), 0..70)) {
        let (a, b) = ([1; 32], [2; 32]);
        let _ = InclusionProof { index, size, path: path.clone() }.verify(&a, &b);
        let _ = ConsistencyProof { old_size: index, new_size: size, path }.verify(&a, &b);
    }
}
