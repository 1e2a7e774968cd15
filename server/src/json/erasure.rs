//! What an erasure did, as JSON and as text.

use std::fmt;

use engine::{EntityId, Erasure, ErasurePlan, Salt, Subject};
use serde::Serialize;
use utoipa::ToSchema;

use super::hex::hex;
use super::plural::count;
use super::time::rfc3339;

/// What was erased. An entity that nothing is stored about, one that was erased before and one that was never here give
/// the same answer with zeros.
#[derive(Serialize, ToSchema)]
pub struct EraseAnswer {
    /// The data subject, as the request names it; null where it names several.
    entity_id: Option<String>,
    /// Each data subject, with what tells that the receipt is about it.
    entities: Vec<ErasedAnswer>,
    /// Number of the erasure, by which its receipt can be asked for again.
    job: u64,
    /// Records of all collections.
    records_deleted: u64,
    /// Segments rewritten without the records.
    segments_purged: u64,
    /// Indexes rebuilt without the records, as if they had never been there.
    indexes_rebuilt: u64,
    /// Indexes repaired for now, because rebuilding them takes long: the records are gone from them, and they are rebuilt
    /// in the background.
    indexes_repaired: u64,
    /// Damaged segments that may hold rows of the entity: not rewritten, but nothing opens those rows any more.
    segments_quarantined: u64,
    /// From here no read returned the entity. RFC 3339, UTC, like all times.
    hidden_at: String,
    /// From here its keys were gone in every anchor store; null while that is pending.
    shredded_at: Option<String>,
    /// Why the keys are not destroyed yet, above all an anchor store or a keyring mirror that is away: no read returns the
    /// entity, the server tries again by itself, and the receipt is made once every store has destroyed them. Null where
    /// nothing is pending.
    pending: Option<String>,
    /// From here its ciphertext was gone from the live files; null while the disk has no room to rewrite them.
    purged_at: Option<String>,
    /// From here no index showed that the entity was ever there; null while one waits to be rebuilt, which the
    /// collection tells as `repaired_segments`.
    rebuilt_at: Option<String>,
    /// From here the erasure was recorded as done; null while it is not.
    completed_at: Option<String>,
    /// The audit event that tells of the receipt; null while it is not signed.
    audit_event_id: Option<u64>,
    /// What others can check with the environment's receipt key, in hex; null while the erasure has not purged. It is at
    /// `/v1/admin/receipts/{job}` once it is made.
    receipt: Option<String>,
}

/// One of the erased.
#[derive(Serialize, ToSchema)]
pub struct ErasedAnswer {
    /// As the request names it.
    entity_id: String,
    /// Its records.
    records_deleted: u64,
    /// 32 bytes in hex, given this once and stored nowhere: whoever has them and the id can tell that the receipt is about
    /// that id.
    salt: String,
}

/// What an erasure would do.
#[derive(Serialize, ToSchema)]
pub struct ErasePlanAnswer {
    /// True: nothing was done.
    dry_run: bool,
    /// Live records that would go.
    records: u64,
    /// Segments that hold rows of the entities, dead ones included, or may hold some.
    segments: u64,
    /// Keys that would be destroyed.
    keys: u64,
}

impl From<ErasurePlan> for ErasePlanAnswer {
    fn from(ErasurePlan { records, segments, keys }: ErasurePlan) -> Self {
        Self { dry_run: true, records, segments, keys }
    }
}

impl fmt::Display for ErasePlanAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, segments, keys, .. } = self;
        let (records, segments) = (count(*records, "record"), count(*segments, "segment"));
        write!(f, "{records} in {segments} would go, and {}. Nothing was changed.", count(*keys, "key"))
    }
}

impl EraseAnswer {
    /// The JSON form of `erasure` of these entities, each named once, which the engine gives without the ids.
    pub fn new(entities: &[String], erasure: &Erasure) -> Self {
        let records = |entity: &String, salt: &[u8; 32]| {
            let subject = Subject::of(&Salt::from_bytes(*salt), &EntityId::new(entity).ok()?);
            erasure.erased.iter().find(|erased| erased.subject == subject).map(|erased| erased.records)
        };
        let each = entities.iter().zip(erasure.salts()).map(|(entity, salt)| ErasedAnswer {
            entity_id: entity.clone(),
            records_deleted: records(entity, salt).unwrap_or_default(),
            salt: hex(salt),
        });
        Self {
            entity_id: match entities {
                [one] => Some(one.clone()),
                _ => None,
            },
            entities: each.collect(),
            job: erasure.job,
            records_deleted: erasure.records_deleted,
            segments_purged: erasure.segments_purged,
            indexes_rebuilt: erasure.indexes_rebuilt,
            indexes_repaired: erasure.indexes_repaired,
            segments_quarantined: erasure.segments_quarantined,
            hidden_at: rfc3339(erasure.hidden_at),
            shredded_at: erasure.shredded_at.map(rfc3339),
            pending: erasure.pending.clone(),
            purged_at: erasure.purged_at.map(rfc3339),
            rebuilt_at: erasure.rebuilt_at.map(rfc3339),
            completed_at: erasure.completed_at.map(rfc3339),
            audit_event_id: erasure.audit_event,
            receipt: erasure.receipt.as_ref().map(|receipt| hex(&receipt.encode())),
        }
    }
}

impl fmt::Display for EraseAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "records deleted   {}", self.records_deleted)?;
        writeln!(f, "segments purged   {}", self.segments_purged)?;
        writeln!(f, "indexes rebuilt   {}", self.indexes_rebuilt)?;
        if self.indexes_repaired > 0 {
            writeln!(f, "indexes repaired  {}, until they are rebuilt", self.indexes_repaired)?;
        }
        if self.segments_quarantined > 0 {
            writeln!(f, "segments damaged  {}, with rows that nothing opens any more", self.segments_quarantined)?;
        }
        writeln!(f, "hidden            {}", self.hidden_at)?;
        let when = |time: &Option<String>, otherwise: &str| time.clone().unwrap_or_else(|| otherwise.to_owned());
        if let Some(pending) = &self.pending {
            writeln!(f, "KEYS NOT DESTROYED YET: {pending}; upkeep tries again while the database is open")?;
        }
        let no_room = if self.pending.is_some() { "once the keys are destroyed" } else { "once the disk has room" };
        writeln!(f, "keys shredded     {}", when(&self.shredded_at, "pending"))?;
        writeln!(f, "bytes purged      {}", when(&self.purged_at, no_room))?;
        let waiting = if self.purged_at.is_some() { "by upkeep, while the database is open" } else { no_room };
        writeln!(f, "indexes as new    {}", when(&self.rebuilt_at, waiting))?;
        writeln!(f, "completed         {}", when(&self.completed_at, no_room))?;
        write!(f, "receipt           {}", if self.receipt.is_some() { "of erasure " } else { "to come, of erasure " })?;
        write!(f, "{}", self.job)?;
        for one in &self.entities {
            write!(f, "\nsalt, given once  {}", one.salt)?;
        }
        Ok(())
    }
}
