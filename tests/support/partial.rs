//! Answers that say they are partial, held against the naive model: each must be the model without exactly the
//! segments that it names, and one that names none must be whole.
//!
//! Invariant: a segment that one answer named is named by every later one, until the environment is opened anew.

use std::collections::{BTreeMap, BTreeSet};

use engine::{Collection, ErrorKind, Filter, Metric, RecordId, Rerank};

use crate::case::Counts;
use crate::model::{Entry, Model, distance};

/// What a check gives, or which promise did not hold.
pub type Checked<T = ()> = Result<T, String>;

/// Fails with `what` unless it `holds`.
///
/// # Errors
/// `what`.
pub fn ensure(holds: bool, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(what()) }
}

/// A collection of squared distances (metric `l2`) of which a part may be damaged.
pub struct Partial<'a> {
    /// What is asked.
    pub docs: &'a Collection,
    /// What it should hold.
    pub model: &'a Model,
    /// The segment of each live record that is in one that may be damaged.
    pub home: &'a BTreeMap<u64, String>,
    /// The one segment that answers may leave out.
    pub may_miss: Option<&'a str>,
    /// Whether it is known which ids are in it.
    pub ids_known: bool,
    /// Whether it is known which of them were deleted.
    pub deletions_known: bool,
    /// Whether an answer named it already.
    pub is_seen: bool,
    /// What was asked and seen.
    pub counts: Counts,
}

type Records<'a> = BTreeMap<u64, &'a Entry>;

impl<'a> Partial<'a> {
    /// Every kind of read, beginning with the one of number `first`, so that each is the first to meet the damage.
    ///
    /// # Errors
    /// The first answer that is wrong.
    pub fn ask_all(&mut self, first: usize, ids: u64) -> Checked {
        let asks: [fn(&mut Self, u64) -> Checked; 5] =
            [Self::scroll, Self::count, Self::search_all, Self::search_near, Self::fetch];
        for ask in asks.iter().cycle().skip(first % asks.len()).take(asks.len()) {
            ask(self, ids)?;
        }
        Ok(())
    }

