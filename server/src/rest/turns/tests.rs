//! The queue against what it promises: fixed cases that can be read, and random histories.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::timeout;

use super::*;

/// The turn, if it has come by now.
async fn now(waiting: Waiting) -> Result<Option<Turn>, ()> {
    timeout(Duration::ZERO, waiting.turn()).await.map_err(drop)
}

/// Who of these, in order, was called, has to wait, or was sent away.
async fn stand(waiting: &mut Vec<(&'static str, Waiting)>) -> Vec<(&'static str, Option<Turn>)> {
    let mut found = Vec::new();
    for (name, mut place) in std::mem::take(waiting) {
        match place.called.try_recv() {
            Ok(()) => found.push((name, Some(Turn { turns: place.turns.clone() }))),
            Err(oneshot::error::TryRecvError::Closed) => found.push((name, None)),
            Err(oneshot::error::TryRecvError::Empty) => waiting.push((name, place)),
        }
    }
    found
}

fn enter(turns: &Arc<Turns>, lane: &str) -> Result<Waiting, Crowded> {
    turns.enter(lane.into())
}

#[tokio::test]
async fn a_turn_is_there_at_once_while_places_are_free() {
    let turns = Turns::new(2, 0, Duration::ZERO);
    let first = now(enter(&turns, "a").unwrap()).await.unwrap().unwrap();
    let _second = now(enter(&turns, "a").unwrap()).await.unwrap().unwrap();
    assert!(matches!(enter(&turns, "b"), Err(Crowded)), "nobody may wait");
    drop(first);
    assert!(now(enter(&turns, "b").unwrap()).await.unwrap().is_some());
}

#[tokio::test]
async fn turns_go_round_the_lanes_and_in_order_within_each() {
    let turns = Turns::new(1, 100, Duration::ZERO);
    let mut turn = now(enter(&turns, "x").unwrap()).await.unwrap();
    let names = ["flood 1", "flood 2", "flood 3", "flood 4", "calm 1", "other 1", "calm 2"];
    let lane = |name: &str| name.split(' ').next().unwrap().to_owned();
    let mut waiting: Vec<_> = names.into_iter().map(|name| (name, enter(&turns, &lane(name)).unwrap())).collect();
    let mut order = Vec::new();
    while !waiting.is_empty() {
        drop(turn.take());
        for (name, called) in stand(&mut waiting).await {
            order.push(name);
            turn = called;
        }
    }
    assert_eq!(order, ["flood 1", "calm 1", "other 1", "flood 2", "calm 2", "flood 3", "flood 4"]);
}

#[tokio::test]
async fn a_full_queue_sends_away_the_newest_of_the_longest_lane() {
    let turns = Turns::new(1, 4, Duration::ZERO);
    let _turn = now(enter(&turns, "x").unwrap()).await.unwrap();
    let mut waiting = Vec::new();
    for name in ["flood 1", "flood 2", "flood 3", "flood 4"] {
        waiting.push((name, enter(&turns, "flood").unwrap()));
    }
    assert!(matches!(enter(&turns, "flood"), Err(Crowded)));
    let mut sent_away = Vec::new();
    for name in ["calm 1", "calm 2"] {
        waiting.push((name, enter(&turns, "calm").unwrap()));
        sent_away.extend(stand(&mut waiting).await.into_iter().map(|(name, turn)| (name, turn.is_some())));
    }
    assert_eq!(sent_away, [("flood 4", false), ("flood 3", false)]);
    assert!(matches!(enter(&turns, "calm"), Err(Crowded)), "its share is taken");
    assert!(enter(&turns, "other").is_ok(), "a third lane has a share, too");
}

#[tokio::test]
async fn who_gives_up_keeps_nothing() {
    let turns = Turns::new(1, 4, Duration::ZERO);
    let turn = now(enter(&turns, "a").unwrap()).await.unwrap();
    let (first, second) = (enter(&turns, "a").unwrap(), enter(&turns, "b").unwrap());
    drop(first);
    assert_eq!(turns.waiting(), 1);
    drop(turn);
    // Called, and gone before it looked: the turn goes on.
    let third = enter(&turns, "c").unwrap();
    drop(second);
    assert!(now(third).await.unwrap().is_some());
    assert_eq!((turns.waiting(), turns.state.lock().free), (0, 1));
    assert!(turns.state.lock().lanes.is_empty() && turns.state.lock().order.is_empty());
}

/// One tenant asks ten times as often as another, far more than there is room for; every turn takes one tick.
#[tokio::test]
async fn a_flood_sheds_itself_and_not_its_neighbour() {
    let turns = Turns::new(2, 16, Duration::ZERO);
    let (mut running, mut waiting) = (VecDeque::new(), Vec::new());
    let mut tally: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for tick in 0..400 {
        let arrivals = ["flood"; 10].into_iter().chain((tick % 2 == 0).then_some("calm"));
        for name in arrivals {
            *tally.entry((name, "asked")).or_default() += 1;
            match enter(&turns, name) {
                Ok(place) => waiting.push((name, place)),
                Err(Crowded) => *tally.entry((name, "shed")).or_default() += 1,
            }
        }
        while running.len() >= 2 {
            running.pop_front();
        }
        for (name, turn) in stand(&mut waiting).await {
            let told = if turn.is_some() { "served" } else { "shed" };
            *tally.entry((name, told)).or_default() += 1;
            running.extend(turn);
        }
    }
    let of = |name, told| tally.get(&(name, told)).copied().unwrap_or_default();
    assert_eq!((of("calm", "asked"), of("calm", "shed")), (200, 0), "{tally:?}");
    assert!(of("calm", "served") >= 198 && of("flood", "shed") > 3000, "{tally:?}");
    assert!(of("flood", "served") >= 198, "what the calm one leaves is used: {tally:?}");
}

/// One lane asks five times as often as there are turns, all of which take 10 ms. Gives how long those waited that were
/// served in the later half, in ms, and how many of all were.
async fn overloaded(patience: Duration) -> (Vec<u128>, usize) {
    const TICKS: usize = 2000;
    let turns = Turns::new(2, 100, patience);
    let (mut running, mut waiting, mut waits, mut served) = (VecDeque::new(), Vec::new(), Vec::new(), 0);
    for tick in 0..TICKS {
        tokio::time::advance(Duration::from_millis(1)).await;
        let asked = Instant::now();
        waiting.extend(enter(&turns, "flood").ok().map(|place| (asked, place)));
        while running.front().is_some_and(|(since, _): &(Instant, Turn)| since.elapsed().as_millis() >= 10) {
            running.pop_front();
        }
        let mut left = Vec::new();
        for (asked, mut place) in waiting {
            match place.called.try_recv() {
                Ok(()) => {
                    running.push_back((Instant::now(), Turn { turns: turns.clone() }));
                    served += 1;
                    waits.extend((tick > TICKS / 2).then(|| asked.elapsed().as_millis()));
                }
                Err(oneshot::error::TryRecvError::Empty) => left.push((asked, place)),
                Err(oneshot::error::TryRecvError::Closed) => {}
            }
        }
        waiting = left;
    }
    (waits, served)
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_stands_keeps_nobody_waiting_for_longer_than_there_is_patience() {
    let (waits, served) = overloaded(Duration::from_millis(50)).await;
    // A turn that takes 10 ms may begin as soon as the patience allows it.
    assert!(waits.iter().all(|ms| *ms <= 55), "{waits:?}");
    let (patient, all) = overloaded(Duration::ZERO).await;
    assert!(patient.iter().all(|ms| *ms > 400), "what is compared with: {patient:?}");
    assert!(served * 100 >= all * 99, "no place stands empty meanwhile: {served} of {all}");
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_served_whole_however_short_the_patience() {
    let turns = Turns::new(1, 100, Duration::from_millis(1));
    let mut turn = now(enter(&turns, "x").unwrap()).await.unwrap();
    let mut waiting: Vec<_> = (0..90).map(|_| ("burst", enter(&turns, "burst").unwrap())).collect();
    let mut served = 0;
    while !waiting.is_empty() {
        tokio::time::advance(Duration::from_millis(1)).await;
        drop(turn.take());
        for (_, called) in stand(&mut waiting).await {
            served += usize::from(called.is_some());
            turn = called;
        }
    }
    assert_eq!(served, 90);
}

#[tokio::test(start_paused = true)]
async fn long_work_may_be_waited_for_however_short_the_patience() {
    let turns = Turns::new(1, 100, Duration::from_millis(1));
    let mut turn = now(enter(&turns, "x").unwrap()).await.unwrap();
    let mut served = 0;
    for _ in 0..20 {
        // Two come in the time of one turn, so that somebody always waits.
        let mut waiting: Vec<_> = (0..2).filter_map(|_| Some(("slow", enter(&turns, "slow").ok()?))).collect();
        tokio::time::advance(Duration::from_secs(1)).await;
        drop(turn.take());
        for (_, called) in stand(&mut waiting).await {
            served += usize::from(called.is_some());
            turn = turn.or(called);
        }
    }
    assert!(served >= 18, "the place is never empty while somebody waits: {served}");
}

#[derive(Clone, Debug)]
enum Step {
    Enter(u8),
    Finish(usize),
    GiveUp(usize),
}

proptest! {
    #[test]
    fn no_history_loses_a_turn_or_makes_one(
        places in 1_usize..4,
        room in 0_usize..6,
        steps in prop::collection::vec(
            prop_oneof![
                3 => (0_u8..3).prop_map(Step::Enter),
                2 => any::<usize>().prop_map(Step::Finish),
                1 => any::<usize>().prop_map(Step::GiveUp),
            ],
            0..120,
        ),
    ) {
        let turns = Turns::new(places, room, Duration::ZERO);
        let (mut running, mut waiting) = (Vec::<Turn>::new(), Vec::<Waiting>::new());
        for step in steps {
            match step {
                Step::Enter(lane) => waiting.extend(turns.enter(lane.to_string().into()).ok()),
                Step::Finish(at) if !running.is_empty() => drop(running.swap_remove(at % running.len())),
                Step::GiveUp(at) if !waiting.is_empty() => drop(waiting.swap_remove(at % waiting.len())),
                _ => {}
            }
            let mut left = Vec::new();
            for mut place in waiting {
                match place.called.try_recv() {
                    Ok(()) => running.push(Turn { turns: turns.clone() }),
                    Err(oneshot::error::TryRecvError::Closed) => {}
                    Err(oneshot::error::TryRecvError::Empty) => left.push(place),
                }
            }
            waiting = left;
            let state = turns.state.lock();
            prop_assert_eq!(running.len() + state.free, places);
            prop_assert_eq!(state.waiting, waiting.len());
            prop_assert!(state.waiting <= room && (state.waiting == 0 || state.free == 0));
            prop_assert_eq!(state.lanes.values().map(VecDeque::len).sum::<usize>(), state.waiting);
            prop_assert_eq!(state.order.len(), state.lanes.len());
        }
        drop((running, waiting));
        prop_assert_eq!(turns.state.lock().free, places);
    }
}
