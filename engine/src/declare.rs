//! DECLARE: permit → manifest → from then on every segment that is written has the fields; upkeep rewrites those that lack
//! them.
//!
//! Answers are the same before and after. Only how many rows a filter has to open changes.

use crate::declared::Declared;
use crate::error::{Error, ErrorKind, Result};
use crate::permit::{Action, Permit};
use crate::snapshot::SegmentView;
use crate::state::{CollectionState, EnvironmentState};

/// Changes what is declared to what `change` makes of it.
pub(crate) fn declare(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    change: impl FnOnce(&Declared) -> Result<Declared>,
) -> Result<()> {
    permit.check(Action::Manage)?;
    let _one = env.structure.lock();
    env.check_open()?;
    if env.collections.read().get(&state.name).is_none_or(|current| current.id != state.id) {
        return Err(Error::new(ErrorKind::NotFound, "the collection was dropped"));
    }
    let declared = change(&state.declared())?;
    if declared == *state.declared() {
        return Ok(());
    }
    let _order = env.apply.lock();
    env.commit(|manifest| {
        if let Some(entry) = manifest.collection_mut(state.id) {
            entry.schema = declared.encode();
        }
    })?;
    state.declare(declared);
    Ok(())
}

/// Whether the index of a segment is in memory and was made for other fields than these.
pub(crate) fn lacks_fields(view: &SegmentView, declared: &Declared) -> bool {
    view.segment.resident().is_some_and(|index| Declared::of(&index.fields) != *declared)
}
