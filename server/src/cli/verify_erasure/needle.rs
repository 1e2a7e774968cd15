//! The forms in which a text or a vector may lie in a file: what is looked for when somebody must not be found.
//!
//! Invariant: a form is what every writing of the thing in that encoding contains, wherever in a longer text it stands.
//! Forms too short to mean anything are left out, and told as such.

use serde_json::Value;

/// Fewer bytes occur in random bytes by chance: six do once in 2⁴⁸ places, which a disk of a terabyte has few of.
const BYTES_MIN: usize = 6;
/// What identifies a vector: its first numbers, so many bytes of them.
const VECTOR_BYTES: usize = 16;

/// A byte string to look for, and what it is a form of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needle {
    /// Which of the things that were asked for, from 0.
    pub what: usize,
    /// The encoding.
    pub form: &'static str,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Every form of the thing in place `what` of those asked for: a list of numbers in JSON is a vector, all else text.
pub fn forms(what: usize, thing: &str) -> Vec<Needle> {
    let mut found = match vector(thing) {
        Some(numbers) => vector_forms(&numbers),
        None => text_forms(thing),
    };
    found.retain(|(_, bytes)| bytes.len() >= BYTES_MIN);
    found.into_iter().map(|(form, bytes)| Needle { what, form, bytes }).collect()
}

fn vector(thing: &str) -> Option<Vec<f64>> {
    let list: Vec<Value> = serde_json::from_str(thing).ok()?;
    list.iter().map(Value::as_f64).collect()
}

type Forms = Vec<(&'static str, Vec<u8>)>;

fn vector_forms(numbers: &[f64]) -> Forms {
    let singles = || numbers.iter().map(|number| *number as f32);
    let forms: [(&'static str, Vec<u8>); 4] = [
        ("32-bit floats, little endian", singles().flat_map(f32::to_le_bytes).collect()),
        ("32-bit floats, big endian", singles().flat_map(f32::to_be_bytes).collect()),
        ("64-bit floats, little endian", numbers.iter().copied().flat_map(f64::to_le_bytes).collect()),
        ("16-bit floats, little endian", singles().map(half::f16::from_f32).flat_map(half::f16::to_le_bytes).collect()),
    ];
    let cut = |(form, mut bytes): (&'static str, Vec<u8>)| {
        bytes.truncate(VECTOR_BYTES);
        // Zeros alone are everywhere.
        if bytes.iter().all(|byte| *byte == 0) {
            bytes.clear();
        }
        (form, bytes)
    };
    let mut all: Forms = forms.into_iter().map(cut).collect();
    let plain: Forms = all.clone();
    for (_, bytes) in &plain {
        all.extend(ascii_forms(bytes));
    }
    all
}

fn text_forms(text: &str) -> Forms {
    let wide = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    let mut forms = vec![
        ("UTF-8", text.as_bytes().to_vec()),
        ("UTF-16, little endian", wide(u16::to_le_bytes)),
        ("UTF-16, big endian", wide(u16::to_be_bytes)),
    ];
    forms.extend(ascii_forms(text.as_bytes()));
    forms
}

/// `bytes` written as hexadecimal digits and in both alphabets of base64 (RFC 4648).
fn ascii_forms(bytes: &[u8]) -> Forms {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms =
        vec![("hexadecimal, upper case", hex.to_uppercase().into_bytes()), ("hexadecimal", hex.into_bytes())];
    for before in 0..3 {
        let standard = base64_within(bytes, before);
        let url_safe: Vec<u8> = standard
            .iter()
            .map(|byte| match byte {
                b'+' => b'-',
                b'/' => b'_',
                other => *other,
            })
            .collect();
        if url_safe != standard {
            forms.push(("base64 for URLs", url_safe));
        }
        forms.push(("base64", standard));
    }
    forms
}

/// The characters that base64 writes for `bytes` alone, where `before` bytes of something else stand before them in their
/// group of three: those at the ends that depend on neighbours are left out.
fn base64_within(bytes: &[u8], before: usize) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let skipped_bits = before * 8;
    let first = skipped_bits.div_ceil(6);
    let end = (skipped_bits + bytes.len() * 8) / 6;
    let bit = |at: usize| {
        let at = at - skipped_bits;
        bytes.get(at / 8).map_or(0, |byte| usize::from(byte >> (7 - at % 8) & 1))
    };
    let character = |at: usize| (0..6).fold(0, |code, offset| code << 1 | bit(at * 6 + offset));
    (first..end).filter_map(|at| ALPHABET.get(character(at)).copied()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn contains(hay: &[u8], needle: &[u8]) -> bool {
        hay.windows(needle.len()).any(|window| window == needle)
    }

    /// RFC 4648 section 4, straight from its definition: the oracle.
    fn base64(bytes: &[u8]) -> Vec<u8> {
        base64_within(bytes, 0).into_iter().chain(tail(bytes)).collect()
    }

    fn tail(bytes: &[u8]) -> Vec<u8> {
        let rest = bytes.len() % 3;
        if rest == 0 {
            return Vec::new();
        }
        let mut padded = bytes[bytes.len() - rest..].to_vec();
        padded.resize(3, 0);
        base64_within(&padded, 0)[rest..=rest].to_vec()
    }

    /// RFC 4648 section 10.
    #[test]
    fn base64_is_that_of_the_rfc() {
        for (plain, written) in
            [("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes()), written.as_bytes());
        }
    }

    proptest! {
        /// Wherever a text stands in a longer one, and however that is written, one of its forms is there.
        #[test]
        fn every_writing_is_found(before in "[a-zA-Z0-9 äß]{0,9}", text in "[a-zäöü0-9-]{6,20}", after in "\\PC{0,9}") {
            let (whole, needles) = (format!("{before}{text}{after}"), forms(0, &text));
            let upper: String = whole.bytes().map(|byte| format!("{byte:02X}")).collect();
            let wide: Vec<u8> = whole.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let wide_big: Vec<u8> = whole.encode_utf16().flat_map(u16::to_be_bytes).collect();
            let url: Vec<u8> = base64(whole.as_bytes()).into_iter().map(|byte| match byte {
                b'+' => b'-',
                b'/' => b'_',
                byte => byte,
            }).collect();
            let writings = [
                whole.clone().into_bytes(), wide, wide_big, base64(whole.as_bytes()), url,
                upper.to_lowercase().into_bytes(), upper.into_bytes(),
            ];
            for writing in writings {
                prop_assert!(needles.iter().any(|needle| contains(&writing, &needle.bytes)));
            }
        }

        #[test]
        fn vectors_are_found_in_every_width(numbers in prop::collection::vec(-1.0f32..1.0, 8..20)) {
            let needles = forms(3, &serde_json::to_string(&numbers).unwrap());
            let single: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            let big: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
            let halves: Vec<u8> = numbers.iter().flat_map(|number| half::f16::from_f32(*number).to_le_bytes()).collect();
            let hex: String = single.iter().map(|byte| format!("{byte:02x}")).collect();
            for writing in [&single, &big, &halves, &base64(&[b"x", &single[..]].concat()), &hex.into_bytes()] {
                prop_assert!(needles.iter().any(|needle| needle.what == 3 && contains(writing, &needle.bytes)));
            }
        }
    }

    #[test]
    fn what_is_too_short_is_not_looked_for() {
        assert!(forms(0, "bob").iter().all(|needle| needle.form != "UTF-8" && needle.bytes.len() >= BYTES_MIN));
        assert!(forms(0, "[0, 0, 0, 0, 0, 0, 0, 0]").is_empty());
        assert!(forms(0, "").is_empty());
    }
}
