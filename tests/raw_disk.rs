//! The disk under the files: a whole ext4 image read byte by byte after an erasure, with what no directory lists any more.
//!
//! Nothing of the person is there in the clear, since it never was; freed blocks hold ciphertext still. The anchors, whose
//! absence is what makes that ciphertext worthless, are plain bytes, and they are absent: each is overwritten where it
//! lies and synced before its name goes. That works where a file system writes in place, as ext4 and XFS do. It cannot be
//! promised where overwriting goes elsewhere: on btrfs, ZFS and bcachefs, with `inline_data` or `data=journal`, where the
//! journal keeps a copy for a while, below a snapshot, and in the spare blocks of flash. There the anchors belong on a
//! volume of their own that is discarded, or in a store that is not a disk.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "looks into files and at a raw disk")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use engine::{Archive, Environment, Record, Step};
use lethedb_tests::case::tell;
use lethedb_tests::mount::{Image, scratch};
use lethedb_tests::needles::Needles;
use lethedb_tests::world::on_disk;
use serde_json::json;

const GONE: &str = "person-who-left";
const STAYS: &str = "person-who-stays";
/// Ids that occur nowhere by chance.
const GONE_IDS: u64 = 0xDEAD_BEEF_0000_0000;
const IMAGE_BYTES: u64 = 64 << 20;

fn vector(id: u64) -> Vec<f32> {
    (0..8).map(|i| ((id % 89 * 31 + i * 17) % 101) as f32 / 7.0 - 5.05).collect()
}

fn of(first: u64, count: u64, owner: &'static str) -> impl Iterator<Item = Record> {
    let note = move |id: u64| json!({ "note": format!("canary-of-{owner}-{id:x}") });
    (first..first + count).map(move |id| Record::new(id, vector(id)).entity(owner).payload(note(id)))
}

/// Everything that must be nowhere: the person, the payloads, vectors and ids, and these anchors.
fn needles(destroyed: &BTreeSet<Vec<u8>>) -> Needles {
    let mut needles = Needles::default();
    needles.text(GONE);
    needles.text(&format!("canary-of-{GONE}"));
    for id in (GONE_IDS..GONE_IDS + 60).step_by(7) {
        needles.vector("a vector", &vector(id));
    }
    for id in [GONE_IDS, GONE_IDS + 33, GONE_IDS + 51] {
        needles.encoded("an id", &id.to_le_bytes());
        needles.encoded("an id", &id.to_be_bytes());
        needles.text(&id.to_string());
    }
    for anchor in destroyed {
        needles.encoded("a destroyed anchor", anchor);
    }
    needles
}

/// The secret bytes of every anchor below these directories.
fn anchors(below: &[&Path]) -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::new();
    for dir in below.iter().filter(|dir| dir.is_dir()) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let is_anchor = path.file_name().unwrap().to_string_lossy().parse::<u64>().is_ok();
            if path.is_dir() {
                found.extend(anchors(&[&path]));
            } else if is_anchor {
                found.insert(fs::read(&path).unwrap()[8..40].to_vec());
            }
        }
    }
    found
}

/// A life with a backup, and an erasure that is purged and rebuilt; gives the anchors that were destroyed in it.
fn life(disk: &Path) -> BTreeSet<Vec<u8>> {
    let [first, second] = ["anchors", "more-anchors"].map(|name| disk.join(name));
    let db = on_disk(&disk.join("data")).anchor_dir(&first).anchor_dir(&second);
    let db = db.keyring_mirror(disk.join("mirror")).open().unwrap();
    let env = db.environment("acme").unwrap();
    let mut seen = BTreeSet::new();
    let mut look = || seen.extend(anchors(&[&first, &second]));
    let docs = env.collection("docs").dimension(8).open_or_create().unwrap();
    docs.upsert(of(GONE_IDS, 30, GONE).chain(of(1, 30, STAYS))).unwrap();
    env.flush().unwrap();
    look();
    env.backup(&Archive::create(disk.join("backups")).unwrap()).unrecoverable(true).run().unwrap();
    docs.upsert(of(GONE_IDS + 30, 30, GONE).chain(of(31, 30, STAYS))).unwrap();
    env.rotate_kek().unwrap();
    look();
    let erasure = env.erase(GONE).reason("request 882").run().unwrap();
    assert!(erasure.records_deleted == 60 && erasure.purged_at.is_some());
    look();
    rest(&env);
    look();
    db.close().unwrap();
    let live = anchors(&[&first, &second]);
    assert_eq!((live.len(), seen.len()), (1, 3), "one is there, those before the rotation and the erasure are not");
    seen.retain(|anchor| !live.contains(anchor));
    seen
}

fn rest(env: &Environment) {
    while env.step().unwrap() != Step::Idle {}
    assert_eq!(env.verify().unwrap().problems, vec![]);
}

/// What must not be in the image: an error if this machine mounts none.
fn on_an_image(work: impl FnOnce(&Path) -> Needles) -> Result<(Needles, Vec<(String, u64)>), String> {
    let scratch = scratch().map_err(|error| error.to_string())?;
    let file = scratch.path().join("disk.img");
    let image = Image::make(file.clone(), IMAGE_BYTES).map_err(|fault| fault.to_string())?;
    let mount = image.mount(scratch.path().join("disk"), "nodiscard").map_err(|fault| fault.to_string())?;
    // It is unmounted with its handle if this panics.
    let needles = work(mount.point());
    mount.unmount().unwrap();
    let found = needles.find_below(&file).unwrap();
    Ok((needles, found))
}

#[test]
fn no_byte_of_the_disk_tells_of_who_was_erased() {
    let on_files = |disk: &Path| {
        let destroyed = life(disk);
        let needles = needles(&destroyed);
        assert_eq!((destroyed.len(), needles.find_below(disk).unwrap()), (2, vec![]));
        needles
    };
    match on_an_image(on_files) {
        Ok((needles, found)) => {
            assert_eq!(found, vec![], "in the raw bytes of the disk");
            tell(&format!("raw disk: none of {} strings in {IMAGE_BYTES} bytes of ext4", needles.len()));
        }
        Err(why) => {
            tell(&format!("RAW DISK NOT CHECKED, only its files: this machine mounts no image: {why}"));
            on_files(tempfile::tempdir().unwrap().path());
        }
    }
}

/// The same scan finds a person in the clear, and an anchor that was only unlinked: or it would prove nothing.
#[test]
fn what_was_unlinked_and_not_overwritten_is_found() {
    let anchor = BTreeSet::from([(0..32).map(|byte| byte * 7 + 1).collect::<Vec<u8>>()]);
    let leave = |disk: &Path| {
        for (name, bytes) in [("anchor", anchor.first().unwrap().as_slice()), ("person", GONE.as_bytes())] {
            let path = disk.join(name);
            fs::write(&path, bytes).unwrap();
            fs::File::open(&path).unwrap().sync_all().unwrap();
            assert!(!needles(&anchor).find_below(disk).unwrap().is_empty(), "{name}");
            fs::remove_file(&path).unwrap();
        }
        assert_eq!(needles(&anchor).find_below(disk).unwrap(), vec![], "no file has it any more");
        needles(&anchor)
    };
    match on_an_image(leave) {
        Ok((_, found)) => {
            let finds = |what: &str| found.iter().any(|(name, _)| name.starts_with(what));
            assert!(finds("a destroyed anchor") && finds(GONE), "{found:?}");
        }
        Err(why) => tell(&format!("RAW DISK NOT CHECKED: this machine mounts no image: {why}")),
    }
}
