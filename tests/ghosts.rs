//! Ghost vectors: embeddings that an index was told to forget, carved out of its raw files.
//!
//! "Ghost Vectors" (arXiv 2606.18497) shows that indexes which delete by marking keep what they were told to delete, and
//! that it can be read back from their files. The attack here knows the dimension and nothing of a format: at every byte it
//! asks whether a unit vector starts there, in 32-bit floats of either byte order, 16-bit floats or bytes. It runs against
//! a dump of `hnsw_rs`, where it finds what was deleted, and against every file of ours, where it does not find even what
//! is there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "plays a thief who reads files")]

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use engine::{Record, Step};
use hnsw_rs::api::AnnT;
use hnsw_rs::prelude::{DistL2, Hnsw};
use lethedb_tests::world::on_disk;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const DIMENSION: usize = 48;
const ROWS: usize = 400;
/// Every tenth belongs to the one who leaves.
const OWNERS: usize = 10;
const GONE: &str = "person-0";
/// A carved vector is the deleted one from this cosine similarity on; two records of one cluster reach some 0.9.
const SAME: f32 = 0.995;

/// Unit vectors in clusters, as embeddings are.
fn embeddings() -> Vec<Vec<f32>> {
    let mut rng = StdRng::seed_from_u64(7);
    // The sum of uniform numbers is near enough to a normal one.
    let mut normal = |scale: f32| (0..6).map(|_| rng.random_range(-1.0f32..1.0)).sum::<f32>() * scale;
    let centres: Vec<Vec<f32>> = (0..12).map(|_| (0..DIMENSION).map(|_| normal(1.0)).collect()).collect();
    let vector = |row: usize| {
        let noisy: Vec<f32> = centres[row % centres.len()].iter().map(|x| x + normal(0.4)).collect();
        unit(&noisy)
    };
    (0..ROWS).map(vector).collect()
}

fn unit(vector: &[f32]) -> Vec<f32> {
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter().map(|x| x / norm).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn is_gone(row: usize) -> bool {
    row.is_multiple_of(OWNERS)
}

/// What starts at every byte, as the numbers of one encoding.
fn numbers(bytes: &[u8], at: usize, encoding: usize) -> Option<Vec<f32>> {
    let width = [4, 4, 2, 1][encoding];
    let raw = bytes.get(at..at + width * DIMENSION)?;
    Some(match encoding {
        0 => raw.chunks(4).map(|x| f32::from_le_bytes(x.try_into().unwrap())).collect(),
        1 => raw.chunks(4).map(|x| f32::from_be_bytes(x.try_into().unwrap())).collect(),
        2 => raw.chunks(2).map(|x| half(u16::from_le_bytes(x.try_into().unwrap()))).collect(),
        _ => raw.iter().map(|x| f32::from(x.cast_signed())).collect(),
    })
}

/// A 16-bit float, as IEEE 754 has it; no infinity and no NaN is part of an embedding.
fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
    let (exponent, mantissa) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    match exponent {
        0 => sign * mantissa * 2f32.powi(-24),
        31 => f32::NAN,
        _ => sign * (1.0 + mantissa / 1024.0) * 2f32.powi(exponent - 15),
    }
}

/// Which of `wanted` can be carved out of `bytes`.
fn carved(bytes: &[u8], wanted: &[Vec<f32>]) -> HashSet<usize> {
    let mut found = HashSet::new();
    for encoding in 0..4 {
        for at in 0..bytes.len() {
            let Some(candidate) = numbers(bytes, at, encoding) else { break };
            let norm = cosine(&candidate, &candidate).sqrt();
            // Floats have the length of an embedding; bytes have whatever the quantiser gave them.
            if !norm.is_finite() || norm == 0.0 || (encoding < 3 && (norm - 1.0).abs() > 0.01) {
                continue;
            }
            let near = |(_, vector): &(usize, &Vec<f32>)| cosine(&candidate, vector) / norm > SAME;
            found.extend(wanted.iter().enumerate().filter(near).map(|(which, _)| which));
        }
    }
    found
}

