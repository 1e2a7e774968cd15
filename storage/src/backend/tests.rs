//! One suite for what every backend must do, run on the disk and in memory, and what only a disk can be asked.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a failed unwrap is a failed test; the disk is looked at from outside"
)]

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;

/// Runs a test on every kind of backend, each empty.
fn on_every_backend(test: impl Fn(Arc<dyn StorageBackend>)) {
    test(Arc::new(Memory::new()));
    test(Arc::new(Faulty::new()));
    let scratch = tempfile::tempdir().unwrap();
    test(Arc::new(Disk::open(&scratch.path().join("data")).unwrap()));
}

fn kind<T>(result: std::io::Result<T>) -> ErrorKind {
    result.err().unwrap().kind()
}

fn write(backend: &dyn StorageBackend, path: &str, bytes: &[u8]) {
    backend.create(path).unwrap().append(bytes).unwrap();
}

#[test]
fn files_are_created_once_and_only_grow() {
    on_every_backend(|backend| {
        let mut file = backend.create("a").unwrap();
        assert!(file.is_empty());
        file.append(b"one").unwrap();
        file.append(b"").unwrap();
        file.append(b"two").unwrap();
        file.sync().unwrap();
        assert_eq!(file.len(), 6);
        assert_eq!(backend.len("a").unwrap(), 6);
        assert_eq!(backend.read("a").unwrap(), b"onetwo");
        assert_eq!(&*backend.map("a").unwrap(), b"onetwo");
        assert_eq!(kind(backend.create("a")), ErrorKind::AlreadyExists);
        assert_eq!(kind(backend.create("none/a")), ErrorKind::NotFound);
        assert_eq!(backend.read("a").unwrap(), b"onetwo", "a refused creation must not truncate");
        assert_eq!(backend.map("a").unwrap().advise(Access::Random).ok(), Some(()));
        write(&*backend, "empty", b"");
        assert!(backend.map("empty").unwrap().is_empty());
    });
}

#[test]
fn renaming_never_replaces() {
    on_every_backend(|backend| {
        write(&*backend, "a", b"a");
        write(&*backend, "b", b"b");
        backend.create_dir("dir").unwrap();
        assert_eq!(kind(backend.rename("a", "b")), ErrorKind::AlreadyExists);
        assert_eq!(kind(backend.rename("a", "dir")), ErrorKind::AlreadyExists);
        assert_eq!(kind(backend.rename("a", "none/a")), ErrorKind::NotFound);
        assert_eq!(kind(backend.rename("none", "c")), ErrorKind::NotFound);
        assert_eq!(kind(backend.rename("dir", "c")), ErrorKind::IsADirectory);
        assert_eq!((backend.read("a").unwrap(), backend.read("b").unwrap()), (b"a".to_vec(), b"b".to_vec()));
        backend.rename("a", "dir/a").unwrap();
        assert_eq!(backend.read("dir/a").unwrap(), b"a");
        assert_eq!(kind(backend.read("a")), ErrorKind::NotFound);
    });
}

#[test]
fn directories_nest_and_leave_only_when_empty() {
    on_every_backend(|backend| {
        backend.create_dir("x/y/z").unwrap();
        backend.create_dir("x/y/z").unwrap();
        backend.create_dir("").unwrap();
        write(&*backend, "x/y/f", b"");
        write(&*backend, "x/y-f", b"");
        assert_eq!(backend.list("").unwrap(), ["x"]);
        assert_eq!(backend.list("x").unwrap(), ["y", "y-f"]);
        assert_eq!(backend.list("x/y").unwrap(), ["f", "z"]);
        assert!(backend.list("x/none").unwrap().is_empty());
        assert_eq!(kind(backend.list("x/y/f")), ErrorKind::NotADirectory);
        assert_eq!(kind(backend.create_dir("x/y/f")), ErrorKind::NotADirectory);
        assert_eq!(kind(backend.create_dir("x/y/f/g")), ErrorKind::NotADirectory);
        assert_eq!(kind(backend.remove_dir("x/y")), ErrorKind::DirectoryNotEmpty);
        assert_eq!(kind(backend.remove_dir("x/y/f")), ErrorKind::NotADirectory);
        assert_eq!(kind(backend.remove_dir("none")), ErrorKind::NotFound);
        assert_eq!(kind(backend.remove("x/y")), ErrorKind::IsADirectory);
        assert_eq!(kind(backend.read("x/y")), ErrorKind::IsADirectory);
        assert_eq!(kind(backend.map("x/y")), ErrorKind::IsADirectory);
        assert_eq!(kind(backend.len("x/y")), ErrorKind::IsADirectory);
        backend.sync_dir("x/y").unwrap();
        backend.sync_dir("").unwrap();
        assert_eq!(kind(backend.sync_dir("x/none")), ErrorKind::NotFound);
        assert_eq!(kind(backend.sync_dir("x/y/f")), ErrorKind::NotADirectory);
        backend.remove_dir("x/y/z").unwrap();
        backend.remove("x/y/f").unwrap();
        backend.remove_dir("x/y").unwrap();
        assert_eq!(backend.list("x").unwrap(), ["y-f"]);
    });
}

