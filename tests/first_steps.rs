//! What anybody meets first: `lethedb demo` with all that it claims, and a machine with narrow limits.
//!
//! The demonstration checks itself and ends with 1 where a claim fails, so this sees to it that it is told to its end. A
//! test target of the server's package, so that cargo builds the binary for it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "starts the real program")]

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use serde_json::Value;

#[test]
fn the_demonstration_shows_what_it_claims() {
    let place = tempfile::tempdir().unwrap();
    let words = ["demo", "--data", ".", "--output", "json"];
    let output = Command::new(env!("CARGO_BIN_EXE_lethedb")).current_dir(place.path()).args(words).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let opened = report["opened_from_copy"].as_u64().unwrap() + report["erased_records"].as_u64().unwrap();
    assert_eq!(Some(opened), report["records"].as_u64(), "{report}");
    assert!(report["scanned_files"].as_u64() > Some(20), "{report}");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "it cleans up behind itself");
}

/// The system ends whoever writes more without having asked to be told, and says nothing.
#[test]
fn a_limit_on_the_size_of_files_is_told_like_a_full_disk() {
    let place = tempfile::tempdir().unwrap();
    let import = ["import", "people.jsonl", "--collection", "docs"];
    let line = |id: u32| format!("{{\"id\": {id}, \"vector\": [{}1]}}\n", "0.5, ".repeat(255));
    std::fs::write(place.path().join("people.jsonl"), (0..4_000).map(line).collect::<String>()).unwrap();
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -f 1024; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_lethedb")]).args(import);
    let output = limited.current_dir(place.path()).env("LETHEDB_ROOT_KEY", "07".repeat(32)).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.signal(), output.status.code()), (None, Some(1)), "{said}");
    assert!(said.contains("disk is full") || said.contains("File too large"), "{said}");
}
