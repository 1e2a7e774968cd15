//! Rust source cut into code, comments and literals, without parsing it.
//!
//! Invariant: every mask is as long as the text and keeps its line breaks, so an offset means the same place in all of
//! them. It is the leaf of this checker: the rules read masks, so that a word in a comment is not taken for a call.

use std::ops::Range;

/// What a byte of source belongs to.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Code,
    Comment,
    Literal,
}

/// The kind of every byte of `text`; quotes and prefixes belong to their literal.
pub fn kinds(text: &str) -> Vec<Kind> {
    let bytes = text.as_bytes();
    let mut kinds = Vec::with_capacity(bytes.len());
    while kinds.len() < bytes.len() {
        let at = kinds.len();
        let rest = &text[at..];
        let follows_word = at > 0 && is_word(bytes[at - 1]);
        let (kind, length) = if rest.starts_with("//") {
            (Kind::Comment, rest.find('\n').unwrap_or(rest.len()))
        } else if rest.starts_with("/*") {
            (Kind::Comment, block_comment(rest))
        } else if let Some(length) = string(rest, follows_word).or_else(|| character(rest)) {
            (Kind::Literal, length)
        } else {
            (Kind::Code, rest.chars().next().map_or(1, char::len_utf8))
        };
        kinds.resize(at + length, kind);
    }
    kinds
}

/// `text` with everything that is not of `kind` blanked.
pub fn mask(text: &str, kinds: &[Kind], kind: Kind) -> String {
    blank(text, |at| kinds[at] != kind)
}

/// `text` with blanks for the bytes whose offset `hides` says so; line breaks remain.
fn blank(text: &str, hides: impl Fn(usize) -> bool) -> String {
    let byte = |(at, byte)| {
        if hides(at) && byte != b'\n' { b' ' } else { byte }
    };
    String::from_utf8_lossy(&text.bytes().enumerate().map(byte).collect::<Vec<_>>()).into_owned()
}

/// `code` with every item that only tests compile blanked.
pub fn without_tests(code: &str) -> String {
    let items = test_items(code);
    blank(code, |at| items.iter().any(|item| item.contains(&at)))
}

/// The items of `code` that only tests compile, or all of it if the whole file is for tests.
pub fn test_items(code: &str) -> Vec<Range<usize>> {
    let mut items: Vec<Range<usize>> = Vec::new();
    for (start, _) in code.match_indices("#[cfg(").chain(code.match_indices("#![cfg(")) {
        let (_, condition) = code[start..].split_once('(').unwrap_or_default();
        let for_tests = ["test)", "all(test,"].iter().any(|test| condition.starts_with(test));
        let end = if code[start..].starts_with("#!") { code.len() } else { item_end(code, start) };
        if for_tests && items.last().is_none_or(|last| last.end <= start) {
            items.push(start..end);
        }
    }
    items
}

/// Where the item that starts at `start` in `code` ends: after its closing brace, or its semicolon if it has no body.
pub fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0_usize;
    let mut in_braces = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b'{' => in_braces += 1,
            b'}' if in_braces <= 1 && depth == 0 => return at + 1,
            b'}' => in_braces = in_braces.saturating_sub(1),
            b';' if depth == 0 && in_braces == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// The line, counted from 1, on which `offset` lies.
pub fn line(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Every identifier and keyword of `code` with its offset.
pub fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let bytes = code.as_bytes();
        at += bytes[at..].iter().position(|byte| is_word(*byte))?;
        let length = bytes[at..].iter().take_while(|byte| is_word(**byte)).count();
        at += length;
        Some((at - length, &code[at - length..at]))
    })
}

/// Whether `byte` can stand in an identifier.
pub fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The length of the nested comment that `text` starts with.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let pair = text.as_bytes().get(at..at + 2);
        depth = match pair {
            Some(b"/*") => depth + 1,
            Some(b"*/") => depth - 1,
            _ => depth,
        };
        at += if matches!(pair, Some(b"/*" | b"*/")) { 2 } else { 1 };
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of the string literal, plain or raw, that `text` starts with.
fn string(text: &str, follows_word: bool) -> Option<usize> {
    let body = text.trim_start_matches(['b', 'c']);
    let prefix = text.len() - body.len();
    if prefix > 1 || (follows_word && !text.starts_with('"')) {
        return None;
    }
    let Some(raw) = body.strip_prefix('r') else {
        return body.starts_with('"').then(|| prefix + quoted(body, b'"'));
    };
    let hashes = raw.bytes().take_while(|byte| *byte == b'#').count();
    let open = prefix + 1 + hashes + 1;
    if raw.as_bytes().get(hashes) != Some(&b'"') {
        return None;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    Some(text[open..].find(&close).map_or(text.len(), |end| open + end + close.len()))
}

/// The length of the character literal that `text` starts with; `None` for a lifetime.
fn character(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    let first = inside.chars().next()?;
    let closed = first == '\\' || inside[first.len_utf8()..].starts_with('\'');
    closed.then(|| quoted(text, b'\''))
}

/// The length of the literal between two `quote`s, minding escapes.
fn quoted(text: &str, quote: u8) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            _ if byte == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod sabotage {
    use super::*;

    fn code(text: &str) -> String {
        mask(text, &kinds(text), Kind::Code)
    }

    #[test]
    fn comments_and_literals_are_no_code() {
        assert_eq!(code("a // b\nc"), "a     \nc");
        assert_eq!(code("a /* b /* c */ d */ e"), "a                   e");
        assert_eq!(code(r#"f("x \" y", 'z', '\'', 'ü')"#), "f(        ,    ,     ,     )");
        assert_eq!(code("r#\"a \" b\"# + br\"c\" + b\"d\" + b'e'").trim_matches([' ', '+']), "b");
        assert_eq!(code("fn f<'a>(x: &'a str, r#type: u8)"), "fn f<'a>(x: &'a str, r#type: u8)");
        assert_eq!(mask("a // b", &kinds("a // b"), Kind::Comment), "  // b");
    }

    #[test]
    fn items_for_tests_are_no_shipped_code() {
        let text =
            "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { [1; 2] }\n}\nfn c() {}\n#[cfg(test)]\nmod d;\nfn e() {}";
        let shipped = without_tests(text);
        assert_eq!(words(&shipped).map(|(_, word)| word).collect::<Vec<_>>(), ["fn", "a", "fn", "c", "fn", "e"]);
        assert_eq!(shipped.len(), text.len());
        assert_eq!(without_tests("#![cfg(test)]\nfn a() {}").trim(), "");
        assert!(without_tests("#[cfg(not(test))]\nfn a() {}").contains("fn a"));
    }

    #[test]
    fn lines_are_counted_from_one() {
        assert_eq!((line("a\nb", 0), line("a\nb", 2)), (1, 2));
    }
}
