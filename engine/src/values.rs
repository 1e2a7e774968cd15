//! VALUES: key path → the single values there, row by row: from the index where it has them, from opened rows otherwise.
//!
//! Invariant: they are those that [`scalars`] finds in the payloads, whatever indexes know. One read opens at most
//! [`Settings::unindexed_filter_limit`](crate::Settings::unindexed_filter_limit) rows for them.

use std::collections::{BTreeMap, BTreeSet};

use roaring::RoaringBitmap;
use storage::record::Record as StoredRecord;

use crate::error::{Error, Result};
use crate::fields::{each_value, unknown};
use crate::filter::{Filter, Path, Scalar, WRONG_PATH, scalars};
use crate::read::payload;
use crate::resolve::resolve;
use crate::snapshot::SegmentView;
use crate::state::EnvironmentState;

/// The values at one path, which one read asks for.
pub(crate) struct Values<'a> {
    env: &'a EnvironmentState,
    path: Path,
    opened: u64,
}

impl<'a> Values<'a> {
    /// # Errors
    /// `Invalid` if `key` is no path; `name` is what the caller calls it.
    pub fn new(env: &'a EnvironmentState, key: &str, name: &str) -> Result<Self> {
        let path = Path::parse(key).ok_or_else(|| Error::invalid(format!("{name} is not usable: {WRONG_PATH}")))?;
        Ok(Self { env, path, opened: 0 })
    }

    /// Those of a record of the memtable.
    pub fn of_record(&self, record: &StoredRecord) -> Result<BTreeSet<Scalar>> {
        let payload = payload(record.payload.as_ref())?;
        Ok(payload.map_or_else(BTreeSet::new, |payload| scalars(&self.path, &payload)))
    }

    /// Those of a segment, each with the rows among `rows` that have it.
    ///
    /// # Errors
    /// `Invalid` if too many rows would have to be opened; those of opening them.
    pub fn of_rows(&mut self, view: &SegmentView, rows: &RoaringBitmap) -> Result<BTreeMap<Scalar, RoaringBitmap>> {
        let index = view.segment.index(&self.env.keys)?;
        let name = self.path.to_string();
        let mut found: BTreeMap<Scalar, RoaringBitmap> = BTreeMap::new();
        let doubtful = match index.fields.field(&name) {
            Some(field) => {
                let doubtful = unknown(field) & rows;
                let known = rows - &doubtful;
                each_value(field, |value, of_value| {
                    let of_value = of_value & &known;
                    if !of_value.is_empty() {
                        found.insert(value, of_value);
                    }
                });
                doubtful
            }
            None => resolve(&Filter::is_empty(&name), index.known(), rows).0.but_certain(rows),
        };
        self.opened += doubtful.len();
        let limit = self.env.shared.settings.unindexed_filter_limit;
        if self.opened > limit {
            return Err(Error::invalid(format!(
                "no payload index has the values at the key, and over {limit} records would be opened to find out; index \
                 the field, narrow the filter, or raise unindexed_filter_limit"
            )));
        }
        for position in doubtful {
            // The row of an erased entity is gone.
            let Some(body) = view.segment.body(position, &self.env.keys)? else { continue };
            let payload = payload(body.payload.as_ref())?;
            for value in payload.iter().flat_map(|payload| scalars(&self.path, payload)) {
                found.entry(value).or_default().insert(position);
            }
        }
        Ok(found)
    }
}
