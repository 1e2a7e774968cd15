//! The command line as a user types it: every command for collections and records, what it prints for programs, and what
//! it exits with.
//!
//! A test target of the server's package, so that cargo builds the binary for it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "starts the real program on files that it makes")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use engine::{Clock, Record, SystemClock, Window};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::server::Installation;
use tests::world::on_disk;

/// A data directory, and files beside it.
struct Place(TempDir);

impl Place {
    fn with_films() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let lines = [
            json!({"id": 1, "entity": "ada", "vector": [1, 0], "payload": {"genre": "noir", "year": 1944}}),
            json!({"id": 2, "entity": "bob", "vector": [0.9, 0.1], "payload": {"genre": "noir", "year": 1950}}),
            json!({"id": 3, "vector": [0, 1], "payload": {"genre": "musical", "year": 1952}}),
        ];
        let lines: Vec<_> = lines.iter().map(Value::to_string).collect();
        place.write("films.jsonl", &lines.join("\n"));
        place.ok("collections create --collection films --dimension 2");
        assert_eq!(place.ok("import films.jsonl --collection films")["imported"], 3);
        place
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    /// Runs a command on the data in `data`, or where its first words say, with `input`; gives exit code, output and what was said.
    fn run(&self, words: &[&str], input: &str) -> (i32, String, String) {
        let program = Path::new(env!("CARGO_BIN_EXE_lethedb"));
        let (data, words) = match words {
            ["--data", data, words @ ..] => (*data, words),
            _ => ("data", words),
        };
        let data = self.0.path().join(data);
        let mut command = Installation::new(program, data, "/dev/null".into()).unwrap().command().unwrap();
        command.current_dir(self.0.path()).args(words);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Whoever does not read it may be gone already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let [out, said] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        (output.status.code().unwrap(), out, said)
    }

    /// Its JSON where it must succeed. A word in which blanks matter has `~` for them.
    fn ok(&self, line: &str) -> Value {
        let words: Vec<_> = line.split(' ').map(|word| word.replace('~', " ")).collect();
        let words: Vec<_> = words.iter().map(String::as_str).chain(["--output", "json"]).collect();
        let (code, out, said) = self.run(&words, "");
        assert_eq!(code, 0, "{line}: {said}");
        serde_json::from_str(&out).unwrap_or_else(|_| panic!("{line}: {out}"))
    }

    /// What it says where it must end with `expected`.
    fn fails(&self, expected: i32, line: &str) -> String {
        let (code, out, said) = self.run(&line.split(' ').collect::<Vec<_>>(), "");
        assert_eq!((code, out.as_str()), (expected, ""), "{line}: {said}");
        said
    }

    /// What it shows to people.
    fn shows(&self, line: &str) -> String {
        let (code, out, said) = self.run(&line.split(' ').collect::<Vec<_>>(), "");
        assert_eq!(code, 0, "{line}: {said}");
        out
    }
}

fn ids(value: &Value) -> Vec<u64> {
    value.as_array().unwrap().iter().map(|record| record["id"].as_u64().unwrap()).collect()
}

