//! Proofs about a tree: that a leaf is in it, and that a later tree only appends to an earlier one (RFC 6962 §2.1.1 and
//! §2.1.2, checked as RFC 9162 §2.1.3.2 and §2.1.4.2 say).
//!
//! Invariant: a proof is as long as its position asks for, to the hash, and leads to the root given; everything else is
//! refused. Making one asks for the roots of perfect trees, at most two for every level, so that a caller who keeps
//! them (in tiles, say) reads little, and one who keeps only leaves can still answer.

use thiserror::Error;

use super::tree::{Hash, fold, node_hash};

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProofError {
    /// The leaf is not within the tree, or the earlier tree is larger than the later.
    #[error("the proof is about a place outside the tree")]
    Position,
    /// A proof for this place has another number of hashes.
    #[error("the proof has too many or too few hashes")]
    Length,
    /// The hashes lead to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// That a leaf stands at a place of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    /// The place of the leaf, from 0.
    pub index: u64,
    /// How many leaves the tree has.
    pub size: u64,
    /// The hashes beside the way from the leaf to the root, lowest first.
    pub path: Vec<Hash>,
}

/// That the first leaves of a tree are those of an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// How many leaves the earlier tree has.
    pub old_size: u64,
    /// How many leaves the later tree has.
    pub new_size: u64,
    /// The hashes that both roots are made from, lowest first.
    pub path: Vec<Hash>,
}

impl InclusionProof {
    /// The proof for leaf `index` in the tree of the first `size` leaves; `None` if it has no such leaf.
    ///
    /// `perfect(start, height)` gives the root of the perfect tree over the `2^height` leaves from `start` on, which is
    /// the leaf's hash for height 0.
    ///
    /// # Errors
    /// What `perfect` gives.
    pub fn make<E>(
        index: u64,
        size: u64,
        perfect: &mut impl FnMut(u64, u32) -> Result<Hash, E>,
    ) -> Result<Option<Self>, E> {
        if index >= size {
            return Ok(None);
        }
        let mut path = Vec::new();
        let (mut start, mut length) = (0, size);
        while length > 1 {
            let left = split(length);
            if index - start < left {
                path.push(root(start + left, length - left, perfect)?);
                length = left;
            } else {
                path.push(root(start, left, perfect)?);
                (start, length) = (start + left, length - left);
            }
        }
        path.reverse();
        Ok(Some(Self { index, size, path }))
    }

    /// Checks that the leaf with this hash stands at [`index`](Self::index) of the tree with this root.
    pub fn verify(&self, leaf: &Hash, root: &Hash) -> Result<(), ProofError> {
        if self.index >= self.size {
            return Err(ProofError::Position);
        }
        let mut walk = Walk { of: self.index, last: self.size - 1 };
        let mut hash = *leaf;
        for beside in &self.path {
            hash = match walk.step()? {
                Side::Left => node_hash(beside, &hash),
                Side::Right => node_hash(&hash, beside),
            };
        }
        walk.end()?;
        if hash == *root { Ok(()) } else { Err(ProofError::Root) }
    }
}

impl ConsistencyProof {
    /// The proof that the tree of the first `old_size` leaves is the beginning of that of the first `new_size`; `None`
    /// if it is larger. `perfect` is as for [`InclusionProof::make`].
    ///
    /// # Errors
    /// What `perfect` gives.
    pub fn make<E>(
        old_size: u64,
        new_size: u64,
        perfect: &mut impl FnMut(u64, u32) -> Result<Hash, E>,
    ) -> Result<Option<Self>, E> {
        if old_size > new_size {
            return Ok(None);
        }
        let mut path = Vec::new();
        let (mut start, mut length) = (0, new_size);
        // The old tree's own root is known to whoever checks, until the way turns right.
        let mut is_known = true;
        while old_size > 0 && start + length != old_size {
            let left = split(length);
            if old_size - start <= left {
                path.push(root(start + left, length - left, perfect)?);
                length = left;
            } else {
                path.push(root(start, left, perfect)?);
                (start, length, is_known) = (start + left, length - left, false);
            }
        }
        if !is_known {
            path.push(root(start, length, perfect)?);
        }
        path.reverse();
        Ok(Some(Self { old_size, new_size, path }))
    }

