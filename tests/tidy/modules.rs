//! The rule that a crate reads from its leaves up: its modules form no cycle, and its faces hold nothing.
//!
//! Nodes are files; `lib.rs` and `mod.rs` are faces, not nodes. A reference through a face counts for the file behind
//! the re-export; where that cannot be told, for every file of the room.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::paths::{Path, paths};
use crate::repository::{File, Finding, Repository};
use crate::text::{item_end, words};

/// Keywords that begin the definition of a name.
const DEFINES: [&str; 8] = ["struct", "enum", "trait", "fn", "type", "const", "static", "union"];

/// How many re-exports are followed from face to face.
const RE_EXPORTS_MAX: usize = 8;

/// A module's path inside its crate; the crate itself is empty.
type Module<'a> = Vec<&'a str>;

/// The modules of one crate, those for tests left out.
struct Crate<'a> {
    modules: BTreeMap<Module<'a>, &'a File>,
}

impl<'a> Crate<'a> {
    fn new(repository: &'a Repository, source: &str) -> Self {
        let module = |file: &'a File| {
            let path = file.path.strip_prefix(source)?.strip_suffix(".rs")?;
            let mut module: Module = path.split('/').collect();
            module.pop_if(|last| matches!(*last, "lib" | "main" | "mod"));
            (!file.is_test()).then_some((module, file))
        };
        Self { modules: repository.rust().filter_map(module).collect() }
    }

    /// Every reference from file to file, with its offset in the first.
    fn edges(&self) -> BTreeMap<&Module<'a>, BTreeMap<Module<'a>, usize>> {
        let nodes = self.modules.iter().filter(|(_, file)| !file.is_face());
        let targets = |(module, file): (_, &&'a File)| (module, self.targets(module, file));
        nodes.map(targets).collect()
    }

    fn targets(&self, module: &Module<'a>, file: &'a File) -> BTreeMap<Module<'a>, usize> {
        let all = paths(&file.shipped);
        let absolute = |path: &Path<'a>| self.absolute(module, file, path);
        // A module imported whole lends its name to later paths.
        let imported: BTreeMap<&str, Module> = all
            .iter()
            .filter_map(|path| Some((path.name, absolute(path)?)))
            .filter(|(_, segments)| self.modules.contains_key(segments))
            .collect();
        let mut targets = BTreeMap::new();
        for path in &all {
            let through_import = || Some([&imported.get(path.segments[0])?[..], &path.segments[1..]].concat());
            let Some(segments) = absolute(path).or_else(through_import) else {
                continue;
            };
            for target in self.behind(&segments, 0).into_iter().filter(|target| target != module) {
                targets.entry(target).or_insert(path.offset);
            }
        }
        targets
    }

    /// The segments of `path` from the root of the crate, if it starts from a module of it.
    fn absolute(&self, module: &Module<'a>, file: &File, path: &Path<'a>) -> Option<Module<'a>> {
        let ups = path.segments.iter().take_while(|segment| **segment == "super").count();
        let pops = ups.saturating_sub(if ups > 0 { inline_modules(&file.code, path.offset) } else { 0 });
        let room = module.get(..module.len().checked_sub(pops)?)?;
        match path.segments[0] {
            "crate" => Some(path.segments[1..].to_vec()),
            "self" | "super" => Some([room, &path.segments[ups.max(1)..]].concat()),
            child => self.modules.contains_key(&[room, &[child]].concat()).then(|| [room, &path.segments].concat()),
        }
    }

    /// The files that define what `segments` name: the module itself, or what its face re-exports.
    fn behind(&self, segments: &[&'a str], depth: usize) -> Vec<Module<'a>> {
        let longest = (0..=segments.len()).rev().find(|length| self.modules.contains_key(&segments[..*length]));
        let Some(length) = longest.filter(|_| depth < RE_EXPORTS_MAX) else {
            return Vec::new();
        };
        let module = segments[..length].to_vec();
        let face = self.modules[&module];
        if !face.is_face() {
            return vec![module];
        }
        // A room named alone is used by what follows; a glob over a room is a finding of its own.
        let Some(name) = segments.get(length).filter(|name| **name != "*") else {
            return Vec::new();
        };
        for export in paths(&face.shipped) {
            let Some(mut target) = self.absolute(&module, face, &export) else {
                continue;
            };
            if export.name == *name {
                target.extend(&segments[length + 1..]);
                return self.behind(&target, depth + 1);
            }
            if export.name == "*"
                && target.pop().is_some()
                && self.modules.get(&target).is_some_and(|file| defines(file, name))
            {
                return vec![target];
            }
        }
        let in_room = |other: &&Module<'a>| other.starts_with(&module) && !self.modules[*other].is_face();
        if module.is_empty() { Vec::new() } else { self.modules.keys().filter(in_room).cloned().collect() }
    }

    /// Imports of everything in a room, by which nobody can say what is used.
    fn globs(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        for (module, file) in self.modules.iter().filter(|(_, file)| !file.is_face()) {
            for path in paths(&file.shipped).iter().filter(|path| path.name == "*") {
                let room = self.absolute(module, file, path).map(|segments| segments[..segments.len() - 1].to_vec());
                if room.and_then(|room| self.modules.get(&room)).is_some_and(|room| room.is_face()) {
                    found.push(file.finding(path.offset, "a glob over a room hides what is used"));
                }
            }
        }
        found
    }
}

fn defines(file: &File, name: &str) -> bool {
    let all: Vec<_> = words(&file.shipped).map(|(_, word)| word).collect();
    all.windows(2).any(|pair| DEFINES.contains(&pair[0]) && pair[1] == name)
}

/// How many modules written inline enclose `offset`.
fn inline_modules(code: &str, offset: usize) -> usize {
    let starts = words(code).filter(|(start, word)| *word == "mod" && *start < offset);
    starts.filter(|(start, _)| item_end(code, *start) > offset).count()
}

/// The shortest way from `start` back to itself, if there is one.
fn cycle<'e, 'a>(
    edges: &'e BTreeMap<&'e Module<'a>, BTreeMap<Module<'a>, usize>>,
    start: &'e Module<'a>,
) -> Option<Vec<&'e Module<'a>>> {
    let mut from = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(module) = queue.pop_front() {
        for next in edges.get(module).into_iter().flatten().map(|(next, _)| next) {
            if next == start {
                let mut way = vec![module];
                while way[way.len() - 1] != start {
                    way.push(from[way[way.len() - 1]]);
                }
                way.reverse();
                return Some(way);
            }
            if !from.contains_key(next) {
                from.insert(next, module);
                queue.push_back(next);
            }
        }
    }
    None
}

pub fn cycles(repository: &Repository) -> Vec<Finding> {
    let sources: BTreeSet<&str> = repository.rust().filter_map(|file| Some(file.path.split_once("/src/")?.0)).collect();
    let mut found = Vec::new();
    for source in sources {
        let whole = Crate::new(repository, &format!("{source}/src/"));
        found.extend(whole.globs());
        let edges = whole.edges();
        let mut seen = BTreeSet::new();
        for module in edges.keys() {
            let Some(way) = cycle(&edges, module).filter(|way| way.iter().all(|module| !seen.contains(module))) else {
                continue;
            };
            seen.extend(way.iter().copied());
            let name = |module: &Module| {
                if module.is_empty() { "main".into() } else { module.join("::") }
            };
            let names: Vec<_> = way.iter().chain(&way[..1]).map(|module| name(module)).collect();
            let next = way.get(1).unwrap_or(&way[0]);
            found.push(whole.modules[way[0]].finding(edges[way[0]][*next], names.join(" → ")));
        }
    }
    found
}

pub fn faces(repository: &Repository) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in repository.rust().filter(|file| file.is_face() && !file.is_test()) {
        let mut at = 0;
        while let Some(skipped) = file.shipped[at..].find(|c: char| !c.is_whitespace() && c != ';') {
            at += skipped;
            let rest = &file.shipped[at..];
            if let Some(attribute) = rest.strip_prefix("#![").or(rest.strip_prefix("#[")) {
                at = file.shipped.len() - attribute.len() + bracket_end(attribute);
                continue;
            }
            let end = item_end(&file.shipped, at);
            let mut item =
                words(&rest[..end - at]).map(|(_, word)| word).skip_while(|word| ["pub", "crate"].contains(word));
            let declares = match item.next() {
                Some("use") => true,
                Some("mod") => rest[..end - at].ends_with(';'),
                _ => false,
            };
            if !declares {
                found.push(file.finding(at, "a face only explains, declares and re-exports"));
            }
            at = end;
        }
    }
    found
}

