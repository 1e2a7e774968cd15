//! Import and export as a user starts them: what goes out comes in, bad rows are told and nothing else is lost, and an
//! import that was interrupted goes on.
//!
//! A test target of the server's package, so that cargo builds the binary for it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "starts the real program on files that it makes")]

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::panic;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use datasets::parquet::{Columns, Rows, is_contained};
use engine::{Collection, Database, Metric, Record, RecordId, RootKey};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::server::Installation;
use uuid::Uuid;

const DIMENSION: usize = 5;

/// A data directory, and files beside it.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.file(name), bytes).unwrap();
        self.file(name)
    }

    fn command(&self, args: &[&str]) -> std::process::Command {
        let data = self.file("data");
        let program = Path::new(env!("CARGO_BIN_EXE_lethedb"));
        let mut command = Installation::new(program, data, "/dev/null".into()).unwrap().command().unwrap();
        command.current_dir(self.dir.path()).args(args).stderr(Stdio::piped());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a command that must end with `code`; gives its JSON, or what it said to people.
    fn run_to(&self, code: i32, args: &[&str]) -> (Value, String) {
        let output = self.run(&[args, &["--output", "json"]].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        let answer = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said} {answer}");
        (serde_json::from_slice(&output.stdout).unwrap_or(Value::Null), said)
    }

    fn import(&self, code: i32, args: &[&str]) -> (Value, String) {
        self.run_to(code, &[&["import"], args].concat())
    }

    /// Every record of a collection, by the engine itself.
    fn records(&self, collection: &str) -> Vec<Record> {
        with(&self.file("data"), |database| {
            let env = database.environment("default").unwrap();
            let collection = env.open_collection(collection).unwrap();
            let page = collection.scroll().limit(10_000).with_vector(true).run().unwrap();
            assert!(page.next.is_none());
            page.records
        })
    }

    /// The lines of a list of rejects.
    fn rejects(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.file(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn with<T>(data: &Path, run: impl FnOnce(&Database) -> T) -> T {
    let database = Database::builder(data).root_key(RootKey::bytes([7; 32])).open().unwrap();
    let result = run(&database);
    database.close().unwrap();
    result
}

fn make(database: &Database, name: &str) -> Collection {
    let env = database.environment("default").unwrap();
    env.collection(name).dimension(DIMENSION).metric(Metric::L2).open_or_create().unwrap()
}

type Parts<'a> = (RecordId, Vec<u32>, Option<&'a str>, Option<&'a Value>);

/// What records hold, with the vector by its bits.
fn parts(records: &[Record]) -> Vec<Parts<'_>> {
    let bits = |record: &Record| record.vector().iter().map(|value| value.to_bits()).collect();
    records.iter().map(|record| (record.id(), bits(record), record.entity_id(), record.payload_json())).collect()
}

fn example(count: u64) -> Vec<Record> {
    let mut rng = StdRng::seed_from_u64(5);
    let record = |at: u64| {
        let vector: Vec<f32> =
            (0..DIMENSION).map(|_| rng.random_range(-1.0..1.0) * 10_f32.powi(at as i32 % 30 - 15)).collect();
        let record = match at % 4 {
            0 => Record::new(Uuid::from_u128(rng.random()), vector),
            1 => Record::new(u64::MAX - at, vector),
            _ => Record::new(at, vector),
        };
        let record = if at.is_multiple_of(3) { record } else { record.entity(format!("zoë-{}", at % 17)) };
        match at % 5 {
            0 => record,
            1 => record.payload(json!({"n": at, "x": rng.random::<f64>() * 1e-9, "big": u64::MAX, "low": i64::MIN})),
            2 => record.payload(json!([null, true, "é\n\u{0}", {"a.b": {"": []}}])),
            3 => record.payload(Value::Null),
            _ => record.payload(json!(0.1 + 0.2)),
        }
    };
    (0..count).map(record).collect()
}

fn line(id: impl Into<Value>, value: f32) -> String {
    format!("{}\n", json!({"id": id.into(), "vector": vec![value; DIMENSION], "payload": {"n": 1}}))
}

#[test]
fn what_goes_out_in_any_format_comes_in_equal() {
    let place = Place::new();
    with(&place.file("data"), |database| make(database, "from").upsert(example(700)).unwrap());
    let expected = place.records("from");
    assert_eq!(expected.len(), 700);
    for name in ["out.jsonl", "out.parquet", "out.npy", "vectors.fbin"] {
        let (told, said) = place.run_to(0, &["export", name, "--collection", "from", "--force"]);
        assert_eq!(told["exported"], 700, "{name}");
        assert!(said.contains("in the clear"), "{said}");
        let beside = Path::new(name).with_extension("jsonl");
        let to = name.replace('.', "-");
        let mut args = vec![name, "--collection", &to, "--metric", "l2"];
        if name.ends_with("npy") || name.ends_with("fbin") {
            args.extend(["--payloads", beside.to_str().unwrap()]);
        }
        let (told, _) = place.import(0, &args);
        assert_eq!((&told["imported"], &told["rejected"]), (&json!(700), &json!(0)), "{name}");
        assert_eq!(parts(&place.records(&to)), parts(&expected), "{name}");
        let (told, _) = place.import(0, &args);
        assert_eq!((&told["imported"], &told["unchanged"]), (&json!(0), &json!(700)), "{name} again");
        let mode = fs::metadata(place.file(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(!fs::read_dir(place.dir.path()).unwrap().any(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.contains("rejects") || name.starts_with('.')
    }));
}

#[test]
fn an_export_can_be_of_some_go_to_a_pipe_and_replaces_nothing() {
    let place = Place::new();
    with(&place.file("data"), |database| make(database, "from").upsert(example(100)).unwrap());
    let of_one = place.records("from").iter().filter(|record| record.entity_id() == Some("zoë-4")).count();
    assert!(of_one > 1);
    let filter = "{\"entity\": \"zoë-4\"}";
    place.write("filter.json", filter);
    let of_file = format!("@{}", place.file("filter.json").display());
    for (flag, value) in [("--entity", "zoë-4"), ("--filter", filter), ("--filter", &of_file)] {
        let output = place.run(&["export", "-", "--collection", "from", flag, value]);
        assert!(output.status.success());
        let lines = String::from_utf8(output.stdout).unwrap();
        assert_eq!(lines.lines().count(), of_one);
        assert!(lines.lines().all(|line| serde_json::from_str::<Value>(line).unwrap()["entity"] == "zoë-4"));
    }
    place.write("out.parquet", "theirs");
    let (_, said) = place.run_to(2, &["export", "out.parquet", "--collection", "from"]);
    assert!(said.contains("--force"), "{said}");
    assert_eq!(fs::read(place.file("out.parquet")).unwrap(), b"theirs");
    place.run_to(2, &["export", "out.csv", "--collection", "from"]);
    for name in ["out.jsonl", "OUT.JSONL"] {
        let (_, said) = place.run_to(2, &["export", name, "--format", "npy", "--collection", "from"]);
        assert!(said.contains(".jsonl") && !place.file(name).exists(), "{said}");
    }
    let (_, said) = place.run_to(2, &["export", "-", "--collection", "from", "--filter", "{\"s3cr3t\": 1}"]);
    assert!(said.contains("--filter") && !said.contains("s3cr3t"), "{said}");
}

#[test]
fn a_bad_line_is_told_by_number_and_nothing_else_is_lost() {
    let place = Place::new();
    let huge = format!("{{\"id\": 9, \"entity\": \"{}\"", "s3cr3t".repeat(3_000_000));
    let long_name = format!("{{\"id\": 8, \"vector\": [1,1,1,1,1], \"entity\": \"{}\"}}\n", "s3cr3t".repeat(50));
    let text = [
        line("s3cr3t", 1.0),
        line(1, 1.0),
        "\n".to_owned(),
        "{\"id\": 2, \"vector\": [1, 2], \"payload\": \"s3cr3t\"}\n".to_owned(),
        "{\"id\": 3, \"vector\": [1, 2, 3, 4, 1e39]}\n".to_owned(),
        "{\"id\": 4, \"vector\": null}\n".to_owned(),
        line(1, 2.0),
        long_name,
        huge + "\n",
        line(5, 5.0),
        "{\"id\": 6, \"vector\": [1, 2".to_owned(),
    ];
    let mut bytes = text.concat().into_bytes();
    bytes.extend(b"\n{\"id\": 7, \"vector\": [1,1,1,1,1], \"entity\": \"\xff\"}\n");
    bytes.extend(line(8, 8.0).into_bytes());
    place.write("bad.jsonl", bytes);
    let (told, said) = place.import(1, &["bad.jsonl", "--collection", "docs"]);
    assert_eq!((&told["imported"], &told["rejected"]), (&json!(2), &json!(10)));
    let lines: Vec<u64> =
        place.rejects("bad.jsonl.rejects.jsonl").iter().map(|bad| bad["line"].as_u64().unwrap()).collect();
    assert_eq!(lines.len(), 10);
    let mut sorted = lines.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [1, 4, 5, 6, 7, 8, 9, 11, 12, 13], "8 was refused by the engine, hence 13 came again");
    assert_eq!(place.records("docs").iter().map(Record::id).collect::<Vec<_>>(), [1.into(), 5.into()]);
    let list = fs::read_to_string(place.file("bad.jsonl.rejects.jsonl")).unwrap();
    assert!(!list.contains("s3cr3t") && !said.contains("s3cr3t"), "{list}{said}");
    let mode = fs::metadata(place.file("bad.jsonl.rejects.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let args = ["bad.jsonl", "--collection", "docs", "--allow-rejects", "--rejects-with-data", "--rejects", "r.jsonl"];
    let (told, _) = place.import(0, &args);
    assert_eq!((&told["unchanged"], &told["rejected"]), (&json!(2), &json!(10)));
    assert!(place.rejects("r.jsonl").iter().filter(|bad| bad["data"].to_string().contains("s3cr3t")).count() >= 3);
    let (told, said) = place.import(1, &["bad.jsonl", "--collection", "docs", "--max-rejects", "1"]);
    assert!(told.is_null() && said.contains("rejects.jsonl"), "{said}");
    place.import(2, &["bad.jsonl", "--collection", "docs", "--rejects", "bad.jsonl"]);
}

fn fbin(rows: &[[f32; DIMENSION]]) -> Vec<u8> {
    let head = [rows.len() as u32, DIMENSION as u32].map(u32::to_le_bytes).concat();
    [head, rows.iter().flatten().flat_map(|value| value.to_le_bytes()).collect()].concat()
}

#[test]
fn vectors_meet_the_lines_beside_them_or_are_refused() {
    let place = Place::new();
    place.write("v.fbin", fbin(&[[1.0; 5], [f32::NAN; 5], [3.0; 5], [4.0; 5]]));
    place.write("p.jsonl", "{\"id\": 10, \"entity\": \"ada\"}\n{\"id\": 11}\n\n{\"payload\": {\"k\": null}}\n");
    let (told, _) = place.import(1, &["v.fbin", "--collection", "docs", "--payloads", "p.jsonl"]);
    assert_eq!((&told["imported"], &told["rejected"]), (&json!(2), &json!(2)));
    let rows: Vec<_> = place.rejects("v.fbin.rejects.jsonl").iter().map(|bad| bad["row"].clone()).collect();
    assert_eq!(rows, [1, 2], "NaN, and a blank line, which must not shift those after it");
    let records = place.records("docs");
    assert_eq!((records[0].id(), records[0].vector()[0]), (3.into(), 4.0));
    assert_eq!((records[1].id(), records[1].entity_id()), (10.into(), Some("ada")));

    place.write("short.jsonl", "{}\n{}\n{}\n");
    let (_, said) = place.import(2, &["v.fbin", "--collection", "new", "--payloads", "short.jsonl"]);
    assert!(said.contains("4 rows") && said.contains("3 lines"), "{said}");
    let other = fbin(&[[1.0; 5]]);
    place.write("cut.fbin", &other[..other.len() - 1]);
    place.write("huge.fbin", [u32::MAX, u32::MAX].map(u32::to_le_bytes).concat());
    place.write("cut.npy", b"\x93NUMPY\x01\x00v\x00{'descr'");
    place.write("cut.parquet", b"PAR1\x00\x00\x00PAR1");
    place.write("empty.fbin", "");
    for file in ["cut.fbin", "huge.fbin", "cut.npy", "cut.parquet", "empty.fbin", "missing.jsonl"] {
        let output = place.run(&["import", file, "--collection", "new"]);
        assert!(!output.status.success(), "{file}");
        assert!(!String::from_utf8(output.stderr).unwrap().contains("panicked"), "{file}");
    }
    // A file of no lines, or of no rows, is a file of no records.
    place.write("none.jsonl", "");
    place.write("blank.jsonl", "\n\n");
    place.write("none.fbin", fbin(&[]));
    for file in ["none.jsonl", "blank.jsonl", "none.fbin"] {
        let (told, _) = place.import(0, &[file, "--collection", "empty"]);
        assert_eq!((&told["imported"], &told["rejected"]), (&json!(0), &json!(0)), "{file}");
    }
    assert_eq!(place.records("empty"), []);
    let (_, said) = place.import(1, &["v.fbin", "--collection", "docs", "--max-rejects", "0"]);
    assert!(said.contains("row 1 was rejected") && said.contains("1 record stored and 0 there already"), "{said}");
}

#[test]
fn an_interrupted_import_goes_on() {
    let place = Place::new();
    let lines: Vec<String> = (0..9_000_u64).map(|id| line(id, id as f32 + 0.1)).collect();
    let args = ["import", "-", "--collection", "docs", "--metric", "l2", "--output", "json"];
    let mut child = place.command(&args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // It dies with half a line in hand, somewhere behind what it was given.
    let half = [&lines[..5_000].concat(), "{\"id\": 5000, \"vec"].concat();
    let given = child.stdin.as_mut().unwrap().write_all(half.as_bytes());
    child.kill().unwrap();
    let said = child.wait_with_output().unwrap().stderr;
    assert!(given.is_ok(), "it ended early: {}", String::from_utf8_lossy(&said));
    let file = place.write("all.jsonl", lines.concat());
    let (told, _) = place.import(0, &[file.to_str().unwrap(), "--collection", "docs", "--metric", "l2"]);
    let [imported, unchanged] = ["imported", "unchanged"].map(|name| told[name].as_u64().unwrap());
    assert!(imported + unchanged == 9_000 && unchanged <= 5_000 && unchanged.is_multiple_of(2_000), "{told}");
    let records = place.records("docs");
    assert!(
        records
            .iter()
            .zip(0_u64..)
            .all(|(record, id)| record.id() == id.into() && record.vector()[0] == id as f32 + 0.1)
    );
    assert_eq!(records.len(), 9_000);

    // What is there and differs is replaced, unless it is to be kept.
    place.write("one.jsonl", line(7, 70.0));
    let (told, _) = place.import(0, &["one.jsonl", "--collection", "docs", "--keep-existing"]);
    assert_eq!((&told["imported"], &told["unchanged"]), (&json!(0), &json!(1)));
    let (told, _) = place.import(0, &["one.jsonl", "--collection", "docs"]);
    assert_eq!((&told["imported"], &told["unchanged"]), (&json!(1), &json!(0)));
    assert_eq!(place.records("docs")[7].vector()[0], 70.0);
}

/// What a damaged byte of a Parquet file makes its decoders assert is told as damage, and as nothing else.
#[test]
fn a_parquet_file_that_breaks_its_decoders_is_told_as_damaged() {
    static BROKEN: AtomicBool = AtomicBool::new(false);
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        BROKEN.fetch_or(is_contained(), Ordering::Relaxed);
        if !is_contained() {
            report(panic);
        }
    }));
    let place = Place::new();
    with(&place.file("data"), |database| make(database, "from").upsert(example(5)).unwrap());
    place.run_to(0, &["export", "sound.parquet", "--collection", "from"]);
    let sound = fs::read(place.file("sound.parquet")).unwrap();
    let damaged = (0..sound.len()).flat_map(|at| [0, 1, 0x3f, 0x7f, 0x80, 0xff].map(|value| (at, value)));
    let broken = damaged.into_iter().find_map(|(at, value)| {
        let mut bytes = sound.clone();
        bytes[at] = value;
        let file = File::open(place.write("damaged.parquet", &bytes)).unwrap();
        let end =
            Rows::new(file, Columns::default()).and_then(|mut rows| rows.find_map(Result::err).map_or(Ok(()), Err));
        BROKEN.swap(false, Ordering::Relaxed).then(|| end.unwrap_err().to_string())
    });
    let told = broken.expect("no byte breaks a decoder any more: what contains that can go");
    let (_, said) = place.import(1, &["damaged.parquet", "--collection", "new"]);
    assert!(said.contains(&told) && !said.contains("panicked"), "{said}");
}
