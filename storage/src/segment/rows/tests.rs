//! Row files: round trips, damage of every kind, and rows that lie about where they are.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::backend::Disk;
use crate::codec::put_varint;
use crate::fixtures::{SCOPE, damaged, dir, key, rng};
use crate::packed::put_packed;
use crate::segment::layout::HEADER_LEN;

const SEGMENT: SegmentId = SegmentId(5);

fn row(number: u8, vector: usize, body: usize) -> SealedRow<'static> {
    SealedRow {
        row: RowId([number; 16]),
        key: KeyId([(number % 11) ^ 0xff; 16]),
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

/// A table as [`table`] describes it: rows of one key or of `keys` in turn, of these vector and body lengths.
fn table_of(lens: &[(u64, u64)], keys: u64) -> Vec<u8> {
    let owners: Vec<u64> = (0..lens.len() as u64).map(|row| row % keys).collect();
    forged_table(lens, &owners, keys.min(lens.len() as u64))
}

fn forged_table(lens: &[(u64, u64)], owners: &[u64], keys: u64) -> Vec<u8> {
    let (vectors, bodies): (Vec<u64>, Vec<u64>) = lens.iter().copied().unzip();
    let mut out = vec![7; 16 * lens.len()];
    put_varint(&mut out, keys);
    out.extend(vec![8; 16 * keys as usize]);
    [owners, &vectors, &bodies].into_iter().for_each(|list| put_packed(&mut out, list));
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
        lens in prop::collection::vec((0u64..60, 0u64..60), 0..5),
        owners in prop::collection::vec(0u64..4, 5),
        keys in 0u64..4,
        extra in 0usize..3,
        count in 0u64..5,
        at: prop::sample::Index,
        flip: u8,
    ) {
        let mut table = forged_table(&lens, &owners[..lens.len()], keys);
        table.extend(vec![0; extra]);
        let at = at.index(table.len());
        table[at] ^= flip;
        let gap = lens.iter().map(|(vector, body)| vector + body).sum::<u64>() as usize;
        if let Ok(file) = forged(&table, count, gap) {
            let bytes: usize = read(&file).iter().map(|row| row.vector.len() + row.body.len()).sum();
            prop_assert_eq!((bytes, u64::from(file.len())), (gap, count));
            let mut again = TableWriter::default();
            for row in read(&file) {
                again.push(row.row, row.key, row.vector.len() as u32, row.body.len() as u32);
            }
            // Of keys that are named twice, the second name is as good as the first.
            let distinct = read(&file).iter().map(|row| row.key.0).collect::<std::collections::BTreeSet<_>>().len();
            prop_assert!(distinct < keys as usize || again.encode()[..] == table[..]);
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
    let two = [(50, 10), (30, 10)];
    let sound = table_of(&two, 1);
    assert!(forged(&sound, 2, 100).is_ok());
    assert!(forged(&table_of(&two, 2), 2, 100).is_ok());
    let lies = [
        (table_of(&[(50, 10), (30, 11)], 1), 2), // reaches into the table
        (table_of(&[(50, 10), (30, 9)], 1), 2),  // leaves a gap
        (table_of(&[(u64::MAX, 50), (51, 0)], 1), 2),
        (table_of(&[(1 << 32, 0)], 1), 1),
        (forged_table(&two, &[0, 1], 1), 2), // a key that is not there
        (forged_table(&two, &[1, 0], 2), 2), // keys in another order
        (forged_table(&two, &[0, 0], 2), 2), // a key of no row
        (table_of(&[(90, 10)], 1), 2),       // another count
        (table_of(&[(90, 10)], 1)[1..].to_vec(), 1),
        ([&sound[..], &[0]].concat(), 2),
        (Vec::new(), u64::MAX),
    ];
    for (table, count) in lies {
        assert!(matches!(forged(&table, count, 100), Err(SegmentError::Damaged { what: "row table", .. })));
    }
}

/// A row takes its name and, where rows are of one length and share keys, hardly more.
#[test]
fn a_table_holds_little_besides_names() {
    let mut table = TableWriter::default();
    for row in 0..9000_u16 {
        let name = |number: u16| std::array::from_fn(|at| number.to_le_bytes()[at % 2]);
        table.push(RowId(name(row)), KeyId(name(row % 3000)), 552, 70);
    }
    let (names, bits) = (16 * 12_000, 9000 * 12 / 8);
    let bytes = table.encode().len();
    assert!((names..names + bits + 700).contains(&bytes), "{bytes}");
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