/// Which of `wanted` can be carved out of any file below `dir`.
fn carved_from(dir: &Path, wanted: &[Vec<f32>]) -> HashSet<usize> {
    let mut found = HashSet::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(carved_from(&path, wanted));
        } else if path.file_name().is_some_and(|name| name != "reserve") {
            found.extend(carved(&fs::read(&path).unwrap(), wanted));
        }
    }
    found
}

/// The vectors of the one who leaves, and of two who stay.
fn wanted(all: &[Vec<f32>], gone: bool) -> Vec<Vec<f32>> {
    let rows = all.iter().enumerate().filter(|(row, _)| if gone { is_gone(*row) } else { row % OWNERS == 1 });
    rows.map(|(_, vector)| vector.clone()).collect()
}

#[test]
fn a_dump_of_an_index_that_deletes_by_marking_gives_the_deleted_back() {
    let (all, dir) = (embeddings(), tempfile::tempdir().unwrap());
    let hnsw = Hnsw::<f32, DistL2>::new(16, ROWS, 16, 100, DistL2 {});
    for (row, vector) in all.iter().enumerate() {
        hnsw.insert((vector, row));
    }
    // It cannot delete: who uses it keeps a list of what not to show, and its dump knows nothing of that.
    let deleted: HashSet<usize> = (0..ROWS).filter(|row| is_gone(*row)).collect();
    let shown = hnsw.search(&all[0], 10, 50);
    assert!(shown.iter().filter(|hit| !deleted.contains(&hit.d_id)).count() < shown.len(), "nothing was marked");
    hnsw.file_dump(dir.path(), "index").unwrap();

    let gone = wanted(&all, true);
    let found = carved_from(dir.path(), &gone);
    println!("hnsw_rs: {} of {} deleted vectors carved", found.len(), gone.len());
    assert_eq!(found.len(), gone.len(), "the attack finds all that was deleted");
}

/// The attack is as good at bytes, halves and big-endian floats as at what `hnsw_rs` writes.
#[test]
fn the_attack_reads_every_encoding() {
    let vector = embeddings().swap_remove(3);
    let signed: Vec<u8> = vector.iter().map(|x| (x * 300.0).round().clamp(-127.0, 127.0) as i8 as u8).collect();
    let big: Vec<u8> = vector.iter().flat_map(|x| x.to_be_bytes()).collect();
    let halves: Vec<u8> = vector.iter().flat_map(|x| half_bits(*x).to_le_bytes()).collect();
    for encoded in [signed, big, halves] {
        let hidden = [&b"some header"[..], &encoded, b"and a footer"].concat();
        assert_eq!(carved(&hidden, std::slice::from_ref(&vector)).len(), 1);
    }
}

/// The nearest 16-bit float below in magnitude, by trying all.
fn half_bits(x: f32) -> u16 {
    let distance = |bits: &u16| (half(*bits) - x).abs();
    let finite = (0..=u16::MAX).filter(|bits| half(*bits).is_finite());
    finite.min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap()
}

#[test]
fn our_files_give_nobody_back() {
    let (all, dir) = (embeddings(), tempfile::tempdir().unwrap());
    // Those who leave, and some who stay.
    let (gone, stays) = (wanted(&all, true), wanted(&all, false));
    let wanted: Vec<Vec<f32>> = gone.iter().chain(stays.iter().take(10)).cloned().collect();
    let db = on_disk(dir.path()).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = env.collection("docs").dimension(DIMENSION).open_or_create().unwrap();
    let look = |moment: &str| {
        let found = carved_from(dir.path(), &wanted).len();
        println!("lethedb, {moment}: {found} of {} vectors carved", wanted.len());
        assert_eq!(found, 0, "{moment}");
    };
    for (row, vector) in all.iter().enumerate() {
        docs.upsert([Record::new(row as u64, vector.clone()).entity(format!("person-{}", row % OWNERS))]).unwrap();
        if row == ROWS / 2 {
            env.flush().unwrap();
        }
    }
    look("half in a segment, half in the log");
    env.flush().unwrap();
    while env.step().unwrap() != Step::Idle {}
    look("in segments");
    assert!(env.erase(GONE).run().unwrap().purged_at.is_some());
    look("after the erasure");
    while env.step().unwrap() != Step::Idle {}
    look("after upkeep");
    db.close().unwrap();
    look("closed");
}
