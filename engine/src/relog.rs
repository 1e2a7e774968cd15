//! Moving the log: what is in no segment yet is written into a new log, so that every older one can go with its key.
//!
//! Invariant: a log goes only after a committed manifest no longer names it.

use std::sync::Arc;

use storage::id::{RecordId, Sequence};
use storage::record::Record as StoredRecord;
use storage::wal::{Entry, WalWriter, wal_number};

use crate::doubt;
use crate::entropy::generator;
use crate::error::{Error, Result};
use crate::files::remove;
use crate::state::{CollectionState, EnvironmentState, Queue};

/// Records in one frame of a moved log.
const FRAME_RECORDS: usize = 256;

/// Writes what the memtables hold into a new log, so that every older log can go with its key. The caller
/// holds `maintenance` and the queue, with every write applied.
pub(crate) fn move_log(env: &EnvironmentState, queue: &mut Queue) -> Result<()> {
    env.tell_batches()?;
    let log = env.new_log(queue.next_sequence)?;
    copy_all(env, queue, &log, &env.all())?;
    let last = queue.next_sequence.saturating_sub(1);
    env.commit(|manifest| {
        manifest.logs = vec![log.number()];
        manifest.last_sequence = manifest.last_sequence.max(last);
    })?;
    queue.log = Some(log);
    Ok(())
}

/// Logs the memtables of `states` once more.
pub(crate) fn copy_all(
    env: &EnvironmentState,
    queue: &mut Queue,
    log: &WalWriter,
    states: &[Arc<CollectionState>],
) -> Result<()> {
    let mut last = None;
    for state in states {
        last = copy(env, state, log)?.or(last);
    }
    if let Some(last) = last {
        log.commit(last)?;
        queue.next_sequence = last + 1;
    }
    Ok(())
}

/// Whether the memtable of a collection must stay in the log. Nobody can say which rows of a segment that lost
/// its ids these writes replace; once the segment is put back, the replay of the log will.
pub(crate) fn is_held(env: &EnvironmentState, state: &CollectionState) -> bool {
    state.view().quarantined().any(|view| !matches!(view.segment.index_unless_lost(&env.keys), Ok(Some(_))))
}

/// Unlinks the log files that the manifest does not name.
pub(crate) fn remove_old_logs(env: &EnvironmentState) -> Result<()> {
    let live = env.manifest.lock().logs.clone();
    let dir = env.wal_dir();
    let names = dir.list().map_err(|e| Error::io("the logs cannot be listed", e))?;
    for name in names {
        if wal_number(&name).is_some_and(|number| !live.contains(&number)) {
            remove(&dir, &name)?;
        }
    }
    Ok(())
}

fn copy(env: &EnvironmentState, state: &CollectionState, log: &WalWriter) -> Result<Option<Sequence>> {
    let mut rng = generator(&*env.shared.entropy)?;
    let view = state.view();
    let (mut last, collection, ages) = (None, state.id, view.memtable.ages());
    let place = |record: &StoredRecord| ages.place(record.sequence);
    let mut records: Vec<_> = view.memtable.iter().filter_map(|(_, slot)| slot.live()).collect();
    // What was written earlier comes first, so that sequences rise as before when this is replayed.
    records.sort_by_key(|record| place(record));
    let now = doubt::written_ms(env);
    for same_age in records.chunk_by(|one, next| place(one) == place(next)) {
        let written_ms = same_age.first().and_then(|record| ages.written_ms(record.sequence)).unwrap_or(now);
        for batch in same_age.chunks(FRAME_RECORDS) {
            let records = batch.iter().map(|record| StoredRecord::clone(record)).collect();
            last = Some(log.append(|_| Entry::Put { collection, written_ms, records }, &mut rng)?.0);
        }
    }
    // Deletions need no log any more: the manifest that names the new log says which rows of segments are dead. So no
    // id of a record that was deleted outlives the erasure of its owner, but where a segment cannot be asked.
    let deleted = view.memtable.iter().filter(|(_, slot)| slot.live().is_none()).map(|(id, _)| id);
    let ids: Vec<RecordId> = deleted.filter(|_| is_held(env, state)).collect();
    if !ids.is_empty() {
        last = Some(log.append(|_| Entry::Delete { collection, ids }, &mut rng)?.0);
    }
    Ok(last)
}
