//! Building the index of payloads.
//!
//! Invariant: it is a function of the payloads at their positions, of the declared fields and of the [`Extent`], whatever
//! the number of threads: the commonest paths are taken, ties by their bytes, and of the fields that do not fit the room
//! together those that take most are closed. So a segment that an erasure left has the index of one that never knew the
//! erased.
//!
//! Invariant: whatever payloads hold, no more memory is used than for the paths of a [`Census`], the values of
//! [`CHUNK`] payloads, the room, and a few bits for each row and field. A walk over the payloads counts their paths and
//! one gathers the values. Only payloads that do not fit take more walks: one to count paths again, one to see what each
//! field takes, and one to gather those that do fit.

use rayon::prelude::*;
use storage::segment::FieldMap;
use zeroize::Zeroizing;

use super::asked::Asked;
use super::census::{Census, PATHS_MAX};
use super::gathered::{Gathered, cost};
use super::leaves::Leaves;
use crate::declared::Declared;
use crate::error::{Error, ErrorKind, Result};
use crate::wiped::Opened;

/// Rows that are read at a time: enough for every thread, few enough to bound memory.
const CHUNK: u32 = 256;

/// The most room there is. In less than 4 GiB neither the texts of a column nor its rows are too many to be numbered.
const ROOM_MAX: u64 = u32::MAX as u64;

/// Gives the payload of the row at a position, if it has one, as often as it is asked.
pub(crate) type Payload<'a> = dyn Fn(u32) -> Result<Option<Zeroizing<Vec<u8>>>> + Sync + 'a;

/// How much is indexed.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    /// So many fields beside those that are declared, the commonest.
    pub others: usize,
    /// In so many bytes the values of all fields must fit while they are gathered, [`ROOM_MAX`] at most.
    pub room: u64,
}

/// The index of `rows` payloads. Runs in the current `rayon` pool.
pub(crate) fn build(rows: u32, declared: &Declared, extent: Extent, payload: &Payload<'_>) -> Result<FieldMap> {
    let walk = Walk { rows, payload };
    let (mut asked, is_complete) = walk.choose(declared, extent.others)?;
    let room = extent.room.min(ROOM_MAX);
    let gathered = match walk.gather(&asked, room)? {
        Some(gathered) => gathered,
        None => {
            let costs = walk.costs(&asked)?;
            close(&mut asked, &costs, room);
            let changed = || Error::corrupt("payloads were not the same when they were read again");
            walk.gather(&asked, room)?.ok_or_else(changed)?
        }
    };
    let too_large = |e| Error::with(ErrorKind::Unsupported, "the payloads of a segment are too many to be indexed", e);
    let fields = gathered.into_iter().zip(&asked).map(|(gathered, asked)| gathered.finish(asked).map_err(too_large));
    let map = FieldMap::new(rows, is_complete, fields.collect::<Result<_>>()?).map_err(too_large)?;
    Ok(map.in_room(extent.room))
}

/// Closes the fields that take most, until the others fit. `costs` is the most that each can take.
fn close(asked: &mut [Asked], costs: &[u64], room: u64) {
    let mut order: Vec<(u64, &mut Asked)> = costs.iter().copied().zip(asked).collect();
    order.sort_unstable_by(|(a, a_field), (b, b_field)| a.cmp(b).then_with(|| a_field.name.cmp(&b_field.name)));
    let mut held = 0_u64;
    for (cost, field) in order {
        held = held.saturating_add(cost);
        field.is_closed = held > room;
    }
}

/// The payloads that are walked.
struct Walk<'a> {
    rows: u32,
    payload: &'a Payload<'a>,
}

impl Walk<'_> {
    /// Calls `found` with what `read` makes of each payload, in the order of their positions, until it says no.
    fn each<T: Send>(&self, read: impl Fn(&Opened) -> T + Sync, mut found: impl FnMut(u32, T) -> bool) -> Result<()> {
        for first in (0..self.rows).step_by(CHUNK as usize) {
            let one = |position: u32| {
                let Some(text) = (self.payload)(position)? else { return Ok(None) };
                let value = serde_json::from_slice::<serde_json::Value>(&text);
                let value = Opened::from(value.map_err(|_| Error::corrupt("a stored payload is not JSON"))?);
                Ok(Some((position, read(&value))))
            };
            let chunk = (first..self.rows.min(first.saturating_add(CHUNK))).into_par_iter().map(one);
            for (position, value) in chunk.collect::<Result<Vec<_>>>()?.into_iter().flatten() {
                if !found(position, value) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The fields to index, by name, and whether they are all there are.
    fn choose(&self, declared: &Declared, others: usize) -> Result<(Vec<Asked>, bool)> {
        let (mut is_complete, mut census) = (true, Census::new(PATHS_MAX));
        loop {
            self.each(
                |payload| Leaves::of(payload),
                |_, leaves| {
                    is_complete &= !leaves.has_more;
                    let others = leaves.paths.into_iter().filter(|path| !declared.contains(path));
                    others.for_each(|path| census.add(path));
                    true
                },
            )?;
            if !census.starts_over() {
                break;
            }
        }
        let (ranking, is_all) = census.ranking();
        is_complete &= is_all && ranking.len() <= others;
        let automatic = ranking.into_iter().take(others).map(|name| (name, 0));
        let declared = declared.iter().map(|(name, kind)| (name.into(), kind.code()));
        let mut asked: Vec<Asked> =
            automatic.chain(declared).filter_map(|(name, kind)| Asked::new(name, kind)).collect();
        asked.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok((asked, is_complete))
    }

    /// The values of each field; `None` if they do not fit, which is the same in whatever order they come.
    fn gather(&self, asked: &[Asked], room: u64) -> Result<Option<Vec<Gathered>>> {
        let (mut held, mut fields) = (0_u64, Vec::new());
        fields.resize_with(asked.len(), Gathered::default);
        self.each(
            |payload| asked.iter().map(|asked| asked.values(payload)).collect::<Vec<_>>(),
            |position, found| {
                for (field, found) in fields.iter_mut().zip(found) {
                    held += found.into_iter().map(|found| field.push(found, position)).sum::<u64>();
                }
                held <= room
            },
        )?;
        Ok((held <= room).then_some(fields))
    }

    /// The most that each field can take: as if no two rows had the same value.
    fn costs(&self, asked: &[Asked]) -> Result<Vec<u64>> {
        let mut costs = vec![0_u64; asked.len()];
        self.each(
            |payload| asked.iter().map(|asked| asked.values(payload).iter().map(cost).sum()).collect::<Vec<u64>>(),
            |_, found| {
                costs.iter_mut().zip(found).for_each(|(sum, cost)| *sum = sum.saturating_add(cost));
                true
            },
        )?;
        Ok(costs)
    }
}

#[cfg(test)]
mod tests;