#[test]
fn removed_files_live_on_in_handles_and_maps() {
    on_every_backend(|backend| {
        let mut file = backend.create("a").unwrap();
        file.append(b"bytes").unwrap();
        let map = backend.map("a").unwrap();
        backend.remove("a").unwrap();
        assert_eq!(&*map, b"bytes");
        file.append(b"more").unwrap();
        assert_eq!(file.len(), 9);
        assert_eq!(kind(backend.remove("a")), ErrorKind::NotFound);
        write(&*backend, "a", b"new");
        backend.wipe("a").unwrap();
        assert_eq!(kind(backend.wipe("a")), ErrorKind::NotFound);
        assert_eq!(kind(backend.len("a")), ErrorKind::NotFound);
    });
}

#[test]
fn bad_paths_are_refused_everywhere() {
    on_every_backend(|backend| {
        for bad in ["", "/a", "../a", "a/", "a\0", "a/../../b"] {
            assert_eq!(kind(backend.create(bad)), ErrorKind::InvalidInput);
            assert_eq!(kind(backend.read(bad)), ErrorKind::InvalidInput);
            assert_eq!(kind(backend.map(bad)), ErrorKind::InvalidInput);
            assert_eq!(kind(backend.len(bad)), ErrorKind::InvalidInput);
            assert_eq!(kind(backend.rename(bad, "b")), ErrorKind::InvalidInput);
            assert_eq!(kind(backend.rename("b", bad)), ErrorKind::InvalidInput);
            assert_eq!(kind(backend.remove(bad)), ErrorKind::InvalidInput);
            assert_eq!(kind(backend.remove_dir(bad)), ErrorKind::InvalidInput);
            assert_eq!(kind(backend.wipe(bad)), ErrorKind::InvalidInput);
            assert!(matches!(backend.lock(bad), Err(LockError::Io(e)) if e.kind() == ErrorKind::InvalidInput));
            if !bad.is_empty() {
                assert_eq!(kind(backend.list(bad)), ErrorKind::InvalidInput);
                assert_eq!(kind(backend.create_dir(bad)), ErrorKind::InvalidInput);
                assert_eq!(kind(backend.sync_dir(bad)), ErrorKind::InvalidInput);
            }
        }
    });
}

#[test]
fn one_holder_at_a_time_and_the_other_learns_who() {
    on_every_backend(|backend| {
        let held = backend.lock("LOCK").unwrap();
        let Err(LockError::Held { pid }) = backend.lock("LOCK") else { panic!("locked twice") };
        assert_eq!(pid, Some(std::process::id()));
        let other = backend.lock("OTHER").unwrap();
        drop(held);
        drop(backend.lock("LOCK").unwrap());
        drop(other);
        assert!(matches!(backend.lock("none/LOCK"), Err(LockError::Io(_))));
    });
}

#[test]
fn a_file_appears_whole_or_not_at_all() {
    on_every_backend(|backend| {
        let dir = Dir::root(Arc::clone(&backend)).sub("d");
        dir.make().unwrap();
        write(&*backend, "d/a.tmp", b"left by a crash");
        dir.write_new("a", b"whole").unwrap();
        assert_eq!(dir.list().unwrap(), ["a"]);
        assert_eq!(dir.read("a").unwrap(), b"whole");
        assert_eq!(kind(dir.write_new("a", b"other")), ErrorKind::AlreadyExists);
        assert_eq!(dir.read("a").unwrap(), b"whole");
        let mut staged = dir.stage("b").unwrap();
        staged.append(b"12").unwrap();
        assert_eq!((staged.len(), dir.exists("b").unwrap()), (2, false));
        drop(staged);
        assert_eq!(dir.list().unwrap(), ["a"], "what was not published is gone");
        assert!(dir.exists("a").unwrap());
        assert_eq!(dir.path("a"), "d/a");
    });
}

/// Whether a published file, and nothing of an unpublished one, is there after a power loss.
fn published_survives(backend: &watched::Watched) -> bool {
    let dir = backend.dir().sub("d");
    dir.make().unwrap();
    dir.write_new("a", b"whole").unwrap();
    let mut staged = dir.stage("b").unwrap();
    staged.append(b"half").unwrap();
    let left = backend.after_power_loss().sub("d");
    left.read("a").is_ok_and(|bytes| bytes == b"whole") && !left.exists("b").unwrap()
}

#[test]
fn what_was_published_survives_a_power_loss_unless_the_disk_lies() {
    use watched::Watched;
    assert!(published_survives(&Watched::default()));
    assert!(!published_survives(&Watched { keeps_no_contents: true, ..Watched::default() }));
    assert!(!published_survives(&Watched { keeps_no_names: true, ..Watched::default() }));
}

#[test]
fn clones_of_memory_share_their_files() {
    let memory = Memory::new();
    write(&memory.clone(), "a", b"1");
    assert_eq!(memory.read("a").unwrap(), b"1");
}

