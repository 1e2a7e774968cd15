//! Rules of what is written: headers, names, nothing unfinished, nothing of the machine it was written on.

use crate::repository::{File, Finding, Repository};
use crate::text::words;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 6] = ["utils", "common", "helpers", "misc", "types", "manager"];

/// A header shorter than this explains nothing.
const HEADER_BYTES_MIN: usize = 20;

pub fn headers(repository: &Repository) -> Vec<Finding> {
    let bare = |file: &&File| {
        let header = file.text.lines().take_while(|line| line.starts_with("//!"));
        header.map(|line| line.trim_start_matches("//!").trim().len()).sum::<usize>() < HEADER_BYTES_MIN
    };
    repository.rust().filter(bare).map(|file| file.finding(0, "does not open with `//!` and an explanation")).collect()
}

pub fn names(repository: &Repository) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in repository.files() {
        let parts = file.path.split('/').map(|part| part.split('.').next().unwrap_or_default());
        found.extend(
            parts.filter(|part| is_empty_name(part)).map(|part| file.finding(0, format!("`{part}` says nothing"))),
        );
        let all: Vec<_> = words(&file.code).collect();
        let modules = all.windows(2).filter(|pair| pair[0].1 == "mod" && is_empty_name(pair[1].1));
        found.extend(modules.map(|pair| file.finding(pair[0].0, format!("`{}` says nothing", pair[1].1))));
    }
    found
}

fn is_empty_name(name: &str) -> bool {
    let version = name.rsplit_once("_v").is_some_and(|(_, number)| number.parse::<u32>().is_ok());
    version || name.split('_').any(|word| EMPTY_NAMES.contains(&word))
}

pub fn unfinished(repository: &Repository) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in repository.files() {
        let macros = words(&file.code).filter(|(at, word)| {
            matches!(*word, "todo" | "unimplemented" | "dbg") && file.code[at + word.len()..].starts_with('!')
        });
        found.extend(macros.map(|(at, word)| file.finding(at, format!("`{word}!` is left"))));
        let prose = if file.path.ends_with(".rs") { &file.comments } else { &file.text };
        let marks = words(prose).filter(|(_, word)| [concat!("TO", "DO"), concat!("FIX", "ME")].contains(word));
        found.extend(marks.map(|(at, word)| file.finding(at, format!("`{word}` is left"))));
    }
    found
}

pub fn ignored_tests(repository: &Repository) -> Vec<Finding> {
    let ignored = |file: &File| {
        file.code
            .match_indices("#[ignore")
            .map(|(at, _)| file.finding(at, "a test that nobody runs"))
            .collect::<Vec<_>>()
    };
    repository.rust().flat_map(ignored).collect()
}

/// Folders of one machine, cut so that this file is not caught itself.
const MACHINE: [&str; 4] =
    [concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/tmp/", "spec"), concat!("/ro", "ot/")];

/// Settings that send cargo elsewhere than to crates.io.
const REGISTRIES: [&str; 4] = [
    concat!("sparse", "+http"),
    concat!("replace", "-with"),
    concat!("[regis", "tries"),
    concat!("registry-in", "dex"),
];

/// The one registry that may stand in `Cargo.lock`.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub fn machine_traces(repository: &Repository) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in repository.files() {
        for folder in MACHINE {
            let absolute = file.text.match_indices(folder).filter(|(at, _)| {
                let before = file.text[..*at].chars().next_back();
                before.is_none_or(|c| c.is_whitespace() || "\"'`(=<:".contains(c))
            });
            found.extend(absolute.map(|(at, _)| file.finding(at, format!("`{folder}` exists on one machine only"))));
        }
        let elsewhere = REGISTRIES.iter().flat_map(|sign| file.text.match_indices(sign));
        found.extend(elsewhere.map(|(at, sign)| file.finding(at, format!("`{sign}` names a registry"))));
        let sources = file.text.lines().filter(|line| line.starts_with("source = ") && !line.contains(CRATES_IO));
        found.extend(sources.map(|line| file.finding(file.text.find(line).unwrap_or_default(), "not from crates.io")));
    }
    found
}

#[cfg(test)]
mod sabotage {
    use super::*;
    use crate::{ats, whats};

    #[test]
    fn a_bare_file_is_caught() {
        let repository = Repository::of(&[
            ("index/src/a.rs", "//! What lives here, its invariant, and why it stands here.\n"),
            ("index/src/b.rs", "//! Short.\n"),
            ("index/src/c.rs", "// What lives here, its invariant, and why it stands here.\n"),
            ("README.md", "x"),
        ]);
        assert_eq!(ats(headers(&repository)), ["index/src/b.rs:1", "index/src/c.rs:1"]);
    }

    #[test]
    fn an_empty_name_is_caught() {
        let repository = Repository::of(&[
            ("index/src/utils.rs", ""),
            ("index/src/key_manager/mod.rs", ""),
            ("index/src/graph_v2.rs", ""),
            ("index/src/typeset.rs", "\nmod misc {}\nmod manage;"),
            ("server/proto/lethedb/v1/a.proto", ""),
        ]);
        let expected = [
            "index/src/graph_v2.rs:1",
            "index/src/key_manager/mod.rs:1",
            "index/src/typeset.rs:2",
            "index/src/utils.rs:1",
        ];
        assert_eq!(ats(names(&repository)), expected);
    }

    #[test]
    fn unfinished_work_is_caught() {
        let mark = concat!("TO", "DO");
        let repository = Repository::of(&[
            ("a.rs", &format!("fn a() {{\n todo!()\n}}\n// {mark}: more\nlet dbg = \"{mark}\"; dbg!(1);")),
            ("a.md", &format!("x\n{mark} y")),
        ]);
        assert_eq!(ats(unfinished(&repository)), ["a.md:2", "a.rs:2", "a.rs:5", "a.rs:4"]);
    }

    #[test]
    fn an_ignored_test_is_caught() {
        let repository = Repository::of(&[("a.rs", "// #[ignore]\n#[test]\n#[ignore = \"slow\"]\nfn a() {}")]);
        assert_eq!(ats(ignored_tests(&repository)), ["a.rs:3"]);
    }

    #[test]
    fn a_trace_of_the_machine_is_caught() {
        let lock = format!("source = \"{CRATES_IO}\"\nsource = \"registry+https://mirror/index\"\n");
        let repository = Repository::of(&[
            ("Cargo.lock", &lock),
            ("a.md", &format!("see `{}x` and .github/workflows, net{}", MACHINE[0], MACHINE[0])),
            ("a.toml", &format!("\n[source.x]\n{} = \"y\"", REGISTRIES[1])),
        ]);
        let expected = [
            "Cargo.lock:2 not from crates.io".into(),
            format!("a.md:1 `{}` exists on one machine only", MACHINE[0]),
            format!("a.toml:3 `{}` names a registry", REGISTRIES[1]),
        ];
        assert_eq!(whats(machine_traces(&repository)), expected);
    }
}
