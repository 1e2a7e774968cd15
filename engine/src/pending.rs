//! A write between the log and the view: it has a sequence, and nobody sees it yet.

use index::Codes;
use storage::id::Sequence;
use storage::wal::Entry;

use crate::error::Result;
use crate::keys::Keys;
use crate::snapshot::View;

/// A write that has a sequence.
pub(crate) struct Write {
    pub sequence: Sequence,
    pub entry: Entry,
    /// The codes of the records that it puts, made by the writer, who holds no lock yet.
    pub codes: Codes,
}

impl Write {
    /// Makes it part of a view.
    pub fn apply(self, view: &mut View, keys: &Keys) -> Result<()> {
        let Self { sequence, entry, codes } = self;
        match entry {
            Entry::Put { written_ms, records, .. } => view.put(records, codes, written_ms, keys)?,
            Entry::Delete { ids, .. } => ids.into_iter().try_for_each(|id| view.delete(id, sequence, keys))?,
        }
        view.sequence = view.sequence.max(sequence);
        Ok(())
    }
}
