//! The rule that a key cannot be printed, copied, compared or written by accident.

use crate::repository::{File, Finding, Repository};
use crate::text::{item_end, words};

/// Where all keys are made.
const HOME: &str = "privacy/src/secret.rs";

/// The types of that file that are public names, not keys.
const PUBLIC: [&str; 2] = ["Fingerprint", "KeyId"];

/// What would let a key out.
const LEAKS: [&str; 11] = [
    "Debug",
    "Display",
    "LowerHex",
    "Clone",
    "Copy",
    "PartialEq",
    "PartialOrd",
    "Hash",
    "Serialize",
    "Deserialize",
    "ToString",
];

pub fn printable(repository: &Repository) -> Vec<Finding> {
    let Some(home) = repository.file(HOME) else {
        return Vec::new();
    };
    let keys = keys(&home.shipped);
    if keys.is_empty() {
        return vec![home.finding(0, "no keys are made here any more; name their new home in this rule")];
    }
    let rooms = repository.rust().filter(|file| file.path.starts_with("privacy/src/"));
    rooms.flat_map(|file| derived(file, &keys).into_iter().chain(implemented(file, &keys))).collect()
}

/// The types that `code` makes, itself or by its macros.
fn keys(code: &str) -> Vec<&str> {
    let mut keys = Vec::new();
    let all: Vec<_> = words(code).collect();
    for pair in all.windows(2).filter(|pair| ["struct", "enum"].contains(&pair[0].1)) {
        let (at, name) = pair[1];
        if code[..at].ends_with('$') { keys.extend(arguments(code, at)) } else { keys.push(name) }
    }
    keys.retain(|key| !PUBLIC.contains(key));
    keys
}

/// Derives of a leak on a key.
fn derived(file: &File, keys: &[&str]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (at, _) in file.code.match_indices("#[derive(") {
        let (list, item) = file.code[at..].split_once(")]").unwrap_or_default();
        let mut rest = words(item).skip_while(|(_, word)| !matches!(*word, "struct" | "enum"));
        let (_, Some((name_at, name))) = (rest.next(), rest.next()) else {
            continue;
        };
        let names = if item[..name_at].ends_with('$') { arguments(&file.code, at) } else { vec![name] };
        found.extend(leak(file, at, list, &names, keys));
    }
    found
}

/// Implementations of a leak for a key.
fn implemented(file: &File, keys: &[&str]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (at, _) in words(&file.code).filter(|(_, word)| *word == "impl") {
        let head = file.code[at..].split('{').next().unwrap_or_default();
        let Some((traits, name)) = head.split_once(" for ") else {
            continue;
        };
        let generic = name.trim_start().starts_with('$');
        let names = if generic { arguments(&file.code, at) } else { words(name).map(|(_, word)| word).collect() };
        found.extend(leak(file, at, traits, &names, keys));
    }
    found
}

/// The breach at `at`, if one of `traits` lets one of `names` out that is a key.
fn leak(file: &File, at: usize, traits: &str, names: &[&str], keys: &[&str]) -> Option<Finding> {
    let leak = words(traits).map(|(_, word)| word).find(|word| LEAKS.contains(word))?;
    let key = names.iter().find(|name| keys.contains(name))?;
    Some(file.finding(at, format!("`{key}` must not be {leak}")))
}

/// The type names that the macro around `offset` is called with.
fn arguments(code: &str, offset: usize) -> Vec<&str> {
    let Some((_, after)) = code[..offset].rfind("macro_rules!").map(|at| code.split_at(at + "macro_rules!".len()))
    else {
        return Vec::new();
    };
    let Some((_, name)) = words(after).next() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (at, call) in code.match_indices(&format!("{name}!")) {
        let body = &code[at + call.len()..item_end(code, at)];
        found.extend(words(body).map(|(_, word)| word).filter(|word| word.starts_with(|c: char| c.is_uppercase())));
    }
    found
}

#[cfg(test)]
mod sabotage {
    use super::*;
    use crate::whats;

    fn caught(secret: &str, other: &str) -> Vec<String> {
        let made =
            "macro_rules! keys { ($name:ident) => {\n#[derive(Zeroize)] pub struct $name;\n} }\nkeys! { RootKey; }\n";
        let secret = format!("pub struct Dek;\n{secret}\n{}", if secret.contains("keys!") { "" } else { made });
        whats(printable(&Repository::of(&[(HOME, &secret), ("privacy/src/a.rs", other)])))
    }

    #[test]
    fn a_key_that_can_be_printed_is_caught() {
        assert_eq!(caught("#[derive(Zeroize)]\nstruct NewKey;", "impl Drop for Dek {}"), [""; 0]);
        assert_eq!(
            caught("#[derive(Clone, Copy, Debug)]\npub struct KeyId;", "#[derive(Clone)]\nstruct Tag;"),
            [""; 0]
        );
        assert_eq!(
            caught("#[derive(Zeroize, Clone)]\npub struct NewKey;", ""),
            ["privacy/src/secret.rs:2 `NewKey` must not be Clone"]
        );
        assert_eq!(caught("", "impl fmt::Debug for Dek {"), ["privacy/src/a.rs:1 `Dek` must not be Debug"]);
        assert_eq!(caught("", "impl Clone for super::RootKey {"), ["privacy/src/a.rs:1 `RootKey` must not be Clone"]);
        let made = "macro_rules! keys { ($name:ident) => {\n#[derive(Zeroize, PartialEq)] pub struct $name;\n} }\nkeys! { RootKey; }";
        assert_eq!(caught(made, ""), ["privacy/src/secret.rs:3 `RootKey` must not be PartialEq"]);
        let shown = "macro_rules! shown { ($name:ident) => {\nimpl Display for $name {}\n} }\nshown! { KeyId }";
        assert_eq!(caught(shown, ""), [""; 0]);
        assert_eq!(
            caught(&shown.replace("{ KeyId", "{ KeyId Dek"), ""),
            ["privacy/src/secret.rs:3 `Dek` must not be Display"]
        );
    }

    #[test]
    fn keys_that_moved_out_are_missed() {
        let repository = Repository::of(&[(HOME, "pub struct KeyId;")]);
        assert_eq!(printable(&repository).len(), 1);
    }
}
