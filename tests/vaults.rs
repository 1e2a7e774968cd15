//! Anchors in two vaults and a mirrored keyring: every crash of what changes keys leaves both usable and nothing of what
//! was destroyed, and the loss of either keyring costs nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "looks at directories from outside")]

use std::sync::Arc;

use engine::{AnchorGrade, Builder, Error, ErrorKind, Filter};
use lethedb_tests::case::tell;
use lethedb_tests::lies::{Lie, Lying};
use lethedb_tests::part::Part;
use lethedb_tests::vaults::{
    ENVIRONMENT, KEYRINGS, Records, VAULTS, builder, crash_everywhere, files, furnished, judge, record, records,
    without,
};
use lethedb_tests::world::{on_disk, over};
use storage::backend::faulty::Medium;
use storage::backend::{Faulty, StorageBackend};

type Whole = Arc<dyn StorageBackend>;

fn honest(disk: Faulty) -> Whole {
    Arc::new(disk)
}

fn lying(lie: Lie) -> impl FnOnce(Faulty) -> Whole {
    move |disk| Arc::new(Lying::new(disk, lie))
}

fn held(medium: &Medium) -> Records {
    let whole: Whole = Arc::new(Faulty::on(medium.clone()));
    records(&builder(&whole, 7).open().unwrap()).unwrap()
}

fn same(builder: Builder) -> Builder {
    builder
}

/// Erases an owner, under crashes; with the keyring, and with its mirror alone.
fn erase(wrap: impl FnOnce(Faulty) -> Whole) -> Result<usize, String> {
    let before = held(&furnished(1).unwrap());
    let after: Records = before.iter().filter(|(id, _)| *id % 5 != 2).map(|(id, version)| (*id, *version)).collect();
    assert!(before.len() > after.len());
    let act = |whole: &Whole| {
        let db = builder(whole, 2).open()?;
        db.open_environment(ENVIRONMENT)?.erase("owner-2").run().map(drop)
    };
    crash_everywhere(wrap, act, |image, seed| {
        judge(image, seed, same, &[&before, &after])?;
        let lost = without(image, KEYRINGS[0]).map_err(|error| error.to_string())?;
        judge(&lost, seed + 1, same, &[&before, &after]).map(drop).map_err(|what| format!("from the mirror: {what}"))
    })
}

/// Stores records of new owners, whose keys are new, under crashes.
fn extend(wrap: impl FnOnce(Faulty) -> Whole) -> Result<usize, String> {
    let before = held(&furnished(1).unwrap());
    let new = || (100..110).map(|id| record(id, 3).entity(format!("new-{id}")));
    let mut after = before.clone();
    after.extend((100..110).map(|id| (id, 3)));
    let act = |whole: &Whole| {
        let db = builder(whole, 2).open()?;
        let env = db.open_environment(ENVIRONMENT)?;
        env.open_collection("docs")?.upsert(new())?;
        env.flush()
    };
    crash_everywhere(wrap, act, |image, seed| {
        judge(image, seed, same, &[&before, &after])?;
        let lost = without(image, KEYRINGS[0]).map_err(|error| error.to_string())?;
        judge(&lost, seed + 1, same, &[&before, &after]).map(drop).map_err(|what| format!("from the mirror: {what}"))
    })
}

#[test]
fn an_erasure_survives_every_crash_in_every_home() {
    tell(&format!("{} images of an erasure", erase(honest).unwrap()));
}

#[test]
fn new_keys_survive_every_crash_in_every_home() {
    tell(&format!("{} images of an extension", extend(honest).unwrap()));
}

/// What the suite above says of disks that lie about a vault or the mirror.
#[test]
fn lies_about_vaults_and_mirrors_are_noticed() {
    for lie in [Lie::SkipsSync("mirror/acme/root-"), Lie::SkipsSync("mirror/acme/buckets-"), Lie::SkipsSync("vault-b/")]
    {
        erase(lying(lie)).expect_err(&format!("{lie:?} of an erasure"));
    }
    extend(lying(Lie::SkipsSync("mirror/acme/new-"))).expect_err("an unsynced mirror of new keys");
}

fn refused(medium: &Medium, change: impl FnOnce(Builder) -> Builder) -> Error {
    let whole: Whole = Arc::new(Faulty::on(medium.clone()));
    let opened = change(builder(&whole, 9)).open().and_then(|db| db.open_environment(ENVIRONMENT).map(drop));
    opened.expect_err("it must not open")
}

/// The keyring directory and the mirror as they were, put back beside the anchors of today.
#[test]
fn an_older_mirror_or_keyring_never_rolls_back() {
    let old = furnished(1).unwrap();
    let disk = Faulty::on(old.clone());
    let whole: Whole = Arc::new(disk.clone());
    let db = builder(&whole, 2).open().unwrap();
    db.open_environment(ENVIRONMENT).unwrap().erase("owner-2").run().unwrap();
    let after = records(&db).unwrap();
    db.close().unwrap();
    let put_back = |stale: &[&str]| {
        let disk = Faulty::on(disk.medium());
        for dir in stale {
            for path in files(&disk.medium(), dir).into_keys() {
                disk.remove(&format!("{dir}/{path}")).unwrap();
            }
            for (path, bytes) in files(&old, dir) {
                disk.create(&format!("{dir}/{path}")).unwrap().append(&bytes).unwrap();
            }
        }
        disk.medium()
    };
    for stale in [&KEYRINGS[..1], &KEYRINGS[1..]] {
        judge(&put_back(stale), 3, same, &[&after]).unwrap();
    }
    let error = refused(&put_back(&KEYRINGS), same);
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error}");
}

