//! `lethedb verify-erasure` as somebody uses it who has to believe an erasure: on receipts, stores and backups that the real
//! program made, and on each way in which they can be wrong.
//!
//! A test target of the server's package, so that cargo builds the binary for it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "starts the real program on files that it makes")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::copied::copy;
use tests::server::Installation;

const GONE: &str = "person-who-left";
const CANARY: &str = "what-only-they-wrote";
const VECTOR: [f32; 6] = [0.125, 0.3, -0.7, 0.9, 0.11, -0.45];

/// A store whose anchors lie in two places and whose keyring is mirrored, with a backup and a copy of before, and with the
/// receipt of an erasure.
struct Place {
    dir: TempDir,
    salt: String,
    key: String,
}

const KEPT: [&str; 6] = ["--anchor-dir", "anchors", "--anchor-dir", "vault/anchors", "--keyring-mirror", "mirror"];

impl Place {
    fn erased() -> Self {
        let mut place = Self { dir: tempfile::tempdir().unwrap(), salt: String::new(), key: String::new() };
        let record = |id: u64| match id % 5 {
            0 => json!({"id": id, "entity": GONE, "vector": VECTOR, "payload": {"note": CANARY}}),
            _ => json!({"id": id, "entity": "somebody", "vector": [id, 1, 2, 3, 4, 5], "payload": {"note": "other"}}),
        };
        let lines: Vec<String> = (0..100).map(|id| record(id).to_string()).collect();
        fs::write(place.at("people.jsonl"), lines.join("\n")).unwrap();
        place.ok(&["collections", "create", "--collection", "docs", "--dimension", "6"]);
        place.ok(&["import", "people.jsonl", "--collection", "docs"]);
        place.ok(&["backup", "create", "--archive", "backups", "--unrecoverable"]);
        copy(&place.at("data"), &place.at("copy"), None);
        let erased = place.ok(&["erase", GONE, "--receipt", "receipt"]);
        assert_eq!(erased["records_deleted"], 20, "{erased}");
        place.salt = erased["entities"][0]["salt"].as_str().unwrap().to_owned();
        place.key = place.ok(&["receipt", "key"])["receipt_key"].as_str().unwrap().to_owned();
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs a command; gives the exit code, its JSON, and what it said.
    fn run(&self, words: &[&str]) -> (i32, Value, String) {
        let program = Path::new(env!("CARGO_BIN_EXE_lethedb"));
        let mut command = Installation::new(program, self.at("data"), "/dev/null".into()).unwrap().command().unwrap();
        command.current_dir(self.dir.path()).args(KEPT).args(words).args(["--output", "json"]);
        let output = command.stderr(std::process::Stdio::piped()).output().unwrap();
        let value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        (output.status.code().unwrap(), value, String::from_utf8(output.stderr).unwrap())
    }

    fn ok(&self, words: &[&str]) -> Value {
        let (code, value, said) = self.run(words);
        assert_eq!(code, 0, "{words:?}: {said} {value}");
        value
    }

    /// Checks the receipt in `file` with everything that there is, and these words more.
    fn verify(&self, file: &str, more: &[&str]) -> Told {
        let known = ["--public-key", &self.key, "--id", GONE, "--salt", &self.salt, "--canary", CANARY];
        let vector = serde_json::to_string(&VECTOR).unwrap();
        let words =
            [&["verify-erasure", file][..], &known, &["--canary", &vector, "--backup", "backups"], more].concat();
        let (code, value, said) = self.run(&words);
        Told { code, checks: value["checks"].as_array().cloned().unwrap_or_default(), said }
    }
}

/// What a check answered.
#[derive(Debug)]
struct Told {
    code: i32,
    checks: Vec<Value>,
    said: String,
}

impl Told {
    /// What the checks with this outcome asked.
    fn with(&self, outcome: &str) -> Vec<&str> {
        let with = self.checks.iter().filter(|check| check["outcome"] == outcome);
        with.map(|check| check["what"].as_str().unwrap()).collect()
    }

    /// Whether exactly these failed, and the program ended as for damaged data.
    #[track_caller]
    fn fails(&self, expected: &[&str]) {
        let mut failed = self.with("fails");
        failed.dedup();
        assert_eq!((self.code, failed), (3, expected.to_vec()), "{self:#?}");
        assert!(!self.said.contains(GONE) && !self.said.contains(CANARY), "{}", self.said);
    }

