//! Who asks, against servers that do what they are told.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::*;

/// Questions that carry their number, and answers that repeat it.
struct Numbers;

impl Asks for Numbers {
    fn write(&self, number: u64, request: &mut Vec<u8>) {
        request.extend_from_slice(format!("GET /{number} HTTP/1.1\r\n\r\n").as_bytes());
    }

    fn judge(&self, number: u64, status: u16, body: &[u8]) -> Told {
        match status {
            503 => Told::Overloaded,
            _ if body == number.to_string().as_bytes() => Told::Right,
            _ => Told::Wrong,
        }
    }
}

/// A server that has `answer` say what comes of a number, and whether the connection ends before or after that.
fn served(answer: impl Fn(u64) -> (u16, u64, bool) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, answer) = (listener.local_addr().unwrap(), Arc::new(answer));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, answer) = (stream.unwrap(), Arc::clone(&answer));
            std::thread::spawn(move || converse(stream, &*answer));
        }
    });
    address
}

fn converse(mut stream: TcpStream, answer: &dyn Fn(u64) -> (u16, u64, bool)) {
    stream.set_nodelay(true).unwrap();
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    for line in lines.map_while(Result::ok).filter(|line| !line.is_empty()) {
        let number = line.strip_prefix("GET /").unwrap().split(' ').next().unwrap().parse().unwrap();
        let (status, body, ends) = answer(number);
        if status > 0 {
            let body = body.to_string();
            // In two pieces, as the wire may have them.
            write!(stream, "HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n", body.len()).unwrap();
            write!(stream, "\r\n{body}").unwrap();
        }
        if ends {
            return;
        }
    }
}

fn askers(address: SocketAddr) -> Askers {
    Askers { address, cores: Vec::new(), is_alone: false }
}

/// A server that answers nothing for the first second, and then all at once: what is due meanwhile waits.
#[test]
fn a_stall_is_felt_by_all_that_was_due_in_it() {
    let start = Instant::now();
    let address = served(move |number| {
        std::thread::sleep(Duration::from_secs(1).saturating_sub(start.elapsed()));
        (200, number, false)
    });
    let load = Load { asks: &Numbers, per_second: Some(200.0), connections: 4 };
    let tally = askers(address).ask(&[load], 1.5).unwrap().remove(0);
    // Of the counted second and a half the first half second lay in the stall.
    assert!(tally.served() > 200 && tally.offered() == tally.served(), "{} were counted", tally.offered());
    assert!(tally.served_us(80) >= 100_000.0, "a fifth waited for a tenth of a second: {}", tally.served_us(80));
    assert!(tally.late_us(80) >= 100_000.0, "four connections do not carry them: {}", tally.late_us(80));
}

#[test]
fn a_closed_loop_asks_every_number_once_and_counts_what_came_of_it() {
    let address = served(|number| match number % 3 {
        0 => (200, number, false),
        1 => (200, number + 1, false),
        _ => (503, 0, false),
    });
    let load = Load { asks: &Numbers, per_second: None, connections: 2 };
    let tally = askers(address).ask(&[load], 0.2).unwrap().remove(0);
    let [right, wrong, overloaded] = [tally.served(), tally.wrong(), tally.overloaded()];
    assert!(right.abs_diff(wrong) <= 2 && right.abs_diff(overloaded) <= 2 && right > 0, "{right} {wrong} {overloaded}");
    assert_eq!(tally.offered(), right + wrong + overloaded);
    let tally = in_threads(2, 0.2, |number| if number == 0 { Told::Failed } else { Told::Wrong });
    assert_eq!((tally.served(), tally.failed()), (0, 0), "the first is asked while it settles");
    assert!(tally.wrong() > 0);
}

#[test]
fn what_is_asked_on_a_connection_that_ends_is_asked_again_once() {
    let asked = AtomicU64::new(0);
    // Every third question finds its connection closed; those of the second load always do.
    let address = served(move |number| match asked.fetch_add(1, Ordering::Relaxed) % 3 {
        _ if number >= 1_000_000 => (0, 0, true),
        0 => (0, 0, true),
        n => (200, number, n == 1),
    });
    let load = Load { asks: &Numbers, per_second: Some(100.0), connections: 1 };
    let tally = askers(address).ask(&[load], 0.5).unwrap().remove(0);
    assert!(tally.served() > 20 && tally.offered() == tally.served(), "{tally:?}");
    let lost = served(|_| (0, 0, true));
    let tally = askers(lost).ask(&[load], 0.2).unwrap().remove(0);
    assert!(tally.failed() > 5 && tally.offered() == tally.failed(), "{tally:?}");
}

#[test]
fn what_was_answered_is_not_asked_again_when_its_connection_ends() {
    let (seen, twice) = (Mutex::new(BTreeSet::new()), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&twice);
    let address = served(move |number| {
        let is_new = seen.lock().unwrap().insert(number);
        counted.fetch_add(u64::from(!is_new), Ordering::Relaxed);
        (200, number, true)
    });
    let load = Load { asks: &Numbers, per_second: Some(200.0), connections: 4 };
    let tally = askers(address).ask(&[load], 0.5).unwrap().remove(0);
    assert!(tally.served() > 0 && tally.served() == tally.offered(), "{tally:?}");
    assert_eq!(twice.load(Ordering::Relaxed), 0, "questions were asked twice");
}

#[test]
fn each_load_is_told_apart() {
    let address = served(|number| (200, number, false));
    let load = |per_second| Load { asks: &Numbers, per_second: Some(per_second), connections: 2 };
    let tallies = askers(address).ask(&[load(50.0), load(500.0)], 0.5).unwrap();
    assert!(tallies[0].served() * 4 < tallies[1].served(), "{tallies:?}");
    assert!(tallies.iter().all(|tally| tally.served() == tally.offered()), "{tallies:?}");
}
