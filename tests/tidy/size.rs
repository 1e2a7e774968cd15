//! Rules of size: what does not fit one screen or one sitting is two things.

use std::ops::Range;

use crate::repository::{Finding, Repository};
use crate::text::{item_end, line, test_items, words};

const FILE_LINES_MAX: usize = 400;
const TEST_FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

pub fn files(repository: &Repository) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in repository.rust() {
        let all = file.text.lines().count();
        let (lines, max) = if file.is_test() {
            (all, TEST_FILE_LINES_MAX)
        } else {
            let lines_of = |item: &Range<usize>| line(&file.code, item.end) + 1 - line(&file.code, item.start);
            (all - test_items(&file.code).iter().map(lines_of).sum::<usize>(), FILE_LINES_MAX)
        };
        if lines > max {
            found.push(file.finding(0, format!("{lines} lines, {max} are allowed")));
        }
    }
    found
}

pub fn functions(repository: &Repository) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in repository.rust() {
        let all: Vec<_> = words(&file.code).collect();
        for pair in all.windows(2) {
            let [(start, "fn"), (name_at, name)] = *pair else {
                continue;
            };
            if !file.code[start + 2..name_at].trim().is_empty() {
                continue;
            }
            let lines = line(&file.code, item_end(&file.code, start)) + 1 - line(&file.code, start);
            if lines > FUNCTION_LINES_MAX {
                found
                    .push(file.finding(start, format!("`{name}` has {lines} lines, {FUNCTION_LINES_MAX} are allowed")));
            }
        }
    }
    found
}

#[cfg(test)]
mod sabotage {
    use super::*;
    use crate::{ats, whats};

    #[test]
    fn a_long_file_is_caught() {
        let code = "fn a() {}\n".repeat(400);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "fn b() {}\n\n".repeat(300));
        let repository = Repository::of(&[
            ("engine/src/short.rs", &format!("{code}{tests}")),
            ("engine/src/long.rs", &format!("{code}const A: u8 = 1;\n{tests}")),
            ("tests/long.rs", &"fn c() {}\n".repeat(601)),
            ("tests/short.rs", &"fn c() {}\n".repeat(600)),
        ]);
        assert_eq!(ats(files(&repository)), ["engine/src/long.rs:1", "tests/long.rs:1"]);
    }

    #[test]
    fn a_long_function_is_caught() {
        let function =
            |lines| format!("type F = fn(u8);\nfn a(x: [u8; 2]) -> u8 {{\n{}}}\nfn b() {{}}\n", "x;\n".repeat(lines));
        let repository = Repository::of(&[("index/src/a.rs", &function(68)), ("index/src/b.rs", &function(69))]);
        assert_eq!(whats(functions(&repository)), ["index/src/b.rs:2 `a` has 71 lines, 70 are allowed"]);
    }
}
