//! Where a trail lives: a leaf, which opening and beginning anew are given.
//!
//! Invariant: the anchor stores keep the checkpoints of the log that `origin` names, and of earlier ones that were lost.

use std::sync::Arc;

use privacy::audit::Origin;
use privacy::{AnchorStore, Scope, SectionKey, SigningKey};
use storage::backend::Dir;

use crate::entropy::Entropy;

/// Where a trail lives, what seals and signs it, and who keeps its checkpoints.
pub(crate) struct Home {
    /// The directory `audit/`.
    pub dir: Dir,
    pub scope: Scope,
    /// The name of the log, under which it is signed.
    pub origin: Origin,
    pub key: Arc<SectionKey>,
    pub signing: Arc<SigningKey>,
    pub anchors: Vec<Arc<dyn AnchorStore>>,
    pub entropy: Arc<dyn Entropy>,
}
