//! What the rules look at: every file of the repository, read once.
//!
//! Invariant: paths are relative to the root, with `/`, in order. A repository can also be made of snippets, which is
//! how each rule proves that it catches what it forbids.
#![allow(clippy::disallowed_methods, clippy::expect_used, reason = "a checker of files reads files, or fails")]

use std::fs;
use std::path::Path;

use crate::text::{self, Kind};

/// One breach of a rule.
#[derive(Debug, PartialEq)]
pub struct Finding {
    pub path: String,
    pub line: usize,
    pub what: String,
}

/// A file and the masks of its text (empty unless it is Rust).
pub struct File {
    pub path: String,
    pub text: String,
    /// Without comments and literals.
    pub code: String,
    pub comments: String,
    /// `code` without what only tests compile.
    pub shipped: String,
}

impl File {
    fn new(path: String, text: String) -> Self {
        let (mut code, mut comments, mut shipped) = Default::default();
        if path.ends_with(".rs") {
            let kinds = text::kinds(&text);
            code = text::mask(&text, &kinds, Kind::Code);
            comments = text::mask(&text, &kinds, Kind::Comment);
            shipped = text::without_tests(&code);
        }
        Self { path, text, code, comments, shipped }
    }

    /// Whether only tests compile this file.
    pub fn is_test(&self) -> bool {
        self.shipped.trim().is_empty() && !self.code.trim().is_empty()
    }

    /// Whether this file only declares the modules of a crate or a room.
    pub fn is_face(&self) -> bool {
        matches!(self.path.rsplit('/').next(), Some("lib.rs" | "mod.rs"))
    }

    /// A breach at `offset`.
    pub fn finding(&self, offset: usize, what: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line: text::line(&self.text, offset), what: what.into() }
    }
}

/// Every file of the project.
pub struct Repository {
    files: Vec<File>,
}

impl Repository {
    /// Reads all files under `root` but build output and version control; those that are not text are left out.
    pub fn read(root: &Path) -> Self {
        let mut found = Vec::new();
        collect(root, "", &mut found);
        Self::new(found)
    }

    /// A repository of these paths and texts.
    pub fn of(snippets: &[(&str, &str)]) -> Self {
        Self::new(snippets.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect())
    }

    fn new(mut texts: Vec<(String, String)>) -> Self {
        texts.sort();
        let mut files: Vec<File> = texts.into_iter().map(|(path, text)| File::new(path, text)).collect();
        let for_tests: Vec<String> = files.iter().flat_map(test_modules).collect();
        for file in &mut files {
            let module = file.path.trim_end_matches(".rs").trim_end_matches("/mod");
            let is_inside = |room: &String| module == room || module.starts_with(&format!("{room}/"));
            if file.path.starts_with("tests/") || for_tests.iter().any(is_inside) {
                file.shipped = " ".repeat(file.code.len());
            }
        }
        Self { files }
    }

    /// All text files.
    pub fn files(&self) -> impl Iterator<Item = &File> {
        self.files.iter()
    }

    /// All Rust files.
    pub fn rust(&self) -> impl Iterator<Item = &File> {
        self.files().filter(|file| file.path.ends_with(".rs"))
    }

    /// The file at `path`.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.files().find(|file| file.path == path)
    }

    /// Whether `path` is a file or a folder.
    pub fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        self.files().any(|file| file.path == path || file.path.starts_with(&format!("{path}/")))
    }
}

/// The modules (paths without extension) that `file` declares for tests only.
fn test_modules(file: &File) -> Vec<String> {
    let folder = match file.is_face() || file.path.ends_with("/main.rs") {
        true => file.path.rsplit_once('/').map_or("", |(folder, _)| folder),
        false => file.path.trim_end_matches(".rs"),
    };
    let declared = |code| {
        let words: Vec<(usize, &str)> = text::words(code).collect();
        let names = words.windows(2).filter(|pair| pair[0].1 == "mod").map(|pair| pair[1].1.to_owned());
        names.collect::<Vec<_>>()
    };
    let shipped = declared(&file.shipped);
    let for_tests = declared(&file.code).into_iter().filter(|name| !shipped.contains(name));
    for_tests.map(|name| format!("{folder}/{name}")).collect()
}

fn collect(folder: &Path, prefix: &str, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("the repository can be listed") {
        let entry = entry.expect("the repository can be listed");
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if path == "target" || name == ".git" {
            continue;
        }
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{path}/"), found);
        } else {
            // A file that is no text has nothing a rule could read, yet its name counts.
            found.push((path, fs::read_to_string(entry.path()).unwrap_or_default()));
        }
    }
}

#[cfg(test)]
mod sabotage {
    use super::*;

    #[test]
    fn a_module_declared_for_tests_ships_nothing() {
        let repository = Repository::of(&[
            ("storage/src/lib.rs", "mod a;\n#[cfg(test)]\nmod oracle;\n"),
            ("storage/src/a.rs", "fn a() {}\n#[cfg(test)]\nmod tests;\n"),
            ("storage/src/a/tests.rs", "fn b() {}"),
            ("storage/src/oracle/mod.rs", "mod c;"),
            ("storage/src/oracle/c.rs", "fn c() {}"),
            ("storage/src/tests.rs", "fn shipped() {}"),
        ]);
        let tests: Vec<_> = repository.rust().filter(|file| file.is_test()).map(|file| file.path.as_str()).collect();
        assert_eq!(tests, ["storage/src/a/tests.rs", "storage/src/oracle/c.rs", "storage/src/oracle/mod.rs"]);
        assert!(repository.has("storage/src/") && repository.has("storage/src/a.rs") && !repository.has("storage/s"));
    }
}
