//! The book against a model, over restarts: who is let in, what they may do, and what nobody can grant.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::BTreeSet;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::super::api_key::Class;
use super::super::grant::{Bound, SealedId};
use super::*;
use crate::secret::KeyId;

const DAY_MS: u64 = 86_400_000;

fn bound(environment: &str) -> Bound {
    Bound { environment: environment.to_owned(), collections: None, entities: None }
}

fn role(name: &str) -> RoleName {
    RoleName::new(name).unwrap()
}

fn made(class: Class, seed: u64, roles: &[&str]) -> (ApiKey, Grant) {
    let key = ApiKey::generate(class, &mut StdRng::seed_from_u64(seed));
    let mut grant = Grant::new(&key, &pepper(), bound("acme"), 0);
    grant.roles = roles.iter().map(|name| role(name)).collect();
    (key, grant)
}

fn pepper() -> Pepper {
    Pepper::from_bytes([5; 32])
}

#[derive(Debug, Clone)]
enum Step {
    Make { class: Class, expires: Option<u64>, role: usize },
    Revoke(prop::sample::Index),
    Rotate(prop::sample::Index, u64),
    Wait(u64),
    Use(prop::sample::Index),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let class = || prop::sample::select(&Class::ALL);
    let make = (class(), prop::option::of(1..100u64), 0..9usize);
    prop_oneof![
        2 => make.prop_map(|(class, expires, role)| Step::Make { class, expires, role }),
        1 => any::<prop::sample::Index>().prop_map(Step::Revoke),
        1 => (any::<prop::sample::Index>(), 0..60u64).prop_map(|(which, overlap)| Step::Rotate(which, overlap)),
        2 => (0..40u64).prop_map(Step::Wait),
        1 => any::<prop::sample::Index>().prop_map(Step::Use),
        1 => Just(Step::Reopen),
    ]
}

/// What the model knows of a key.
struct Known {
    text: Zeroizing<String>,
    before: Vec<(Zeroizing<String>, u64)>,
    expires: Option<u64>,
    is_revoked: bool,
    role: BuiltIn,
}

/// Whether the book says of a key, and of its secrets before, what the model does.
fn is_let_in_as_known(book: &Book, known: &Known, now: u64) -> Result<(), TestCaseError> {
    let admitted = |text: &str| {
        let key = ApiKey::parse(text).unwrap();
        book.admit(&key, &pepper(), now, None).map(|grant| book.permissions(grant))
    };
    let expected = match known {
        Known { is_revoked: true, .. } => Err(Refused::Revoked),
        Known { expires: Some(end), .. } if *end <= now => Err(Refused::Expired),
        known => {
            let class = ApiKey::parse(&known.text).unwrap().class();
            Ok(known.role.permissions().and(class.ceiling()))
        }
    };
    prop_assert_eq!(admitted(&known.text), expected);
    for (text, until) in &known.before {
        let expected = if known.is_revoked || now < *until { expected } else { Err(Refused::Unknown) };
        prop_assert_eq!(admitted(text), expected);
    }
    Ok(())
}