#[test]
fn records_are_looked_at() {
    let place = Place::with_films();
    let got = place.ok("records get --collection films --id 1,3");
    assert_eq!(ids(&got["records"]), [1, 3]);
    assert_eq!((&got["records"][0]["vector"], &got["records"][0]["entity"]), (&json!([1.0, 0.0]), &json!("ada")));
    let (code, out, said) =
        place.run(&["records", "get", "--collection", "films", "--id", "1,9", "--output", "json"], "");
    assert_eq!((code, ids(&serde_json::from_str::<Value>(&out).unwrap()["records"])), (1, vec![1]));
    assert_eq!(said, "lethedb: not found: 9\n");

    assert_eq!(place.ok("records count --collection films")["count"], 3);
    let noir = r#"{"key":"genre","match":{"value":"noir"}}"#;
    assert_eq!(place.ok(&format!("records count --collection films --filter {noir}"))["count"], 2);
    assert_eq!(place.ok(&format!("records count --collection films --filter {noir} --entity ada"))["count"], 1);
    place.write("noir.json", noir);
    assert_eq!(place.ok("records count --collection films --filter @noir.json")["count"], 2);
    let words = ["records", "count", "--collection", "films", "--filter", "@-"];
    assert_eq!(place.run(&words, noir).1, "2\n");

    let page = place.ok("records scroll --collection films --limit 2 --no-payload");
    assert_eq!(
        (ids(&page["records"]), &page["next"], page["records"][0].get("payload")),
        (vec![1, 2], &json!(2), None)
    );
    let page = place.ok("records scroll --collection films --after 2");
    assert_eq!((ids(&page["records"]), &page["next"]), (vec![3], &Value::Null));
    let page = place.ok("records scroll --collection films --order-by year --descending --limit 2");
    assert_eq!((ids(&page["records"]), &page["next_value"]), (vec![3, 2], &json!(1950)));
    let rest = "records scroll --collection films --order-by year --descending --after 2 --start-from 1950";
    assert_eq!(ids(&place.ok(rest)["records"]), [1]);

    let facet = place.ok("records facet --collection films --key genre --limit 1");
    assert_eq!((&facet["counts"], &facet["distinct"]), (&json!([{"value": "noir", "count": 2}]), &json!(2)));
    let sample = "records sample --collection films --limit 2 --seed 7 --with-vector";
    assert_eq!(place.ok(sample), place.ok(sample));
    assert_eq!(place.ok(sample)["records"].as_array().unwrap().len(), 2);

    let shown = place.shows("records scroll --collection films --limit 1");
    assert_eq!(
        shown,
        "id  entity  payload\n1   ada     {\"genre\":\"noir\",\"year\":1944}\n… and more: go on with --after 1\n"
    );
}

