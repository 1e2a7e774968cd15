//! Lists of backups and their files: round trips, damage, contradictions, and files that are not what their name says.

use proptest::prelude::*;

use super::*;
use crate::backup::{Objects, digest_of, shelf};
use crate::fixtures::{SCOPE, damaged, dir, key, rng};

fn segment(id: u64, bytes: &[u8], dead: &[u32]) -> BackedSegment {
    let file = (bytes.len() as u64, digest_of(bytes));
    BackedSegment::new(SegmentId(id), 9, file, &dead.iter().copied().collect()).unwrap()
}

fn collection(id: u8, segments: Vec<BackedSegment>) -> BackedCollection {
    BackedCollection {
        id: CollectionId([id; 16]),
        name: format!("c{id}"),
        dimension: 3,
        metric: 1,
        schema: vec![id; 4],
        aliases: BTreeSet::from([format!("a{id}")]),
        segments,
    }
}

fn small() -> Contents {
    let segments = vec![segment(3, b"one", &[]), segment(5, b"two", &[0, 8])];
    let collections = vec![collection(1, segments), collection(2, vec![])];
    Contents {
        number: 7,
        made_ms: 12,
        sequence: 40,
        collections,
        latch: b"latch".to_vec(),
        holds: vec![],
        budget: vec![],
    }
}

fn write(dir: &Dir, contents: &Contents) -> io::Result<()> {
    write_contents(dir, contents, (&key(1), SCOPE), &mut rng(1))
}

fn read(dir: &Dir, number: u64) -> Result<Contents, BackupError> {
    read_contents(dir, number, (&key(1), SCOPE))
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        number in 1..=NUMBER_MAX, sequence in 0..=NUMBER_MAX, made_ms: u64, latch: Vec<u8>, holds: Vec<u8>,
        budget: Vec<u8>,
        sizes in prop::collection::vec(prop::collection::vec(prop::collection::btree_set(0u32..9, 0..9), 0..4), 0..4),
    ) {
        let dir = dir();
        let mut next = 0;
        let collections = (0..).zip(&sizes).map(|(id, segments)| {
            let segments = segments.iter().map(|dead| {
                next += 1;
                segment(next, &next.to_le_bytes(), &dead.iter().copied().collect::<Vec<_>>())
            });
            collection(id, segments.collect())
        });
        let collections = collections.collect();
        let contents = Contents { number, made_ms, sequence, collections, latch, holds, budget };
        write(&dir, &contents).unwrap();
        prop_assert_eq!(&read(&dir, number).unwrap(), &contents);
        prop_assert_eq!(numbers(&dir).unwrap(), [number]);
        let dead: Vec<u64> = sizes.iter().flatten().map(|dead| dead.len() as u64).collect();
        let back: Vec<u64> = contents.segments().map(|(_, segment)| segment.dead().unwrap().len()).collect();
        prop_assert_eq!(back, dead);
    }
}

#[test]
fn every_damaged_bit_and_every_cut_is_seen() {
    let whole = dir();
    write(&whole, &small()).unwrap();
    for bytes in damaged(&whole.read(&list_name(7)).unwrap()) {
        let dir = dir();
        dir.write_new(&list_name(7), &bytes).unwrap();
        assert!(read(&dir, 7).is_err());
    }
}

#[test]
fn a_list_of_another_place_key_or_number_is_refused() {
    let dir = dir();
    write(&dir, &small()).unwrap();
    let other = Scope { environment: [9; 16], ..SCOPE };
    for (key, scope) in [(key(2), SCOPE), (key(1), other)] {
        assert!(matches!(read_contents(&dir, 7, (&key, scope)), Err(BackupError::WrongKey { .. })));
    }
    assert!(matches!(read(&dir, 8), Err(BackupError::Missing { .. })));
    dir.write_new(&list_name(8), &dir.read(&list_name(7)).unwrap()).unwrap();
    assert!(matches!(read(&dir, 8), Err(BackupError::Damaged { what: "header", .. })));
    assert_eq!(write(&dir, &small()).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    let newer = Numbered { format: 9, ..LIST };
    dir.write_new(&list_name(9), &newer.seal(9, (&key(1), SCOPE), &[], &mut rng(1))).unwrap();
    assert!(matches!(read(&dir, 9), Err(BackupError::NewerFormat { found: 9, max: 3 })));
}

#[test]
fn a_list_that_contradicts_itself_is_neither_written_nor_believed() {
    type Change = fn(&mut Contents);
    let changes: [Change; 9] = [
        |list| list.number = 0,
        |list| list.sequence = NUMBER_MAX + 1,
        |list| list.collections[1].id = CollectionId([1; 16]),
        |list| list.collections[1].name = "a1".into(),
        |list| list.collections[1].name.clear(),
        |list| list.collections[0].dimension = 0,
        |list| list.collections[0].segments[1].id = SegmentId(3),
        |list| list.collections[0].segments[0].rows = 0,
        |list| list.collections[0].segments[1].rows = 8,
    ];
    for (number, change) in (0..).zip(changes) {
        let dir = dir();
        let mut contents = small();
        change(&mut contents);
        assert_eq!(write(&dir, &contents).unwrap_err().kind(), io::ErrorKind::InvalidInput, "change {number}");
        let plaintext = minicbor::to_vec(&contents).unwrap();
        let bytes = LIST.seal(contents.number, (&key(1), SCOPE), &plaintext, &mut rng(1));
        dir.write_new(&list_name(contents.number), &bytes).unwrap();
        assert!(read(&dir, contents.number).is_err(), "change {number}");
    }
}

#[test]
fn a_shelf_gives_what_was_backed_up_or_an_error() {
    let dir = dir();
    let (objects, contents) = (Objects::of(&dir), small());
    objects.make().unwrap();
    let mut copied = 0;
    for bytes in [b"one", b"two"] {
        objects.put(&digest_of(bytes), bytes, &mut |bytes| copied += bytes).unwrap();
    }
    assert_eq!(copied, 6);
    let segments = shelf(&dir, &contents);
    assert_eq!(segments.list().unwrap(), ["0000000000000003.rec", "0000000000000005.rec"]);
    assert_eq!(segments.read("0000000000000005.rec").unwrap(), b"two");
    assert_eq!(segments.map("0000000000000004.rec").err().unwrap().kind(), io::ErrorKind::NotFound);
    assert_eq!(segments.remove("0000000000000003.rec").unwrap_err().kind(), io::ErrorKind::ReadOnlyFilesystem);

    // Damaged, exchanged, cut: never bytes that were not backed up.
    let rec = dir.sub("rec");
    let name = format!("{}.rec", digest_of(b"one"));
    for bytes in [b"onf".as_slice(), b"two", b"on", b"ones"] {
        rec.remove(&name).unwrap();
        rec.write_new(&name, bytes).unwrap();
        assert_eq!(segments.map("0000000000000003.rec").err().unwrap().kind(), io::ErrorKind::InvalidData);
    }
    // Written anew, it is right again; what nobody names goes, and nothing else.
    objects.put(&digest_of(b"one"), b"one", &mut |_| {}).unwrap();
    assert_eq!(segments.read("0000000000000003.rec").unwrap(), b"one");
    rec.write_new("keep.txt", b"").unwrap();
    rec.write_new(&format!("{name}.tmp"), b"half").unwrap();
    objects.keep_only(&BTreeSet::from([digest_of(b"two")])).unwrap();
    assert_eq!(rec.list().unwrap(), [format!("{}.rec", digest_of(b"two")), "keep.txt".to_owned()]);
}
