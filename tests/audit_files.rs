//! The audit log outside of its directory: exports and the second sink, checked with the public key alone, through
//! restarts, failures and every kind of damage; and the round that hashes the log anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "looks into files and changes them")]

use std::path::{Path, PathBuf};

use engine::{
    AuditCheck, AuditFileReport, AuditReads, AuditSink, Builder, Database, Environment, ErrorKind, Record, Result,
    Settings, VerifyingKey,
};
use lethedb_tests::world::on_disk;
use proptest::prelude::*;

fn records(ids: std::ops::Range<u64>) -> impl Iterator<Item = Record> {
    ids.map(|id| Record::new(id, vec![id as f32 + 1.0, 0.5]).entity(format!("person-{:04}", id % 5)))
}

/// A database whose audit log is told a second time, in small files.
fn told_twice(path: &Path, sink: &Path, required: bool) -> Builder {
    let settings = Settings { background: false, ..Settings::default() };
    on_disk(path).settings(settings).audit_sink(AuditSink::directory(sink).required(required).file_bytes(3000))
}

fn open(builder: Builder) -> (Database, Environment) {
    let db = builder.open().unwrap();
    let env = db.environment("acme").unwrap();
    (db, env)
}

/// Acts of several kinds.
fn act(env: &Environment, round: u64) {
    let docs = env.collection("docs").dimension(2).open_or_create().unwrap();
    docs.upsert(records(round * 10..round * 10 + 10)).unwrap();
    env.set_alias(&format!("alias-{round}"), "docs").unwrap();
    env.hold("person-0001", "a case").unwrap();
    env.release_hold("person-0001").unwrap();
    _ = env.export_entity("person-0002").unwrap().count();
    env.verify().unwrap();
}

fn exported(env: &Environment) -> Vec<String> {
    let text: String = env.export_audit().unwrap().map(Result::unwrap).collect();
    text.lines().map(str::to_owned).collect()
}

fn checked(lines: &[String], key: VerifyingKey, kept: Option<&str>) -> Result<AuditFileReport> {
    let mut check = AuditCheck::new(Some(key));
    if let Some(note) = kept {
        check = check.reaching(note);
    }
    lines.iter().try_for_each(|line| check.line(line))?;
    check.finish()
}

