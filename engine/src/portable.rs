//! EXPORT: permit → one snapshot of every collection → one entity's rows → bodies. What a person has a right to be given.
//!
//! Invariant: all records are those of one moment, over all collections; and nobody is given what was erased meanwhile,
//! since the export ends with an error once anybody is masked or any key destroyed. Complete or an error: a segment that
//! is damaged might hold something of theirs.

use std::collections::VecDeque;
use std::sync::Arc;

use privacy::EntityId;
use privacy::access::Permission;
use privacy::audit::{Act, Pseudonym};
use storage::id::RecordId;

use crate::error::{Error, ErrorKind, Result};
use crate::permit::Permit;
use crate::query::{AsOf, With};
use crate::read::{Place, as_of, gone_so_far, record_at};
use crate::record::Record;
use crate::snapshot::View;
use crate::state::EnvironmentState;

/// Everything that is stored about one data subject, record by record: each with the name of its collection, in the
/// order of these names and within them of ids.
pub struct EntityExport {
    env: Arc<EnvironmentState>,
    as_of: AsOf,
    /// What was gone when the snapshot was taken.
    gone: (u64, u64),
    left: VecDeque<(Arc<str>, Place)>,
    failed: bool,
}

/// Takes the snapshot.
pub(crate) fn export(env: &Arc<EnvironmentState>, permit: &Permit, entity: &EntityId) -> Result<EntityExport> {
    env.admit_about(permit, Permission::EntityExport, [entity])?;
    env.check_open()?;
    loop {
        let before = gone_so_far(env);
        let (as_of, views) = {
            // Nothing becomes visible in one collection and not yet in another.
            let applied = env.apply.lock();
            let views: Vec<(Arc<str>, Arc<View>)> =
                env.all().iter().map(|state| (Arc::from(state.name.as_str()), state.view())).collect();
            (as_of(env, &View { sequence: *applied, ..View::default() }), views)
        };
        let mut left = VecDeque::new();
        for (collection, view) in views {
            let (view, hidden) = view.served();
            if let Some(damaged) = hidden.first() {
                return Err(damaged.segment.damaged());
            }
            let places = places(env, &view, entity)?;
            left.extend(places.into_iter().map(|(_, place)| (Arc::clone(&collection), place)));
        }
        if gone_so_far(env) == before {
            let count = left.len() as u64;
            env.tell(permit, Act::EntityExported { subject: env.pseudonym(Pseudonym::of, entity)?, count })?;
            return Ok(EntityExport { env: Arc::clone(env), as_of, gone: before, left, failed: false });
        }
    }
}

/// Where the entity's records are in a view, in the order of ids.
fn places(env: &EnvironmentState, view: &View, entity: &EntityId) -> Result<Vec<(RecordId, Place)>> {
    let mut places = Vec::new();
    for (id, slot) in view.memtable.iter() {
        if let Some(record) = slot.live().filter(|record| record.entity.as_ref() == Some(entity)) {
            places.push((id, Place::Memtable(Arc::clone(record))));
        }
    }
    for found in &view.segments {
        let index = found.segment.index(&env.keys)?;
        let rows = found.of_entity(entity, &env.keys)?;
        let place = |at| Some((index.ids.id(at)?, Place::Segment(Arc::clone(&found.segment), at)));
        places.extend(rows.into_iter().filter_map(place));
    }
    places.sort_unstable_by_key(|(id, _)| *id);
    Ok(places)
}

impl EntityExport {
    /// How many records are left to come.
    pub fn len(&self) -> usize {
        self.left.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// The state that it shows.
    pub fn as_of(&self) -> AsOf {
        self.as_of
    }

    fn open(&self, place: &Place) -> Result<Record> {
        let record = record_at(&self.env, place, With::ALL)?;
        // Looked at after it was opened: what is given was not erased by then.
        if gone_so_far(&self.env) != self.gone {
            let doing = "something was erased or dropped during the export, which is not complete: export again";
            return Err(Error::new(ErrorKind::Busy, doing));
        }
        record.ok_or_else(|| Error::corrupt("a record of the export cannot be opened"))
    }
}

/// The name of the collection, and the record.
impl Iterator for EntityExport {
    type Item = Result<(Arc<str>, Record)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let (collection, place) = self.left.pop_front()?;
        let opened = self.open(&place);
        self.failed = opened.is_err();
        Some(opened.map(|record| (collection, record)))
    }
}