    /// Checks that the tree with the root `new` only appends to the tree with the root `old`.
    pub fn verify(&self, old: &Hash, new: &Hash) -> Result<(), ProofError> {
        if self.old_size > self.new_size {
            return Err(ProofError::Position);
        }
        if self.old_size == self.new_size || self.old_size == 0 {
            let is_same = self.old_size != self.new_size || old == new;
            let is_empty = self.old_size != 0 || *old == fold([].into_iter());
            return match (self.path.is_empty(), is_same && is_empty) {
                (false, _) => Err(ProofError::Length),
                (true, false) => Err(ProofError::Root),
                (true, true) => Ok(()),
            };
        }
        let mut walk = Walk { of: self.old_size - 1, last: self.new_size - 1 };
        walk.skip_whole();
        // An old tree that is perfect is a node of the new one: the proof leaves its root out.
        let (start, rest) = match self.path.split_first() {
            _ if self.old_size.is_power_of_two() => (old, self.path.as_slice()),
            Some((first, rest)) => (first, rest),
            None => return Err(ProofError::Length),
        };
        let (mut to_old, mut to_new) = (*start, *start);
        for beside in rest {
            match walk.step()? {
                Side::Left => {
                    to_old = node_hash(beside, &to_old);
                    to_new = node_hash(beside, &to_new);
                }
                Side::Right => to_new = node_hash(&to_new, beside),
            }
        }
        walk.end()?;
        if (to_old, to_new) == (*old, *new) { Ok(()) } else { Err(ProofError::Root) }
    }
}

/// On which side the next hash of a proof stands.
enum Side {
    Left,
    Right,
}

/// The way from a leaf to the root: the leaf's number and the last leaf's, shifted by a bit for every level.
struct Walk {
    of: u64,
    last: u64,
}

impl Walk {
    /// Goes up as long as the node is a right child, without a hash for it.
    fn skip_whole(&mut self) {
        let levels = self.of.trailing_ones();
        self.up(levels);
    }

    fn step(&mut self) -> Result<Side, ProofError> {
        if self.last == 0 {
            return Err(ProofError::Length);
        }
        let side = if self.of & 1 == 1 || self.of == self.last {
            // On the right edge, nodes without a sibling are their own parents.
            let levels = self.of.trailing_zeros();
            self.up(levels);
            Side::Left
        } else {
            Side::Right
        };
        self.up(1);
        Ok(side)
    }

    fn up(&mut self, levels: u32) {
        self.of = self.of.checked_shr(levels).unwrap_or(0);
        self.last = self.last.checked_shr(levels).unwrap_or(0);
    }

    fn end(self) -> Result<(), ProofError> {
        if self.last == 0 { Ok(()) } else { Err(ProofError::Length) }
    }
}

/// The largest power of two below `length`, which is at least 2.
fn split(length: u64) -> u64 {
    1 << (length - 1).ilog2()
}

/// The root of the tree over the first `size` leaves; `perfect` is as for [`InclusionProof::make`].
///
/// # Errors
/// What `perfect` gives.
pub fn root_at<E>(size: u64, perfect: &mut impl FnMut(u64, u32) -> Result<Hash, E>) -> Result<Hash, E> {
    root(0, size, perfect)
}

/// The root over `length` leaves from `start` on, where a tree of that length stands.
fn root<E>(start: u64, length: u64, perfect: &mut impl FnMut(u64, u32) -> Result<Hash, E>) -> Result<Hash, E> {
    let mut peaks = Vec::new();
    let (mut at, mut rest) = (start, length);
    while rest > 0 {
        let height = rest.ilog2();
        peaks.push(perfect(at, height)?);
        (at, rest) = (at + (1 << height), rest - (1 << height));
    }
    Ok(fold(peaks.into_iter()))
}

#[cfg(test)]
mod tests;