#[test]
fn only_the_owner_may_look() {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().join("new/data");
    let disk = Disk::open(&root).unwrap();
    disk.create_dir("d").unwrap();
    write(&disk, "d/f", b"x");
    let _lock = disk.lock("LOCK").unwrap();
    let mode = |path: &str| std::fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("d"), mode("d/f"), mode("LOCK")), (0o700, 0o700, 0o600, 0o600));
    assert!(Disk::open(&root.join("d/f")).is_err());
}

#[test]
fn wiping_overwrites_before_it_unlinks() {
    let scratch = tempfile::tempdir().unwrap();
    let disk = Disk::open(scratch.path()).unwrap();
    write(&disk, "anchor", b"secret");
    // A second name keeps the bytes in sight after the first is gone.
    std::fs::hard_link(scratch.path().join("anchor"), scratch.path().join("witness")).unwrap();
    disk.wipe("anchor").unwrap();
    assert_eq!(disk.list("").unwrap(), ["witness"]);
    assert_eq!(disk.read("witness").unwrap(), [0; 6]);
}

/// The process that holds the lock for the test below; alone it does nothing.
#[test]
fn child_that_holds_a_lock() {
    let Some(root) = std::env::var_os("LETHEDB_TEST_LOCK_ROOT") else { return };
    let disk = Disk::open(root.as_ref()).unwrap();
    let _lock = disk.lock("LOCK").unwrap();
    write(&disk, "held", b"");
    // The parent closes this pipe when it is done.
    std::io::read_to_string(std::io::stdin()).unwrap();
    std::process::abort();
}

#[test]
fn a_lock_names_the_other_process_and_dies_with_it() {
    let scratch = tempfile::tempdir().unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "backend::tests::child_that_holds_a_lock"])
        .env("LETHEDB_TEST_LOCK_ROOT", scratch.path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let disk = Disk::open(scratch.path()).unwrap();
    while disk.len("held").is_err() {
        assert!(child.try_wait().unwrap().is_none(), "the child ended early");
        std::thread::yield_now();
    }
    let Err(LockError::Held { pid }) = disk.lock("LOCK") else { panic!("locked twice") };
    assert_eq!(pid, Some(child.id()));
    drop(child.stdin.take());
    assert!(!child.wait().unwrap().success(), "the child must die without unlocking");
    disk.lock("LOCK").unwrap();
}

/// A step of a random history; names come from a small set so that they collide.
#[derive(Clone, Debug)]
enum Step {
    Create(usize, Vec<u8>),
    Rename(usize, usize),
    Remove(usize),
    MakeDir(usize),
    RemoveDir(usize),
}

const NAMES: [&str; 6] = ["a", "b", "d", "d/a", "d/e", "d/e/f"];

fn step() -> impl Strategy<Value = Step> {
    let name = || 0..NAMES.len();
    prop_oneof![
        (name(), prop::collection::vec(any::<u8>(), 0..4)).prop_map(|(n, bytes)| Step::Create(n, bytes)),
        (name(), name()).prop_map(|(from, to)| Step::Rename(from, to)),
        name().prop_map(Step::Remove),
        name().prop_map(Step::MakeDir),
        name().prop_map(Step::RemoveDir),
    ]
}

fn apply(backend: &dyn StorageBackend, step: &Step) -> Result<(), ErrorKind> {
    match step {
        Step::Create(name, bytes) => backend.create(NAMES[*name]).and_then(|mut file| file.append(bytes)),
        Step::Rename(from, to) => backend.rename(NAMES[*from], NAMES[*to]),
        Step::Remove(name) => backend.remove(NAMES[*name]),
        Step::MakeDir(name) => backend.create_dir(NAMES[*name]),
        Step::RemoveDir(name) => backend.remove_dir(NAMES[*name]),
    }
    .map_err(|error| error.kind())
}

fn contents(backend: &dyn StorageBackend) -> BTreeMap<&'static str, Result<Vec<u8>, ErrorKind>> {
    NAMES.iter().map(|&name| (name, backend.read(name).map_err(|error| error.kind()))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn disk_and_memory_agree_on_every_history(steps in prop::collection::vec(step(), 0..30)) {
        let scratch = tempfile::tempdir().unwrap();
        let (disk, memory) = (Disk::open(scratch.path()).unwrap(), Memory::new());
        for step in &steps {
            prop_assert_eq!(apply(&disk, step), apply(&memory, step), "{:?}", step);
        }
        prop_assert_eq!(contents(&disk), contents(&memory));
    }
}

#[test]
fn room_is_set_aside_until_the_file_goes() {
    on_every_backend(|backend| {
        match backend.set_aside("ballast", 1 << 20) {
            // Not every file system can; then nothing is left behind.
            Err(error) => assert_eq!((error.kind(), backend.list("").unwrap()), (ErrorKind::Unsupported, vec![])),
            Ok(()) => {
                assert_eq!(kind(backend.set_aside("ballast", 1)), ErrorKind::AlreadyExists);
                backend.remove("ballast").unwrap();
            }
        }
        assert_eq!(kind(backend.set_aside("none/ballast", 1)), ErrorKind::NotFound);
    });
}
