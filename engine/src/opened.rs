//! A backup opened under live keys: its segments as if they were live ones, reading only.
//!
//! Invariant: a row that does not open is one whose key was destroyed; everything else that is wrong is an error. So it
//! is checked here once for verification, drill and restore alike.

use std::sync::Arc;

use index::Space;
use privacy::Scope;
use rayon::ThreadPool;
use rayon::prelude::*;
use roaring::RoaringBitmap;
use serde::Serialize;
use storage::backend::Dir;
use storage::backup::{BackedCollection, BackedSegment, Contents, shelf};

use crate::error::{Error, ErrorKind, Result};
use crate::keys::Keys;
use crate::metric_code::metric_of;
use crate::segment::Segment;

/// How many rows of a copy or backup were what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DrillReport {
    /// Rows in its segments.
    pub rows: u64,
    /// Rows that open for a live owner.
    pub opened: u64,
    /// Rows whose key was destroyed since, by an erasure or because their collection was dropped.
    pub erased: u64,
    /// Rows that were deleted or superseded when it was made.
    pub superseded: u64,
}

/// What opens the rows.
pub(crate) struct Under<'a> {
    pub keys: &'a Keys,
    pub scope: Scope,
    pub pool: &'a Arc<ThreadPool>,
}

/// Metric, dimension and rotation of a collection that a copy or backup has.
pub(crate) fn space_of(keys: &Keys, collection: [u8; 16], (metric, dimension): (u8, u32)) -> Result<Arc<Space>> {
    let metric = metric_of(metric)
        .ok_or_else(|| Error::new(ErrorKind::Unsupported, "the copy has a metric that this version does not know"))?;
    let seed = keys.read().rotation_seed(collection);
    Ok(Arc::new(Space::new(metric, dimension as usize, seed.expose())))
}

/// The directory of segments that a backup was made from, over the archive's directory of its environment.
pub(crate) fn segments_of(place: &Dir, contents: &Contents) -> Dir {
    shelf(place, contents)
}

/// A segment of a backup in `files`, and its dead rows.
pub(crate) fn open_segment(
    under: &Under<'_>,
    files: &Dir,
    collection: &BackedCollection,
    segment: &BackedSegment,
    space: &Arc<Space>,
) -> Result<(Segment, RoaringBitmap)> {
    let dead = segment.dead().ok_or_else(|| Error::corrupt("a backup has impossible dead rows"))?;
    Ok((Segment::new((files, under.pool), (segment.id, segment.rows), collection.id, space, under.scope), dead))
}

/// Reads every file of the backup in `place`, the archive's directory of its environment, and authenticates every row.
pub(crate) fn verify(
    under: &Under<'_>,
    place: &Dir,
    contents: &Contents,
    checked: &mut dyn FnMut(u64),
) -> Result<DrillReport> {
    let files = segments_of(place, contents);
    let mut report = DrillReport::default();
    for collection in &contents.collections {
        let space = space_of(under.keys, collection.id.0, (collection.metric, collection.dimension))?;
        for segment in &collection.segments {
            let (opened, dead) = open_segment(under, &files, collection, segment, &space)?;
            let rows =
                authenticate(under, &opened, &dead).map_err(|error| error.within(&file_of(contents, segment)))?;
            report = report.and(rows);
            checked(segment.bytes);
        }
    }
    Ok(report)
}

/// A file of rows of a backup as messages name it: what reads it knows it by the number of its segment alone.
pub(crate) fn file_of(contents: &Contents, segment: &BackedSegment) -> String {
    format!("the file rec/{}.rec of backup {}", segment.digest, contents.number)
}

/// Reads and authenticates every byte of a segment's rows.
fn authenticate(under: &Under<'_>, segment: &Segment, dead: &RoaringBitmap) -> Result<DrillReport> {
    // A file that is not what was backed up fails here, before any row is asked for.
    segment.rows(under.keys)?;
    let one = |position: u32| -> Result<DrillReport> {
        let opens = segment.sound_row(position, under.keys)?.is_some();
        let is_dead = dead.contains(position);
        Ok(DrillReport {
            rows: 1,
            opened: u64::from(opens && !is_dead),
            erased: u64::from(!opens && !is_dead),
            superseded: u64::from(is_dead),
        })
    };
    let rows = || (0..segment.len).into_par_iter().map(one).try_reduce(DrillReport::default, |a, b| Ok(a.and(b)));
    under.pool.install(rows)
}

impl DrillReport {
    /// This and another part of the same.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            rows: self.rows + other.rows,
            opened: self.opened + other.opened,
            erased: self.erased + other.erased,
            superseded: self.superseded + other.superseded,
        }
    }
}
