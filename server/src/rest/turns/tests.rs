//! Turns on real threads: who runs, who is taken back, and what a panic leaves behind.

use std::sync::mpsc;

use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::advance;

use super::*;

/// On a clock that stands still while anything runs: what never comes is late at once, and nothing else is.
const EVER: Duration = Duration::from_secs(3600);
/// Of real time, which nothing here takes unless it would never end.
const NEVER: Duration = Duration::from_secs(60);

/// Work that holds its turn until it is told to end; then says `name`.
fn held(turns: &Arc<Turns>, name: &'static str) -> (Waiting, Receiver<&'static str>, mpsc::Sender<()>) {
    let ((tell, told), (end, ended)) = (oneshot::channel(), mpsc::channel());
    let work = move || {
        _ = ended.recv();
        _ = tell.send(name);
    };
    (turns.enter("a".into(), work).unwrap(), told, end)
}

#[tokio::test(start_paused = true)]
async fn who_waited_is_served_by_whoever_ends() {
    let turns = Turns::new(1, 2, Duration::ZERO);
    let (first, first_told, end_first) = held(&turns, "first");
    let (second, second_told, end_second) = held(&turns, "second");
    assert_eq!(turns.waiting(), 1);
    end_second.send(()).unwrap();
    end_first.send(()).unwrap();
    assert_eq!(second.hear(second_told, EVER).await, Ok("second"));
    assert_eq!(first.hear(first_told, EVER).await, Ok("first"));
}

#[tokio::test]
async fn work_whose_asker_is_gone_is_not_begun_but_finished() {
    let turns = Turns::new(1, 2, Duration::ZERO);
    let (running, told, end) = held(&turns, "running");
    let (waiting, never, _end) = held(&turns, "waiting");
    drop((running, waiting));
    assert_eq!(turns.waiting(), 0, "it is taken back");
    assert!(never.await.is_err());
    end.send(()).unwrap();
    assert_eq!(told.await, Ok("running"));
}

#[tokio::test]
async fn who_waits_for_too_long_is_told_so_and_taken_back() {
    let turns = Turns::new(1, 2, Duration::ZERO);
    let (running, told, end) = held(&turns, "running");
    let (waiting, never, _end) = held(&turns, "waiting");
    let heard = timeout(NEVER, waiting.hear(never, Duration::from_millis(1))).await;
    assert_eq!(heard.expect("it waits for ever"), Err(Lost::Late));
    assert_eq!(turns.waiting(), 0);
    end.send(()).unwrap();
    // What has its turn may take as long as it likes.
    assert_eq!(running.hear(told, Duration::ZERO).await, Ok("running"));
}

/// Whoever listens late hears it all the same, and who had a turn in time may take longer than anybody waits for one.
#[tokio::test(start_paused = true)]
async fn who_got_a_turn_in_time_is_heard_however_long_it_takes() {
    let turns = Turns::new(1, 2, Duration::ZERO);
    let (first, first_told, end_first) = held(&turns, "first");
    let (begin, begun) = mpsc::channel();
    let ((tell, second_told), (end_second, ended)) = (oneshot::channel(), mpsc::channel::<()>());
    let work = move || {
        begin.send(()).unwrap();
        _ = ended.recv();
        _ = tell.send("second");
    };
    let second = turns.enter("a".into(), work).unwrap();
    end_first.send(()).unwrap();
    assert_eq!(first.hear(first_told, EVER).await, Ok("first"));
    begun.recv_timeout(NEVER).expect("nobody has the turn");
    let hearing = tokio::spawn(second.hear(second_told, Duration::from_millis(1)));
    yield_now().await;
    advance(EVER).await;
    for _ in 0..10 {
        yield_now().await;
    }
    assert!(!hearing.is_finished(), "it has its turn");
    end_second.send(()).unwrap();
    assert_eq!(hearing.await.unwrap(), Ok("second"));
}

/// A queue that stands serves who came lately rather than who waited for longer than anybody may.
#[tokio::test(start_paused = true)]
async fn who_waited_for_longer_than_one_may_is_passed_over_and_told_so() {
    const ASKERS: usize = 20;
    let turns = Turns::new(1, ASKERS, Duration::from_millis(5));
    let (begin, begun) = mpsc::channel();
    let enter = |n: usize| {
        let ((tell, told), (end, ended)) = (oneshot::channel(), mpsc::channel::<()>());
        let begin = begin.clone();
        let work = move || {
            begin.send(n).unwrap();
            _ = ended.recv();
            _ = tell.send(n);
        };
        (turns.enter("a".into(), work).unwrap(), told, Some(end))
    };
    let mut asked: Vec<_> = (0..ASKERS).map(enter).collect();
    drop(begin);
    let mut served = Vec::new();
    // Until nobody is left who could begin.
    loop {
        match begun.recv_timeout(NEVER) {
            Ok(n) => served.push(n),
            Err(why) => break assert_eq!(why, mpsc::RecvTimeoutError::Disconnected, "after {served:?}"),
        }
        advance(Duration::from_millis(10)).await;
        asked[served[served.len() - 1]].2 = None;
    }
    assert!(served.starts_with(&[0, 1, 2, 3, 4]), "a burst is no flood: {served:?}");
    assert!(served.len() < ASKERS && served.ends_with(&[ASKERS - 1]), "the last one is not: {served:?}");
    for (n, (waiting, told, _)) in asked.into_iter().enumerate() {
        let expected = if served.contains(&n) { Ok(n) } else { Err(Lost::SentAway) };
        assert_eq!(waiting.hear(told, EVER).await, expected, "{n} of {served:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_sent_away_for_others_is_told_so() {
    let turns = Turns::new(1, 2, Duration::ZERO);
    let (_running, _told, _end) = held(&turns, "running");
    let (_first, _, _) = held(&turns, "first");
    let (second, second_told, _) = held(&turns, "second");
    assert!(matches!(turns.enter("a".into(), || ()), Err(Crowded)));
    let _other = turns.enter("b".into(), || ()).unwrap();
    assert_eq!(second.hear(second_told, EVER).await, Err(Lost::SentAway));
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_its_asker_the_answer_and_nobody_the_turn() {
    let turns = Turns::new(1, 2, Duration::ZERO);
    let (tell, told) = oneshot::channel::<()>();
    let (go_on, going) = mpsc::channel::<()>();
    let work = move || {
        _ = going.recv();
        drop(tell);
        panic!("as it should");
    };
    let broken = turns.enter("a".into(), work).unwrap();
    let (next, next_told, end) = held(&turns, "next");
    end.send(()).unwrap();
    go_on.send(()).unwrap();
    assert_eq!(broken.hear(told, EVER).await, Err(Lost::Broken));
    assert_eq!(next.hear(next_told, EVER).await, Ok("next"));
}
