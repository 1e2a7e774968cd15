//! Headers, footers, names and the buffered writer.

use proptest::prelude::*;

use super::*;
use crate::fixtures::{damaged, dir};

const SEGMENT: SegmentId = SegmentId(0xab);

fn written(parts: &[Vec<u8>], last: &[u8]) -> (Vec<u8>, Vec<u64>) {
    let dir = dir();
    let mut file = FileWriter::create(&dir, "f", Kind::Rows, SEGMENT).unwrap();
    let offsets = parts.iter().map(|part| file.append(part).unwrap()).collect();
    let len = file.finish(last, 9).unwrap();
    assert_eq!(dir.list().unwrap(), ["f"]);
    let bytes = dir.read("f").unwrap();
    assert_eq!(bytes.len() as u64, len);
    (bytes, offsets)
}

proptest! {
    /// Parts around the size of the buffer lie where the writer says.
    #[test]
    fn parts_lie_at_their_offsets(sizes in prop::collection::vec(0usize..WRITE_BUFFER * 5 / 4, 0..6)) {
        let parts: Vec<Vec<u8>> = sizes.iter().zip(1..).map(|(&size, byte)| vec![byte; size]).collect();
        let (bytes, offsets) = written(&parts, b"table");
        for (part, offset) in parts.iter().zip(offsets) {
            prop_assert!(bytes[offset as usize..].starts_with(part));
        }
        let (footer, table) = Footer::read("f", &bytes).unwrap();
        prop_assert_eq!((footer.count, table), (9, &b"table"[..]));
    }

    #[test]
    fn any_bytes_are_a_file_or_not(bytes: Vec<u8>) {
        let _ = check_header("f", &bytes, Kind::Rows, SEGMENT);
        let _ = Footer::read("f", &bytes);
    }
}

#[test]
fn damaged_headers_and_footers_are_noticed() {
    let (bytes, _) = written(&[], b"");
    assert_eq!(bytes.len(), HEADER_LEN + FOOTER_LEN);
    for bad in damaged(&bytes) {
        let header = check_header("f", &bad, Kind::Rows, SEGMENT);
        assert!(header.is_err() || Footer::read("f", &bad).is_err());
    }
}

#[test]
fn headers_tell_kind_segment_and_format() {
    let bytes = header(Kind::Rows, SEGMENT);
    assert!(check_header("f", &bytes, Kind::Rows, SEGMENT).is_ok());
    for (kind, segment) in [(Kind::Index, SEGMENT), (Kind::Rows, SegmentId(1))] {
        let error = check_header("f", &bytes, kind, segment);
        assert!(matches!(error, Err(SegmentError::Damaged { what: "header", .. })));
    }
    let mut newer = bytes;
    newer[8] = 7;
    let checksum = crc32c::crc32c(&newer[..20]).to_le_bytes();
    newer[20..].copy_from_slice(&checksum);
    let error = check_header("f", &newer, Kind::Rows, SEGMENT);
    assert!(matches!(error, Err(SegmentError::NewerFormat { found: 7, max: FORMAT })));
}

#[test]
fn an_abandoned_file_leaves_nothing_and_a_name_is_given_once() {
    let dir = dir();
    let mut file = FileWriter::create(&dir, "f", Kind::Rows, SEGMENT).unwrap();
    file.append(&vec![1; WRITE_BUFFER * 2]).unwrap();
    drop(file);
    assert!(dir.list().unwrap().is_empty());
    let create = || FileWriter::create(&dir, "f", Kind::Rows, SEGMENT).unwrap().finish(b"", 0);
    create().unwrap();
    assert_eq!(create().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(dir.list().unwrap(), ["f"]);
}

#[test]
fn names_are_recognised() {
    let ours = [rows_name(SEGMENT), index_name(SEGMENT), tombstones_name(SEGMENT, 3)];
    assert_eq!(ours[2], "00000000000000ab-0000000000000003.del");
    assert!(ours.iter().all(|name| is_segment_file(name)));
    for name in ["", "ab.rec", "00000000000000AB.rec", "00000000000000ab.txt", "00000000000000ab.del", "x-y.del"] {
        assert!(!is_segment_file(name), "{name}");
    }
}
