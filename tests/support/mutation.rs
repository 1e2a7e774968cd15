//! Bytes that resemble real ones: a few seeded changes to an input of a corpus, of the sorts that break decoders.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

/// The longest input made.
const LONGEST: usize = 1 << 16;

/// Numbers at which lengths, counts and positions go wrong.
const BOUNDARIES: [u64; 14] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x1_0000_0000,
    i64::MAX as u64,
    u64::MAX - 1,
    u64::MAX,
];

/// An input made from `corpus` by one to four changes. An empty corpus gives noise.
pub fn mutated(corpus: &[Vec<u8>], rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = corpus.choose(rng).cloned().unwrap_or_default();
    for _ in 0..rng.random_range(1..=4) {
        change(&mut bytes, corpus, rng);
    }
    bytes.truncate(LONGEST);
    bytes
}

fn change(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], rng: &mut StdRng) {
    let at = rng.random_range(0..=bytes.len());
    let end = rng.random_range(at..=bytes.len().min(at + 64));
    match rng.random_range(0..10) {
        0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << rng.random_range(0..8)),
        1 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = rng.random()),
        2 => bytes.truncate(at),
        3 => bytes.extend((0..rng.random_range(1..40)).map(|_| 0)),
        4 => number(bytes, at, rng),
        5 => {
            let other = corpus.choose(rng).map_or(&[][..], Vec::as_slice);
            let from = rng.random_range(0..=other.len());
            bytes.truncate(at);
            bytes.extend(&other[from..]);
        }
        6 => {
            let chunk = bytes[at..end].repeat(rng.random_range(1..20));
            bytes.splice(at..at, chunk);
        }
        7 => drop(bytes.drain(at..end)),
        8 => widen(bytes, at, rng),
        _ => {
            let mut noise = vec![0; end - at];
            rng.fill_bytes(&mut noise);
            bytes.splice(at..end, noise);
        }
    }
}

/// Writes the small number or the length of a small thing at `at` longer than it need be: as CBOR or as a varint.
fn widen(bytes: &mut Vec<u8>, at: usize, rng: &mut StdRng) {
    let Some(&byte) = bytes.get(at) else {
        return;
    };
    let (major, number) = (byte & 0xe0, byte & 0x1f);
    let wider = [vec![major | 24, number], vec![major | 25, 0, number], vec![byte | 0x80, 0]];
    bytes.splice(at..=at, wider.choose(rng).cloned().unwrap_or_default());
}

/// Writes a boundary over what is at `at`: little endian as our own formats have it, or as CBOR or a varint would.
fn number(bytes: &mut Vec<u8>, at: usize, rng: &mut StdRng) {
    let number = BOUNDARIES.choose(rng).copied().unwrap_or_default();
    let width = [1, 2, 4, 8].choose(rng).copied().unwrap_or(8);
    let mut field = match rng.random_range(0..3) {
        0 => number.to_le_bytes()[..width].to_vec(),
        1 => minicbor::to_vec(number).unwrap_or_default(),
        _ => {
            let mut field = Vec::new();
            storage::codec::put_varint(&mut field, number);
            field
        }
    };
    if rng.random() {
        // An integer of CBOR keeps its place among the others where it replaces a small one.
        bytes.splice(at..bytes.len().min(at + 1), field);
    } else {
        field.truncate(bytes.len() - at);
        bytes[at..at + field.len()].copy_from_slice(&field);
    }
}
