//! Pages: read back what was written, one encoding per content, and no panic on any bytes.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::BTreeSet;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

/// Keys cannot be printed, so contents come from a seed rather than from a strategy.
fn entries(rng: &mut StdRng) -> BTreeMap<Tag, Entry> {
    let count = rng.random_range(0..6);
    let entry = |rng: &mut StdRng| {
        let mut entry = Entry { generation: rng.random(), blind: Arc::new(Blind::generate(rng)), keys: Vec::new() };
        for _ in 0..rng.random_range(0..4) {
            let (collection, id) = (rng.random(), KeyId::generate(rng));
            let until = Until::from_ms(rng.random_range(0..3));
            entry.add(EntryKey { collection, until, id, dek: Arc::new(Dek::generate(rng)) });
        }
        entry
    };
    (0..count).map(|_| (Tag::from_bytes(rng.random()), entry(rng))).collect()
}

fn files(rng: &mut StdRng) -> Files {
    let kinds = [FileKey::Log, FileKey::Index, FileKey::Job];
    let count = rng.random_range(0..6);
    let file = |rng: &mut StdRng| kinds[rng.random_range(0..3)](rng.random::<u64>() >> rng.random_range(0..64));
    (0..count).map(|_| (file(rng), Arc::new(SectionKey::generate(rng)))).collect()
}

fn floor(rng: &mut StdRng) -> Floor {
    let mut next = || rng.random();
    Floor { sequence: next(), log: next(), index: next(), job: next(), trail: next(), ledger: next() }
}

fn root(rng: &mut StdRng) -> Zeroizing<Vec<u8>> {
    let durable = Durable {
        table: Arc::new(SectionKey::generate(rng)),
        order: Arc::new(OrderKey::generate(rng)),
        rotation: RotationSeed::generate(rng),
        tags: TagKey::generate(rng),
        audit: Arc::new(SectionKey::generate(rng)),
        signing: Arc::new(SigningKey::generate(rng)),
    };
    let count = rng.random_range(0..4);
    let place = |rng: &mut StdRng| Place {
        key: Arc::new(SectionKey::generate(rng)),
        generation: rng.random(),
        offset: rng.random(),
        length: rng.random(),
    };
    let places: Vec<Place> = (0..count).map(|_| place(rng)).collect();
    let names: BTreeSet<[u8; 16]> = (0..rng.random_range(0..3)).map(|_| rng.random()).collect();
    let stamp = Stamp { made_at: rng.random(), anchor_stores: names.into_iter().collect() };
    encode_root(&durable, &SectionKey::generate(rng), &files(rng), &floor(rng), places.iter(), &stamp)
}

fn bucket(rng: &mut StdRng) -> Zeroizing<Vec<u8>> {
    let mut bucket = Bucket::default();
    bucket.entries = entries(rng);
    bucket.graves = (0..rng.random_range(0..6)).map(|_| KeyId::generate(rng)).collect();
    encode_bucket(&bucket)
}

fn frame(rng: &mut StdRng) -> Zeroizing<Vec<u8>> {
    encode_additions(&Additions {
        entries: entries(rng),
        files: files(rng),
        sequence: rng.random(),
        trail: rng.random(),
        ledger: rng.random(),
    })
}

type Page = Option<Zeroizing<Vec<u8>>>;

fn again_root(bytes: &[u8]) -> Page {
    let root = decode_root(bytes).ok()?;
    Some(encode_root(&root.durable, &root.new_keys, &root.files, &root.floor, root.places.iter(), &root.stamp))
}

fn again_bucket(bytes: &[u8]) -> Page {
    decode_bucket(bytes).ok().map(|bucket| encode_bucket(&bucket))
}

fn again_frame(bytes: &[u8]) -> Page {
    decode_additions(bytes).ok().map(|additions| encode_additions(&additions))
}

proptest! {
    #[test]
    fn pages_read_back_and_only_whole(seed: u64) {
        let rng = &mut StdRng::seed_from_u64(seed);
        let pages = [
            (root(rng), again_root as fn(&[u8]) -> Page),
            (bucket(rng), again_bucket),
            (frame(rng), again_frame),
        ];
        for (page, again) in pages {
            prop_assert!(again(&page).as_deref() == Some(&*page));
            for cut in 0..page.len() {
                prop_assert!(again(&page[..cut]).is_none());
            }
            prop_assert!(again(&[page.as_slice(), &[0]].concat()).is_none());
        }
    }

    #[test]
    fn any_bytes_are_a_page_or_an_error(bytes: Vec<u8>) {
        let _ = (again_root(&bytes), again_bucket(&bytes), again_frame(&bytes));
    }

    #[test]
    fn changed_pages_are_refused_or_other_pages(seed: u64, at: prop::sample::Index, to: u8) {
        let rng = &mut StdRng::seed_from_u64(seed);
        for mut page in [root(rng), bucket(rng), frame(rng)] {
            let at = at.index(page.len());
            page[at] = to;
            for again in [again_root(&page), again_bucket(&page), again_frame(&page)].iter().flatten() {
                prop_assert!(*again == page);
            }
        }
    }
}

#[test]
fn unordered_and_repeated_things_are_refused() {
    let ids = |list: &[[u8; 16]]| {
        let mut e = Encoder::new(Vec::new());
        e.array(2).unwrap().array(0).unwrap().array(list.len() as u64).unwrap();
        for id in list {
            e.bytes(id).unwrap();
        }
        e.into_writer()
    };
    assert!(decode_bucket(&ids(&[[1; 16], [2; 16]])).is_ok());
    assert!(decode_bucket(&ids(&[[2; 16], [1; 16]])).is_err());
    assert!(decode_bucket(&ids(&[[1; 16], [1; 16]])).is_err());
    let longer = [&[0x82, 0x98, 0x00][..], &ids(&[[1; 16]])[2..]].concat();
    assert!(decode_bucket(&longer).is_err(), "a length has one form");
    // A list that claims 2^64-1 elements costs nothing.
    assert!(decode_bucket(&[&[0x82, 0x9b][..], &[0xff; 8]].concat()).is_err());
}
