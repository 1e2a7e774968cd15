//! The Merkle tree over the events of a log: RFC 6962 §2.1, the same as RFC 9162 §2.1 and C2SP merkle-tree.
//!
//! Invariant: a [`Frontier`] holds the roots of the perfect trees that its leaves fall into, largest first, one for
//! every set bit of its size; from these alone the root of the whole and every later root follow. The tree covers every
//! leaf of a checkpoint: a log with an unproven tail is one into which a tail can be forged.

use sha2::{Digest, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// More leaves than this no log has, so that no count of a damaged file overflows.
pub(super) const SIZE_MAX: u64 = 1 << 62;

/// The hash of a leaf: SHA-256 of a zero byte and the leaf's bytes.
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(leaf).finalize().into()
}

/// The hash of a node over its two children: SHA-256 of a one byte and both.
pub(super) fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The root of a tree whose perfect parts have these roots, largest first. Without parts, SHA-256 of nothing.
pub(super) fn fold(peaks: impl DoubleEndedIterator<Item = Hash>) -> Hash {
    peaks.rev().reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(|| Sha256::digest([]).into())
}

/// What has to be kept of a tree to append to it: its size, and at most 62 hashes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// A tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// The frontier with these parts; `None` if there are not as many as `size` asks for.
    pub(super) fn from_parts(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (size <= SIZE_MAX && peaks.len() == size.count_ones() as usize).then_some(Self { size, peaks })
    }

    /// The tree whose perfect parts of `2^height` leaves each have these roots. `None` for more leaves than a log has.
    pub(super) fn over(roots: &[Hash], height: u32) -> Option<Self> {
        let mut parts = Self::new();
        roots.iter().for_each(|root| parts.append(*root));
        let size = parts.size.checked_mul(1_u64.checked_shl(height)?)?;
        Self::from_parts(size, parts.peaks)
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the perfect trees that the leaves fall into, largest first.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Adds the next leaf by its hash.
    pub fn append(&mut self, leaf: Hash) {
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            // There is one for every set bit; a missing one would show in the root.
            node = self.peaks.pop().map_or(node, |left| node_hash(&left, &node));
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// The root of the tree as it is.
    pub fn root(&self) -> Hash {
        fold(self.peaks.iter().copied())
    }
}

/// Trees as RFC 6962 §2.1 writes them down, and its reference leaves: what every short cut is held against.
#[cfg(test)]
pub(super) mod reference {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
    use data_encoding::HEXLOWER;

    use super::*;

    /// `MTH` of RFC 6962 §2.1 over leaf hashes.
    pub fn root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(split(leaves.len()));
                node_hash(&root(left), &root(right))
            }
        }
    }

    /// The largest power of two below `n`.
    pub fn split(n: usize) -> usize {
        n.next_power_of_two() / 2
    }

    /// The hashes of leaves that differ.
    pub fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
    }

    /// The eight leaves of the tests of certificate-transparency.
    pub fn published() -> Vec<Hash> {
        let leaves =
            ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
        leaves.iter().map(|leaf| leaf_hash(&HEXLOWER.decode(leaf.as_bytes()).unwrap())).collect()
    }

    pub fn hash(hex: &str) -> Hash {
        HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
    }

    /// The roots of the trees over the first 1 to 8 of them.
    pub fn published_roots() -> [Hash; 8] {
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ]
        .map(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_roots_hold() {
        let mut tree = Frontier::new();
        assert_eq!(tree.root(), reference::hash("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
        for (leaf, root) in reference::published().into_iter().zip(reference::published_roots()) {
            tree.append(leaf);
            assert_eq!(tree.root(), root);
        }
    }

    #[test]
    fn every_root_is_that_of_the_definition() {
        let (mut tree, leaves) = (Frontier::new(), reference::leaves(260));
        for size in 0..leaves.len() {
            assert_eq!((tree.size(), tree.root()), (size as u64, reference::root(&leaves[..size])));
            assert_eq!(tree.peaks().len(), size.count_ones() as usize);
            assert_eq!(Frontier::from_parts(tree.size(), tree.peaks().to_vec()).as_ref(), Some(&tree));
            tree.append(leaves[size]);
        }
    }

    #[test]
    fn a_tree_over_perfect_parts_is_the_tree_over_their_leaves() {
        let leaves = reference::leaves(96);
        let roots: Vec<Hash> = leaves.chunks(8).map(reference::root).collect();
        let mut whole = Frontier::new();
        leaves.iter().for_each(|leaf| whole.append(*leaf));
        assert_eq!(Frontier::over(&roots, 3), Some(whole));
        assert_eq!(Frontier::over(&[], 3), Some(Frontier::new()));
        assert_eq!(Frontier::over(&roots, 62), None);
    }

    #[test]
    fn parts_that_make_no_tree_are_refused() {
        assert_eq!(Frontier::from_parts(3, vec![[0; 32]]), None);
        assert_eq!(Frontier::from_parts(0, vec![[0; 32]]), None);
        assert_eq!(Frontier::from_parts(u64::MAX, vec![[0; 32]; 64]), None);
        assert!(Frontier::from_parts(SIZE_MAX, vec![[0; 32]]).is_some());
    }
}
