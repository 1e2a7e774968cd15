//! What an environment has written down about people and not of them: its audit log, the receipts of its erasures and how
//! far those came, opened by whoever has the audit key. Invariant: nothing here is one of the keys or blinds of a person, so
//! what it gives away is what an erasure leaves.
//!
//! Apart from [`crate::time_travel`], which has the history and the keys.

use std::collections::BTreeSet;

use privacy::audit::Pseudonym;
use privacy::{Blind, Scope, SectionContext, SectionKey, SectionKind, Tag, open_section};
use storage::frame_log::{LogKind, read_frames};

/// The plaintext of a file at `path` inside an environment; nothing if it is none of these, or does not open.
#[must_use]
pub fn told(path: &str, bytes: &[u8], audit_key: &SectionKey, scope: Scope) -> Vec<Vec<u8>> {
    if let Some(name) = path.strip_prefix("audit/events-") {
        return events(name, bytes, audit_key, scope).unwrap_or_default();
    }
    let Some((kind, file, place)) = whole(path) else { return Vec::new() };
    let context = SectionContext { scope, kind, file, place };
    open_section(audit_key, &context, bytes).ok().map(|plain| plain.to_vec()).into_iter().collect()
}

/// Files that are one section.
fn whole(path: &str) -> Option<(SectionKind, u64, u64)> {
    if let Some(size) = path.strip_prefix("audit/mark-") {
        return Some((SectionKind::AuditWatermark, size.parse().ok()?, 0));
    }
    if let Some(name) = path.strip_prefix("receipts/") {
        let (number, version) = name.strip_suffix(".receipt")?.split_once('.')?;
        return Some((SectionKind::Receipt, number.parse().ok()?, version.parse().ok()?));
    }
    let (number, _) = path.strip_prefix("jobs/")?.strip_suffix(".progress")?.split_once('.')?;
    Some((SectionKind::Job, number.parse().ok()?, PROGRESS))
}

/// The place of a job's progress, beside that of its ids.
const PROGRESS: u64 = 1;

/// Every event in a file of a block, one by one.
fn events(name: &str, bytes: &[u8], audit_key: &SectionKey, scope: Scope) -> Option<Vec<Vec<u8>>> {
    let (block, generation) = name.strip_suffix(".log")?.split_once('-')?;
    let file = (block.parse::<u64>().ok()? << 27) | generation.parse::<u64>().ok()?;
    let mut events = Vec::new();
    for (place, range) in (0..).zip(read_frames(bytes, LogKind::Audit, file).ok()?.payloads) {
        let context = SectionContext { scope, kind: SectionKind::AuditFrame, file, place };
        let plain = open_section(audit_key, &context, bytes.get(range)?).ok()?;
        let mut rest = &plain[..];
        while let Some((length, after)) = rest.split_first_chunk() {
            let (event, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            events.push(event.to_vec());
            rest = after;
        }
    }
    Some(events)
}

/// Every pseudonym that the person with this tag would have if one of these 32 bytes were the blind.
#[must_use]
pub fn pseudonyms<'a>(tag: &Tag, scope: Scope, blinds: impl IntoIterator<Item = &'a [u8; 32]>) -> BTreeSet<[u8; 32]> {
    let of = |blind: &[u8; 32]| *Pseudonym::of(&Blind::from_bytes(*blind), scope, tag).as_bytes();
    blinds.into_iter().map(of).collect()
}
