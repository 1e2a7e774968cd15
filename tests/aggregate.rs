//! Private answers: what was paid for is answered once, what cannot be paid for is not answered, and nothing that is lost,
//! cut, put back or raced over makes a budget larger.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "starts threads that race")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;

use engine::{
    Aggregate, BudgetOf, Collection, Database, Environment, Error, ErrorKind, Filter, Metric, Record, Released,
    Settings, Succession,
};
use lethedb_tests::case::tell;
use lethedb_tests::furnished::{Tree, dump, load};
use lethedb_tests::places::Places;
use lethedb_tests::world::{in_memory, over, small_settings};
use serde_json::json;
use storage::backend::faulty::Crash;
use storage::backend::{Faulty, Memory};

const PEOPLE: u64 = 100;

/// A hundred people, one of whom has far more records than all others, and ten records of nobody: in segments and the
/// memtable.
fn furnish(env: &Environment) -> Collection {
    let docs = env.collection("docs").dimension(2).open_or_create().unwrap();
    let record = |id: u64| {
        let vector = if id.is_multiple_of(PEOPLE) { vec![1.0, 0.0] } else { vec![0.0, 1.0] };
        let payload = json!({"lang": if id.is_multiple_of(2) { "de" } else { "en" }, "age": id % PEOPLE});
        Record::new(id, vector).entity(format!("person-{}", id % PEOPLE)).payload(payload)
    };
    docs.upsert((0..PEOPLE).map(record)).unwrap();
    docs.upsert((1..20).map(|more| record(more * PEOPLE))).unwrap();
    env.flush().unwrap();
    docs.upsert((20..40).map(|more| record(more * PEOPLE))).unwrap();
    docs.upsert((0..10).map(|id| Record::new(1_000_000 + id, vec![0.0, 1.0]))).unwrap();
    docs
}

fn open(memory: &Memory, seed: u64) -> (Database, Environment) {
    let db = in_memory(memory, seed).open().unwrap();
    let env = db.environment("acme").unwrap();
    (db, env)
}

/// The question of this number, which is another one than that of any other.
fn asked(docs: &Collection, number: u64, epsilon: f64) -> Aggregate {
    docs.aggregate().least_group(number).epsilon(epsilon)
}

fn spent(env: &Environment) -> f64 {
    env.budget().report().unwrap().collections[0].1.spent_epsilon
}

fn kind<T>(result: Result<T, Error>) -> ErrorKind {
    result.map(drop).unwrap_err().kind()
}

/// A budget at which noise hardly shows.
fn afford(env: &Environment) {
    env.budget().set(BudgetOf::Collection("docs"), 4000.0, None).unwrap();
}

fn one(released: Released) -> Vec<f64> {
    assert_eq!(released.groups.len(), 1);
    released.groups.into_iter().next().unwrap().values.unwrap()
}

/// The one answer to a question at the largest ε.
fn one_of(ask: Aggregate) -> Vec<f64> {
    one(ask.epsilon(64.0).release().unwrap())
}

fn near(found: &[f64], wanted: &[f64], most: f64) {
    assert_eq!(found.len(), wanted.len());
    let off = found.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(off <= most, "{found:?} for {wanted:?}");
}

#[test]
fn an_entity_counts_once_whatever_it_has_and_wherever() {
    let (_db, env) = open(&Memory::new(), 1);
    let docs = furnish(&env);
    afford(&env);
    // ε of 64: a count is off by less than 1 but for once in e⁶⁴ times.
    let count = docs.aggregate().epsilon(64.0).release().unwrap();
    assert_eq!(one(count), [110.0]);
    let centroid = one(docs.centroid().epsilon(64.0).release().unwrap());
    near(&centroid, &[1.0 / 110.0, 109.0 / 110.0], 0.02);
    let of = |lang: &str| docs.aggregate().filter(Filter::eq("lang", lang)).epsilon(64.0).release().unwrap();
    assert_eq!((one(of("de")), one(of("en"))), (vec![50.0], vec![50.0]));
    let bins = one(docs.aggregate().histogram("lang", ["de", "fr", "en"]).epsilon(64.0).release().unwrap());
    near(&bins, &[50.0, 0.0, 50.0], 1.0);
    let ages = docs.aggregate().mean("age", 0.0, 100.0).epsilon(64.0).release().unwrap();
    near(&one(ages), &[49.5], 1.0);
    let total = docs.aggregate().sum("age", 0.0, 1000.0).epsilon(64.0).release().unwrap();
    near(&one(total), &[4950.0], 200.0);
}