/// Where the `]` stands that closes a bracket opened before `text`, plus one.
fn bracket_end(text: &str) -> usize {
    let mut depth = 1_usize;
    let close = text.bytes().position(|byte| {
        depth = match byte {
            b'[' => depth + 1,
            b']' => depth - 1,
            _ => depth,
        };
        depth == 0
    });
    close.map_or(text.len(), |at| at + 1)
}

#[cfg(test)]
mod sabotage {
    use super::*;
    use crate::whats;

    fn cycles_of(files: &[(&str, &str)]) -> Vec<String> {
        whats(cycles(&Repository::of(files)))
    }

    #[test]
    fn two_files_that_use_each_other_are_caught() {
        let found = cycles_of(&[
            ("index/src/lib.rs", "mod a;\nmod b;\npub use a::A;\npub use b::B;"),
            ("index/src/a.rs", "\nuse crate::B;\npub struct A;"),
            ("index/src/b.rs", "use super::{a::A};\npub struct B;"),
        ]);
        assert_eq!(found, ["index/src/a.rs:2 a → b → a"]);
    }

    #[test]
    fn a_cycle_over_rooms_imports_and_globs_is_caught() {
        let found = cycles_of(&[
            ("index/src/lib.rs", "mod graph;\nmod search;\npub use search::*;"),
            ("index/src/graph/mod.rs", "mod build;\nmod frozen;\npub use build::*;\npub use self::frozen::Frozen;"),
            ("index/src/graph/build.rs", "use crate::search;\nfn f() { search::Pool::new(); }\npub struct Build;"),
            ("index/src/graph/frozen.rs", "pub struct Frozen;"),
            ("index/src/search/mod.rs", "mod pool;\npub use pool::Pool;"),
            ("index/src/search/pool.rs", "use crate::graph::Build;\npub struct Pool;"),
        ]);
        assert_eq!(found, ["index/src/graph/build.rs:2 graph::build → search::pool → graph::build"]);
    }

