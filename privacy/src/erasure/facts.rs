//! What is told of an erasure, stage by stage, and how it is written in jobs and receipts.
//!
//! Invariant: nothing here names a person, and every list that could tell an order is sorted.

use std::collections::BTreeMap;

use minicbor::{Decoder, Encoder};

use super::subject::Subject;
use crate::cbor::{Malformed, Sink, Written, array, fixed, length, rising};
use crate::keyring::Grade;
use crate::secret::KeyId;

/// A moment of an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// The last write given out.
    pub sequence: u64,
}

/// One of the entities of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Erased {
    /// Who, to those who have the salt.
    pub subject: Subject,
    /// How many live records it had.
    pub records: u64,
}

/// What a job about records past their window hid in a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expired {
    /// The collection's id.
    pub collection: [u8; 16],
    /// How many live records went.
    pub records: u64,
}

/// What shredding did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shredding {
    /// The epoch that the keyring has since.
    pub epoch: u64,
    /// The ids of the destroyed keys, rising.
    pub destroyed: Vec<KeyId>,
    /// What each anchor store is good for; its old anchor is destroyed.
    pub anchors: Vec<Grade>,
}

/// What became of a segment that held rows of a job's entities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing that is known.
    Due,
    /// No row was left, so it was removed.
    Emptied,
    /// Replaced by one with an index built anew.
    Rebuilt,
    /// Replaced by one whose graph was repaired and waits to be rebuilt.
    Repaired,
}

/// The segments that a job purges, by number. What becomes of one is noted before it is replaced, so that they are counted
/// alike whether or not a crash comes between.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Segments(BTreeMap<u64, Fate>);

/// What purging did, in segments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purging {
    /// Rewritten without the entities, or removed.
    pub purged: u64,
    /// Of them, with an index built anew.
    pub rebuilt: u64,
    /// Of them, with an index whose graph was repaired and waits to be rebuilt.
    pub repaired: u64,
    /// Damaged, and left: what they hold of the entities opens for nobody.
    pub quarantined: u64,
}

impl Stamp {
    pub(super) fn write(self, e: &mut Encoder<Sink>) -> Written {
        e.array(2)?.u64(self.time_ms)?.u64(self.sequence).map(drop)
    }

    pub(super) fn read(d: &mut Decoder<'_>) -> Result<Stamp, Malformed> {
        fixed(d, 2)?;
        Ok(Stamp { time_ms: d.u64()?, sequence: d.u64()? })
    }

    /// Whether these follow one another, in time and in sequence.
    pub(super) fn are_forward(stamps: impl IntoIterator<Item = Stamp>) -> bool {
        stamps.into_iter().is_sorted_by(|a, b| a.time_ms <= b.time_ms && a.sequence <= b.sequence)
    }
}

impl Erased {
    pub(super) fn write_all(erased: &[Erased], e: &mut Encoder<Sink>) -> Written {
        e.array(erased.len() as u64)?;
        for one in erased {
            e.array(2)?.bytes(one.subject.as_bytes())?.u64(one.records)?;
        }
        Ok(())
    }

    pub(super) fn read_all(d: &mut Decoder<'_>) -> Result<Vec<Erased>, Malformed> {
        let mut erased: Vec<Erased> = Vec::new();
        for _ in 0..length(d)? {
            fixed(d, 2)?;
            let one = Erased { subject: Subject::from_bytes(array(d)?), records: d.u64()? };
            rising(erased.last().map(|last| &last.subject), &one.subject)?;
            erased.push(one);
        }
        Ok(erased)
    }
}

impl Expired {
    pub(super) fn write_all(expired: &[Expired], e: &mut Encoder<Sink>) -> Written {
        e.array(expired.len() as u64)?;
        expired.iter().try_for_each(|one| e.array(2)?.bytes(&one.collection)?.u64(one.records).map(drop))
    }

    pub(super) fn read_all(d: &mut Decoder<'_>) -> Result<Vec<Expired>, Malformed> {
        let mut expired: Vec<Expired> = Vec::new();
        for _ in 0..length(d)? {
            fixed(d, 2)?;
            let one = Expired { collection: array(d)?, records: d.u64()? };
            rising(expired.last().map(|last| &last.collection), &one.collection)?;
            expired.push(one);
        }
        Ok(expired)
    }
}

