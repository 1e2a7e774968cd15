//! Row files: round trips, damage of every kind, and rows that lie about where they are.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::backend::Disk;
use crate::fixtures::{SCOPE, damaged, dir, key, rng};
use crate::segment::layout::HEADER_LEN;

const SEGMENT: SegmentId = SegmentId(5);

fn row(number: u8, vector: usize, body: usize) -> SealedRow<'static> {
    SealedRow {
        row: RowId([number; 16]),
        key: KeyId([number ^ 0xff; 16]),
        vector: vec![number; vector].into(),
        body: vec![!number; body].into(),
    }
}

fn write(dir: &Dir, rows: &[SealedRow<'_>]) -> RowsMeta {
    let mut writer = RowsWriter::create(dir, SEGMENT).unwrap();
    rows.iter().for_each(|row| writer.push(row).unwrap());
    writer.finish(&key(1), SCOPE, &mut rng(1)).unwrap()
}

fn open_rows(dir: &Dir) -> Result<RowsFile, SegmentError> {
    RowsFile::open(dir, SEGMENT, &key(1), SCOPE)
}

fn read(file: &RowsFile) -> Vec<SealedRow<'_>> {
    (0..file.len()).map(|position| file.sealed_row(position).unwrap()).collect()
}

/// A `.rec` whose table is sealed rightly but says what it likes, over `gap` bytes of blobs.
fn forged(table: &[u8], count: u64, gap: usize) -> Result<RowsFile, SegmentError> {
    let dir = dir();
    let mut file = FileWriter::create(&dir, &rows_name(SEGMENT), Kind::Rows, SEGMENT).unwrap();
    file.append(&vec![0; gap]).unwrap();
    file.finish(&seal_section(&key(1), &context(SCOPE, SEGMENT), table, &mut rng(2)), count).unwrap();
    open_rows(&dir)
}

fn entry(offset: u64, vector_len: u32, body_len: u32) -> Vec<u8> {
    let mut out = vec![7; 32];
    out.extend(offset.to_le_bytes());
    out.extend(vector_len.to_le_bytes());
    out.extend(body_len.to_le_bytes());
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn rows_round_trip(sizes in prop::collection::vec((0usize..2000, 0usize..300), 0..40)) {
        let rows: Vec<_> = sizes.iter().zip(0..).map(|(&(vector, body), n)| row(n, vector, body)).collect();
        let dir = dir();
        let meta = write(&dir, &rows);
        prop_assert_eq!((meta.rows, meta.bytes), (rows.len() as u64, dir.len(&rows_name(SEGMENT)).unwrap()));
        let file = open_rows(&dir).unwrap();
        prop_assert!(read(&file) == rows);
        prop_assert!(file.row(file.len()).is_err());
        prop_assert!(file.vector_blob(u32::MAX).is_err());
    }

    /// Whoever holds the key and writes any table at all cannot make a reader panic or look outside the blobs.
    #[test]
    fn any_table_opens_or_fails(
        entries in prop::collection::vec((0u64..200, 0u32..60, 0u32..60), 0..5),
        extra in 0usize..3,
        count in 0u64..5,
    ) {
        let mut table: Vec<u8> = entries.iter().flat_map(|&(o, v, b)| entry(o, v, b)).collect();
        table.extend(vec![0; extra]);
        if let Ok(file) = forged(&table, count, 100) {
            let bytes: usize = read(&file).iter().map(|row| row.vector.len() + row.body.len()).sum();
            prop_assert_eq!(bytes, 100);
        }
    }
}

#[test]
fn damage_is_noticed_or_hits_one_sealed_blob() {
    let dir = dir();
    let rows = [row(1, 40, 9), row(2, 40, 17)];
    let blobs = 40 + 9 + 40 + 17;
    write(&dir, &rows);
    let name = rows_name(SEGMENT);
    let bytes = dir.read(&name).unwrap();
    for bad in damaged(&bytes) {
        dir.remove(&name).unwrap();
        dir.write_new(&name, &bad).unwrap();
        match open_rows(&dir) {
            Err(SegmentError::Damaged { .. } | SegmentError::WrongKey { .. }) => {}
            Err(error) => panic!("{error}"),
            // Inside the blobs it is their own seal that notices; nothing else may have changed.
            Ok(file) => {
                assert_eq!((bad.len(), file.len()), (bytes.len(), 2));
                assert_eq!(bad[HEADER_LEN + blobs..], bytes[HEADER_LEN + blobs..]);
                assert_eq!(bad[..HEADER_LEN], bytes[..HEADER_LEN]);
            }
        }
    }
}

#[test]
fn tables_that_lie_are_refused() {
    let start = HEADER_LEN as u64;
    let two = |a: Vec<u8>, b: Vec<u8>| [a, b].concat();
    assert!(forged(&two(entry(start, 50, 10), entry(start + 60, 30, 10)), 2, 100).is_ok());
    let lies = [
        (two(entry(start, 50, 10), entry(start + 61, 29, 10)), 2), // skips a byte
        (two(entry(start, 50, 10), entry(start + 60, 30, 11)), 2), // reaches into the table
        (two(entry(start, 50, 10), entry(start + 60, 30, 9)), 2),  // leaves a gap
        (two(entry(start, 50, 10), entry(start + 59, 31, 10)), 2), // overlaps
        (two(entry(start + 60, 30, 10), entry(start, 50, 10)), 2), // goes back
        (entry(u64::MAX, u32::MAX, u32::MAX), 1),
        (entry(start, 90, 10), 2), // another count
        (entry(start, 90, 10)[1..].to_vec(), 1),
    ];
    for (table, count) in lies {
        assert!(matches!(forged(&table, count, 100), Err(SegmentError::Damaged { what: "row table", .. })));
    }
}

#[test]
fn each_failure_has_its_name() {
    let dir = dir();
    assert!(matches!(open_rows(&dir), Err(SegmentError::Missing { file }) if file == rows_name(SEGMENT)));
    write(&dir, &[row(1, 4, 4)]);
    let wrong_key = RowsFile::open(&dir, SEGMENT, &key(2), SCOPE);
    assert!(matches!(wrong_key, Err(SegmentError::WrongKey { .. })));
    let elsewhere = Scope { environment: [9; 16], ..SCOPE };
    assert!(RowsFile::open(&dir, SEGMENT, &key(1), elsewhere).is_err());
    let bytes = dir.read(&rows_name(SEGMENT)).unwrap();
    dir.write_new(&rows_name(SegmentId(6)), &bytes).unwrap();
    let moved = RowsFile::open(&dir, SegmentId(6), &key(1), SCOPE);
    assert!(matches!(moved, Err(SegmentError::Damaged { what: "header", .. })));
}

/// The one test here that goes through a real disk and a real map.
#[test]
fn rows_round_trip_on_disk_and_outlive_their_name() {
    fn shared<T: Send + Sync>(_: &T) {}
    let temp = tempfile::tempdir().unwrap();
    let dir = Dir::root(Arc::new(Disk::open(temp.path()).unwrap())).sub("seg");
    dir.make().unwrap();
    let rows: Vec<_> = (0..200).map(|n| row(n, 3000, 500)).collect();
    write(&dir, &rows);
    let file = open_rows(&dir).unwrap();
    shared(&file);
    dir.remove(&rows_name(SEGMENT)).unwrap();
    assert!(read(&file) == rows);
}
