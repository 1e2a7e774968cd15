//! Which rows of a segment belong to whom.
//!
//! Entities are numbered in the order of their names. A row knows its entity's number; an entity's positions are a slice
//! of one array (compressed sparse rows), because most entities have a handful of rows and a bitmap each would cost more
//! than the rows' names. Bitmaps are made when asked for.

use privacy::{EntityId, MAX_ENTITY_BYTES};
use roaring::RoaringBitmap;
use zeroize::Zeroizing;

use crate::codec::{Malformed, Reader, put_sized, put_varint};
use crate::packed::put_packed;

const VERSION: u8 = 2;

/// The owners of a segment's rows.
pub struct EntityMap {
    /// Ascending, without repetition; each owns at least one row.
    entities: Vec<EntityId>,
    /// By position: 0 for a row without an entity, else the entity's number plus one.
    owners: Vec<u32>,
    /// `positions[starts[e]..starts[e + 1]]` are the rows of entity `e`, ascending.
    starts: Vec<u32>,
    positions: Vec<u32>,
}

impl EntityMap {
    /// The map of rows whose owners are given in the order of their positions, at most 2^32 - 1 of them.
    ///
    /// # Errors
    /// [`Malformed`] if there are more rows.
    pub fn build(rows: &[Option<EntityId>]) -> Result<Self, Malformed> {
        let mut names: Vec<&EntityId> = rows.iter().flatten().collect();
        names.sort_unstable();
        names.dedup();
        let owner = |row: &Option<EntityId>| {
            // Every owner was put into the list above.
            row.as_ref().and_then(|entity| names.binary_search(&entity).ok()).map_or(0, |number| number as u32 + 1)
        };
        let owners = rows.iter().map(owner).collect();
        let entities = names.into_iter().cloned().collect();
        Self::new(entities, owners)
    }

    /// Sorts the positions by entity (a counting sort) and checks that owners and entities fit together.
    fn new(entities: Vec<EntityId>, owners: Vec<u32>) -> Result<Self, Malformed> {
        const WHAT: Malformed = Malformed("entity map");
        let rows = u32::try_from(owners.len()).map_err(|_| WHAT)?;
        // First starts[e + 1] counts the rows of the entities before e, then it walks up to the end of e's.
        let mut starts = vec![0u32; entities.len() + 2];
        for &owner in owners.iter().filter(|&&owner| owner > 0) {
            *starts.get_mut(owner as usize + 1).ok_or(WHAT)? += 1;
        }
        if starts.iter().skip(2).any(|&count| count == 0) {
            return Err(WHAT);
        }
        let mut total = 0;
        for start in &mut starts {
            total += *start;
            *start = total;
        }
        let mut positions = vec![0; total as usize];
        for (position, &owner) in (0..rows).zip(&owners).filter(|&(_, &owner)| owner > 0) {
            let next = &mut starts[owner as usize];
            positions[*next as usize] = position;
            *next += 1;
        }
        starts.pop();
        Ok(Self { entities, owners, starts, positions })
    }

    /// Rows in the segment.
    pub fn len(&self) -> usize {
        self.owners.len()
    }

    /// Whether the segment has no rows.
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    /// The entities with rows here, in the order of their names.
    pub fn entities(&self) -> &[EntityId] {
        &self.entities
    }

    /// The owner of the row at `position`, if it has one.
    pub fn of(&self, position: u32) -> Option<&EntityId> {
        let owner = *self.owners.get(position as usize)?;
        self.entities.get(owner.checked_sub(1)? as usize)
    }

    /// The positions of an entity's rows, ascending; empty if it has none here.
    pub fn positions(&self, entity: &EntityId) -> &[u32] {
        let find = || {
            let number = self.entities.binary_search(entity).ok()?;
            let (start, end) = (*self.starts.get(number)?, *self.starts.get(number + 1)?);
            self.positions.get(start as usize..end as usize)
        };
        find().unwrap_or_default()
    }

    /// [`EntityMap::positions`] as a bitmap.
    pub fn bitmap(&self, entity: &EntityId) -> RoaringBitmap {
        self.positions(entity).iter().collect()
    }

    /// Bytes held in memory, an allocation's own overhead not counted.
    pub fn resident_bytes(&self) -> usize {
        let names: usize = self.entities.iter().map(|entity| entity.as_str().len()).sum();
        let numbers = self.owners.len() + self.starts.len() + self.positions.len();
        names + size_of_val(self.entities.as_slice()) + numbers * size_of::<u32>()
    }

    /// The map as bytes: version, entity count, names (how many bytes each begins with of the one before it, and the
    /// rest), row count, owner of each row.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let names: usize = self.entities.iter().map(|entity| entity.as_str().len() + 4).sum();
        let mut out = Zeroizing::new(Vec::with_capacity(40 + names + self.owners.len() * 5));
        out.push(VERSION);
        put_varint(&mut out, self.entities.len() as u64);
        let mut last: &[u8] = &[];
        for entity in &self.entities {
            let name = entity.as_str().as_bytes();
            let (_, rest) = name.split_at(common(last, name));
            put_varint(&mut out, (name.len() - rest.len()) as u64);
            put_sized(&mut out, rest);
            last = name;
        }
        put_varint(&mut out, self.owners.len() as u64);
        let owners: Vec<u64> = self.owners.iter().map(|&owner| u64::from(owner)).collect();
        put_packed(&mut out, &Zeroizing::new(owners));
        out
    }

    /// Reads what [`EntityMap::encode`] wrote.
    ///
    /// # Errors
    /// [`Malformed`] for any bytes that it did not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.u8("entity map version")? != VERSION {
            return Err(Malformed("entity map version"));
        }
        let count = reader.count("entity count")?;
        let (mut entities, mut name) = (Vec::new(), Zeroizing::new(Vec::with_capacity(MAX_ENTITY_BYTES)));
        for _ in 0..count {
            next_name(&mut reader, &mut name)?;
            let text = std::str::from_utf8(&name).map_err(|_| Malformed("entity"))?;
            entities.push(EntityId::new(text).map_err(|_| Malformed("entity"))?);
        }
        let rows = reader.varint("row count")?;
        // A block of rows takes two bytes at least.
        let rows = u32::try_from(rows).ok().filter(|&rows| rows as usize / 64 <= reader.rest().len());
        let rows = rows.ok_or(Malformed("row count"))? as usize;
        let owners = reader.packed(rows, "owners")?;
        reader.finish()?;
        let owners = owners.iter().map(|&owner| u32::try_from(owner).map_err(|_| Malformed("owners")));
        Self::new(entities, owners.collect::<Result<_, _>>()?)
    }
}

/// Bytes that both begin with.
fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Turns a name into the one that follows it, which must tell as little as it can of what they share. The buffer has room
/// for every name and never moves.
fn next_name(reader: &mut Reader<'_>, name: &mut Vec<u8>) -> Result<(), Malformed> {
    const BAD: Malformed = Malformed("entity");
    let shared = usize::try_from(reader.varint(BAD.0)?).map_err(|_| BAD)?;
    let rest = reader.sized(BAD.0)?;
    if shared > name.len() || shared + rest.len() > MAX_ENTITY_BYTES {
        return Err(BAD);
    }
    // Of names that begin alike, the first byte that differs decides.
    if rest.first() <= name.get(shared) {
        return Err(Malformed("entity order"));
    }
    name.truncate(shared);
    name.extend_from_slice(rest);
    Ok(())
}

#[cfg(test)]
mod tests;