proptest! {
    #[test]
    fn whoever_is_let_in_was_granted_it(steps in prop::collection::vec(step(), 0..40), seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut book, mut model, mut now) = (Book::default(), Vec::<Known>::new(), 0);
        for step in steps {
            match step {
                Step::Make { class, expires, role: which } => {
                    let key = ApiKey::generate(class, &mut rng);
                    let mut grant = Grant::new(&key, &pepper(), bound("acme"), now);
                    grant.expires_ms = expires.map(|after| now + after);
                    grant.roles = BTreeSet::from([role(BuiltIn::ALL[which].as_str())]);
                    let known = Known {
                        text: key.text(), before: Vec::new(), expires: grant.expires_ms, is_revoked: false,
                        role: BuiltIn::ALL[which],
                    };
                    prop_assert_eq!(book.enter(grant, Permissions::all()), Ok(()));
                    model.push(known);
                }
                Step::Revoke(which) if !model.is_empty() => {
                    let at = which.index(model.len());
                    let known = &mut model[at];
                    let id = ApiKey::parse(&known.text).unwrap().id();
                    prop_assert_eq!(book.revoke(&id, now), !known.is_revoked);
                    known.is_revoked = true;
                }
                Step::Rotate(which, overlap) if !model.is_empty() => {
                    let at = which.index(model.len());
                    let known = &mut model[at];
                    let old = ApiKey::parse(&known.text).unwrap();
                    let new = ApiKey::renewed(old.class(), old.id(), &mut rng);
                    let done = book.rotate(&new, &pepper(), now + overlap, Permissions::all());
                    prop_assert_eq!(done.is_ok(), !known.is_revoked);
                    if done.is_ok() {
                        // Only the last secret overlaps.
                        known.before.iter_mut().for_each(|(_, until)| *until = 0);
                        known.before.push((std::mem::replace(&mut known.text, new.text()), now + overlap));
                    }
                }
                Step::Wait(time) => now += time,
                Step::Use(which) if !model.is_empty() => {
                    let id = ApiKey::parse(&model[which.index(model.len())].text).unwrap().id();
                    let before = book.grant(&id).unwrap().used_day;
                    prop_assert_eq!(book.note_use(&id, now), before.is_none_or(|day| day < now));
                    prop_assert_eq!(book.grant(&id).unwrap().used_day, Some(before.unwrap_or(0).max(now)));
                }
                Step::Reopen => {
                    let bytes = book.encode();
                    book = Book::decode(&bytes).unwrap();
                    prop_assert_eq!(&**book.encode(), &**bytes);
                }
                _ => {}
            }
            model.iter().try_for_each(|known| is_let_in_as_known(&book, known, now))?;
        }
    }

    #[test]
    fn any_bytes_are_a_book_or_an_error(bytes: Vec<u8>, at: prop::sample::Index, to: u8) {
        if let Ok(book) = Book::decode(&bytes) {
            prop_assert_eq!(&**book.encode(), &bytes[..]);
        }
        let (_, grant) = made(Class::Admin, 1, &["Owner"]);
        let mut book = Book::default();
        book.enter(grant, Permissions::all()).unwrap();
        let mut bytes = book.encode().to_vec();
        for cut in 0..bytes.len() {
            prop_assert_eq!(Book::decode(&bytes[..cut]).err(), Some(BookError));
        }
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(book) = Book::decode(&bytes) {
            prop_assert_eq!(&**book.encode(), &bytes[..]);
        }
    }

    /// However keys and roles are made and changed by whoever has a key, nobody ends up with more than the one they
    /// had it from.
    #[test]
    fn nobody_grants_what_they_lack(
        maker in prop::collection::btree_set(prop::sample::select(Permission::ALL), 0..49),
        wanted in prop::collection::btree_set(prop::sample::select(Permission::ALL), 0..12),
        class in prop::sample::select(&Class::ALL),
    ) {
        let (maker, wanted): (Permissions, Permissions) =
            (maker.into_iter().collect(), wanted.into_iter().collect());
        let mut book = Book::default();
        prop_assert_eq!(book.define("acme", &role("r"), wanted, maker).is_ok(), maker.covers(wanted));
        book = Book::default();
        book.define("acme", &role("r"), wanted, Permissions::all()).unwrap();
        let (key, grant) = made(class, 1, &["r"]);
        let permits = book.permissions(&grant);
        prop_assert_eq!(permits, wanted.and(class.ceiling()));
        prop_assert_eq!(book.enter(grant.clone(), maker).is_ok(), maker.covers(permits));
        book = Book::default();
        book.define("acme", &role("r"), wanted, Permissions::all()).unwrap();
        book.enter(grant, Permissions::all()).unwrap();
        let rotated = book.rotate(&key, &pepper(), 0, maker);
        prop_assert_eq!(rotated.is_ok(), maker.covers(permits), "a rotation gives the secret to whoever asks");
        prop_assert_eq!(book.define("acme", &role("r"), Permissions::NONE, maker).is_ok(), maker.covers(wanted));
    }
}

