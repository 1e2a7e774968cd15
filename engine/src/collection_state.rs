//! A collection at run time: what never changes of it, the rules that were last given, and the newest picture.
//!
//! Invariant: rules and picture are replaced whole, so that whoever took one works with it to the end.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use index::{Metric, Space};
use storage::id::CollectionId;
use storage::sync::RwLock;

use crate::declared::Declared;
use crate::rules::Rules;
use crate::snapshot::View;

/// A collection at run time.
pub(crate) struct CollectionState {
    pub id: CollectionId,
    pub name: String,
    pub metric: Metric,
    pub space: Arc<Space>,
    rules: RwLock<Rules>,
    view: RwLock<Arc<View>>,
    /// How often in a row its compaction was overtaken.
    pub overtaken: AtomicUsize,
}

impl CollectionState {
    pub fn new(id: CollectionId, name: String, space: Arc<Space>, rules: Rules, view: View) -> Self {
        let (rules, view) = (RwLock::new(rules), RwLock::new(Arc::new(view)));
        Self { id, name, metric: space.metric(), space, rules, view, overtaken: AtomicUsize::new(0) }
    }

    /// What somebody said about it.
    pub fn rules(&self) -> Rules {
        self.rules.read().clone()
    }

    /// The fields of payloads that are indexed because somebody said so.
    pub fn declared(&self) -> Arc<Declared> {
        Arc::clone(&self.rules.read().declared)
    }

    /// Gives it other rules, for what begins from now on; the caller holds `structure`.
    pub fn rule(&self, rules: Rules) {
        *self.rules.write() = rules;
    }

    /// The newest picture.
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read())
    }

    /// Publishes a picture; the caller holds `apply`.
    pub fn publish(&self, view: View) {
        *self.view.write() = Arc::new(view);
    }
}
