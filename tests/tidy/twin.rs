//! The rule that the twin of the benchmarks, which seals nothing, cannot be shipped.
//!
//! It is compiled only under a flag of the compiler, so no dependency and no feature can bring it in. What is left to hold
//! is that nothing in the repository gives that flag but the measurement, and that the server refuses it.

use crate::repository::{Finding, Repository};
use crate::text::words;

const FLAG: &str = "lethedb_plaintext";

/// Where the flag may be named: what it switches, who gives it, who refuses it, and this rule.
const ROOMS: [&str; 6] =
    ["privacy/src/seal/", "benches/", "server/src/main.rs", "Cargo.toml", "tests/tidy/twin.rs", "tests/tidy.rs"];

/// The binary that is shipped.
const BINARY: &str = "server/src/main.rs";

pub fn shipped(repository: &Repository) -> Vec<Finding> {
    let strays = repository.files().filter(|file| !ROOMS.iter().any(|room| file.path.starts_with(room)));
    let named = strays.filter_map(|file| file.text.find(FLAG).map(|at| file.finding(at, "names the twin")));
    let mut found: Vec<Finding> = named.collect();
    if let Some(binary) = repository.file(BINARY) {
        let (_, after) = binary.code.split_once("#[cfg(lethedb_plaintext)]").unwrap_or_default();
        if words(after).next().is_none_or(|(_, word)| word != "compile_error") {
            found.push(binary.finding(0, "can be built without encryption"));
        }
    }
    found
}

#[cfg(test)]
mod sabotage {
    use super::*;
    use crate::whats;

    #[test]
    fn a_binary_without_encryption_is_caught() {
        let refusal = "#[cfg(lethedb_plaintext)]\ncompile_error!(\"never\");\n";
        let sound = [(BINARY, refusal), ("privacy/src/seal/mod.rs", "#[cfg(lethedb_plaintext)]\nmod plaintext;")];
        assert!(whats(shipped(&Repository::of(&sound))).is_empty());
        let unsound = [
            (BINARY, "// #[cfg(lethedb_plaintext)] compile_error!();\nfn main() {}"),
            (".cargo/config.toml", "[build]\nrustflags = [\"--cfg\", \"lethedb_plaintext\"]\n"),
            ("engine/build.rs", "println!(\"cargo::rustc-cfg=lethedb_plaintext\");"),
        ];
        let expected = [
            ".cargo/config.toml:2 names the twin",
            "engine/build.rs:1 names the twin",
            "server/src/main.rs:1 can be built without encryption",
        ];
        assert_eq!(whats(shipped(&Repository::of(&unsound))), expected);
        let inverted = [(BINARY, "#[cfg(lethedb_plaintext)]\nmod x;\ncompile_error!();")];
        assert_eq!(
            whats(shipped(&Repository::of(&inverted))),
            ["server/src/main.rs:1 can be built without encryption"]
        );
    }
}
