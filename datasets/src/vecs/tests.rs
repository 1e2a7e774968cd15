//! Every format by a file written out by hand, and every way in which a file can be damaged.
//!
//! Invariant under test: no bytes make the reader panic or allocate beyond what the file could hold.

use std::io::Cursor;

use half::f16;

use super::{Format, Head, ReadError, RowWriter, Rows, write_npy};
use crate::Matrix;

fn read(format: Format, bytes: &[u8]) -> Result<Vec<Vec<f32>>, ReadError> {
    Rows::new(bytes, format, bytes.len() as u64)?.collect()
}

fn number(value: u32) -> [u8; 4] {
    value.to_le_bytes()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn fvecs() -> Vec<u8> {
    [&number(2)[..], &floats(&[1.0, -2.5]), &number(2), &floats(&[3.0, 4.0])].concat()
}

fn fbin() -> Vec<u8> {
    [&number(2)[..], &number(3), &floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])].concat()
}

fn npy(descr: &str, order: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), values].concat()
}

#[test]
fn every_format_is_read() {
    assert_eq!(read(Format::Fvecs, &fvecs()).unwrap(), [[1.0, -2.5], [3.0, 4.0]]);
    assert_eq!(read(Format::Fbin, &fbin()).unwrap(), [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    let bvecs = [&number(3)[..], &[0, 7, 255], &number(3), &[1, 2, 3]].concat();
    assert_eq!(read(Format::Bvecs, &bvecs).unwrap(), [[0.0, 7.0, 255.0], [1.0, 2.0, 3.0]]);
    let u8bin = [&number(1)[..], &number(2), &[9, 200]].concat();
    assert_eq!(read(Format::U8bin, &u8bin).unwrap(), [[9.0, 200.0]]);

    let single = floats(&[0.5, -1.0]);
    let half: Vec<u8> = [0.5, -1.0].iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect();
    let double: Vec<u8> = [0.5_f64, -1.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    for (descr, values) in [("<f2", half), ("<f4", single), ("<f8", double)] {
        assert_eq!(read(Format::Npy, &npy(descr, "False", "(1, 2)", &values)).unwrap(), [[0.5, -1.0]], "{descr}");
        assert_eq!(read(Format::Npy, &npy(descr, "False", "(2, 1)", &values)).unwrap(), [[0.5], [-1.0]], "{descr}");
    }
    assert!(read(Format::Fbin, &[number(0), number(3)].concat()).unwrap().is_empty());
}

#[test]
fn an_array_that_was_written_is_read() {
    let matrix = Matrix::new(3, vec![1.0, -2.5, 0.0, f32::MIN_POSITIVE, 4.0, 5e30]).unwrap();
    let mut file = Vec::new();
    write_npy(&mut file, &matrix).unwrap();
    assert_eq!(file.len(), 128 + 6 * size_of::<f32>(), "the values start on a multiple of 64");
    assert_eq!(Rows::new(&file[..], Format::Npy, file.len() as u64).unwrap().read_all().unwrap(), matrix);
}

#[test]
fn rows_that_were_written_are_read_and_unfinished_files_are_not() {
    let rows: Vec<Vec<f32>> = (0..9_u8).map(|at| vec![f32::from(at) * 0.1, -0.0, f32::from_bits(1)]).collect();
    for (head, format) in [(Head::Fbin, Format::Fbin), (Head::Npy, Format::Npy)] {
        let mut writer = RowWriter::new(Cursor::new(Vec::new()), head, 3).unwrap();
        for row in &rows {
            writer.push(row).unwrap();
        }
        assert!(writer.push(&[1.0]).is_err(), "a row of another length");
        let file = writer.finish().unwrap().into_inner();
        assert_eq!(read(format, &file).unwrap(), rows);
        let mut unfinished = Cursor::new(Vec::new());
        RowWriter::new(&mut unfinished, head, 3).unwrap().push(&rows[0]).unwrap();
        assert!(matches!(read(format, &unfinished.into_inner()), Err(ReadError::Length { .. })), "{format:?}");
    }
}

#[test]
fn version_two_of_npy_has_a_longer_length() {
    let mut file = npy("<f4", "False", "(1, 1)", &floats(&[2.0]));
    file[6] = 2;
    file.splice(10..10, [0, 0]);
    assert_eq!(read(Format::Npy, &file).unwrap(), [[2.0]]);
}

#[test]
fn read_all_gives_the_same_rows() {
    let file = fvecs();
    let matrix = Rows::new(&file[..], Format::Fvecs, file.len() as u64).unwrap().read_all().unwrap();
    assert_eq!(matrix.rows().collect::<Vec<_>>(), [[1.0, -2.5], [3.0, 4.0]]);
}

#[test]
fn a_row_of_another_dimension_is_found_where_it_stands() {
    let mut file = fvecs();
    file[12] = 1;
    let error = read(Format::Fvecs, &file).unwrap_err();
    assert!(matches!(error, ReadError::Dimension { offset: 12, expected: 2, found: 1 }), "{error}");
    let mut rows = Rows::new(&file[..], Format::Fvecs, file.len() as u64).unwrap();
    assert_eq!(
        (rows.next().unwrap().is_ok(), rows.next().unwrap().is_err(), rows.next().is_none()),
        (true, true, true)
    );
}

#[test]
fn a_head_that_does_not_fit_the_file_is_refused() {
    for (format, file) in [(Format::Fvecs, fvecs()), (Format::Fbin, fbin())] {
        for length in 0..file.len() {
            let error = read(format, &file[..length]).err();
            // Cut between two rows, a file without a count is a shorter file.
            let whole = format == Format::Fvecs && length == file.len() / 2;
            assert!(error.is_none() == whole, "{format:?} cut at {length}: {error:?}");
        }
        let longer = [&file[..], &[0]].concat();
        assert!(matches!(read(format, &longer).unwrap_err(), ReadError::Length { .. }), "{format:?}");
    }
    // A head that promises more than memory could hold.
    let huge = [number(u32::MAX), number(u32::MAX)].concat();
    assert!(matches!(read(Format::Fbin, &huge).unwrap_err(), ReadError::Length { offset: 8, length: 8 }));
    assert!(matches!(read(Format::Fvecs, &huge).unwrap_err(), ReadError::Length { offset: 4, length: 8 }));
    let none = [number(0), number(0)].concat();
    assert!(matches!(read(Format::Fvecs, &none).unwrap_err(), ReadError::Dimension { offset: 0, found: 0, .. }));
}

#[test]
fn a_file_shorter_than_it_was_says_where_it_ends() {
    let file = fvecs();
    let error = Rows::new(&file[..20], Format::Fvecs, file.len() as u64).unwrap().last().unwrap().unwrap_err();
    assert!(matches!(error, ReadError::Truncated { offset: 16 }), "{error}");
}

#[test]
fn other_arrays_are_refused() {
    let values = floats(&[1.0, 2.0]);
    for (descr, order, shape) in [
        (">f4", "False", "(1, 2)"),
        ("<i4", "False", "(1, 2)"),
        ("<f4", "True", "(1, 2)"),
        ("<f4", "False", "(2,)"),
        ("<f4", "False", "(1, 1, 2)"),
        ("<f4", "False", "(-1, 2)"),
        ("é", "False", "(1, 2)"),
    ] {
        let error = read(Format::Npy, &npy(descr, order, shape, &values)).unwrap_err();
        assert!(matches!(error, ReadError::Header { offset: 10, .. }), "{descr} {order} {shape}: {error}");
    }
    let error = read(Format::Npy, &npy("<f4", "False", "(18446744073709551615, 2)", &values)).unwrap_err();
    assert!(matches!(error, ReadError::Length { .. }), "{error}");
    let error = read(Format::Npy, b"\x93NUMPX\x01\x00").unwrap_err();
    assert!(matches!(error, ReadError::Header { offset: 0, .. }), "{error}");
    let error = read(Format::Npy, b"\x93NUMPY\x02\x00\xff\xff\xff\xff").unwrap_err();
    assert!(matches!(error, ReadError::Header { offset: 12, .. }), "{error}");
}

#[test]
fn no_damaged_byte_makes_it_panic() {
    let files = [
        (Format::Fvecs, fvecs()),
        (Format::Fbin, fbin()),
        (Format::Npy, npy("<f4", "False", "(1, 2)", &floats(&[1.0, 2.0]))),
    ];
    for (format, file) in files {
        for position in 0..file.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut damaged = file.clone();
                damaged[position] = value;
                let _ = read(format, &damaged);
            }
        }
    }
}