/// Half of them in a segment, half in the memtable. `lethedb bench privacy --part crowd` asks the same of more segments.
#[test]
fn a_million_records_of_one_entity_weigh_as_one() {
    const CROWD: u64 = 1_000_000;
    let settings = Settings {
        memtable_rows_max: usize::MAX,
        memtable_bytes_max: usize::MAX,
        flat_below: usize::MAX,
        ..small_settings()
    };
    let db = in_memory(&Memory::new(), 1).settings(settings).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = env.collection("docs").dimension(2).metric(Metric::L2).open_or_create().unwrap();
    let payload = || json!({"n": 1, "lang": "de"});
    let other = |id: u64| Record::new(id, vec![0.0, 0.5]).entity(format!("person-{id}")).payload(payload());
    docs.upsert((1..PEOPLE).map(other)).unwrap();
    let one = |id: u64| Record::new(PEOPLE + id, vec![0.5, 0.0]).entity("crowd").payload(payload());
    for first in (0..CROWD).step_by(5000) {
        docs.upsert((first..first + 5000).map(one)).unwrap();
        if first + 5000 == CROWD / 2 {
            env.flush().unwrap();
        }
    }
    afford(&env);
    let people = PEOPLE as f64;
    assert_eq!(one_of(docs.aggregate()), [people]);
    near(&one_of(docs.centroid()), &[0.5 / people, 0.5 * (people - 1.0) / people], 0.005);
    near(&one_of(docs.aggregate().mean("n", 0.0, 4.0)), &[1.0], 0.01);
    // An entity adds no more than 4, whatever it has.
    near(&one_of(docs.aggregate().sum("n", 0.0, 4.0)), &[people - 1.0 + 4.0], 1.0);
    near(&one_of(docs.aggregate().histogram("lang", ["de", "en"])), &[people, 0.0], 0.5);
}

#[test]
fn groups_are_the_callers_and_cost_what_an_entity_may_be_in() {
    let (_db, env) = open(&Memory::new(), 1);
    let docs = furnish(&env);
    afford(&env);
    let before = spent(&env);
    let groups = docs.aggregate().group_by_values("lang", ["de", "en", "fr"]).epsilon(64.0).release().unwrap();
    assert_eq!(groups.groups.iter().map(|group| group.noisy_count).collect::<Vec<_>>(), [50, 50, 0]);
    assert_eq!(spent(&env) - before, 3.0 * 64.0);
    let points = vec![vec![1.0, 0.0], vec![0.0, 1.0]];
    let nearest = docs.centroid().group_by_nearest(points).least_group(0).epsilon(64.0).release().unwrap();
    let counts: Vec<i64> = nearest.groups.iter().map(|group| group.noisy_count).collect();
    assert!((counts[0] - 1).abs() <= 3 && (counts[1] - 109).abs() <= 3, "{counts:?}");
    assert_eq!(spent(&env) - before, 4.0 * 64.0);
    // A group that nobody is in has an answer like any other; whether its numbers are shown depends on noise alone.
    let nobody = docs.centroid().filter(Filter::eq("lang", "fr")).epsilon(64.0).release().unwrap();
    assert!(nobody.groups[0].values.is_none() && nobody.groups[0].noisy_count.abs() < 5);
    assert_eq!(spent(&env) - before, 5.0 * 64.0);
}