/// The files of the sink, in order.
fn sink_files(sink: &Path) -> Vec<PathBuf> {
    let dirs: Vec<PathBuf> = std::fs::read_dir(sink).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(dirs.len(), 1, "one log, one directory");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&dirs[0]).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn sink_lines(sink: &Path) -> Vec<String> {
    let text = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
    sink_files(sink).iter().flat_map(|path| text(path).lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn sequences(lines: &[String]) -> Vec<u64> {
    let number = |line: &String| serde_json::from_str::<serde_json::Value>(line).unwrap()["sequence"].as_u64();
    lines.iter().filter_map(number).collect()
}

fn newest_note(env: &Environment) -> String {
    env.audit().limit(1).run().unwrap().checkpoint
}

/// One damage to the lines of a file.
#[derive(Clone, Debug)]
enum Damage {
    Insert,
    Delete,
    Edit(u8),
    Swap,
    Truncate,
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        Just(Damage::Insert),
        Just(Damage::Delete),
        (1..=255_u8).prop_map(Damage::Edit),
        Just(Damage::Swap),
        Just(Damage::Truncate),
    ]
}

/// The damaged lines; none where the damage would change nothing.
fn damaged(
    lines: &[String],
    damage: &Damage,
    at: &prop::sample::Index,
    other: &prop::sample::Index,
) -> Option<Vec<String>> {
    let (mut out, at) = (lines.to_vec(), at.index(lines.len()));
    match damage {
        Damage::Insert => out.insert(other.index(lines.len()), lines[at].clone()),
        Damage::Delete => drop(out.remove(at)),
        Damage::Edit(by) => {
            let mut bytes = out[at].clone().into_bytes();
            let byte = other.index(bytes.len());
            bytes[byte] ^= by;
            out[at] = String::from_utf8(bytes).ok()?;
        }
        Damage::Swap => out.swap(at, other.index(lines.len())),
        Damage::Truncate => out.truncate(at),
    }
    (out != lines).then_some(out)
}

#[test]
fn an_export_is_checked_with_the_public_key_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (_db, env) = open(on_disk(dir.path()));
    (0..4).for_each(|round| act(&env, round));
    let (lines, key) = (exported(&env), env.receipt_key());
    let report = checked(&lines, key, None).unwrap();
    assert_eq!((report.from, report.through, report.unread), (0, lines.len() as u64 - 2, 0));
    assert_eq!(report.signed_through, report.through, "an export ends signed");
    assert!(lines[lines.len() - 2].contains("audit.read"), "that it was exported is in it");
    assert!(!report.is_key_claimed);
    let stranger = VerifyingKey([9; 32]);
    assert_eq!(checked(&lines, stranger, None).unwrap_err().kind(), ErrorKind::Corrupt);
    // An older export leads to its own end, and not to a checkpoint that came later.
    act(&env, 9);
    assert!(checked(&exported(&env), key, Some(&newest_note(&env))).is_ok());
    assert!(checked(&lines, key, Some(&newest_note(&env))).unwrap_err().to_string().contains("cut"));
    assert!(!lines.iter().any(|line| line.contains("person-")), "nobody is named");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, ..ProptestConfig::default() })]

    /// Whatever somebody does to an export or to the files of the sink is found.
    #[test]
    fn every_damage_to_a_file_is_found(
        damages in prop::collection::vec((damage(), any::<prop::sample::Index>(), any::<prop::sample::Index>()), 40),
        seed in 0..1000_u64,
    ) {
        let (dir, sink) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (db, env) = open(told_twice(dir.path(), sink.path(), true));
        (0..2).for_each(|round| act(&env, round + seed % 3));
        let (lines, key) = (exported(&env), env.receipt_key());
        db.close().unwrap();
        let (db, env) = open(told_twice(dir.path(), sink.path(), true));
        act(&env, 5);
        db.close().unwrap();
        let told = sink_lines(sink.path());
        let note = serde_json::from_str::<serde_json::Value>(told.last().unwrap()).unwrap();
        let note = note["checkpoint"].as_str().unwrap().to_owned();
        prop_assert!(checked(&lines, key, None).is_ok());
        prop_assert!(checked(&told, key, Some(&note)).is_ok());
        for (damage, at, other) in &damages {
            if let Some(wrong) = damaged(&lines, damage, at, other) {
                let found = checked(&wrong, key, None);
                // A head that stands twice, as a crash leaves it, inserts no event.
                let is_head_alone = wrong.len() > 1 && wrong[0] == wrong[1];
                prop_assert!(found.is_err() || is_head_alone, "{damage:?} of an export");
            }
            // Files go on from each other: a head or a checkpoint more or less in between changes no event. All else is
            // found, and so is every changed byte.
            if let Some(wrong) = damaged(&told, damage, at, other) {
                let found = checked(&wrong, key, Some(&note));
                let events = |lines: &[String]| lines.iter().filter(|line| line.starts_with("{\"seq")).cloned().collect::<Vec<_>>();
                let is_harmless = !matches!(damage, Damage::Edit(_)) && events(&wrong) == events(&told);
                prop_assert!(found.is_err() || is_harmless, "{damage:?} of the sink");
            }
        }
    }
}

