//! Rules of the whole: which crate may use which, what lies at the top, and why each dependency is there.

use crate::paths::paths;
use crate::repository::{File, Finding, Repository};

/// Whom a crate may use of ours. Tests and measurements may look into every room.
const GRAPH: [(&str, &[&str]); 8] = [
    ("benches", &["datasets", "engine", "index", "privacy", "storage"]),
    ("datasets", &[]),
    ("engine", &["index", "privacy", "storage"]),
    ("index", &[]),
    ("privacy", &[]),
    ("server", &["benches", "datasets", "engine"]),
    ("storage", &["privacy"]),
    ("tests", &["benches", "datasets", "engine", "index", "privacy", "server", "storage"]),
];

/// What may lie at the top beside the crates and dotfiles.
const TOP: [&str; 4] = ["Cargo.toml", "Cargo.lock", "LICENSE", "README.md"];

/// A line `name = …` or `name.key = …` of a manifest.
struct Entry<'a> {
    offset: usize,
    section: &'a str,
    name: &'a str,
    /// What stands after the first `=`, up to the line that closes its brackets.
    value: &'a str,
}

impl Entry<'_> {
    fn is_dependency(&self) -> bool {
        self.section.ends_with("dependencies") || self.section.contains("dependencies.")
    }
}

fn entries(text: &str) -> Vec<Entry<'_>> {
    let mut found: Vec<Entry> = Vec::new();
    let (mut section, mut offset, mut open) = ("", 0, 0_isize);
    for line in text.split_inclusive('\n') {
        let content = line.split('#').next().unwrap_or_default();
        let brackets = content.matches(['[', '{']).count() as isize - content.matches([']', '}']).count() as isize;
        if let Some(last) = found.last_mut().filter(|_| open > 0) {
            let start = last.value.as_ptr() as usize - text.as_ptr() as usize;
            last.value = text[start..offset + line.len()].trim_end();
            open += brackets;
        } else if line.starts_with('[') {
            section = content.trim().trim_matches(['[', ']']);
        } else if let Some((name, _)) = content.split_once('=') {
            let value = line[name.len() + 1..].trim();
            // In a table such as `[dependencies.name]` the name stands in its head.
            let table = section.split_once("dependencies.").map(|(_, name)| name);
            let name = table.unwrap_or(name.split('.').next().unwrap_or_default().trim());
            found.push(Entry { offset, section, name, value });
            open = brackets;
        }
        offset += line.len();
    }
    found
}

fn manifests(repository: &Repository) -> impl Iterator<Item = (&str, &File)> {
    let folder = |file: &'_ File| file.path.strip_suffix("/Cargo.toml").map(str::len);
    repository.files().filter_map(move |file| Some((&file.path[..folder(file)?], file)))
}

pub fn graph(repository: &Repository) -> Vec<Finding> {
    let mut found = Vec::new();
    for (folder, manifest) in manifests(repository) {
        let Some((_, allowed)) = GRAPH.iter().find(|(name, _)| *name == folder) else {
            found.push(manifest.finding(0, format!("crate `{folder}` has no place in the graph")));
            continue;
        };
        for entry in entries(&manifest.text).iter().filter(|entry| entry.is_dependency()) {
            let ours = GRAPH.iter().any(|(name, _)| *name == entry.name) || entry.value.contains("path");
            // What the suites share serves a suite wherever cargo must build it.
            let of_tests = entry.section == "dev-dependencies" && entry.name == "tests";
            if ours && !allowed.contains(&entry.name) && !of_tests {
                found.push(manifest.finding(entry.offset, format!("{folder} must not use {}", entry.name)));
            }
        }
    }
    for file in repository.rust() {
        if ["server/src/rest/", "server/src/grpc/"].iter().any(|room| file.path.starts_with(room)) {
            let outside =
                paths(&file.shipped).into_iter().filter(|path| ["benches", "datasets"].contains(&path.segments[0]));
            found.extend(outside.map(|path| file.finding(path.offset, "the faces must be served by the engine alone")));
        }
    }
    found
}