#[test]
fn what_cannot_be_asked_is_refused_and_charged_nothing() {
    let (_db, env) = open(&Memory::new(), 1);
    let docs = furnish(&env);
    let ask = || docs.centroid().epsilon(0.5);
    let person = || Filter::entity("person-1");
    for epsilon in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-5, 1e-300, 65.0, 1e300] {
        assert_eq!(kind(docs.centroid().epsilon(epsilon).release()), ErrorKind::Invalid, "{epsilon}");
    }
    for delta in [0.0, -1.0, f64::NAN, 0.5, 1e-300] {
        assert_eq!(kind(ask().delta(delta).release()), ErrorKind::Invalid, "{delta}");
    }
    for norm in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
        assert_eq!(kind(ask().clip(norm).release()), ErrorKind::Invalid, "{norm}");
        assert_eq!(kind(ask().clip_l1(norm).release()), ErrorKind::Invalid, "{norm}");
    }
    let none: [&str; 0] = [];
    for refused in [
        docs.centroid(),
        ask().filter(person()),
        ask().filter(Filter::not(Filter::any([Filter::eq("lang", "de"), Filter::all([person()])]))),
        ask().filter(Filter::at_least(1, [person()])),
        ask().filter(Filter::nested("a", person())),
        ask().group_by([Filter::eq("lang", "de"), person()]),
        ask().group_by([]),
        ask().group_by_nearest([vec![1.0]]),
        ask().group_by_nearest([vec![f32::NAN, 1.0]]),
        ask().histogram("lang", none),
        ask().histogram("lang", ["de", "de"]),
        ask().histogram("lang[", ["de"]),
        ask().mean("age", 1.0, 1.0),
        ask().sum("age", f64::NEG_INFINITY, 1.0),
        ask().mean("age", 0.0, f64::NAN),
        ask().count().group_by_nearest([vec![1.0, 0.0]]),
    ] {
        assert_eq!(kind(refused.clone().release()), ErrorKind::Invalid);
        assert_eq!(kind(refused.plan(10)), ErrorKind::Invalid);
    }
    let refusal = ask().filter(person()).release().unwrap_err().to_string();
    assert!(refusal.contains("no condition on entities") && !refusal.contains("person-1"), "{refusal}");
    // It needs a δ that the budget does not have.
    assert_eq!(kind(ask().delta(1e-6).release()), ErrorKind::Conflict);
    assert_eq!(kind(docs.centroid().epsilon(10.5).release()), ErrorKind::BudgetExhausted);
    let plan = ask().plan(1000).unwrap();
    assert!(plan.rmse > 0.0 && plan.count_share > 0.0);
    assert_eq!((spent(&env), env.budget().report().unwrap().rows), (0.0, 0));
}

#[test]
fn a_budget_with_a_delta_is_counted_in_rho() {
    let (_db, env) = open(&Memory::new(), 1);
    let docs = furnish(&env);
    env.budget().set(BudgetOf::Collection("docs"), 1.0, Some(1e-6)).unwrap();
    // Twenty at a twentieth would be the end of Σε; of ρ they are far less, and what is left pays for many more.
    let mut answered = 0;
    while asked(&docs, answered, 0.05)
        .delta(1e-6)
        .release()
        .map_err(|e| assert_eq!(e.kind(), ErrorKind::BudgetExhausted))
        .is_ok()
    {
        answered += 1;
    }
    assert!(answered > 200, "{answered}");
    let standing = env.budget().report().unwrap().collections.remove(0).1;
    assert!(standing.spent_epsilon <= 1.0 && standing.spent_epsilon > 0.9, "{standing:?}");
    assert_eq!((standing.spent_delta, standing.delta), (1e-6, Some(1e-6)));
    assert_eq!(kind(env.budget().set(BudgetOf::Collection("docs"), 100.0, None)), ErrorKind::Conflict);
    let raised = env.budget().set(BudgetOf::Collection("docs"), 2.0, Some(1e-6)).unwrap();
    assert!(raised.spent_epsilon > 0.9, "a raise says what was spent");
    asked(&docs, answered, 0.05).delta(1e-6).release().unwrap();
}

#[test]
fn every_account_can_stop_a_query() {
    let (_db, env) = open(&Memory::new(), 1);
    let docs = furnish(&env);
    let others = env.collection("others").dimension(2).open_or_create().unwrap();
    env.budget().set(BudgetOf::Environment, 1.0, None).unwrap();
    asked(&docs, 1, 0.75).release().unwrap();
    assert_eq!(kind(asked(&others, 1, 0.5).release()), ErrorKind::BudgetExhausted, "the environment's");
    env.budget().unset(BudgetOf::Environment).unwrap();
    env.budget().set(BudgetOf::Principal([0; 16]), 1.0, None).unwrap();
    assert_eq!(kind(asked(&others, 1, 0.5).release()), ErrorKind::BudgetExhausted, "the ration");
    env.budget().unset(BudgetOf::Principal([0; 16])).unwrap();
    asked(&others, 1, 0.5).release().unwrap();
    let report = env.budget().report().unwrap();
    assert_eq!(report.environment.spent_epsilon, 1.25);
    assert_eq!(report.principals.len(), 1);
    // A collection that is made again begins anew; the environment's budget does not.
    env.drop_collection("docs").unwrap();
    assert_eq!(env.budget().report().unwrap().environment.spent_epsilon, 1.25);
    assert_eq!(kind(env.budget().unset(BudgetOf::Collection("others"))), ErrorKind::Invalid);
    assert_eq!(kind(env.budget().set(BudgetOf::Collection("docs"), 1.0, None)), ErrorKind::NotFound);
    for (epsilon, delta) in [(-1.0, None), (f64::NAN, None), (1e9, None), (1.0, Some(0.0)), (1.0, Some(f64::NAN))] {
        assert_eq!(kind(env.budget().set(BudgetOf::Environment, epsilon, delta)), ErrorKind::Invalid);
    }
}

