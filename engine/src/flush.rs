//! FLUSH: another log → what the memtables held when it began rewritten → manifest → older logs gone.
//!
//! Invariant: a log goes only after a committed manifest no longer names it. Writers go on meanwhile.

use std::sync::Arc;

use storage::id::Sequence;
use storage::manifest::Manifest;

use crate::draft::Input;
use crate::erase;
use crate::error::Result;
use crate::memtable::Memtable;
use crate::relog::{copy_all, is_held, remove_old_logs};
use crate::rewrite::rewrite;
use crate::snapshot::SegmentView;
use crate::state::{CollectionState, EnvironmentState};

/// Writes every memtable into a segment and lets the logs behind them go.
pub(crate) fn flush(env: &EnvironmentState) -> Result<()> {
    let _one = env.maintenance.lock();
    flush_alone(env)
}

/// [`flush`] for a caller that holds `maintenance`.
pub(crate) fn flush_alone(env: &EnvironmentState) -> Result<()> {
    cut(env).map(drop)
}

/// What an environment held right after one write, all of it in segments.
pub(crate) struct Cut {
    /// Every write up to this one is in it, and no later one.
    pub sequence: Sequence,
    /// What was known of the collections.
    pub manifest: Manifest,
    /// The segments, with the rows that were dead then.
    pub segments: Vec<(Arc<CollectionState>, Vec<SegmentView>)>,
}

impl Cut {
    /// What is in segments now, under the locks of who calls, with every write applied.
    fn now(env: &EnvironmentState, sequence: Sequence) -> Self {
        let of = |state: Arc<CollectionState>| {
            let segments = state.view().segments.clone();
            (state, segments)
        };
        Self { sequence, manifest: env.manifest.lock().clone(), segments: env.all().into_iter().map(of).collect() }
    }

    /// Takes in the segments that the memtables of that time became: a row that died since was alive then.
    fn complete(&mut self) {
        for (state, segments) in &mut self.segments {
            let is_new = |view: &&SegmentView| segments.iter().all(|old| old.segment.id != view.segment.id);
            let added: Vec<_> = state.view().segments.iter().filter(is_new).cloned().collect();
            segments.extend(added.into_iter().map(|view| SegmentView { dead: Arc::default(), ..view }));
        }
    }
}

/// Writes every memtable into a segment, and tells what the environment held when it began; writers go on meanwhile. The
/// caller holds `maintenance`. What is in quarantine may have kept a memtable from being written.
pub(crate) fn cut(env: &EnvironmentState) -> Result<Cut> {
    env.check_open()?;
    erase::finish_hidden(env)?;
    let (mut cut, memtables) = {
        let mut applied = env.apply.lock();
        let mut queue = env.queue.lock();
        env.apply_all(&mut applied, &mut queue)?;
        env.tell_batches()?;
        let cut = Cut::now(env, *applied);
        if queue.log.is_none() && cut.manifest.logs.is_empty() {
            return Ok(cut);
        }
        let log = env.new_log(queue.next_sequence)?;
        env.commit(|manifest| manifest.logs.push(log.number()))?;
        queue.log = Some(Arc::clone(&log));
        let (held, free): (Vec<_>, Vec<_>) = env.all().into_iter().partition(|state| is_held(env, state));
        copy_all(env, &mut queue, &log, &held)?;
        let memtable = |state: Arc<CollectionState>| (Arc::clone(&state), state.view().memtable.clone());
        let memtables: Vec<(Arc<CollectionState>, Memtable)> = free.into_iter().map(memtable).collect();
        (cut, memtables)
    };
    let flushed = cut.sequence;
    for (state, memtable) in memtables {
        if !memtable.is_empty() {
            let input = Input { memtable: Some(&memtable), flushed: Some(flushed), ..Input::of(&[]) };
            rewrite(env, &state, &input)?;
        }
    }
    {
        let _order = env.apply.lock();
        let newest = env.queue.lock().log.as_ref().map(|log| log.number());
        env.commit(|manifest| {
            manifest.logs.retain(|log| Some(*log) == newest);
            manifest.last_sequence = manifest.last_sequence.max(flushed);
        })?;
    }
    remove_old_logs(env)?;
    cut.complete();
    Ok(cut)
}