pub fn reasons(repository: &Repository) -> Vec<Finding> {
    let mut found = Vec::new();
    let members = manifests(repository).flat_map(|(_, manifest)| {
        let direct = |entry: &Entry| {
            let inherited = entry.value == "true" || entry.value.contains("workspace = true");
            (entry.is_dependency() && !inherited)
                .then(|| manifest.finding(entry.offset, "not inherited from the workspace"))
        };
        entries(&manifest.text).iter().filter_map(direct).collect::<Vec<_>>()
    });
    found.extend(members);
    if let Some(root) = repository.file("Cargo.toml") {
        for entry in entries(&root.text).iter().filter(|entry| entry.is_dependency()) {
            let reason = entry.value.rsplit_once('#').map_or("", |(_, reason)| reason.trim());
            if reason.len() < 3 && !entry.value.contains("path =") {
                found.push(root.finding(entry.offset, format!("`{}` does not say what it is for", entry.name)));
            }
        }
    }
    found
}

pub fn top_level(repository: &Repository) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for file in repository.files() {
        let top = file.path.split('/').next().unwrap_or_default();
        let known = TOP.contains(&file.path.as_str())
            || GRAPH.iter().any(|(name, _)| file.path.starts_with(&format!("{name}/")));
        let what = format!("`{top}` has no place at the top");
        if !known && !top.starts_with('.') && found.last().is_none_or(|last| last.what != what) {
            found.push(file.finding(0, what));
        }
    }
    found.extend(TOP.iter().filter(|name| !repository.has(name)).map(|name| Finding {
        path: (*name).into(),
        line: 1,
        what: "is missing at the top".into(),
    }));
    found
}

#[cfg(test)]
mod sabotage {
    use super::*;
    use crate::whats;

    #[test]
    fn a_wrong_edge_is_caught() {
        let repository = Repository::of(&[
            ("index/Cargo.toml", "[dependencies]\nrayon.workspace = true\nprivacy.workspace = true\n"),
            (
                "storage/Cargo.toml",
                "[dependencies]\nprivacy.workspace = true\n[dev-dependencies.engine]\nworkspace = true\n",
            ),
            (
                "server/Cargo.toml",
                "[dependencies]\ntests.workspace = true\n[dev-dependencies]\ntests.workspace = true\n",
            ),
            ("privacy/Cargo.toml", "[target.'cfg(unix)'.dependencies]\nour = { path = \"../storage\" }\n"),
            ("utils/Cargo.toml", "[package]\n"),
            ("server/src/rest/search.rs", "use engine::A;\nuse datasets::open;\n"),
            ("server/src/cli/import.rs", "use datasets::open;\n"),
        ]);
        let expected = [
            "index/Cargo.toml:3 index must not use privacy",
            "privacy/Cargo.toml:2 privacy must not use our",
            "server/Cargo.toml:2 server must not use tests",
            "storage/Cargo.toml:4 storage must not use engine",
            "utils/Cargo.toml:1 crate `utils` has no place in the graph",
            "server/src/rest/search.rs:2 the faces must be served by the engine alone",
        ];
        assert_eq!(whats(graph(&repository)), expected);
    }

    #[test]
    fn a_dependency_without_a_reason_is_caught() {
        let repository = Repository::of(&[
            (
                "Cargo.toml",
                "[workspace.dependencies]\na = \"1\" # does this and that\nb = \"1\"\nc = { version = \"1\", features = [\n  \"x\",\n] } # for that reason\nours = { path = \"x\" }\n[profile.dev]\ndebug = 1\n",
            ),
            (
                "index/Cargo.toml",
                "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\nb = { workspace = true }\nc = \"1\"\n",
            ),
        ]);
        let expected =
            ["index/Cargo.toml:6 not inherited from the workspace", "Cargo.toml:3 `b` does not say what it is for"];
        assert_eq!(whats(reasons(&repository)), expected);
    }

    #[test]
    fn a_stray_top_level_entry_is_caught() {
        let repository = Repository::of(&[
            (".ci/run", ""),
            ("Cargo.toml", ""),
            ("Cargo.lock", ""),
            ("LICENSE", ""),
            ("engine/src/lib.rs", ""),
            ("docs/a.md", ""),
            ("docs/b.md", ""),
        ]);
        let expected = ["docs/a.md:1 `docs` has no place at the top", "README.md:1 is missing at the top"];
        assert_eq!(whats(top_level(&repository)), expected);
    }
}