#[test]
fn records_are_changed_and_deleted() {
    let place = Place::with_films();
    let payload =
        |id: u64| place.ok(&format!("records get --collection films --id {id}"))["records"][0]["payload"].take();
    let update = |rest: &str| place.ok(&format!("records update --collection films {rest}"));
    assert_eq!(
        update(r#"--entity ada --set {"seen":true} --dry-run"#),
        json!({"dry_run": true, "matching": 1, "partial": false})
    );
    assert_eq!(payload(1), json!({"genre": "noir", "year": 1944}));
    assert_eq!(update(r#"--entity ada --set {"seen":true} --delete-key year"#), json!({"updated": 1}));
    assert_eq!(payload(1), json!({"genre": "noir", "seen": true}));
    update(r#"--id 1,2,9 --set {"x":1} --key a.b --delete-key genre --delete-key year"#);
    assert_eq!((payload(1), payload(2)), (json!({"seen": true, "a": {"b": {"x": 1}}}), json!({"a": {"b": {"x": 1}}})));
    update(r#"--id 1 --overwrite {"m":2} --vector [-1,0.5]"#);
    assert_eq!(payload(1), json!({"m": 2}));
    update("--id 1 --clear");
    assert_eq!(payload(1), Value::Null);
    assert_eq!(place.ok("records get --collection films --id 1")["records"][0]["vector"], json!([-1.0, 0.5]));

    let delete = |rest: &str| place.ok(&format!("records delete --collection films {rest}"));
    assert_eq!(delete("--all --dry-run")["matching"], 3);
    assert_eq!(delete("--id 1,9 --dry-run")["matching"], 1);
    assert_eq!(delete("--id 1,9"), json!({"deleted": 1}));
    assert_eq!(delete("--entity bob"), json!({"deleted": 1}));
    assert_eq!(place.ok("records count --collection films")["count"], 1);
    assert_eq!(
        place.shows("records delete --collection films --all --dry-run"),
        "1 record would be deleted; nothing was\n"
    );

    for (line, expected) in [
        ("records delete --collection films", "say which records are meant: --id, --filter, --entity, or --all"),
        ("records delete --collection films --filter {}", "every record: if that is meant, say --all"),
        (r#"records update --collection films --clear --filter {"must":[]}"#, "say --all"),
        ("records delete --collection films --all --id 1", "--all cannot stand beside"),
        ("records delete --collection films --id 1 --entity ada", "--id cannot stand beside --filter or --entity"),
        ("records update --collection films --id 1", "required"),
        ("records update --collection films --id 1 --key a --clear", "--set"),
        ("records update --collection films --id 1 --set s3cr3t", "--set: not valid JSON at line 1, column 1"),
        (r#"records count --collection films --filter {"a":1}"#, "--filter: "),
        ("records scroll --collection films --descending", "--order-by"),
    ] {
        let said = place.fails(2, line);
        assert!(said.contains(expected) && !said.contains("s3cr3t"), "{line}: {said}");
    }
    assert!(
        place.fails(1, "records count --collection absent").contains("there is no collection or alias of this name")
    );
    assert!(
        place.fails(1, "records count --collection films --filter @absent.json").contains("absent.json cannot be read")
    );
}

#[test]
fn collections_are_made_described_named_and_dropped() {
    let place = Place::with_films();
    place.write("schema.json", r#"{"fields": {"lang": "keyword"}, "required": ["lang"]}"#);
    let made = place
        .ok("collections create --collection docs --dimension 3 --metric l2 --schema @schema.json --records-max 5");
    assert_eq!((&made["dimension"], &made["metric"], &made["records"]), (&json!(3), &json!("l2"), &json!(0)));
    assert_eq!((&made["schema"]["required"], &made["limits"]), (&json!(["lang"]), &json!({"records_max": 5})));
    assert!(place.fails(1, "collections create --collection docs --dimension 3").contains("exists"));
    let all = place.ok("collections list");
    let names: Vec<_> = all["collections"].as_array().unwrap().iter().map(|info| &info["name"]).collect();
    assert_eq!(names, ["docs", "films"]);

    assert_eq!(place.ok("collections limits --collection docs --payload-bytes-max 99")["records_max"], 5);
    assert_eq!(place.ok("collections limits --collection docs --records-max none"), json!({"payload_bytes_max": 99}));
    assert_eq!(place.ok("collections schema --collection docs")["fields"], json!({"lang": "keyword"}));
    assert_eq!(place.ok("collections schema --collection docs --clear")["fields"], json!({}));
    assert!(
        place
            .fails(2, r#"collections schema --collection docs --set {"fields":{"s3cr3t":"color"}}"#)
            .contains("one of `keyword`")
    );

    assert_eq!(place.ok("aliases set --alias current --collection docs")["before"], Value::Null);
    assert_eq!(place.ok("aliases set --alias current --collection films")["before"], "docs");
    assert_eq!(place.ok("aliases list"), json!({"aliases": [{"alias": "current", "collection": "films"}]}));
    assert_eq!(place.ok("records count --collection current")["count"], 3);
    assert_eq!(place.ok("import films.jsonl --collection current")["unchanged"], 3);
    assert!(place.fails(1, "collections drop --collection current").contains("this is an alias"));
    assert!(place.fails(1, "aliases set --alias docs --collection films").contains("a collection of this name exists"));

    let indexes = place.ok("indexes create --collection current --field year --type integer");
    assert_eq!(indexes["payload_indexes"][0]["field"], "year");
    let shown = place.shows("collections info --collection films");
    for expected in ["records            3", "aliases            current", "upkeep_due", "year"] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    assert_eq!(place.ok("indexes drop --collection films --field year"), json!({"payload_indexes": []}));
    place.fails(1, "indexes drop --collection films --field year");

    assert_eq!(place.shows("aliases remove --alias current"), "`current` no longer stands for `films`\n");
    place.fails(1, "aliases remove --alias current");
    assert_eq!(place.ok("collections drop --collection films"), json!({"dropped": "films"}));
    place.fails(1, "collections drop --collection films");
    assert!(place.fails(1, "records count --collection films").contains("there is no collection or alias"));
}

#[test]
fn searches_are_grouped_batched_and_by_example() {
    let place = Place::with_films();
    let found = place.ok("search --collection films --vector [1,0] --limit 2");
    assert_eq!(ids(&found["hits"]), [1, 2]);
    assert_eq!(ids(&place.ok("search --collection films --like 1 --limit 1")["hits"]), [2]);
    assert_eq!(ids(&place.ok("search --collection films --like 2 --unlike 3")["hits"]), [1]);
    let groups = place.ok("search --collection films --vector [1,0] --group-by genre --group-size 1");
    let group = |group: &Value| (group["key"].clone(), ids(&group["hits"]));
    let groups: Vec<_> = groups["groups"].as_array().unwrap().iter().map(group).collect();
    assert_eq!(groups, [(json!("noir"), vec![1]), (json!("musical"), vec![3])]);
    assert!(
        place.shows("search --collection films --vector [1,0] --group-by genre").starts_with("\"noir\"\nid  score")
    );

    place.write(
        "searches.jsonl",
        "{\"vector\": [0, 1], \"limit\": 1}\n\n{\"like\": [1], \"limit\": 1, \"with_payload\": false}\n",
    );
    let found = place.ok("search --collection films --batch searches.jsonl");
    let answers: Vec<_> = found["answers"].as_array().unwrap().iter().map(|answer| ids(&answer["hits"])).collect();
    assert_eq!(answers, [[3], [2]]);
    assert!(place.shows("search --collection films --batch searches.jsonl").starts_with("line 1\nid  score"));
    place.write("wrong.jsonl", "{\"vector\": [0, 1]}\n{\"limit\": 1}\n");
    for (line, expected) in [
        ("search --collection films --batch wrong.jsonl", "exactly one of `vector` and `like` is expected at line 2"),
        ("search --collection films --batch searches.jsonl --limit 3", "cannot be used with"),
        ("search --collection films --batch searches.jsonl --entity ada", "cannot be used with"),
        ("search --collection films", "required"),
        ("search --collection films --vector [1,0] --group-size 3", "--group-by"),
    ] {
        let said = place.fails(2, line);
        assert!(said.contains(expected), "{line}: {said}");
    }
}

#[test]
fn help_is_there_for_every_command_with_an_example() {
    let place = Place(tempfile::tempdir().unwrap());
    for (room, commands) in [
        ("collections", &["list", "info", "create", "schema", "limits", "drop"][..]),
        ("aliases", &["list", "set", "remove"]),
        ("indexes", &["list", "create", "drop"]),
        ("records", &["get", "count", "scroll", "sample", "facet", "update", "delete"]),
    ] {
        let listed = place.shows(&format!("{room} --help"));
        for command in commands {
            assert!(listed.contains(&format!("  {command} ")), "{room} {command}: {listed}");
            let help = place.shows(&format!("{room} {command} --help"));
            assert!(help.contains("Example") && help.contains(&format!("lethedb {room} {command}")), "{help}");
        }
    }
}

#[test]
fn a_backup_is_made_listed_read_and_restored_here_and_elsewhere() {
    let place = Place::with_films();
    let refused = place.fails(1, "backup create --archive backups");
    assert!(refused.contains("keyring mirror") && refused.contains("--unrecoverable"), "{refused}");
    let made = place.ok("backup create --archive backups --unrecoverable");
    assert_eq!((&made["number"], &made["records"]), (&json!(1), &json!(3)));
    assert!(made["needs"].as_array().unwrap().len() > 2);
    let again = place.ok("backup create --archive backups --all --unrecoverable");
    assert_eq!((&again["default"]["number"], &again["default"]["copied_bytes"]), (&json!(2), &json!(0)));
    place.ok("records delete --id 3 --collection films");
    place.ok("erase ada");
    let listed = place.ok("backup list --archive backups");
    assert_eq!(listed["backups"].as_array().unwrap().len(), 2);
    assert!(place.shows("backup list --archive backups").starts_with("number  made"));
    let verified = place.ok("backup verify --archive backups --number 1");
    assert_eq!((&verified["rows"]["opened"], &verified["rows"]["erased"]), (&json!(2), &json!(1)));

    let count = |place: &Place| place.ok("records count --collection films")["count"].clone();
    assert_eq!(place.ok("restore --archive backups")["opened"], 2);
    assert_eq!(count(&place), 1, "nothing was changed");
    assert_eq!(place.ok("restore --archive backups --yes")["rows"]["erased"], 1);
    assert_eq!(count(&place), 2);
    place.ok("--data elsewhere restore --archive backups --all --from data --yes");
    assert_eq!(place.ok("--data elsewhere records count --collection films")["count"], 2);
    let moved = place.fails(1, "--data data records count --collection films");
    assert!(moved.contains("taken over"), "{moved}");
    let usage = place.fails(2, "backup list");
    assert!(usage.contains("--archive"), "{usage}");
}

/// A clock that was right some hours ago, for what was written then.
struct Behind(u64);

impl Clock for Behind {
    fn now_ms(&self) -> u64 {
        SystemClock.now_ms() - self.0
    }
}

#[test]
fn a_collection_keeps_records_for_a_window() {
    let place = Place::with_films();
    let window = |place: &Place| place.ok("collections info --collection films")["retention"]["window_ms"].clone();
    for (wrong, said) in [("--hours 0", "1 hour"), ("", "--days"), ("--days 1 --forever", "cannot be used with")] {
        let (code, _, told) =
            place.run(&format!("retention set films {wrong}").trim().split(' ').collect::<Vec<_>>(), "");
        assert!(code != 0 && told.contains(said) && !told.contains(" ms"), "{wrong}: {told}");
    }
    assert_eq!(place.ok("retention set films --days 30")["window_ms"], 30 * 24 * 3_600_000_u64);
    assert_eq!(window(&place), 30 * 24 * 3_600_000_u64);
    assert!(place.shows("retention show").contains("films: 30 days, since "));
    assert!(place.shows("collections info --collection films").contains("30 days"));
    place.ok("retention set films --forever");
    assert_eq!((window(&place), place.ok("retention run")["records_removed"].clone()), (Value::Null, json!(0)));
    place.ok("retention confirm-clock");
    // What was written in the last hours of another process.
    let db = on_disk(&place.0.path().join("old")).clock(Arc::new(Behind(5 * 3_600_000))).open().unwrap();
    let env = db.environment("default").unwrap();
    let films = env.collection("films").dimension(2).open_or_create().unwrap();
    films.set_retention(Window::from_ms(3_600_000).ok()).unwrap();
    films.upsert((0..7u64).map(|id| Record::new(id, vec![1.0, 2.0]).entity("ada"))).unwrap();
    env.hold("nobody", "a case").unwrap();
    drop((films, env));
    db.close().unwrap();
    let run = |words: &str| place.ok(&format!("--data old retention run{words}"));
    let planned = run(" --dry-run");
    assert_eq!((&planned["dry_run"], &planned["records_removed"]), (&json!(true), &json!(7)), "{planned}");
    let ran = run("");
    assert_eq!((&ran["records_removed"], &ran["collections"][0]["collection"]), (&json!(7), &json!("films")), "{ran}");
    assert!(ran["keys_destroyed"] != 0 && ran["purged_at"].is_string() && ran["pending"].is_null(), "{ran}");
    assert_eq!(place.ok("--data old records count --collection films")["count"], 0);
    let told = place.ok("--data old audit list --action retention.ran");
    assert_eq!(told["events"].as_array().unwrap().len(), 1, "{told}");
}

#[test]
fn receipts_are_listed_without_names() {
    let place = Place::with_films();
    assert_eq!(
        (place.ok("receipt list"), place.shows("receipt list").as_str()),
        (json!({"receipts": []}), "there are no receipts\n")
    );
    let shown = place.shows("erase nobody --dry-run");
    assert!(shown.starts_with("0 records in 0 segments would go"), "{shown}");
    let jobs: Vec<_> =
        ["ada --reason asked", "bob nobody"].map(|whom| place.ok(&format!("erase {whom}"))["job"].clone()).into();
    let listed = place.ok("receipt list");
    let lines = listed["receipts"].as_array().unwrap();
    assert_eq!(lines.iter().map(|line| line["job"].clone()).collect::<Vec<_>>(), jobs);
    for (line, (records, subjects, reason)) in lines.iter().zip([(1, 1, json!("asked")), (1, 2, Value::Null)]) {
        assert_eq!((&line["records"], &line["reason"]), (&json!(records), &reason), "{line}");
        assert_eq!(line["subjects"].as_array().unwrap().len(), subjects, "{line}");
        let receipt = place.ok(&format!("receipt show --job {}", line["job"]));
        let view = receipt["view"].to_string();
        assert!(line["subjects"].as_array().unwrap().iter().all(|one| view.contains(one.as_str().unwrap())), "{view}");
    }
    let text = place.shows("receipt list");
    assert!(text.starts_with("job") && text.lines().count() == 3, "{text}");
    // The letters of the one name are hexadecimal digits: a pseudonym may hold them, but no whole value is the name.
    let told = format!("{text}{listed}");
    assert!(!told.contains("bob") && !text.contains("ada") && !told.contains("\"ada\""), "{told}");
}

#[test]
fn the_audit_log_is_exported_checked_and_shown() {
    let place = Place::with_films();
    place.write("lethedb.toml", "[audit]\nsink = \"sink\"\n");
    place.ok("verify");
    let key = place.ok("receipt key")["receipt_key"].as_str().unwrap().to_owned();
    assert_eq!(place.run(&["audit", "export", "--out", "acme.jsonl"], "").0, 0);
    let said = place.fails(1, "audit export --out acme.jsonl");
    assert!(said.contains("acme.jsonl"), "nothing is replaced: {said}");
    let check = |file: &str| format!("audit verify --file {file} --key {key}");
    let report = place.ok(&check("acme.jsonl"));
    assert_eq!((&report["is_key_claimed"], &report["signed_through"]), (&json!(false), &report["through"]));
    assert_eq!(place.ok("audit verify --file acme.jsonl")["is_key_claimed"], true);
    let sink = fs::read_dir(place.0.path().join("sink")).unwrap().next().unwrap().unwrap().path();
    let told = place.ok(&check(&sink.display().to_string()));
    assert!(told["from"] == 0 && told["through"].as_u64() > report["through"].as_u64(), "{told}");
    // A directory above the files is no log that was cut.
    assert!(place.fails(1, "audit verify --file sink").contains("a directory of them for each environment"));
    let (code, tail, said) = place.run(&["audit", "tail", "-n", "2"], "");
    assert!(code == 0 && tail.lines().count() == 2 && tail.contains("audit.read"), "{tail} {said}");

    // An ε is told as it was given, and a file of the log goes on saying what is signed.
    place.ok("budget raise --collection films --epsilon 12.5");
    assert!(place.shows("audit list --action budget.set").contains("epsilon=12.5"));
    let epsilon = json!(["epsilon", "12.5"]);
    let listed = place.ok("audit list --action budget.set");
    assert!(listed["events"][0]["fields"].as_array().unwrap().contains(&epsilon), "{listed}");
    let (_, tail, _) = place.run(&["audit", "tail", "--output", "json"], "");
    assert!(tail.contains(&epsilon.to_string()), "{tail}");
    place.run(&["audit", "export", "--out", "spent.jsonl"], "");
    let spent = fs::read_to_string(place.0.path().join("spent.jsonl")).unwrap();
    assert!(spent.contains(&json!(["epsilon", (25 << 19).to_string()]).to_string()), "{spent}");
    place.ok(&check("spent.jsonl"));

    let text = fs::read_to_string(place.0.path().join("acme.jsonl")).unwrap();
    // As whole values: hashes and signatures may hold the letters of either by chance.
    assert!(["\"ada\"", "\"bob\""].iter().all(|name| !text.contains(name)) && text.contains("\"host\""));
    place.write("altered.jsonl", &text.replacen("\"host\"", "\"engine\"", 1));
    assert!(place.fails(3, &check("altered.jsonl")).contains("was changed"));
    let last = text.trim_end().rfind('\n').unwrap();
    place.write("cut.jsonl", &text[..=last]);
    assert!(place.fails(3, &check("cut.jsonl")).contains("cut"));
    let other = key.replace(|c: char| c.is_ascii_digit(), "a");
    assert!(place.fails(3, &format!("audit verify --file acme.jsonl --key {other}")).contains("another key"));
}
