//! Which rows of a segment belong to whom.
//!
//! Entities are numbered in the order of their names. A row knows its entity's number; an entity's positions are a slice
//! of one array (compressed sparse rows), because most entities have a handful of rows and a bitmap each would cost more
//! than the rows' names. Bitmaps are made when asked for.

use privacy::EntityId;
use roaring::RoaringBitmap;
use zeroize::Zeroizing;

use crate::codec::{Malformed, Reader, put_sized, put_varint};

const VERSION: u8 = 1;

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

    /// The map as bytes: version, entity count, names, row count, owner of each row.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let names: usize = self.entities.iter().map(|entity| entity.as_str().len() + 2).sum();
        let mut out = Zeroizing::new(Vec::with_capacity(24 + names + self.owners.len() * 4));
        out.push(VERSION);
        put_varint(&mut out, self.entities.len() as u64);
        self.entities.iter().for_each(|entity| put_sized(&mut out, entity.as_str().as_bytes()));
        put_varint(&mut out, self.owners.len() as u64);
        out.extend(self.owners.iter().flat_map(|owner| owner.to_le_bytes()));
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
        let mut entities: Vec<EntityId> = Vec::new();
        for _ in 0..count {
            let name = std::str::from_utf8(reader.sized("entity")?).map_err(|_| Malformed("entity"))?;
            let entity = EntityId::new(name).map_err(|_| Malformed("entity"))?;
            if entities.last().is_some_and(|last| *last >= entity) {
                return Err(Malformed("entity order"));
            }
            entities.push(entity);
        }
        let rows = reader.count("row count")?;
        let len = rows.checked_mul(4).ok_or(Malformed("row count"))?;
        let (owners, _) = reader.bytes(len, "owners")?.as_chunks();
        let owners = owners.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect();
        reader.finish()?;
        Self::new(entities, owners)
    }
}

#[cfg(test)]
mod tests;
