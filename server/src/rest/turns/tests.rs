//! Turns on real threads: who runs, who is taken back, and what a panic leaves behind.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;
use std::thread::{self, ThreadId};

use tokio::io::AsyncReadExt;
use tokio::sync::mpsc::unbounded_channel;
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
    (turns.enter("a".into(), Kind::Any, work).unwrap(), told, end)
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
    let second = turns.enter("a".into(), Kind::Any, work).unwrap();
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
        (turns.enter("a".into(), Kind::Any, work).unwrap(), told, Some(end))
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
    assert!(matches!(turns.enter("a".into(), Kind::Any, || ()), Err(Crowded)));
    let _other = turns.enter("b".into(), Kind::Any, || ()).unwrap();
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
    let broken = turns.enter("a".into(), Kind::Any, work).unwrap();
    let (next, next_told, end) = held(&turns, "next");
    end.send(()).unwrap();
    go_on.send(()).unwrap();
    assert_eq!(broken.hear(told, EVER).await, Err(Lost::Broken));
    assert_eq!(next.hear(next_told, EVER).await, Ok("next"));
}

/// Has the processor for so long.
fn last(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {}
}

/// The thread that work of this `kind` in `turns` is done by, and that which looks at the sockets.
async fn threads(turns: &Arc<Turns>, kind: Kind) -> [ThreadId; 2] {
    let (tell, told) = oneshot::channel();
    let waiting = turns.enter("a".into(), kind, move || _ = tell.send(thread::current().id())).unwrap();
    [waiting.hear(told, EVER).await.unwrap(), tokio::spawn(async { thread::current().id() }).await.unwrap()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn short_work_is_done_by_the_thread_of_the_sockets_until_some_is_long_again_and_later_once_more() {
    let turns = Turns::new(1, 2, Duration::ZERO);
    let [worked, sockets] = threads(&turns, Kind::Short).await;
    assert_eq!(worked, sockets);
    let [worked, sockets] = threads(&turns, Kind::Any).await;
    assert_ne!(worked, sockets);

    for elsewhere in [false, true] {
        let (tell, told) = oneshot::channel();
        let long = move || {
            last(LONG + Duration::from_millis(1));
            _ = tell.send(());
        };
        turns.enter("a".into(), Kind::Short, long).unwrap().hear(told, EVER).await.unwrap();
        let [worked, sockets] = threads(&turns, Kind::Short).await;
        assert_eq!(worked != sockets, elsewhere, "once is no reason, twice is one");
    }
    assert!(turns.lengths.lock().apart_until.unwrap() > Instant::now() + APART_FOR / 2);
    turns.lengths.lock().apart_until = Some(Instant::now());
    let [worked, sockets] = threads(&turns, Kind::Short).await;
    assert_eq!(worked, sockets, "for a while");
}

#[test]
fn work_is_long_again_if_it_begins_soon_after_long_work_and_not_beside_it() {
    let start = Instant::now();
    for ([begun, ended], is_again) in [([10, 40], false), ([30, 60], true), ([1030, 1060], true), ([1031, 1061], false)]
    {
        let at = |ms| start + Duration::from_millis(ms);
        let mut lengths = Lengths::default();
        lengths.note(at(0), at(30));
        assert_eq!(lengths.apart_until, None);
        lengths.note(at(begun), at(ended));
        assert_eq!(lengths.apart_until, is_again.then(|| at(ended) + APART_FOR), "{begun}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_waits_moves_to_where_work_is_done_from_now_on() {
    for is_apart in [true, false] {
        let turns = Turns::new(1, 2, Duration::ZERO);
        let until = |is_apart: bool| is_apart.then(|| Instant::now() + APART_FOR);
        turns.lengths.lock().apart_until = until(!is_apart);
        let (moved, (go_on, going)) = (Arc::clone(&turns), mpsc::channel::<()>());
        let first = move || {
            // Work that is done apart waits until somebody else waits for its turn; the other is not begun before.
            _ = is_apart || going.recv().is_ok();
            moved.lengths.lock().apart_until = until(is_apart);
        };
        let [worked, sockets] = tokio::spawn(async move {
            let _first = turns.enter("a".into(), Kind::Short, first).unwrap();
            let second = threads(&turns, Kind::Short);
            go_on.send(()).unwrap();
            second.await
        })
        .await
        .unwrap();
        assert_eq!(worked != sockets, is_apart);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn work_of_each_kind_finds_its_thread_whatever_was_before() {
    use Kind::{Any, Short};
    let turns = Turns::new(1, 8, Duration::ZERO);
    let threads = tokio::spawn(async move {
        let (go_on, going) = mpsc::channel::<()>();
        let _first = turns.enter("a".into(), Any, move || _ = going.recv()).unwrap();
        let [a, b, c, d, e] = [Short, Any, Any, Short, Short].map(|kind| threads(&turns, kind));
        let (a, b, c, d, e, ()) = tokio::join!(a, b, c, d, e, async { go_on.send(()).unwrap() });
        [a, b, c, d, e, threads(&turns, Any).await]
    });
    let are_among = threads.await.unwrap().map(|[worked, sockets]| worked == sockets);
    assert_eq!(are_among, [true, false, false, true, true, false]);
}

/// As many threads as there are may do short work; where one sleeps, it looks at the sockets meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_are_looked_at_while_short_work_is_done_if_a_thread_is_idle() {
    for _ in 0..50 {
        let turns = Turns::new(1, 1, Duration::ZERO);
        let ((mut asker, asked), (mut other, heard)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        let [mut asked, mut heard] = [asked, heard].map(|stream| {
            stream.set_nonblocking(true).unwrap();
            tokio::net::UnixStream::from_std(stream).unwrap()
        });
        let (tell, told) = mpsc::channel();
        tokio::spawn(async move { tell.send(heard.read_u8().await) });
        let asking = tokio::spawn(async move {
            // Who looked at the sockets last goes on with this.
            asked.read_u8().await.unwrap();
            let (tell_work, told_work) = oneshot::channel();
            let work = move || {
                other.write_all(b"!").unwrap();
                _ = tell_work.send(told.recv_timeout(NEVER).is_ok());
            };
            turns.enter("a".into(), Kind::Short, work).unwrap().hear(told_work, EVER).await
        });
        asker.write_all(b"?").unwrap();
        assert_eq!(asking.await.unwrap(), Ok(true), "nobody looks at the sockets");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn others_are_looked_at_between_pieces_of_short_work() {
    const PIECES: usize = 20;
    let looks = Arc::new(AtomicUsize::new(0));
    let looking = Arc::clone(&looks);
    let other = tokio::spawn(async move {
        loop {
            looking.fetch_add(1, Ordering::Relaxed);
            yield_now().await;
        }
    });
    let asking = async move {
        // A machine that stalls owes the work as much time, so that it may all be done at once: not every time.
        for _ in 0..1000 {
            let turns = Turns::new(1, PIECES, Duration::ZERO);
            let (tell, mut told) = unbounded_channel();
            let enter = |_| {
                let (tell, looks) = (tell.clone(), Arc::clone(&looks));
                let work = move || {
                    last(Duration::from_millis(1));
                    _ = tell.send(looks.load(Ordering::Relaxed));
                };
                turns.enter("a".into(), Kind::Short, work).unwrap()
            };
            let waiting: Vec<_> = (0..PIECES).map(enter).collect();
            let mut seen = Vec::new();
            while seen.len() < PIECES {
                seen.extend(told.recv().await);
            }
            drop(waiting);
            seen.dedup();
            if seen.len() > PIECES / 2 {
                return;
            }
        }
        panic!("nobody else was looked at");
    };
    tokio::spawn(asking).await.unwrap();
    other.abort();
}
