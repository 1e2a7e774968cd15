//! The rules of the house, held by a machine.
//!
//! Each test below is one rule over every file of the repository; the sentence above it is its reason and is printed
//! when it breaks. The rules read text, not syntax trees: a few lines each, quick, and without dependencies. Each proves
//! in its own file, on a snippet made to break it, that it catches what it forbids.
//!
//! To change a rule is to change the design: say why in the commit.
#![allow(clippy::panic, reason = "a broken rule fails its test")]

#[path = "tidy/crates.rs"]
mod crates;
#[path = "tidy/habits.rs"]
mod habits;
#[path = "tidy/keys.rs"]
mod keys;
#[path = "tidy/links.rs"]
mod links;
#[path = "tidy/modules.rs"]
mod modules;
#[path = "tidy/paths.rs"]
mod paths;
#[path = "tidy/places.rs"]
mod places;
#[path = "tidy/repository.rs"]
mod repository;
#[path = "tidy/size.rs"]
mod size;
#[path = "tidy/text.rs"]
mod text;
#[path = "tidy/twin.rs"]
mod twin;

use std::path::Path;
use std::sync::OnceLock;

use repository::{Finding, Repository};

macro_rules! rules {
    ($($(#[doc = $reason:literal])* $name:ident => $rule:path;)*) => {$(
        #[test]
        fn $name() {
            hold(concat!($($reason),*), $rule);
        }
    )*};
}

rules! {
    /// Crates form layers: privacy and index compute without files, storage knows no index, the server needs nothing
    /// below the engine's façade. An edge that is not drawn ties two rooms that should change apart.
    crate_graph => crates::graph;
    /// A dependency is code we answer for. Who adds one says in the workspace manifest what it is for.
    dependencies_have_reasons => crates::reasons;
    /// The first thing a newcomer sees is the top level: crates, manifest, licence, README, nothing else.
    top_level => crates::top_level;
    /// Cargo forbids cycles between crates and nothing forbids them inside one, so most crates become a knot that must
    /// be read at once. Ours are read from the leaves up. Usually a small type sits too high: give it a leaf of its own.
    modules_form_no_cycle => modules::cycles;
    /// `lib.rs` and `mod.rs` are the map of their room. What has a body lives in a file with a name.
    faces_hold_nothing => modules::faces;
    /// A file is one noun. One that does not fit is two.
    files_are_short => size::files;
    /// A function fits a screen, or it does two things.
    functions_are_short => size::functions;
    /// Unsafe code is proven by reading, so there must be little to read: the kernels, the arena, the maps.
    unsafe_code_has_its_rooms => places::unsafe_code;
    /// Everything on disk is encrypted because one room writes it, and crashes can be simulated because it can be
    /// replaced.
    files_have_their_room => places::files;
    /// Time is a parameter, so that a test can turn the clock.
    the_clock_has_its_room => places::clock;
    /// Randomness is a parameter, so that a test can replay a history, and every key has one known source.
    entropy_has_its_room => places::entropy;
    /// Work is done in steps that a test can drive. Threads, and their number, are the engine's business.
    threads_have_their_room => places::threads;
    /// A database that starts programs is a way into its host. Only the comparison with other engines starts one, which the
    /// user names.
    nothing_spawns_processes => places::processes;
    /// What dials out can carry data out.
    nothing_dials_out => places::network;
    /// Settings come in by one door, or nobody can say what is in force.
    settings_have_their_door => places::settings;
    /// An exception for a file that is gone would silently cover the next one of that name.
    exceptions_are_live => places::live_exceptions;
    /// Every file says what lives in it, what always holds, and why it stands where it does.
    files_explain_themselves => habits::headers;
    /// A name that fits everything hides what is inside.
    names_say_something => habits::names;
    /// What is merged is finished. What is left goes into a note, not into the code.
    nothing_is_unfinished => habits::unfinished;
    /// A test that nobody runs proves nothing.
    no_test_is_ignored => habits::ignored_tests;
    /// The project is built from a clean clone on anyone's machine, from crates.io.
    no_trace_of_a_machine => habits::machine_traces;
    /// A page that points nowhere is not read again.
    links_are_alive => links::dead;
    /// A key that can be printed ends in a log; one that can be copied outlives its erasure.
    keys_cannot_leak => keys::printable;
    /// Everything on disk is encrypted. What measures the cost of that without it must never leave a benchmark.
    the_plaintext_twin_is_not_shipped => twin::shipped;
}

/// Fails with the reason and the places if `rule` finds anything in this repository.
fn hold(reason: &str, rule: fn(&Repository) -> Vec<Finding>) {
    static REPOSITORY: OnceLock<Repository> = OnceLock::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let found = whats(rule(REPOSITORY.get_or_init(|| Repository::read(&root))));
    assert!(found.is_empty(), "{}\n\nWhy:{reason}\n", found.join("\n"));
}

/// Findings as they are printed: path, line, what.
fn whats(found: Vec<Finding>) -> Vec<String> {
    found.into_iter().map(|Finding { path, line, what }| format!("{path}:{line} {what}")).collect()
}

/// The places of findings: path and line.
fn ats(found: Vec<Finding>) -> Vec<String> {
    found.into_iter().map(|Finding { path, line, .. }| format!("{path}:{line}")).collect()
}
