//! A store whose anchors lie in two vaults and whose keyring has a mirror, each on a volume of its own and all on one
//! simulated disk; what must hold of it after every crash; and the crashes.
//!
//! Invariant: an image is judged by what anybody can see who opens it: the records, the anchors that are listed, the
//! files of both keyrings, and that one of these is enough.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{Builder, Database, Error, Record, RecordId};
use storage::backend::faulty::{Crash, Medium};
use storage::backend::{Faulty, StorageBackend};

use crate::part::Part;
use crate::world::over;

/// The environment that everything happens in.
pub const ENVIRONMENT: &str = "acme";
/// Where the anchors lie.
pub const VAULTS: [&str; 2] = ["vault-a", "vault-b"];
/// The keyring, and its mirror.
pub const KEYRINGS: [&str; 2] = ["data/env/acme/keyring", "mirror/acme"];

/// Record id → version.
pub type Records = BTreeMap<u64, u64>;
/// The contents of files, by path.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A builder over all parts of `disk`.
#[must_use]
pub fn builder(disk: &Arc<dyn StorageBackend>, seed: u64) -> Builder {
    over(Part::of(disk, "data", 1), seed)
        .anchor_backend(Part::of(disk, VAULTS[0], 2))
        .anchor_backend(Part::of(disk, VAULTS[1], 3))
        .keyring_mirror_backend(Part::of(disk, "mirror", 4))
}

/// A record of one of five owners.
#[must_use]
pub fn record(id: u64, version: u64) -> Record {
    let vector = vec![id as f32 + 1.0, version as f32, 0.5];
    Record::new(id, vector).entity(format!("owner-{}", id % 5)).payload(serde_json::json!({ "version": version }))
}

/// What the store holds.
///
/// # Errors
/// Those of reading.
pub fn records(db: &Database) -> Result<Records, Error> {
    let docs = db.open_environment(ENVIRONMENT)?.open_collection("docs")?;
    let page = docs.scroll().limit(1000).run()?;
    let version = |record: &Record| record.payload_json().and_then(|payload| payload["version"].as_u64());
    let known = |record: &Record| match record.id() {
        RecordId::Num(id) => Some((id, version(record)?)),
        RecordId::Uuid(_) => None,
    };
    Ok(page.records.iter().filter_map(known).collect())
}

/// A store with a segment, a log and an erasure behind it, everything durable.
///
/// # Errors
/// Those of the engine.
pub fn furnished(seed: u64) -> Result<Medium, Error> {
    let disk = Faulty::new();
    let whole: Arc<dyn StorageBackend> = Arc::new(disk.clone());
    let db = builder(&whole, seed).open()?;
    let env = db.environment(ENVIRONMENT)?;
    let docs = env.collection("docs").dimension(3).open_or_create()?;
    docs.upsert((0..20).map(|id| record(id, 1)))?;
    env.flush()?;
    env.erase("owner-4").run()?;
    docs.upsert((15..24).map(|id| record(id, 2)))?;
    drop((docs, env));
    db.close()?;
    Ok(disk.medium().crashed(Crash::KeepAll))
}

/// The files below `prefix`, with paths from there.
#[must_use]
pub fn files(medium: &Medium, prefix: &str) -> Files {
    let below = |path: &str| path.strip_prefix(prefix)?.strip_prefix('/').map(str::to_owned);
    let paths: Vec<String> = medium.paths().filter_map(below).collect();
    let read = |path: String| Some((path.clone(), medium.read(&format!("{prefix}/{path}")).ok()?));
    paths.into_iter().filter_map(read).collect()
}

/// The disk without the files below `prefix`.
///
/// # Errors
/// Those of the disk.
pub fn without(medium: &Medium, prefix: &str) -> std::io::Result<Medium> {
    let disk = Faulty::on(medium.clone());
    for path in files(medium, prefix).into_keys() {
        disk.remove(&format!("{prefix}/{path}"))?;
    }
    Ok(disk.medium().crashed(Crash::KeepAll))
}

/// Opens the store on `medium`, by `change` to its builder, and holds everything that can be seen against what was
/// promised: one of `allowed`.
///
/// # Errors
/// Says what is wrong.
pub fn judge(
    medium: &Medium,
    seed: u64,
    change: impl Fn(Builder) -> Builder,
    allowed: &[&Records],
) -> Result<Medium, String> {
    let disk = Faulty::on(medium.clone());
    let whole: Arc<dyn StorageBackend> = Arc::new(disk.clone());
    let failed = |error: Error| format!("it does not open: {error:?}");
    let db = change(builder(&whole, seed)).open().map_err(failed)?;
    let found = records(&db).map_err(failed)?;
    if !allowed.contains(&&found) {
        return Err(format!("{} records are there, and none of the promised states", found.len()));
    }
    let problems = db.open_environment(ENVIRONMENT).and_then(|env| env.verify()).map_err(failed)?.problems;
    if !problems.is_empty() {
        return Err(format!("verify finds {problems:?}"));
    }
    drop(db);
    let after = disk.medium();
    // Beside the anchor lies the newest checkpoint of the audit log, which a new vault is given with the next one.
    let anchors = |vault| {
        let mut files = files(&after, &format!("{vault}/{ENVIRONMENT}"));
        files.retain(|name, _| !name.starts_with("checkpoint-"));
        files
    };
    let listed = VAULTS.map(anchors);
    if listed[0].len() != 1 || listed[0] != listed[1] {
        return Err(format!("the vaults list {:?}", listed.map(|files| files.into_keys().collect::<Vec<_>>())));
    }
    let [keyring, mirror] = KEYRINGS.map(|dir| files(&after, dir));
    if keyring != mirror {
        return Err("the mirror is not the keyring".into());
    }
    Ok(after)
}

/// The ways in which a moment is crashed.
#[must_use]
pub fn crashes(medium: &Medium) -> Vec<Crash> {
    if medium.pending() == 0 {
        return vec![Crash::Process];
    }
    let some = [Crash::Process, Crash::DropAll, Crash::KeepAll];
    some.into_iter().chain((0..6).map(Crash::Subset)).chain((0..3).map(Crash::Torn)).collect()
}

/// Does `act` on the furnished store, then judges every crash at every change that it made; returns how many images.
///
/// # Errors
/// What `act` or the judge said, and where.
pub fn crash_everywhere(
    wrap: impl FnOnce(Faulty) -> Arc<dyn StorageBackend>,
    act: impl FnOnce(&Arc<dyn StorageBackend>) -> Result<(), Error>,
    judge: impl Fn(&Medium, u64) -> Result<(), String>,
) -> Result<usize, String> {
    let medium = furnished(1).map_err(|error| format!("furnishing: {error:?}"))?;
    let disk = Faulty::on(medium).recording();
    act(&wrap(disk.clone())).map_err(|error| format!("acting: {error:?}"))?;
    let (mut seen, mut seed) = (std::collections::HashSet::new(), 100);
    for (moment, (operation, medium)) in disk.history().iter().enumerate() {
        for crash in crashes(medium) {
            let image = medium.crashed(crash);
            if seen.insert(image.fingerprint()) {
                seed += 10;
                judge(&image, seed)
                    .map_err(|what| format!("{what} (moment {moment}, operation {operation}, {crash:?})"))?;
            }
        }
    }
    Ok(seen.len())
}