#[test]
fn a_damaged_keyring_is_taken_from_its_mirror_and_a_damaged_mirror_is_told() {
    let medium = furnished(1).unwrap();
    let before = held(&medium);
    for (dir, what) in
        [(KEYRINGS[0], "root-"), (KEYRINGS[0], "buckets-"), (KEYRINGS[0], "new-"), (KEYRINGS[1], "root-")]
    {
        let name = files(&medium, dir).into_keys().rfind(|name| name.starts_with(what)).unwrap();
        let disk = Faulty::on(medium.clone());
        let mut bytes = disk.read(&format!("{dir}/{name}")).unwrap();
        bytes[60] ^= 1;
        disk.remove(&format!("{dir}/{name}")).unwrap();
        disk.create(&format!("{dir}/{name}")).unwrap().append(&bytes).unwrap();
        judge(&disk.medium(), 3, same, &[&before]).unwrap_or_else(|error| panic!("{dir}/{name}: {error}"));
    }
}

/// A mirror without room: what needs new keys is refused, and nothing is half there once there is room again.
#[test]
fn a_full_mirror_refuses_new_keys_and_loses_none() {
    let (data, mirror) = (Faulty::new(), Faulty::new());
    let open = || over(Arc::new(data.clone()), 3).keyring_mirror_backend(Arc::new(mirror.clone())).open().unwrap();
    let db = open();
    let env = db.environment(ENVIRONMENT).unwrap();
    let docs = env.collection("docs").dimension(3).open_or_create().unwrap();
    docs.upsert((0..5).map(|id| record(id, 1))).unwrap();
    let used = mirror.medium().bytes();
    for room in [0, 60, 200] {
        mirror.set_capacity(Some(used + room));
        docs.upsert((10..15).map(|id| record(id, 2).entity(format!("new-{id}")))).unwrap();
        // The keys of owners are made when their rows are sealed.
        assert_eq!(env.flush().unwrap_err().kind(), ErrorKind::Full, "{room}");
    }
    mirror.set_capacity(None);
    env.flush().unwrap();
    assert_eq!(env.verify().unwrap().problems, []);
    let both = || (files(&data.medium(), "env/acme/keyring"), files(&mirror.medium(), "acme"));
    assert_eq!(both().0, both().1);
    let held = records(&db).unwrap();
    drop((docs, env));
    db.close().unwrap();
    for name in files(&data.medium(), "env/acme/keyring").into_keys() {
        data.remove(&format!("env/acme/keyring/{name}")).unwrap();
    }
    assert_eq!(records(&open()).unwrap(), held);
    assert_eq!(both().0, both().1);
}

#[test]
fn homes_are_of_one_database_and_one_process() {
    let medium = furnished(1).unwrap();
    let whole: Whole = Arc::new(Faulty::on(medium));
    let stranger = over(Part::of(&whole, "other", 1), 3).anchor_backend(Part::of(&whole, VAULTS[0], 2)).open();
    let error = stranger.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    let db = builder(&whole, 4).open().unwrap();
    let homes = db.key_homes().clone();
    assert!(homes.has_anchors_off_volume() && homes.has_mirror_off_volume());
    assert_eq!(db.open_environment(ENVIRONMENT).unwrap().anchor_grade(), AnchorGrade::OtherVolume);
    let again = over(Part::of(&whole, "other", 1), 3).anchor_backend(Part::of(&whole, VAULTS[0], 2)).open();
    assert_eq!(again.err().unwrap().kind(), ErrorKind::Busy);
}

#[test]
fn anchors_move_out_of_the_data_directory_and_directories_on_its_volume_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let (data, vault, mirror) = (dir.path().join("data"), dir.path().join("vault"), dir.path().join("mirror"));
    let db = on_disk(&data).open().unwrap();
    let env = db.environment("acme").unwrap();
    env.collection("docs").dimension(3).open_or_create().unwrap().upsert((0..9).map(|id| record(id, 1))).unwrap();
    drop(env);
    db.close().unwrap();
    // Checkpoints of the audit log lie beside anchors.
    let is_anchor = |entry: &std::io::Result<std::fs::DirEntry>| {
        !entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("checkpoint-")
    };
    let listed = |dir: &std::path::Path| std::fs::read_dir(dir.join("acme")).unwrap().filter(is_anchor).count();
    assert_eq!(listed(&data.join("anchors")), 1);
    let db = on_disk(&data).anchor_dir(&vault).keyring_mirror(&mirror).open().unwrap();
    let env = db.open_environment("acme").unwrap();
    assert_eq!((listed(&data.join("anchors")), listed(&vault)), (0, 1));
    assert_eq!(env.anchor_grade(), AnchorGrade::SameVolume);
    assert!(!db.key_homes().has_anchors_off_volume() && !db.key_homes().has_mirror_off_volume());
    drop(env);
    db.close().unwrap();
    std::fs::remove_dir_all(data.join("env/acme/keyring")).unwrap();
    let db = on_disk(&data).anchor_dir(&vault).keyring_mirror(&mirror).open().unwrap();
    let docs = db.open_environment("acme").unwrap().open_collection("docs").unwrap();
    assert_eq!(docs.count().filter(Filter::entity("owner-1")).run().unwrap().count, 2);
}
