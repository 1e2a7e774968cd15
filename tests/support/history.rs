//! The history of a run with many threads, and whether every answer in it can be true.
//!
//! Records come in groups that are only written, deleted and erased whole, so the state of a collection is a version a
//! group, and the state after each commit follows from the sequences alone. Invariant: an answer is accepted only if it
//! is the state of one single commit that was the newest at some moment between the question and the answer. An erasure
//! has no sequence: it may lie anywhere between its call and its return, but at one place for everyone who looks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::case::Counts;

/// Records in a group.
pub const GROUP: u64 = 4;

/// The moments between which something happened.
#[derive(Clone, Copy, Debug)]
struct Span {
    begin: u64,
    end: u64,
}

/// A write of a whole group that was acknowledged; no version for a delete.
#[derive(Clone, Copy, Debug)]
struct Commit {
    span: Span,
    sequence: u64,
    group: u64,
    version: Option<u64>,
}

/// What a reader was told.
#[derive(Clone, Debug)]
pub enum Seen {
    /// The version of every group, in order, as of this sequence.
    Versions(u64, Vec<Option<u64>>),
    /// The number of records, as of this sequence.
    Total(u64, u64),
    /// One record of this group, with the sequence and version it carried; none if it was not there.
    Record(u64, Option<(u64, u64)>),
}

#[derive(Default)]
struct Events {
    commits: Vec<Commit>,
    erasures: Vec<(u64, Span)>,
    answers: Vec<(Span, Seen)>,
}

/// Takes down what happens on every thread.
#[derive(Default)]
pub struct History {
    moment: AtomicU64,
    events: Mutex<Events>,
}

impl History {
    fn during<T>(&self, act: impl FnOnce() -> T) -> (Span, T) {
        let now = || self.moment.fetch_add(1, Ordering::SeqCst);
        let begin = now();
        let done = act();
        (Span { begin, end: now() }, done)
    }

    fn note(&self, note: impl FnOnce(&mut Events)) {
        note(&mut self.events.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Takes down a write of `group` to `version`; `write` gives the sequence if it was acknowledged.
    pub fn write<E>(&self, group: u64, version: Option<u64>, write: impl FnOnce() -> Result<u64, E>) -> Result<u64, E> {
        let (span, done) = self.during(write);
        let sequence = done?;
        self.note(|events| events.commits.push(Commit { span, sequence, group, version }));
        Ok(sequence)
    }

    /// Takes down an erasure of `groups`; one that failed may still happen.
    pub fn erase<T, E>(
        &self,
        groups: impl IntoIterator<Item = u64>,
        erase: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let (mut span, done) = self.during(erase);
        if done.is_err() {
            span.end = u64::MAX;
        }
        self.note(|events| events.erasures.extend(groups.into_iter().map(|group| (group, span))));
        done
    }

    /// Takes down an answer.
    pub fn read<E>(&self, read: impl FnOnce() -> Result<Seen, E>) -> Result<(), E> {
        let (span, seen) = self.during(read);
        let seen = seen?;
        self.note(|events| events.answers.push((span, seen)));
        Ok(())
    }

    /// Holds every answer against the commits.
    ///
    /// # Errors
    /// The first answer that no order of events explains, in words.
    pub fn check(&self) -> Result<Counts, String> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let order = Order::of(&events)?;
        let mut fates = BTreeMap::new();
        for (span, seen) in &events.answers {
            order.explain(*span, seen, &mut fates).map_err(|why| format!("{why}: {seen:?} during {span:?}"))?;
        }
        if let Some(sequence) = fates.iter().find(|(_, fate)| fate.came_back()).map(|(sequence, _)| sequence) {
            return Err(format!("write {sequence} was seen again after it had been erased"));
        }
        Ok(Counts::from([
            ("commits", events.commits.len() as u64),
            ("erasures", events.erasures.len() as u64),
            ("answers", events.answers.len() as u64),
        ]))
    }
}

/// The version of each of `groups` groups among the records `(id, version)` that an answer holds.
///
/// # Errors
/// A group that is there in part or in two versions.
pub fn versions(groups: u64, records: impl IntoIterator<Item = (u64, u64)>) -> Result<Vec<Option<u64>>, String> {
    let mut found: Vec<Vec<u64>> = (0..groups).map(|_| Vec::new()).collect();
    for (id, version) in records {
        found.get_mut((id / GROUP) as usize).ok_or("a record that nobody wrote")?.push(version);
    }
    let whole = |versions: Vec<u64>| match versions.first() {
        None => Ok(None),
        Some(first) if versions.len() as u64 == GROUP && versions.iter().all(|version| version == first) => {
            Ok(Some(*first))
        }
        Some(_) => Err(format!("a part of a write: {versions:?}")),
    };
    found.into_iter().map(whole).collect()
}

/// When a write was last seen, and first seen gone although nothing replaced it.
#[derive(Default)]
struct Fate {
    seen: Option<u64>,
    gone: Option<u64>,
}

impl Fate {
    fn came_back(&self) -> bool {
        matches!((self.seen, self.gone), (Some(seen), Some(gone)) if seen > gone)
    }
}

/// The commits in the order of their sequences.
struct Order<'a> {
    commits: BTreeMap<u64, Commit>,
    groups: BTreeMap<u64, Vec<u64>>,
    /// By the end of a commit: the greatest sequence that had ended by then.
    ended: BTreeMap<u64, u64>,
    erasures: &'a [(u64, Span)],
}

