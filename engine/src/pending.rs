//! A write between the log and the view: it has a sequence, and nobody sees it yet.

use index::Codes;
use storage::id::Sequence;
use storage::wal::Entry;

use crate::error::Result;
use crate::keys::Keys;
use crate::permit::Permit;
use crate::snapshot::View;
use crate::trail::By;

/// A write that has a sequence.
pub(crate) struct Write {
    pub sequence: Sequence,
    pub entry: Entry,
    /// The codes of the records that it puts, made by the writer, who holds no lock yet.
    pub codes: Codes,
    /// Who wrote, and by which way.
    pub by: By,
}

impl Write {
    /// One that a log held when it was opened: who wrote it is not in it.
    pub fn replayed(sequence: Sequence, entry: Entry, codes: Codes) -> Self {
        Self { sequence, entry, codes, by: Permit::engine().by() }
    }

    /// Makes it part of a view.
    pub fn apply(self, view: &mut View, keys: &Keys) -> Result<()> {
        let Self { sequence, entry, codes, .. } = self;
        match entry {
            Entry::Put { written_ms, records, .. } => view.put(records, codes, written_ms, keys)?,
            Entry::Delete { ids, .. } => ids.into_iter().try_for_each(|id| view.delete(id, sequence, keys))?,
        }
        view.sequence = view.sequence.max(sequence);
        Ok(())
    }
}
