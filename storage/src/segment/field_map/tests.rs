//! The field map against maps of lists, and its bytes against anything.

use std::collections::BTreeMap;

use proptest::prelude::*;
use roaring::RoaringBitmap;

use super::*;

const ROWS: u32 = 60;
const ROOM: u64 = 1 << 40;

type Texts = BTreeMap<String, Vec<u32>>;
type Numbers = BTreeMap<u64, Vec<u32>>;

fn rows() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::btree_set(0..ROWS, 1..50).prop_map(|rows| rows.into_iter().collect())
}

fn fields() -> impl Strategy<Value = BTreeMap<String, (u8, Texts, Numbers)>> {
    let texts = prop::collection::btree_map("[a-cé]{0,4}", rows(), 0..6);
    let number = prop_oneof![0..9_u64, Just(u64::MAX), any::<u64>()];
    let numbers = prop::collection::btree_map(number, rows(), 0..6);
    prop::collection::btree_map("[a-c]{0,2}", (0..3_u8, texts, numbers), 0..4)
}

fn build(fields: &BTreeMap<String, (u8, Texts, Numbers)>) -> FieldMap {
    let field = |(name, (kind, texts, numbers)): (&String, &(u8, Texts, Numbers))| Field {
        name: name.clone().into(),
        kind: *kind,
        columns: vec![
            (1, Column::of_texts(texts.iter().map(|(text, rows)| (text.as_str(), &rows[..]))).unwrap()),
            (7, Column::of_numbers(numbers.iter().map(|(number, rows)| (*number, &rows[..]))).unwrap()),
        ],
    };
    FieldMap::new(ROWS, true, fields.iter().map(field).collect()).unwrap().in_room(ROOM)
}

fn own(map: &FieldMap) -> bool {
    let bytes = map.encode();
    FieldMap::decode(&bytes, map.rows()).is_ok_and(|again| again.encode() == bytes)
}

proptest! {
    #[test]
    fn it_says_what_it_was_told(model in fields()) {
        let built = build(&model);
        let decoded = FieldMap::decode(&built.encode(), ROWS).unwrap();
        for map in [built, decoded] {
            prop_assert!(map.is_complete() && map.room() == ROOM && map.field("zz").is_none());
            prop_assert_eq!(map.encoded_len(), map.encode().len());
            prop_assert!(map.fields().iter().map(|field| &*field.name).eq(model.keys()));
            for (name, (kind, texts, numbers)) in &model {
                let field = map.field(name).unwrap();
                prop_assert!(field.kind == *kind && field.column(2).is_none());
                let (of_texts, of_numbers) = (field.column(1).unwrap(), field.column(7).unwrap());
                for (at, (text, rows)) in texts.iter().enumerate() {
                    prop_assert_eq!(of_texts.text(at), Some(text.as_str()));
                    prop_assert_eq!(of_texts.texts_below(|other| other < text), at);
                    prop_assert_eq!(of_texts.rows(at..at + 1), rows.iter().collect::<RoaringBitmap>());
                    prop_assert_eq!(of_texts.count(at, &(0..ROWS / 2).collect()), rows.iter().filter(|row| **row < ROWS / 2).count() as u64);
                }
                prop_assert!(of_texts.text(texts.len()).is_none() && of_texts.numbers().is_empty());
                prop_assert!(of_numbers.numbers().iter().eq(numbers.keys()));
                let all: RoaringBitmap = numbers.values().flatten().collect();
                prop_assert_eq!(of_numbers.rows(0..numbers.len()), all);
            }
        }
    }

    #[test]
    fn any_bytes_decode_or_fail(model in fields(), bytes: Vec<u8>, at: prop::sample::Index, bit in 0_u8..8) {
        for form in [PLAIN, PACKED] {
            if let Ok(map) = FieldMap::decode(&[&[VERSION, form], &bytes[..]].concat(), ROWS) {
                prop_assert!(own(&map));
            }
        }
        let whole = build(&model).encode();
        prop_assert!(FieldMap::decode(&whole, ROWS + 1).is_err());
        prop_assert!(FieldMap::decode(&whole[..at.index(whole.len())], ROWS).is_err());
        let mut flipped = whole.to_vec();
        flipped[at.index(whole.len())] ^= 1 << bit;
        if let Ok(map) = FieldMap::decode(&flipped, ROWS) {
            prop_assert!(own(&map));
        }
    }
}

#[test]
fn it_is_packed_where_that_pays_and_never_inflates_beyond_the_ratio() {
    let words = |count: u32| (0..count).map(|n| (format!("word number {n:06}"), vec![n % ROWS])).collect::<Texts>();
    let form = |texts: Texts| build(&BTreeMap::from([("a".to_owned(), (0, texts, Numbers::new()))])).encode()[1];
    assert_eq!((form(words(0)), form(words(900))), (PLAIN, PACKED));
    let bomb = zstd::bulk::compress(&vec![0; 1 << 20], ZSTD_LEVEL).unwrap();
    let mut packed = vec![VERSION, PACKED];
    put_varint(&mut packed, 1 << 20);
    packed.extend_from_slice(&bomb);
    assert!(FieldMap::decode(&packed, ROWS).is_err());
}

#[test]
fn names_codes_and_values_ascend() {
    let field = |name: &str, codes: &[u8]| Field {
        name: name.to_owned().into(),
        kind: 0,
        columns: codes.iter().map(|code| (*code, Column::of_numbers([].into_iter()).unwrap())).collect(),
    };
    for [a, b] in [["b", "a"], ["a", "a"]] {
        assert!(Column::of_texts([(a, &[1_u32][..]), (b, &[2])].into_iter()).is_err());
    }
    for [a, b] in [[2, 1], [1, 1]] {
        assert!(Column::of_numbers([(a, &[1_u32][..]), (b, &[2])].into_iter()).is_err());
    }
    assert!(FieldMap::new(1, false, vec![field("a", &[1, 2]), field("b", &[])]).is_ok());
    assert!(FieldMap::new(1, false, vec![field("a", &[2, 1])]).is_err());
    assert!(FieldMap::new(1, false, vec![field("a", &[1]), field("a", &[])]).is_err());
}