impl<'a> Order<'a> {
    fn of(events: &'a Events) -> Result<Self, String> {
        let commits: BTreeMap<u64, Commit> = events.commits.iter().map(|commit| (commit.sequence, *commit)).collect();
        if commits.len() != events.commits.len() {
            return Err("two writes have one sequence".into());
        }
        let mut latest_begin = 0;
        let mut groups: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for commit in commits.values() {
            if commit.span.end < latest_begin {
                return Err(format!("write {} ended before an earlier one began", commit.sequence));
            }
            latest_begin = latest_begin.max(commit.span.begin);
            groups.entry(commit.group).or_default().push(commit.sequence);
        }
        let mut by_end: Vec<(u64, u64)> = commits.values().map(|commit| (commit.span.end, commit.sequence)).collect();
        by_end.sort_unstable();
        let mut greatest = 0;
        let ended = by_end.into_iter().map(|(end, sequence)| {
            greatest = sequence.max(greatest);
            (end, greatest)
        });
        Ok(Self { ended: ended.collect(), commits, groups, erasures: &events.erasures })
    }

    fn explain(&self, span: Span, seen: &Seen, fates: &mut BTreeMap<u64, Fate>) -> Result<(), &'static str> {
        match seen {
            Seen::Versions(as_of, versions) => {
                self.check_moment(span, *as_of)?;
                (0..).zip(versions).try_for_each(|(group, version)| {
                    let base = self.newest(group, *as_of);
                    self.explain_group(span, base, *version, fates)
                })
            }
            Seen::Total(as_of, total) => {
                self.check_moment(span, *as_of)?;
                let present = self.groups.keys().filter_map(|group| self.newest(*group, *as_of));
                let present: Vec<&Commit> = present.filter(|commit| commit.version.is_some()).collect();
                let sure = present.iter().filter(|commit| !self.may_be_erased(commit, span)).count() as u64;
                let possible = present.iter().filter(|commit| !self.must_be_erased(commit, span)).count() as u64;
                let whole = total.is_multiple_of(GROUP) && (sure..=possible).contains(&(total / GROUP));
                if whole { Ok(()) } else { Err("a number of records that there never was") }
            }
            Seen::Record(group, found) => self.explain_record(span, *group, *found, fates),
        }
    }

    /// An answer as of `as_of` knows every write that had ended and none that had not begun.
    fn check_moment(&self, span: Span, as_of: u64) -> Result<(), &'static str> {
        if self.ended.range(..span.begin).next_back().is_some_and(|(_, sequence)| *sequence > as_of) {
            return Err("an acknowledged write is missing");
        }
        match self.commits.range(..=as_of).next_back() {
            Some((_, commit)) if commit.span.begin > span.end => Err("a write that had not begun"),
            _ => Ok(()),
        }
    }

    fn newest(&self, group: u64, as_of: u64) -> Option<&Commit> {
        let sequences = self.groups.get(&group)?;
        let count = sequences.partition_point(|sequence| *sequence <= as_of);
        self.commits.get(sequences.get(count.checked_sub(1)?)?)
    }

    fn explain_group(
        &self,
        span: Span,
        base: Option<&Commit>,
        seen: Option<u64>,
        fates: &mut BTreeMap<u64, Fate>,
    ) -> Result<(), &'static str> {
        let Some(base) = base else { return if seen.is_none() { Ok(()) } else { Err("a version out of nothing") } };
        let fate = fates.entry(base.sequence).or_default();
        match (base.version, seen) {
            (None, None) => Ok(()),
            (Some(_), None) if self.may_be_erased(base, span) => {
                fate.gone = Some(fate.gone.map_or(span.end, |gone| gone.min(span.end)));
                Ok(())
            }
            (Some(_), None) => Err("a version is missing"),
            (expected, seen) if expected != seen => Err("another version than that of the moment"),
            _ if self.must_be_erased(base, span) => Err("a version that had been erased"),
            _ => {
                fate.seen = fate.seen.max(Some(span.begin));
                Ok(())
            }
        }
    }

    fn explain_record(
        &self,
        span: Span,
        group: u64,
        found: Option<(u64, u64)>,
        fates: &mut BTreeMap<u64, Fate>,
    ) -> Result<(), &'static str> {
        let of_group = || self.groups.get(&group).into_iter().flatten().filter_map(|at| self.commits.get(at));
        let replaced =
            |commit: &Commit| of_group().any(|later| later.sequence > commit.sequence && later.span.end < span.begin);
        let Some((sequence, version)) = found else {
            let present = of_group().rfind(|commit| commit.span.end < span.begin && !replaced(commit));
            let sure = present.is_some_and(|commit| commit.version.is_some() && !self.may_be_erased(commit, span));
            let deleted =
                of_group().any(|commit| commit.version.is_none() && commit.span.begin < span.end && !replaced(commit));
            return if sure && !deleted { Err("a record is missing") } else { Ok(()) };
        };
        let commit = self.commits.get(&sequence).ok_or("a record of no write")?;
        if commit.group != group || commit.span.begin > span.end || replaced(commit) {
            return Err("a record of another moment");
        }
        self.explain_group(span, Some(commit), Some(version), fates)
    }

    fn may_be_erased(&self, commit: &Commit, asked: Span) -> bool {
        self.erasures_of(commit).any(|erasure| erasure.begin < asked.end && commit.span.begin < erasure.end)
    }

    fn must_be_erased(&self, commit: &Commit, asked: Span) -> bool {
        self.erasures_of(commit).any(|erasure| commit.span.end < erasure.begin && erasure.end < asked.begin)
    }

    fn erasures_of(&self, commit: &Commit) -> impl Iterator<Item = Span> {
        let group = commit.group;
        self.erasures.iter().filter(move |(erased, _)| *erased == group).map(|(_, span)| *span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right<T>(value: T) -> Result<T, ()> {
        Ok(value)
    }

    /// Two groups are written, the first is erased, and a reader looks in between and afterwards.
    fn told(answers: [Seen; 3]) -> Result<Counts, String> {
        let [first, second, third] = answers;
        let history = History::default();
        history.write(0, Some(7), || right(1)).unwrap();
        history.write(1, Some(8), || right(2)).unwrap();
        history.read(|| right(first)).unwrap();
        history.erase([0], || history.read(|| right(second))).unwrap();
        history.write(1, Some(9), || right(3)).unwrap();
        history.read(|| right(third)).unwrap();
        history.check()
    }

    fn both() -> Seen {
        Seen::Versions(2, vec![Some(7), Some(8)])
    }

    fn erased() -> Seen {
        Seen::Versions(3, vec![None, Some(9)])
    }

    #[test]
    fn what_can_be_true_is_believed() {
        let during = [both(), Seen::Versions(2, vec![None, Some(8)]), Seen::Total(2, GROUP), Seen::Record(0, None)];
        for seen in during {
            told([both(), seen, erased()]).unwrap();
        }
        told([Seen::Record(0, Some((1, 7))), Seen::Total(2, 2 * GROUP), Seen::Record(1, Some((3, 9)))]).unwrap();
    }

    #[test]
    fn what_cannot_be_true_is_not() {
        let before = [
            ("an acknowledged write is missing", Seen::Versions(1, vec![Some(7), None])),
            ("a version is missing", Seen::Versions(2, vec![None, Some(8)])),
            ("another version", Seen::Versions(2, vec![Some(8), Some(8)])),
            ("a number", Seen::Total(2, GROUP)),
            ("a number", Seen::Total(2, GROUP + 1)),
            ("a record is missing", Seen::Record(0, None)),
            ("a record of another moment", Seen::Record(1, Some((3, 9)))),
            ("a write that had not begun", Seen::Versions(3, vec![Some(7), Some(9)])),
        ];
        for (why, seen) in before {
            let refused = told([seen, both(), erased()]).unwrap_err();
            assert!(refused.starts_with(why), "{refused}");
        }
        let after = [
            ("a version that had been erased", Seen::Versions(3, vec![Some(7), Some(9)])),
            ("a version that had been erased", Seen::Record(0, Some((1, 7)))),
            ("a record of another moment", Seen::Record(1, Some((2, 8)))),
            ("a number", Seen::Total(3, 2 * GROUP)),
        ];
        for (why, seen) in after {
            let refused = told([both(), both(), seen]).unwrap_err();
            assert!(refused.starts_with(why), "{refused}");
        }
    }

    #[test]
    fn what_is_gone_stays_gone() {
        let history = History::default();
        history.write(0, Some(7), || right(1)).unwrap();
        let looks = |seen: Option<u64>| history.read(|| right(Seen::Versions(1, vec![seen])));
        history.erase([0], || looks(None).and_then(|()| looks(Some(7)))).unwrap();
        assert_eq!(history.check().unwrap_err(), "write 1 was seen again after it had been erased");
    }

    #[test]
    fn sequences_follow_time() {
        let history = History::default();
        history.write(0, Some(7), || Ok::<_, ()>(2)).unwrap();
        history.write(0, Some(8), || Ok::<_, ()>(1)).unwrap();
        assert_eq!(history.check().unwrap_err(), "write 2 ended before an earlier one began");
    }

    #[test]
    fn a_part_of_a_group_is_no_version() {
        assert_eq!(versions(2, (0..GROUP).map(|id| (id, 5))), Ok(vec![Some(5), None]));
        assert!(versions(2, (0..GROUP - 1).map(|id| (id, 5))).is_err());
        assert!(versions(2, (0..GROUP).map(|id| (id, id / 2))).is_err());
        assert!(versions(2, [(2 * GROUP, 5)]).is_err());
    }
}