#[test]
fn a_key_counts_only_where_it_may_come_from() {
    let (key, mut grant) = made(Class::Secret, 3, &["ReadOnly"]);
    grant.networks = BTreeSet::from(["10.0.0.0/8".parse().unwrap(), "2001:db8::1".parse().unwrap()]);
    let admit = |from: Option<&str>| grant.admit(&key, &pepper(), 0, from.map(|from| from.parse().unwrap()));
    assert_eq!(admit(Some("10.9.9.9")), Ok(()));
    assert_eq!(admit(Some("::ffff:10.9.9.9")), Ok(()));
    assert_eq!(admit(Some("2001:db8::1")), Ok(()));
    assert_eq!(admit(Some("11.0.0.1")), Err(Refused::Address));
    assert_eq!(admit(None), Err(Refused::Address), "who cannot say from where comes from nowhere");
}

#[test]
fn a_key_of_another_class_or_secret_is_not_there() {
    let (key, grant) = made(Class::Secret, 4, &["ReadOnly"]);
    let mut book = Book::default();
    book.enter(grant, Permissions::all()).unwrap();
    let mut rng = StdRng::seed_from_u64(9);
    for forged in
        [ApiKey::renewed(Class::Admin, key.id(), &mut rng), ApiKey::renewed(Class::Secret, key.id(), &mut rng)]
    {
        assert_eq!(book.admit(&forged, &pepper(), 0, None).err(), Some(Refused::Unknown));
    }
    assert_eq!(book.admit(&key, &Pepper::from_bytes([6; 32]), 0, None).err(), Some(Refused::Unknown));
    assert!(book.admit(&key, &pepper(), 0, None).is_ok());
}

#[test]
fn roles_belong_to_one_environment() {
    let mut book = Book::default();
    let reads: Permissions = Permission::RecordRead.into();
    book.define("acme", &role("support"), reads, Permissions::all()).unwrap();
    assert_eq!((book.role("acme", &role("support")), book.role("other", &role("support"))), (Some(reads), None));
    let (_, mut grant) = made(Class::Secret, 5, &["support"]);
    grant.bound = bound("other");
    assert_eq!(book.permissions(&grant), Permissions::NONE);
    assert_eq!(book.enter(grant.clone(), Permissions::all()), Err(ChangeError::NoRole));
    assert_eq!(book.roles("other").count(), 0);
    assert_eq!(book.undefine("other", &role("support")), Err(ChangeError::NoRole));
    grant.bound = bound("acme");
    let id = grant.id;
    book.enter(grant, Permissions::all()).unwrap();
    assert_eq!(book.undefine("acme", &role("support")), Err(ChangeError::InUse));
    assert!(book.revoke(&id, DAY_MS));
    assert_eq!(book.undefine("acme", &role("support")), Ok(()));
}

#[test]
fn built_in_roles_are_not_redefined() {
    let mut book = Book::default();
    for name in ["Owner", "owner", "INGEST"] {
        let defined = book.define("acme", &role(name), Permissions::all(), Permissions::all());
        assert_eq!(defined, Err(ChangeError::BuiltIn));
        assert_eq!(book.undefine("acme", &role(name)), Err(ChangeError::BuiltIn));
    }
}

#[test]
fn a_revoked_key_leaves_no_hash_and_a_book_shows_none() {
    let (key, mut grant) = made(Class::Secret, 6, &["ReadOnly"]);
    grant.label = "of Jane Roe".to_owned();
    grant.bound.entities =
        Some((BTreeSet::new(), vec![SealedId { key: KeyId([1; 16]), row: [2; 16], sealed: vec![3] }]));
    let digest = key.digest(&pepper()).0;
    let mut book = Book::default();
    book.enter(grant.clone(), Permissions::all()).unwrap();
    let holds = |book: &Book| book.encode().windows(32).any(|window| window == digest);
    assert!(holds(&book) && Book::decode(&book.encode()).unwrap().grant(&grant.id).unwrap().bound == grant.bound);
    let shown = format!("{book:?} {grant:?}");
    assert!(!shown.contains("Jane") && !shown.contains("digest"), "{shown}");
    book.revoke(&grant.id, 1);
    assert!(!holds(&book), "nobody can test a guess against a revoked key");
    assert!(!book.is_empty());
}

