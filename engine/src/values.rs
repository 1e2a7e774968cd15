//! VALUES: key path → the single values there, row by row: from the index where it has them, from opened rows otherwise.
//!
//! Invariant: they are those that [`scalars`] finds in the payloads, whatever indexes know. One read opens at most
//! [`Settings::unindexed_filter_limit`](crate::Settings::unindexed_filter_limit) rows for them. Nothing is held here:
//! whoever asks keeps what its answer needs.

use std::collections::BTreeSet;

use roaring::RoaringBitmap;
use storage::segment::Field;

use crate::error::{Error, Result};
use crate::fields::unknown;
use crate::filter::{Filter, Path, Scalar, WRONG_PATH, scalars};
use crate::read::payload;
use crate::resolve::resolve;
use crate::snapshot::SegmentView;
use crate::state::EnvironmentState;
use crate::wiped::Opened;

/// The values at one path, which one read asks for.
pub(crate) struct Values<'a> {
    env: &'a EnvironmentState,
    path: Path,
    opened: u64,
}

/// Where the values of some rows of a segment are.
pub(crate) struct Whereabouts<'a> {
    /// Has those of the rows in `known`.
    pub field: Option<&'a Field>,
    pub known: RoaringBitmap,
    /// Rows that must be opened, with [`Values::open`].
    pub doubtful: RoaringBitmap,
}

impl<'a> Values<'a> {
    /// # Errors
    /// `Invalid` if `key` is no path; `name` is what the caller calls it.
    pub fn new(env: &'a EnvironmentState, key: &str, name: &str) -> Result<Self> {
        let path = Path::parse(key).ok_or_else(|| Error::invalid(format!("{name} is not usable: {WRONG_PATH}")))?;
        Ok(Self { env, path, opened: 0 })
    }

    /// Those in a payload, as JSON text.
    pub fn of_payload(&self, text: Option<&Vec<u8>>) -> Result<BTreeSet<Scalar>> {
        let payload = payload(text)?.map(Opened::from);
        Ok(payload.map_or_else(BTreeSet::new, |payload| scalars(&self.path, &payload)))
    }

    /// Where those of `rows` are.
    pub fn locate<'v>(&self, view: &'v SegmentView, rows: &RoaringBitmap) -> Result<Whereabouts<'v>> {
        let index = view.segment.index(&self.env.keys)?;
        let name = self.path.to_string();
        let field = index.fields.field(&name);
        let doubtful = match field {
            Some(field) => unknown(field) & rows,
            None => resolve(&Filter::is_empty(&name), index.known(), rows).0.but_certain(rows),
        };
        Ok(Whereabouts { field, known: rows - &doubtful, doubtful })
    }

    /// Calls `found` with each of these rows and its values.
    ///
    /// # Errors
    /// `Invalid` if too many rows would have to be opened; those of opening them, and of `found`.
    pub fn open(
        &mut self,
        view: &SegmentView,
        doubtful: &RoaringBitmap,
        mut found: impl FnMut(u32, BTreeSet<Scalar>) -> Result<()>,
    ) -> Result<()> {
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
            found(position, self.of_payload(body.payload.as_ref())?)?;
        }
        Ok(())
    }
}
