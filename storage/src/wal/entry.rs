//! One write as it is logged: whole records and resolved ids, never filters or differences, because replaying those
//! over other data could bring deleted records back. One entry is one frame and applies wholly or not at all.
//!
//! ```text
//! sequence u64 | kind u8 | collection 16 bytes | count | when written, records or ids
//! record: id | sequence | flags u8 | entity? | dimension | f32 ... | payload?
//! ```

use std::fmt;

use privacy::EntityId;
use zeroize::Zeroizing;

use crate::codec::{Malformed, Reader, put_record_id, put_sized, put_varint};
use crate::id::{CollectionId, RecordId, Sequence};
use crate::record::{Record, decode_vector};

/// A write to one collection.
#[derive(Clone, PartialEq)]
pub enum Entry {
    /// Inserts records, replacing those with the same ids.
    Put {
        /// Where.
        collection: CollectionId,
        /// When, in milliseconds since the Unix epoch: none of the records is younger.
        written_ms: u64,
        /// What; each carries its own sequence, which is older than the entry's where the log is rewritten.
        records: Vec<Record>,
    },
    /// Deletes records by id.
    Delete {
        /// Where.
        collection: CollectionId,
        /// Which; ids that do not exist do no harm.
        ids: Vec<RecordId>,
    },
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, count) = match self {
            Self::Put { records, .. } => ("Put", records.len()),
            Self::Delete { ids, .. } => ("Delete", ids.len()),
        };
        write!(f, "{name}({count})")
    }
}

/// A put that said nothing of when it was written had 1.
const PUT: u8 = 3;
const DELETE: u8 = 2;
const HAS_ENTITY: u8 = 1;
const HAS_PAYLOAD: u8 = 2;

impl Entry {
    /// The collection it writes to.
    pub fn collection(&self) -> CollectionId {
        match self {
            Self::Put { collection, .. } | Self::Delete { collection, .. } => *collection,
        }
    }

    /// The records it puts.
    pub fn records(&self) -> &[Record] {
        match self {
            Self::Put { records, .. } => records,
            Self::Delete { .. } => &[],
        }
    }

    /// The plaintext of the entry's frame.
    pub(super) fn encode(&self, sequence: Sequence) -> Zeroizing<Vec<u8>> {
        // Room for everything at once: a growing vector would leave copies of people's data behind.
        let mut out = Zeroizing::new(Vec::with_capacity(self.size_bound()));
        out.extend_from_slice(&sequence.to_le_bytes());
        match self {
            Self::Put { collection, written_ms, records } => {
                put_start(&mut out, PUT, collection, records.len());
                put_varint(&mut out, *written_ms);
                records.iter().for_each(|record| put_record(&mut out, record));
            }
            Self::Delete { collection, ids } => {
                put_start(&mut out, DELETE, collection, ids.len());
                ids.iter().for_each(|&id| put_record_id(&mut out, id));
            }
        }
        out
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub(super) fn decode(bytes: &[u8]) -> Result<(Sequence, Self), Malformed> {
        let mut reader = Reader::new(bytes);
        let sequence = reader.u64("sequence")?;
        let kind = reader.u8("kind")?;
        let collection = CollectionId(reader.array("collection")?);
        let count = reader.count("count")?;
        let entry = match kind {
            PUT => {
                let written_ms = reader.varint("when it was written")?;
                let records = all(count, || read_record(&mut reader))?;
                Self::Put { collection, written_ms, records }
            }
            DELETE => {
                let ids = all(count, || reader.record_id())?;
                Self::Delete { collection, ids }
            }
            _ => return Err(Malformed("kind")),
        };
        reader.finish()?;
        Ok((sequence, entry))
    }

    fn size_bound(&self) -> usize {
        const FIXED: usize = 64;
        FIXED
            + match self {
                Self::Put { records, .. } => records.iter().map(|record| FIXED + record.bytes()).sum(),
                Self::Delete { ids, .. } => ids.len() * size_of::<RecordId>(),
            }
    }
}

/// `count` values, without setting memory aside for a count that the bytes do not bear out.
fn all<T>(count: usize, mut read: impl FnMut() -> Result<T, Malformed>) -> Result<Vec<T>, Malformed> {
    let mut values = Vec::new();
    for _ in 0..count {
        values.push(read()?);
    }
    Ok(values)
}

fn put_start(out: &mut Vec<u8>, kind: u8, collection: &CollectionId, count: usize) {
    out.push(kind);
    out.extend_from_slice(&collection.0);
    put_varint(out, count as u64);
}

fn put_record(out: &mut Vec<u8>, record: &Record) {
    put_record_id(out, record.id);
    put_varint(out, record.sequence);
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    out.push(flag(record.entity.is_some(), HAS_ENTITY) | flag(record.payload.is_some(), HAS_PAYLOAD));
    if let Some(entity) = &record.entity {
        put_sized(out, entity.as_str().as_bytes());
    }
    put_varint(out, record.vector.len() as u64);
    out.extend(record.vector.iter().flat_map(|number| number.to_le_bytes()));
    if let Some(payload) = &record.payload {
        put_sized(out, payload);
    }
}

fn read_record(reader: &mut Reader<'_>) -> Result<Record, Malformed> {
    let id = reader.record_id()?;
    let sequence = reader.varint("record sequence")?;
    let flags = reader.u8("flags")?;
    if flags & !(HAS_ENTITY | HAS_PAYLOAD) != 0 {
        return Err(Malformed("flags"));
    }
    let entity = (flags & HAS_ENTITY != 0).then(|| read_entity(reader)).transpose()?;
    let dimension = reader.count("dimension")?;
    let numbers = reader.bytes(dimension.saturating_mul(4), "vector")?;
    let vector = decode_vector(numbers).map_err(|_| Malformed("vector"))?;
    // From here on the record owns the vector and wipes it, also when the payload is malformed.
    let mut record = Record { id, sequence, entity, vector, payload: None };
    if flags & HAS_PAYLOAD != 0 {
        record.payload = Some(reader.sized("payload")?.to_vec());
    }
    Ok(record)
}

fn read_entity(reader: &mut Reader<'_>) -> Result<EntityId, Malformed> {
    let text = str::from_utf8(reader.sized("entity")?).map_err(|_| Malformed("entity"))?;
    EntityId::new(text).map_err(|_| Malformed("entity"))
}
