//! DECLARE: permit → audit → manifest → from then on what is written keeps the new rules.
//!
//! Answers are the same before and after, and nothing that is there is looked at: a schema and limits concern writes that
//! begin later, and segments that lack a field that is to be indexed are rewritten by upkeep.

use privacy::access::Permission;
use privacy::audit::Act;
use storage::manifest::Manifest;

use crate::declared::Declared;
use crate::error::{Error, ErrorKind, Result};
use crate::permit::Permit;
use crate::rules::Rules;
use crate::snapshot::SegmentView;
use crate::state::{CollectionState, EnvironmentState};

/// Changes the rules of a collection to what `change` makes of them.
pub(crate) fn declare(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    change: impl FnOnce(&Rules) -> Result<Rules>,
) -> Result<()> {
    env.admit_in(permit, Permission::CollectionUpdate, &state.name)?;
    declare_as(env, state, permit, Act::CollectionChanged { collection: state.id.0 }, change)
}

/// [`declare`], told as `act`; who may do that has been checked.
pub(crate) fn declare_as(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    act: Act,
    change: impl FnOnce(&Rules) -> Result<Rules>,
) -> Result<()> {
    let _one = env.structure.lock();
    env.check_open()?;
    if !env.catalog.read().has(state) {
        return Err(Error::new(ErrorKind::NotFound, "the collection was dropped"));
    }
    let before = state.rules();
    let rules = change(&before)?;
    let bytes = rules.encode();
    if bytes == before.encode() {
        return Ok(());
    }
    let _order = env.apply.lock();
    let go = |manifest: &mut Manifest| {
        if let Some(entry) = manifest.collection_mut(state.id) {
            entry.schema = bytes;
        }
    };
    env.told(permit, act, || env.commit(go))?;
    state.rule(rules);
    Ok(())
}

/// Whether the index of a segment is in memory and was made for other fields than these.
pub(crate) fn lacks_fields(view: &SegmentView, declared: &Declared) -> bool {
    view.segment.resident().is_some_and(|index| Declared::of(&index.fields) != *declared)
}