    #[test]
    fn rooms_that_share_leaves_and_tests_form_none() {
        let found = cycles_of(&[
            ("index/src/lib.rs", "mod graph;\nmod search;\nmod a;"),
            ("index/src/graph/mod.rs", "mod build;\nmod frozen;\npub use build::Build;\npub use frozen::Frozen;"),
            ("index/src/graph/build.rs", "use super::Frozen;\nuse crate::search::Pool;\npub struct Build;"),
            (
                "index/src/graph/frozen.rs",
                "//! See [`crate::graph::Build`].\npub struct Frozen;\n#[cfg(test)]\nmod tests { use super::super::Build; }",
            ),
            ("index/src/search/mod.rs", "mod pool;\npub use pool::Pool;"),
            ("index/src/search/pool.rs", "use crate::graph::Frozen;\npub struct Pool;"),
            ("index/src/a.rs", "struct A;\n#[cfg(test)]\nmod tests;\nmod x86 { use super::A; fn f() { self::g(); } }"),
            ("index/src/a/tests.rs", "use super::*;"),
        ]);
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn a_glob_over_a_room_is_caught() {
        let files = [
            ("index/src/lib.rs", "mod a;"),
            ("index/src/a.rs", "use crate::*;\nuse std::io::*;\nuse rayon::prelude::*;"),
        ];
        assert_eq!(cycles_of(&files), ["index/src/a.rs:1 a glob over a room hides what is used"]);
    }

    #[test]
    fn a_face_with_a_body_is_caught() {
        let repository = Repository::of(&[
            (
                "index/src/lib.rs",
                "//! x\n#![forbid(unsafe_code)]\nmod a;\n#[cfg(unix)]\npub(crate) mod b;\npub use a::{A, B};\n#[cfg(test)]\nmod tests { fn f() {} }\n",
            ),
            ("index/src/b/mod.rs", "//! x\nmod c;\npub fn f() { g(); }\nmod d { }\n"),
        ]);
        let what = "a face only explains, declares and re-exports";
        assert_eq!(
            whats(faces(&repository)),
            [format!("index/src/b/mod.rs:3 {what}"), format!("index/src/b/mod.rs:4 {what}")]
        );
    }
}
