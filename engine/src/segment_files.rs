//! The files of a segment in their directory: the number they go by, the index among them, their sizes, their removal.

use std::sync::atomic::Ordering;

use privacy::Wanted;
use storage::id::SegmentId;
use storage::segment::layout::{index_name, rows_name, tombstones_name};
use storage::segment::write_index;
use zeroize::Zeroizing;

use crate::entropy::generator;
use crate::error::{Error, Result};
use crate::files::remove;
use crate::segment::{Index, section};
use crate::snapshot::SegmentView;
use crate::state::EnvironmentState;

/// A segment number that no key ever had and nobody else was given: an earlier process may have failed with the
/// manifest's next.
pub(crate) fn fresh_id(env: &EnvironmentState) -> SegmentId {
    loop {
        let number = env.next_segment.fetch_add(1, Ordering::Relaxed);
        if env.keys.read().index_key(number).is_none() {
            return SegmentId(number);
        }
    }
}

/// Seals the index of a segment under a key of its own. The caller holds `maintenance`, since an epoch would take a key
/// that no manifest speaks for yet.
pub(crate) fn write_index_file(env: &EnvironmentState, id: SegmentId, index: &Index) -> Result<()> {
    env.keys.extend(&[Wanted::Index(id.0)])?;
    let key = env.keys.read().index_key(id.0).ok_or_else(|| Error::corrupt("a new index key is missing"))?;
    let codes = Zeroizing::new(index.ann.encode_codes());
    let graph = Zeroizing::new(index.ann.encode_graph());
    let (ids, entities, fields) = (index.ids.encode(), index.entities.encode(), index.fields.encode());
    let sections: [(u8, &[u8]); 5] = [
        (section::CODES, &codes),
        (section::GRAPH, &graph),
        (section::IDS, &ids),
        (section::ENTITIES, &entities),
        (section::FIELDS, &fields),
    ];
    let mut rng = generator(&*env.shared.entropy)?;
    write_index(&env.segments_dir(), id, &sections, &key, env.scope, &mut rng)
        .map(|_| ())
        .map_err(|e| Error::io("the index of a segment cannot be written", e))
}

/// Bytes of a file of a segment that was just written.
pub(crate) fn size(env: &EnvironmentState, name: &str) -> Result<u64> {
    env.segments_dir().len(name).map_err(|e| Error::io("a new segment file cannot be measured", e))
}

/// Unlinks the files of a segment that no manifest names any more.
pub(crate) fn remove_files(env: &EnvironmentState, old: &SegmentView) -> Result<()> {
    let dir = env.segments_dir();
    for name in [rows_name(old.segment.id), index_name(old.segment.id)] {
        remove(&dir, &name)?;
    }
    let prefix = tombstones_name(old.segment.id, 0);
    let stem = prefix.split('-').next().unwrap_or_default().to_owned();
    for name in dir.list().map_err(|e| Error::io("the segments cannot be listed", e))? {
        if name.starts_with(&stem) && name.ends_with(".del") {
            remove(&dir, &name)?;
        }
    }
    dir.sync_dir().map_err(|e| Error::io("the segment directory cannot be synced", e))
}
