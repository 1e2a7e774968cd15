//! The `a::b::c` paths of a source file, with `use` trees spread out.
//!
//! Invariant: of `use a::{b, c::d as e}` come `a::b` and `a::c::d`, the latter under the name `e`. Rules that ask who
//! uses whom read these instead of text, so that no grouping of imports hides a use.

use crate::text::{is_word, words};

/// A path as written, of at least two segments.
#[derive(Clone, Debug, PartialEq)]
pub struct Path<'a> {
    /// Where its first segment stands.
    pub offset: usize,
    /// Its segments; the last is `*` for a glob.
    pub segments: Vec<&'a str>,
    /// What it is called here: its last segment, or the name after `as`.
    pub name: &'a str,
}

impl Path<'_> {
    /// Whether `pattern`, itself a path, is a run of whole segments of this one.
    pub fn contains(&self, pattern: &str) -> bool {
        let pattern: Vec<&str> = pattern.split("::").collect();
        self.segments.windows(pattern.len()).any(|run| run == pattern)
    }
}

/// Every path in `code`, in order.
pub fn paths(code: &str) -> Vec<Path<'_>> {
    let mut found = Vec::new();
    let mut read_to = 0;
    for (offset, _) in words(code) {
        let before = code[..offset].strip_suffix("::");
        let inside_a_path = before.is_some_and(|before| before.bytes().next_back().is_some_and(is_word));
        if offset >= read_to && !inside_a_path {
            let mut tree = Tree { code, at: offset, offset, found: &mut found };
            tree.read(&mut Vec::new());
            read_to = tree.at;
        }
    }
    found.retain(|path| path.segments.len() > 1);
    found
}

/// A `use` tree being read.
struct Tree<'a, 'f> {
    code: &'a str,
    at: usize,
    offset: usize,
    found: &'f mut Vec<Path<'a>>,
}

impl<'a> Tree<'a, '_> {
    /// Reads the path, or group of paths, under `prefix`.
    fn read(&mut self, prefix: &mut Vec<&'a str>) {
        let depth = prefix.len();
        loop {
            let rest = &self.code[self.at..];
            if rest.starts_with('{') {
                self.group(prefix);
                break;
            }
            let length = match rest.as_bytes().first() {
                Some(b'*') => 1,
                _ => rest.bytes().take_while(|byte| is_word(*byte)).count(),
            };
            if length > 0 && &rest[..length] != "self" || depth == 0 {
                prefix.push(&rest[..length]);
            }
            self.at += length;
            let follows = self.code[self.at..].trim_start();
            let next = follows.strip_prefix("::").map(str::trim_start);
            match next.filter(|next| next.starts_with(|c: char| c == '{' || c == '*' || c == '_' || c.is_alphabetic()))
            {
                Some(next) => self.at = self.code.len() - next.len(),
                None => {
                    self.end(prefix);
                    break;
                }
            }
        }
        prefix.truncate(depth);
    }

    /// Reads `{a, b}` under `prefix`.
    fn group(&mut self, prefix: &mut Vec<&'a str>) {
        loop {
            self.skip_blanks_after(1);
            match self.code.as_bytes().get(self.at) {
                Some(byte) if is_word(*byte) || matches!(byte, b'*' | b'{') => self.read(prefix),
                Some(b',') => continue,
                _ => break,
            }
            self.skip_blanks_after(0);
            if self.code.as_bytes().get(self.at) != Some(&b',') {
                break;
            }
        }
        self.at = (self.at + 1).min(self.code.len());
    }

    /// Notes the path read, with its name.
    fn end(&mut self, segments: &[&'a str]) {
        let mut name = segments.last().copied().unwrap_or_default();
        let follows = self.code[self.at..].trim_start();
        if let Some(alias) = follows.strip_prefix("as ").map(str::trim_start)
            && let Some((_, alias)) = words(alias).next()
        {
            let end = follows.find(alias).unwrap_or_default() + alias.len();
            self.at = self.code.len() - follows.len() + end;
            name = alias;
        }
        self.found.push(Path { offset: self.offset, segments: segments.to_vec(), name });
    }

    fn skip_blanks_after(&mut self, bytes: usize) {
        let rest = self.code.get(self.at + bytes..).unwrap_or_default();
        self.at = self.code.len() - rest.trim_start().len();
    }
}

#[cfg(test)]
mod sabotage {
    use super::*;

    fn spread(code: &str) -> Vec<String> {
        let show = |path: &Path| format!("{}={}", path.segments.join("::"), path.name);
        paths(code).iter().map(show).collect()
    }

    #[test]
    fn groups_and_aliases_are_spread_out() {
        assert_eq!(spread("use a::{b, c::{d as e, f}, self};"), ["a::b=b", "a::c::d=e", "a::c::f=f"]);
        assert_eq!(
            spread("use std::{\n  fs,\n  io::{self, Read},\n};"),
            ["std::fs=fs", "std::io=io", "std::io::Read=Read"]
        );
        assert_eq!(spread("use super::*; use crate::x as y;"), ["super::*=*", "crate::x=y"]);
        assert_eq!(spread("let x: Vec<crate::a::B> = c::d::<e::F>(g);"), ["crate::a::B=B", "c::d=d", "e::F=F"]);
        assert_eq!(spread("match x { A::B => ::c::d!(1), _ => self::f() as u64 }"), ["A::B=B", "c::d=d", "self::f=f"]);
    }

    #[test]
    fn a_pattern_matches_whole_segments() {
        let path = &paths("std::fs::File::open(x)")[0];
        assert!(path.contains("std::fs") && path.contains("File::open") && path.contains("File"));
        assert!(!path.contains("fs::open") && !path.contains("std::f"));
    }
}