    #[track_caller]
    fn holds(&self) {
        assert_eq!((self.code, self.with("fails")), (0, vec![]), "{self:#?}");
    }
}

const SIGNED: &str = "the receipt is signed, and in the audit log";
const ABOUT: &str = "the receipt is about the person";
const KEYS: &str = "the keys are destroyed";
const ANCHORS: &str = "no anchor from before the erasure is left";
const ROWS: &str = "every row is a living person's, or its key is destroyed";
const PURGED: &str = "the live files hold no row of destroyed keys";
const TEXTS: &str = "no row that opens tells of the person";
const BYTES: &str = "no byte of any file tells of the person";

#[test]
fn an_erasure_holds_wherever_it_is_looked_at_and_what_was_not_checked_is_said() {
    let place = Place::erased();
    let told = place.verify("receipt", &["--backup", "copy"]);
    told.holds();
    let holds = told.with("holds");
    for what in [SIGNED, ABOUT, KEYS, ANCHORS, ROWS, PURGED, TEXTS, BYTES] {
        assert!(holds.contains(&what), "{what}: {told:#?}");
    }
    let detail = |what: &str, nth: usize| {
        let found = told.checks.iter().filter(|check| check["what"] == what).nth(nth).unwrap();
        found["detail"].as_str().unwrap().to_owned()
    };
    assert!(detail(ABOUT, 0).contains("20 records"));
    assert!(detail(ROWS, 0).contains("80 rows open, 0 are of destroyed keys"), "{told:#?}");
    // Of the backup, and of the plain copy: the person's rows are there and open for nobody.
    assert!(detail(ROWS, 1).contains("1 backups; 80 rows open, 20 are of destroyed keys"), "{told:#?}");
    assert_eq!(told.with("not_checked"), Vec::<&str>::new());

    // With less at hand, less is claimed.
    let (code, value, _) = place.run(&["verify-erasure", "receipt"]);
    let told = Told { code, checks: value["checks"].as_array().unwrap().clone(), said: String::new() };
    assert_eq!((code, told.with("not_checked")), (0, vec![SIGNED, ABOUT, BYTES]));
    let words = ["verify-erasure", "receipt", "--public-key", &place.key];
    let program = Path::new(env!("CARGO_BIN_EXE_lethedb"));
    let output = std::process::Command::new(program).current_dir(place.dir.path()).args(words).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("1 hold, 0 fail, 5 not checked"), "{said}");
    for expected in [KEYS, ANCHORS, ROWS, "not checked", "needs --data"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    // With nothing at hand, nothing is: a script that forgot the key does not go on.
    let output = std::process::Command::new(program).current_dir(place.dir.path()).args(&words[..2]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    // The server gives receipts as digits.
    let digits: String = fs::read(place.at("receipt")).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(place.at("digits"), digits).unwrap();
    place.ok(&["receipt", "verify", "digits", "--key", &place.key]);
    place.verify("digits", &[]).holds();
}

#[test]
fn a_receipt_that_is_forged_swapped_or_of_somewhere_else_is_told() {
    let place = Place::erased();
    let sound = fs::read(place.at("receipt")).unwrap();
    fs::write(place.at("garbage"), b"{}").unwrap();
    place.verify("garbage", &[]).fails(&["the receipt can be read"]);
    // Every byte counts: wherever one is changed it is no receipt, or not a signed one.
    for at in (0..sound.len()).step_by(sound.len() / 12) {
        let mut forged = sound.clone();
        forged[at] ^= 1;
        fs::write(place.at("forged"), forged).unwrap();
        let told = place.verify("forged", &[]);
        let failed = told.with("fails");
        assert_eq!(told.code, 3, "byte {at}: {told:#?}");
        assert!(failed.contains(&SIGNED) || failed.contains(&"the receipt can be read"), "byte {at}: {told:#?}");
    }
    // Of somebody else, who had nothing here.
    place.ok(&["erase", "a-stranger", "--receipt", "swapped"]);
    place.verify("swapped", &[]).fails(&[ABOUT]);
    // Of the same person in another store, signed by that store.
    let other = Place::erased();
    fs::copy(other.at("receipt"), place.at("foreign")).unwrap();
    place.verify("foreign", &[]).fails(&[SIGNED, ABOUT, KEYS]);
}

#[test]
fn what_is_left_of_a_person_is_told_and_where() {
    let place = Place::erased();
    let plant = |name: &str, bytes: &[u8]| {
        fs::write(place.at(name), bytes).unwrap();
        let told = place.verify("receipt", &[]);
        fs::remove_file(place.at(name)).unwrap();
        told
    };
    let vector: Vec<u8> = VECTOR.iter().flat_map(|number| number.to_le_bytes()).collect();
    for (name, bytes) in [
        ("data/env/default/notes.txt", format!("about {GONE}").into_bytes()),
        ("backups/env/default/rec/cache", format!("... {CANARY}").into_bytes()),
        ("mirror/dump", vector),
        ("vault/anchors/left", GONE.encode_utf16().flat_map(u16::to_le_bytes).collect()),
    ] {
        let told = plant(name, &bytes);
        told.fails(&[BYTES, "found"]);
        let found = told.checks.iter().find(|check| check["what"] == "found").unwrap()["detail"].as_str().unwrap();
        assert!(found.contains(Path::new(name).file_name().unwrap().to_str().unwrap()), "{found}");
    }

    // An anchor that somebody kept, wherever it lies.
    fs::create_dir_all(place.at("backups/anchors/default")).unwrap();
    let told = plant("backups/anchors/default/00000000000000000001", b"LETHANC1 and more");
    told.fails(&[ANCHORS, "an anchor that opens keyrings of before"]);

    // A segment of before beside those of now: its rows open for nobody, and were to be purged.
    let segments = |dir: &str| fs::read_dir(place.at(dir)).unwrap().map(|entry| entry.unwrap().path());
    let old = segments("copy/env/default/seg").find(|path| path.extension().is_some_and(|end| end == "rec")).unwrap();
    let back = place.at("data/env/default/seg").join(old.file_name().unwrap());
    fs::copy(&old, &back).unwrap();
    place.verify("receipt", &[]).fails(&[PURGED]);
    fs::remove_file(&back).unwrap();
    place.verify("receipt", &[]).holds();
    // The whole store as it was before: what is live there opens only with its anchor, which is gone.
    fs::rename(place.at("data"), place.at("now")).unwrap();
    copy(&place.at("copy"), &place.at("data"), None);
    let told = place.verify("receipt", &[]);
    assert!(told.with("not_checked").contains(&KEYS) || told.with("fails").contains(&KEYS), "{told:#?}");
    assert!(!told.with("holds").contains(&KEYS) && !told.with("holds").contains(&ROWS), "{told:#?}");
}