    /// The records that an answer with these flags has to be made of.
    fn served(&mut self, partial: bool, damaged: &[String]) -> Checked<Records<'a>> {
        ensure(partial != damaged.is_empty(), || "an answer is partial and names nothing, or the reverse".into())?;
        ensure(damaged.iter().all(|name| Some(name.as_str()) == self.may_miss), || {
            format!("sound segments are called damaged: {damaged:?}")
        })?;
        ensure(partial || !self.is_seen, || "a damaged segment was forgotten".into())?;
        self.is_seen |= partial;
        let hidden = |id: &u64| self.home.get(id).is_some_and(|home| damaged.contains(home));
        let records: Records<'a> =
            self.model.records.iter().filter(|(id, _)| !hidden(id)).map(|(id, entry)| (*id, entry)).collect();
        *self.counts.entry("answers").or_default() += 1;
        *self.counts.entry("partial answers").or_default() += u64::from(partial);
        *self.counts.entry("answers unlike the model").or_default() +=
            u64::from(records.len() < self.model.records.len());
        Ok(records)
    }

    fn scroll(&mut self, _: u64) -> Checked {
        let mut after: Option<RecordId> = None;
        loop {
            let mut scroll = self.docs.scroll().limit(17).with_vector(true);
            if let Some(after) = after {
                scroll = scroll.after(after);
            }
            let page = scroll.run().map_err(|e| format!("scroll: {e}"))?;
            let served = self.served(page.partial, &page.damaged)?;
            let mut expected = served.iter().filter(|(id, _)| after.is_none_or(|after| RecordId::Num(**id) > after));
            for record in &page.records {
                let (id, entry) = expected.next().ok_or("a page holds too much")?;
                let is_same = record.id() == RecordId::Num(*id)
                    && record.vector() == entry.vector
                    && record.entity_id() == entry.entity.as_deref();
                ensure(is_same, || format!("scroll: record {id} is another"))?;
            }
            let more = expected.next().is_some();
            ensure(page.records.len() == 17 || !more, || "a page lacks records and does not say so".into())?;
            ensure(page.next.is_some() == more, || "a page is wrong about the next".into())?;
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    fn count(&mut self, _: u64) -> Checked {
        let counted = self.docs.count().run().map_err(|e| format!("count: {e}"))?;
        let served = self.served(counted.partial, &counted.damaged)?.len() as u64;
        ensure(counted.count == served, || format!("{} records counted, not {served}", counted.count))?;
        let owners: BTreeSet<&str> = self.model.records.values().filter_map(|entry| entry.entity.as_deref()).collect();
        for owner in owners {
            let counted =
                self.docs.count().filter(Filter::entity(owner)).run().map_err(|e| format!("count of an owner: {e}"))?;
            let served = self.served(counted.partial, &counted.damaged)?;
            let expected = served.values().filter(|entry| entry.entity.as_deref() == Some(owner)).count() as u64;
            ensure(counted.count == expected, || format!("{} of an owner counted, not {expected}", counted.count))?;
        }
        Ok(())
    }

    fn search_all(&mut self, _: u64) -> Checked {
        let query = [1.0, -2.0, 0.5, 3.0];
        let found = self.docs.search(&query).exact(true).limit(1000).with_vector(true).run();
        let found = found.map_err(|e| format!("exact search: {e}"))?;
        let served = self.served(found.partial, &found.damaged)?;
        let ids: BTreeSet<RecordId> = found.iter().map(|hit| hit.id).collect();
        let expected: BTreeSet<RecordId> = served.keys().map(|id| RecordId::Num(*id)).collect();
        ensure(ids == expected && found.len() == expected.len(), || {
            format!("an exact search found {} records, not {}", found.len(), expected.len())
        })
    }

    fn search_near(&mut self, _: u64) -> Checked {
        let query = [-3.0, 2.0, 2.0, -1.0];
        let found =
            self.docs.search(&query).limit(5).ef(400).rerank(Rerank::All).run().map_err(|e| format!("search: {e}"))?;
        let served = self.served(found.partial, &found.damaged)?;
        let mut nearest: Vec<f64> =
            served.values().map(|entry| distance(Metric::L2, &query, &entry.vector).sqrt()).collect();
        nearest.sort_by(f64::total_cmp);
        nearest.truncate(5);
        let near = |(hit, expected): (&engine::Hit, &f64)| (f64::from(hit.score) - expected).abs() < 1e-3;
        ensure(found.len() == nearest.len() && found.iter().zip(&nearest).all(near), || {
            "a search did not find the nearest".into()
        })
    }

    fn fetch(&mut self, ids: u64) -> Checked {
        for id in 0..ids {
            let entry = self.model.records.get(&id);
            let in_damaged = self.home.get(&id).is_some_and(|home| Some(home.as_str()) == self.may_miss);
            match self.docs.get(id) {
                Ok(Some(found)) => {
                    let is_same = entry.is_some_and(|entry| found.vector() == entry.vector);
                    ensure(is_same && !(in_damaged && self.is_seen), || format!("get: record {id} is another"))?;
                }
                Ok(None) => ensure(entry.is_none(), || format!("get: record {id} is silently missing"))?,
                Err(error) => {
                    let names_it = self.may_miss.is_some_and(|name| error.to_string().contains(name));
                    ensure(error.kind() == ErrorKind::Corrupt && names_it, || format!("get: {error}"))?;
                    let may_be_there = match entry {
                        Some(_) => in_damaged,
                        None => !(self.ids_known && self.deletions_known),
                    };
                    ensure(may_be_there, || format!("get: nothing keeps record {id} from being read"))?;
                    self.is_seen = true;
                    *self.counts.entry("records refused").or_default() += 1;
                }
            }
        }
        let info = self.docs.info();
        self.served(!info.damaged.is_empty(), &info.damaged).map(drop)
    }
}
