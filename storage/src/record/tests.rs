//! Bodies and vectors: round trips, padding, and arbitrary bytes.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn records() -> impl Strategy<Value = Record> {
    let ids = prop_oneof![
        any::<u64>().prop_map(RecordId::Num),
        (0..1_u64 << 20).prop_map(RecordId::Num),
        any::<[u8; 16]>().prop_map(|bytes| RecordId::Uuid(Uuid::from_bytes(bytes))),
    ];
    let payloads = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..400),
        "(\\{\"lang\": \"en\"\\}){0,60}".prop_map(String::into_bytes),
    ];
    (ids, any::<u64>(), proptest::option::of("[a-zé]{1,40}"), proptest::option::of(payloads)).prop_map(
        |(id, sequence, entity, payload)| Record {
            id,
            sequence,
            entity: entity.map(|entity| EntityId::new(entity).unwrap()),
            vector: vec![1.5, -0.0],
            payload,
        },
    )
}

proptest! {
    #[test]
    fn bodies_round_trip_at_padme_sizes(record in records()) {
        let bytes = encode_body(&record);
        prop_assert_eq!(padme(bytes.len()), bytes.len());
        let body = decode_body(&bytes).unwrap();
        prop_assert!(body.with_vector(record.vector.clone()) == record);
    }

    #[test]
    fn truncated_bodies_are_refused(record in records(), cut: prop::sample::Index) {
        let bytes = encode_body(&record);
        prop_assert!(decode_body(&bytes[..cut.index(bytes.len())]).is_err());
    }

    #[test]
    fn any_bytes_decode_or_fail(mut bytes: Vec<u8>, flags in 0u8..32) {
        let _ = decode_body(&bytes);
        let _ = decode_vector(&bytes);
        bytes.splice(0..0, [VERSION, flags]);
        let _ = decode_body(&bytes);
    }

    #[test]
    fn flipped_bits_never_panic(record in records(), at: prop::sample::Index, bit in 0u8..8) {
        let mut bytes = encode_body(&record);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let _ = decode_body(&bytes);
    }

    #[test]
    fn vectors_round_trip_bit_for_bit(bits: Vec<u32>) {
        let vector: Vec<f32> = bits.iter().map(|&b| f32::from_bits(b)).collect();
        let back = decode_vector(&encode_vector(&vector)).unwrap();
        prop_assert!(back.iter().map(|x| x.to_bits()).eq(bits));
    }

    #[test]
    fn padme_costs_at_most_twelve_percent(len in 1usize..1 << 40) {
        let padded = padme(len);
        prop_assert!(padded >= len && (padded - len) as f64 <= 0.12 * len as f64);
        prop_assert_eq!(padme(padded), padded);
    }
}

/// Values of Algorithm 1 worked by hand.
#[test]
fn padme_matches_the_paper() {
    let pairs = [(0, 0), (1, 1), (2, 2), (9, 10), (100, 104), (129, 144), (1000, 1024), (1025, 1088)];
    for (len, padded) in pairs {
        assert_eq!(padme(len), padded, "{len}");
    }
    assert_eq!(padme(usize::MAX), usize::MAX);
}

/// A few kilobytes that inflate beyond the cap, or beyond what they claim, are refused instead of filling the memory.
#[test]
fn a_bomb_is_refused() {
    let packed = |claimed: usize, real: usize| {
        let mut out = Vec::new();
        put_varint(&mut out, claimed as u64);
        out.extend(zstd::bulk::compress(&vec![0u8; real], ZSTD_LEVEL).unwrap());
        inflate(&out).map(|payload| payload.len())
    };
    assert_eq!(packed(MAX_INFLATED, MAX_INFLATED), Ok(MAX_INFLATED));
    for (claimed, real) in [(MAX_INFLATED + 1, MAX_INFLATED + 1), (100, 101), (100, 99)] {
        assert_eq!(packed(claimed, real), Err(Malformed("compressed payload")), "{claimed} {real}");
    }
}

#[test]
fn a_payload_beyond_the_cap_is_stored_as_it_is() {
    let record = Record {
        id: RecordId::Num(7),
        sequence: 1,
        entity: None,
        vector: Vec::new(),
        payload: Some(vec![b' '; MAX_INFLATED + 1]),
    };
    assert!(decode_body(&encode_body(&record)).unwrap().with_vector(Vec::new()) == record);
}

#[test]
fn a_newer_body_says_so() {
    assert_eq!(decode_body(&[9, 0]), Err(RecordError::NewerFormat { found: 9, max: VERSION }));
    assert_eq!(decode_body(&[0, 0]), Err(Malformed("flags").into()));
    let debug =
        format!("{:?}", Record { id: RecordId::Num(77), sequence: 3, entity: None, vector: vec![0.5], payload: None });
    assert_eq!(debug, "Record { sequence: 3, .. }");
}