impl Shredding {
    pub(super) fn write(&self, e: &mut Encoder<Sink>) -> Written {
        e.array(3)?.u64(self.epoch)?.array(self.destroyed.len() as u64)?;
        self.destroyed.iter().try_for_each(|id| e.bytes(&id.0).map(drop))?;
        e.array(self.anchors.len() as u64)?;
        self.anchors.iter().try_for_each(|grade| e.u8(code(*grade)).map(drop))
    }

    pub(super) fn read(d: &mut Decoder<'_>) -> Result<Shredding, Malformed> {
        fixed(d, 3)?;
        let (epoch, mut destroyed, mut anchors) = (d.u64()?, Vec::new(), Vec::new());
        for _ in 0..length(d)? {
            let id = KeyId(array(d)?);
            rising(destroyed.last(), &id)?;
            destroyed.push(id);
        }
        for _ in 0..length(d)? {
            anchors.push(grade(d.u8()?)?);
        }
        if anchors.is_sorted() { Ok(Shredding { epoch, destroyed, anchors }) } else { Err(Malformed) }
    }
}

impl Segments {
    /// These segments, with which nothing was done yet.
    pub fn of(numbers: impl IntoIterator<Item = u64>) -> Segments {
        Segments(numbers.into_iter().map(|number| (number, Fate::Due)).collect())
    }

    /// Notes what becomes of a segment; whether it is one of these.
    pub(super) fn note(&mut self, number: u64, fate: Fate) -> bool {
        self.0.get_mut(&number).map(|noted| *noted = fate).is_some()
    }

    /// What purging did, where it left those that `is_left` says.
    pub(super) fn purging(&self, is_left: impl Fn(u64) -> bool) -> Purging {
        let mut done = Purging::default();
        for (number, fate) in &self.0 {
            match fate {
                _ if is_left(*number) => {
                    done.quarantined += 1;
                    continue;
                }
                Fate::Due | Fate::Emptied => {}
                Fate::Rebuilt => done.rebuilt += 1,
                Fate::Repaired => done.repaired += 1,
            }
            done.purged += 1;
        }
        done
    }

    pub(super) fn write(&self, e: &mut Encoder<Sink>) -> Written {
        e.array(self.0.len() as u64)?;
        self.0.iter().try_for_each(|(number, fate)| e.array(2)?.u64(*number)?.u8(*fate as u8).map(drop))
    }

    pub(super) fn read(d: &mut Decoder<'_>) -> Result<Segments, Malformed> {
        let mut found = BTreeMap::new();
        for _ in 0..length(d)? {
            fixed(d, 2)?;
            let number = d.u64()?;
            rising(found.last_key_value().map(|(last, _)| last), &number)?;
            let fates = [Fate::Due, Fate::Emptied, Fate::Rebuilt, Fate::Repaired];
            found.insert(number, *fates.get(usize::from(d.u8()?)).ok_or(Malformed)?);
        }
        Ok(Segments(found))
    }
}

impl Purging {
    pub(super) fn write(self, e: &mut Encoder<Sink>) -> Written {
        let Purging { purged, rebuilt, repaired, quarantined } = self;
        e.array(4)?.u64(purged)?.u64(rebuilt)?.u64(repaired)?.u64(quarantined).map(drop)
    }

    pub(super) fn read(d: &mut Decoder<'_>) -> Result<Purging, Malformed> {
        fixed(d, 4)?;
        Ok(Purging { purged: d.u64()?, rebuilt: d.u64()?, repaired: d.u64()?, quarantined: d.u64()? })
    }
}

fn code(grade: Grade) -> u8 {
    match grade {
        Grade::SameVolume => 1,
        Grade::OtherVolume => 2,
        Grade::External => 3,
    }
}

fn grade(code: u8) -> Result<Grade, Malformed> {
    match code {
        1 => Ok(Grade::SameVolume),
        2 => Ok(Grade::OtherVolume),
        3 => Ok(Grade::External),
        _ => Err(Malformed),
    }
}