/// Whoever cuts lines off the end of the sink is found out by a checkpoint that was kept elsewhere.
#[test]
fn the_sink_goes_on_through_restarts_and_rotation() {
    let (dir, sink) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut notes = Vec::new();
    let mut key = None;
    for round in 0..6 {
        let (db, env) = open(told_twice(dir.path(), sink.path(), round % 2 == 0));
        act(&env, round);
        // It ends signed, where a long file ends, too.
        exported(&env);
        env.verify().unwrap();
        (key, notes) = (Some(env.receipt_key()), [notes, vec![newest_note(&env)]].concat());
        let standing = env.audit_watch().unwrap().1.unwrap();
        assert_eq!((standing.behind, standing.fault), (0, None));
        drop(env);
        // A process that dies leaves what it synced.
        if round % 3 == 0 { drop(db) } else { db.close().unwrap() }
    }
    let (files, lines) = (sink_files(sink.path()), sink_lines(sink.path()));
    assert!(files.len() > 6, "a file for each process, and more where they grew long: {}", files.len());
    let told = sequences(&lines);
    assert_eq!(told, (0..told.len() as u64).collect::<Vec<_>>(), "none is missing, none stands twice");
    for note in notes.iter().filter(|note| !note.is_empty()) {
        checked(&lines, key.unwrap(), Some(note)).unwrap();
    }
    // A torn line is what a crash leaves, and the next process begins before it.
    let last = files.last().unwrap();
    let whole = std::fs::read(last).unwrap();
    let keep = whole.len() - 70;
    std::fs::remove_file(last).unwrap();
    std::fs::write(last, &whole[..keep]).unwrap();
    let (db, env) = open(told_twice(dir.path(), sink.path(), true));
    env.verify().unwrap();
    let note = newest_note(&env);
    db.close().unwrap();
    let text = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
    let complete = |text: String| text[..text.rfind('\n').map_or(0, |end| end + 1)].to_owned();
    let lines: Vec<String> = sink_files(sink.path())
        .iter()
        .flat_map(|path| complete(text(path)).lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    checked(&lines, key.unwrap(), Some(&note)).unwrap();
    let told = sequences(&lines);
    assert_eq!(told, (0..told.len() as u64).collect::<Vec<_>>());
}

#[test]
fn a_sink_that_is_gone_stops_acts_or_is_caught_up_with() {
    for required in [true, false] {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let sink = outside.path().join("sink");
        let (db, env) = open(told_twice(dir.path(), &sink, required));
        act(&env, 0);
        env.verify().unwrap();
        db.close().unwrap();
        // The volume is not mounted: there is a file where its directory was.
        let away = outside.path().join("away");
        std::fs::rename(&sink, &away).unwrap();
        std::fs::write(&sink, "").unwrap();
        let (db, env) = open(told_twice(dir.path(), &sink, required));
        let done = env.set_alias("while-gone", "docs");
        if required {
            assert!(done.unwrap_err().to_string().contains("audit sink"));
            assert!(!env.aliases().iter().any(|alias| alias.alias == "while-gone"), "what is not told is not done");
        } else {
            done.unwrap();
            let standing = env.audit_watch().unwrap().1.unwrap();
            assert!(standing.behind > 0 && standing.fault.is_some());
        }
        std::fs::remove_file(&sink).unwrap();
        std::fs::rename(&away, &sink).unwrap();
        db.close().unwrap();
        let (db, env) = open(told_twice(dir.path(), &sink, required));
        env.set_alias("later", "docs").unwrap();
        let note = newest_note(&env);
        let key = env.receipt_key();
        db.close().unwrap();
        let lines = sink_lines(&sink);
        checked(&lines, key, Some(&note)).unwrap();
        let told = sequences(&lines);
        assert_eq!(told, (0..told.len() as u64).collect::<Vec<_>>());
    }
}

/// Who has other events in the sink than in the log has altered one of them; neither is made to fit the other.
#[test]
fn a_sink_with_other_events_is_evidence() {
    let (dir, sink) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (db, env) = open(told_twice(dir.path(), sink.path(), true));
    act(&env, 0);
    db.close().unwrap();
    let other = tempfile::tempdir().unwrap();
    let last = sink_files(sink.path()).pop().unwrap();
    let text = std::fs::read_to_string(&last).unwrap();
    let event = text.lines().rfind(|line| line.starts_with("{\"sequence\"")).unwrap();
    let bytes = event.rsplit('"').nth(1).unwrap();
    // One byte of the act's last field.
    let changed =
        format!("{}{}", &bytes[..bytes.len() - 6], if bytes.ends_with("000080") { "010080" } else { "000080" });
    std::fs::remove_file(&last).unwrap();
    std::fs::write(&last, text.replace(bytes, &changed)).unwrap();
    let (_db, env) = open(told_twice(dir.path(), sink.path(), true));
    let error = env.set_alias("another", "docs").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let files = sink_files(sink.path()).len();
    assert!(env.set_alias("another", "docs").is_err());
    assert_eq!(sink_files(sink.path()).len(), files, "it is left alone");
    drop(other);
}

/// The pseudonym of a person stands in the log, in the sink and in exports; after an erasure it leads to nobody, and who
/// comes back has another.
#[test]
fn a_pseudonym_is_unlinkable_after_erasure() {
    let (dir, sink) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (db, env) = open(told_twice(dir.path(), sink.path(), true));
    let docs = env.collection("docs").dimension(2).open_or_create().unwrap();
    let subject = || {
        _ = env.export_entity("person-0003").unwrap().count();
        let told = env.audit().action("entity.exported").limit(1000).run().unwrap().events;
        told.last().unwrap().resource.clone().unwrap()
    };
    docs.upsert(records(0..20)).unwrap();
    // Only what is in a segment has keys of its own, and a blind.
    env.flush().unwrap();
    let before = subject();
    assert_eq!(before, subject(), "while the person is there, their events are linked");
    env.erase("person-0003").run().unwrap();
    let hidden = env.audit().action("entity.hidden").run().unwrap().events.pop().unwrap();
    assert_eq!(hidden.resource.as_ref(), Some(&before), "the erasure names them by it, for the last time");
    let absent = subject();
    docs.upsert(records(0..20)).unwrap();
    env.flush().unwrap();
    let after = subject();
    assert!(after != before && absent != before && absent != after);
    env.hold("person-0003", "a case").unwrap();
    let held = env.audit().action("entity.held").run().unwrap().events.pop().unwrap().resource.unwrap();
    assert!(held != before && held != after);
    let lines = exported(&env);
    db.close().unwrap();
    for lines in [lines, sink_lines(sink.path())] {
        assert!(lines.iter().any(|line| line.contains(before.trim_start_matches("subject:"))));
        assert!(!lines.iter().any(|line| line.contains("person-")), "nobody is named");
    }
}

/// A log of more than one block, one event a search.
fn long(path: &Path) -> (Database, Environment) {
    let settings = Settings { background: false, audit_reads: AuditReads::Each, ..Settings::default() };
    let (db, env) = open(on_disk(path).settings(settings));
    let docs = env.collection("docs").dimension(2).open_or_create().unwrap();
    for _ in 0..10 {
        docs.search_batch((0..250).map(|_| docs.search(&[0.5, 1.0]))).unwrap();
    }
    (db, env)
}

#[test]
fn a_round_over_the_log_finds_what_was_altered_and_says_so_until_it_is_put_right() {
    let dir = tempfile::tempdir().unwrap();
    let (_db, env) = long(dir.path());
    let round = || while !env.patrol_audit().unwrap() {};
    assert_eq!(env.audit_watch().unwrap().0.whole_at, None);
    round();
    let watch = env.audit_watch().unwrap().0;
    assert!(watch.whole_at.is_some() && watch.fault.is_none() && watch.through >= 2500);
    let page = env.audit().cursor(2400).run().unwrap();
    assert!(page.chain_verified && page.verified_whole_at == watch.whole_at && page.fault.is_none());
    let audit = dir.path().join("env/acme/audit");
    let files: Vec<PathBuf> = std::fs::read_dir(audit).unwrap().map(|entry| entry.unwrap().path()).collect();
    let first = files.iter().find(|path| path.to_string_lossy().contains("events-000000000000")).unwrap();
    let whole = std::fs::read(first).unwrap();
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    for damage in [changed, whole[..whole.len() - 200].to_vec(), Vec::new()] {
        std::fs::remove_file(first).unwrap();
        std::fs::write(first, damage).unwrap();
        round();
        let fault = env.audit_watch().unwrap().0.fault;
        assert!(fault.is_some(), "a block that was altered is found");
        // Events elsewhere are shown and said not to be all that there is; those that were altered are an error.
        let page = env.audit().cursor(2400).run().unwrap();
        assert_eq!((page.chain_verified, &page.fault), (false, &fault));
        assert_eq!(env.audit().run().unwrap_err().kind(), ErrorKind::Corrupt);
        assert!(env.export_audit().unwrap().any(|lines| lines.is_err()), "nor can it be exported");
        std::fs::remove_file(first).unwrap();
        std::fs::write(first, &whole).unwrap();
        round();
        assert_eq!(env.audit_watch().unwrap().0.fault, None);
        assert!(env.audit().cursor(2400).run().unwrap().chain_verified);
    }
}

#[test]
fn who_wrote_is_told_with_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let (db, env) = open(on_disk(dir.path()));
    let docs = env.collection("docs").dimension(2).open_or_create().unwrap();
    docs.upsert(records(0..3)).unwrap();
    let by_rest = env.by_way_of(engine::Source::Rest).open_collection("docs").unwrap();
    by_rest.upsert(records(3..8)).unwrap();
    let told = env.audit().action("records.written").run().unwrap().events;
    let sources: Vec<_> = told.iter().map(|event| (event.source, event.fields[1].1.clone())).collect();
    assert_eq!(sources, [("library", "3".to_owned()), ("rest", "5".to_owned())]);
    db.close().unwrap();
}