#[test]
fn a_hundred_threads_at_the_edge_are_answered_exactly_as_often_as_can_be_paid_for() {
    let (_db, env) = open(&Memory::new(), 1);
    let docs = furnish(&env);
    let outcomes: Vec<Result<Released, Error>> = thread::scope(|scope| {
        let ask = |number| {
            scope.spawn({
                let docs = &docs;
                move || asked(docs, number, 0.5).release()
            })
        };
        let threads: Vec<_> = (0..100).map(ask).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (answered, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((answered.len(), refused.len()), (20, 80));
    assert!(refused.into_iter().all(|refused| kind(refused) == ErrorKind::BudgetExhausted));
    let rows: BTreeSet<u64> = answered.into_iter().map(|answer| answer.unwrap().ledger).collect();
    assert_eq!(rows.len(), 20);
    assert_eq!(spent(&env), 10.0);
}

#[test]
fn a_hundred_threads_with_one_question_pay_once_and_have_one_answer() {
    let (_db, env) = open(&Memory::new(), 1);
    let docs = furnish(&env);
    let answers: Vec<Released> = thread::scope(|scope| {
        let ask = |_| scope.spawn(|| docs.centroid().epsilon(0.5).release().unwrap());
        let threads: Vec<_> = (0..100).map(ask).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|answer| answer.groups == answers[0].groups));
    assert_eq!(answers.iter().filter(|answer| !answer.is_repeated).count(), 1);
    assert_eq!(spent(&env), 0.5);
}

#[test]
fn the_same_question_is_free_and_has_the_same_answer_after_a_restart_too() {
    let memory = Memory::new();
    let (db, env) = open(&memory, 1);
    let docs = furnish(&env);
    let ask = |docs: &Collection, order: bool| {
        let (a, b) = (Filter::eq("lang", "de"), Filter::gte("age", 20));
        docs.centroid().filter(Filter::all(if order { [a, b] } else { [b, a] })).epsilon(0.5)
    };
    let first = ask(&docs, true).release().unwrap();
    assert!(!first.is_repeated && first.budget.as_ref().unwrap().remaining_epsilon == Some(9.5));
    let second = ask(&docs, false).release().unwrap();
    assert!(second.is_repeated && second.groups == first.groups && second.computed_at == first.computed_at);
    // What the data is by now makes no difference: an answer that changed by itself would tell of it.
    docs.delete(0u64..50).unwrap();
    env.erase("person-60").run().unwrap();
    drop((docs, env));
    db.close().unwrap();
    let (_db, env) = open(&memory, 2);
    let docs = env.open_collection("docs").unwrap();
    let third = ask(&docs, true).release().unwrap();
    assert!(third.is_repeated && third.groups == first.groups && third.budget == first.budget);
    assert_eq!(spent(&env), 0.5);
    let anew = ask(&docs, true).refresh(true).release().unwrap();
    assert!(!anew.is_repeated && anew.groups != first.groups && spent(&env) == 1.0);
    assert_eq!(ask(&docs, true).release().unwrap().groups, anew.groups);
    let other = ask(&docs, true).epsilon(0.25).release().unwrap();
    assert!(!other.is_repeated && spent(&env) == 1.25);
    assert_eq!(env.verify_deep().unwrap().problems, vec![]);
}

/// Crashes at every operation of a release: what was answered is paid for and answered so again; what was not may be paid
/// for, and nothing that was ever stored as an answer is not.
#[test]
fn a_crash_costs_budget_and_never_privacy() {
    let disk = Faulty::new();
    let db = over(Arc::new(disk.clone()), 1).open().unwrap();
    furnish(&db.environment("acme").unwrap());
    db.close().unwrap();
    let disk = Faulty::on(disk.medium().crashed(Crash::Process)).recording();
    let db = over(Arc::new(disk.clone()), 2).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = env.open_collection("docs").unwrap();
    let first = asked(&docs, 1, 0.5).release().unwrap();
    let between = disk.operations();
    let second = asked(&docs, 2, 0.5).release().unwrap();
    let after = disk.operations();
    let (mut images, mut lost) = (0, 0);
    for (operations, medium) in disk.history() {
        let crashes =
            [Crash::Process, Crash::DropAll, Crash::KeepAll, Crash::Subset(operations), Crash::Torn(operations)];
        for crash in crashes {
            let image = medium.crashed(crash);
            let db = over(Arc::new(Faulty::on(image)), 1000 + images).open().unwrap();
            let env = db.environment("acme").unwrap();
            let docs = env.open_collection("docs").unwrap();
            let place = format!("{operations}/{crash:?}");
            let paid = spent(&env);
            assert!(paid <= 1.0, "{place}");
            assert!(operations < between || paid >= 0.5, "{place}: an answer was given that was not paid for");
            assert!(operations < after || paid == 1.0, "{place}: an answer was given that was not paid for");
            let mut due = paid;
            for (number, given, when) in [(1, &first, between), (2, &second, after)] {
                let again = asked(&docs, number, 0.5).release().unwrap();
                if again.is_repeated {
                    assert_eq!(again.groups, given.groups, "{place}: another answer for one payment");
                } else {
                    assert!(operations < when, "{place}: an answer that was given is gone");
                    due += 0.5;
                    lost += u64::from(due > 1.0);
                }
            }
            assert_eq!(spent(&env), due, "{place}");
            images += 1;
        }
    }
    tell(&format!("{images} crash images of two private answers, {lost} of which lost budget"));
    assert!(images > 100 && lost > 10, "{images} {lost}");
}

/// A store with two private answers, before and after the second; closed.
fn two_answers() -> (Tree, Tree) {
    let memory = Memory::new();
    let (db, env) = open(&memory, 1);
    let docs = furnish(&env);
    asked(&docs, 1, 0.5).release().unwrap();
    let before = dump(&memory);
    asked(&docs, 2, 0.5).release().unwrap();
    drop((docs, env));
    db.close().unwrap();
    (before, dump(&memory))
}

/// Private queries are refused, everything else works, and there is a way out that gives nothing back.
fn refuses(files: &Tree, label: &str) {
    let (_db, env) = open(&load(files), 9);
    let docs = env.open_collection("docs").unwrap();
    for number in [1, 2, 3] {
        let refused = asked(&docs, number, 0.5).release().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Corrupt, "{label}");
        assert!(refused.to_string().contains("private queries are refused"), "{label}: {refused}");
    }
    assert_eq!(kind(env.budget().report()), ErrorKind::Corrupt, "{label}");
    assert_eq!(kind(env.budget().set(BudgetOf::Environment, 1.0, None)), ErrorKind::Corrupt, "{label}");
    docs.upsert([Record::new(5, vec![1.0, 1.0])]).unwrap();
    assert_eq!(docs.search(&[1.0, 1.0]).limit(1).run().unwrap()[0].id, 5u64.into(), "{label}");
    env.flush().unwrap();
    env.budget().begin_anew().unwrap();
    assert_eq!(kind(asked(&docs, 3, 0.001).release()), ErrorKind::BudgetExhausted, "{label}");
    let raised = env.budget().set(BudgetOf::Collection("docs"), 11.0, None).unwrap();
    assert_eq!((raised.spent_epsilon, raised.remaining_epsilon), (10.0, Some(1.0)), "{label}");
    asked(&docs, 3, 0.5).release().unwrap();
    assert!(env.budget().report().unwrap().is_forfeit);
    assert_eq!(kind(env.budget().begin_anew()), ErrorKind::Conflict, "{label}");
    assert_eq!(env.verify_deep().unwrap().problems, vec![], "{label}");
}

#[test]
fn a_ledger_that_is_damaged_missing_or_put_back_refuses() {
    let (before, after) = two_answers();
    let is_ledger = |path: &str| path.contains("/budget-");
    let with = |change: &dyn Fn(&mut Tree)| {
        let mut files = after.clone();
        change(&mut files);
        files
    };
    let put_back = |which: &[&str]| {
        with(&|files| {
            let is_one = |path: &str| which.iter().any(|part| path.contains(part));
            files.retain(|path, _| !is_one(path));
            files.extend(
                before.iter().filter(|(path, _)| is_one(path)).map(|(path, bytes)| (path.clone(), bytes.clone())),
            );
        })
    };
    refuses(&with(&|files| files.retain(|path, _| !is_ledger(path))), "missing");
    for at in [40, 100] {
        let flip = |files: &mut Tree| {
            files.iter_mut().filter(|(path, _)| is_ledger(path)).for_each(|(_, bytes)| bytes[at] ^= 1)
        };
        refuses(&with(&flip), "damaged");
    }
    refuses(&put_back(&["/budget-"]), "an older ledger");
    refuses(&put_back(&["/budget-", "/MANIFEST-"]), "an older ledger and manifest");
    refuses(&put_back(&["/budget-", "/MANIFEST-", "/keyring/"]), "all but the audit log put back");
    refuses(&put_back(&["/budget-", "/MANIFEST-", "/audit/", "/checkpoint-"]), "all but the keyring put back");
    // Files as they are refuse nothing.
    let (_db, env) = open(&load(&after), 9);
    assert_eq!(spent(&env), 1.0);
}

#[test]
fn a_restore_gives_no_budget_back() {
    for outside in [false, true] {
        let world = Places::of(Arc::new(Memory::new()), outside);
        let db = world.builder("data", 1).open().unwrap();
        let env = db.environment("acme").unwrap();
        let docs = furnish(&env);
        let first = asked(&docs, 1, 0.5).release().unwrap();
        env.backup(&world.archive()).unrecoverable(true).run().unwrap();
        let second = asked(&docs, 2, 0.5).release().unwrap();
        drop((docs, env));
        db.close().unwrap();
        let check = |env: &Environment| {
            let docs = env.open_collection("docs").unwrap();
            assert_eq!(spent(env), 1.0);
            assert_eq!(asked(&docs, 1, 0.5).release().unwrap().groups, first.groups);
            assert_eq!(asked(&docs, 2, 0.5).release().unwrap().groups, second.groups);
            assert_eq!((spent(env), env.budget().report().unwrap().is_forfeit), (1.0, false));
        };
        let db = world.builder("data", 2).open().unwrap();
        let (env, _) = db.restore("acme", &world.archive()).run().unwrap();
        check(&env);
        drop(env);
        db.close().unwrap();
        let succession = Succession::of(&world.archive()).unwrap().from_backend(world.part("data", 1));
        let db = world.builder("new", 3).succeed(succession).open().unwrap();
        let (env, _) = db.restore("acme", &world.archive()).run().unwrap();
        check(&env);
    }
}

#[test]
fn where_the_volume_is_lost_the_backup_counts_if_it_is_whole_and_all_is_spent_if_not() {
    for is_behind in [false, true] {
        let world = Places::of(Arc::new(Memory::new()), true);
        let db = world.builder("data", 1).open().unwrap();
        let env = db.environment("acme").unwrap();
        let docs = furnish(&env);
        asked(&docs, 1, 0.5).release().unwrap();
        env.backup(&world.archive()).run().unwrap();
        if is_behind {
            asked(&docs, 2, 0.5).release().unwrap();
        }
        drop((docs, env));
        db.close().unwrap();
        let db = world.builder("new", 2).succeed(Succession::of(&world.archive()).unwrap()).open().unwrap();
        let (env, report) = db.restore("acme", &world.archive()).run().unwrap();
        assert!(report.audit_lost);
        let budget = env.budget().report().unwrap();
        assert_eq!(budget.is_forfeit, is_behind);
        assert_eq!(spent(&env), if is_behind { 10.0 } else { 0.5 });
        let docs = env.open_collection("docs").unwrap();
        assert_eq!(asked(&docs, 3, 0.5).release().is_ok(), !is_behind);
    }
}

#[test]
fn the_audit_log_tells_of_every_debit_and_of_no_question() {
    let disk = Faulty::new();
    let db = over(Arc::new(disk.clone()), 1).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = furnish(&env);
    docs.centroid().filter(Filter::eq("lang", "a very rare language")).epsilon(0.5).release().unwrap();
    env.budget().set(BudgetOf::Collection("docs"), 12.0, None).unwrap();
    let events = env.audit().run().unwrap().events;
    let of = |action: &str| events.iter().find(|event| event.action == action).unwrap().fields.clone();
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert!(of("aggregate.released").contains(&field("ledger", "1")));
    assert!(of("aggregate.released").contains(&field("epsilon", "0.5")), "as it was asked for");
    assert!(of("budget.set").contains(&field("ledger", "2")) && of("budget.set").contains(&field("epsilon", "12")));
    let medium = disk.medium();
    for path in medium.paths() {
        let bytes = medium.read(path).unwrap();
        let needle = b"a very rare language";
        assert!(!bytes.windows(needle.len()).any(|window| window == needle), "{path}");
    }
}