/// What a book of an earlier version holds is written as it was; the rest comes back, and no other bytes are a book.
#[test]
fn rules_trust_and_quorums_come_back() {
    use super::super::rule::{Asked, CollectionRules, Rules};
    use super::super::trust::{Algorithm, KeySource};
    use crate::secret::SigningKey;

    let mut book = Book::default();
    assert_eq!(book.encode().first(), Some(&0x83), "three members, as ever");
    let rules = Rules::default().with(Asked::Search, "payload.org == claims.org".parse().unwrap());
    let rules = rules.with(Asked::Query, "entity == claims.sub".parse().unwrap());
    let rules = CollectionRules::new([7; 16], rules);
    assert!(rules.of(&[7; 16]).is_some() && rules.of(&[8; 16]).is_none(), "of this collection alone");
    book.set_rules("acme", "docs", Some(rules.clone()));
    book.set_rules("acme", "gone", Some(rules.clone()));
    book.set_rules("acme", "gone", None);
    let keys = KeySource::Url("https://id.example/keys".to_owned());
    let trust = Trust::new("https://id.example", "docs", Algorithm::ALL, keys).unwrap();
    book.set_trust("acme", Some(trust.clone()));
    let voters: Vec<SigningKey> = (1..=3).map(|seed| SigningKey::from_bytes([seed; 32])).collect();
    let quorum = Quorum::new(2, voters.iter().map(SigningKey::verifying_key)).unwrap();
    book.set_quorum("acme", Some(quorum.clone()));
    let rng = &mut StdRng::seed_from_u64(1);
    let kind = super::super::approval::Critical::RotateRoot;
    let operation = Operation::new(kind, [1; 16], b"x", 1000, rng);
    let votes: Vec<Vote> = voters[..2].iter().map(|key| Vote::cast(&operation, key)).collect();
    assert_eq!(book.approve("acme", (&operation, &votes), [1; 16], 0), Ok(2));
    let bytes = book.encode();
    let mut again = Book::decode(&bytes).unwrap();
    assert_eq!(again.rules("acme").iter().collect::<Vec<_>>(), [(&"docs".to_owned(), &rules)]);
    assert!(again.rules("other").is_empty());
    assert_eq!((again.trust("acme"), again.quorum("acme")), (Some(&trust), Some(&quorum)));
    assert_eq!((again.trust("other"), again.quorum("other")), (None, None));
    let replayed = again.approve("acme", (&operation, &votes), [1; 16], 0);
    assert_eq!(replayed, Err(Unapproved::Used), "what was spent stays spent after a restart");
    for at in 0..bytes.len() {
        assert!(Book::decode(&bytes[..at]).is_err(), "cut at {at}");
    }
    // The votes of those who approve there, and nobody else's.
    let other = SigningKey::from_bytes([4; 32]);
    again.set_quorum("other", Some(Quorum::new(2, [&voters[0], &other].map(SigningKey::verifying_key)).unwrap()));
    let operation = Operation::new(kind, [1; 16], b"y", 1000, rng);
    let cast = |who: &[&SigningKey]| who.iter().map(|key| Vote::cast(&operation, key)).collect::<Vec<_>>();
    let mut approve = |name: &str, votes: &[Vote]| again.approve(name, (&operation, votes), [1; 16], 0);
    assert_eq!(approve("acme", &cast(&[&voters[0]])), Err(Unapproved::TooFew { given: 1, needed: 2 }));
    assert_eq!(approve("acme", &cast(&[&voters[0], &other])), Err(Unapproved::Vote));
    assert_eq!(approve("nowhere", &[]), Ok(0), "nobody has to approve there");
    assert_eq!(approve("acme", &cast(&[&voters[0], &voters[2]])), Ok(2));
}
