//! Requests that must not be sent: how often keys are asked for, by how many at once, how much is taken, and from where.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, ToSocketAddrs};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::super::cache::{FETCHES_MAX, FRESH_MS, GOOD_MS, Keys, NoKey, PAUSE_MS, PLACES_MAX};
use super::super::fetch::{BYTES_MAX, Https, OutOfReach, Reach, is_worldwide, may_connect};
use super::super::{Refused, verify};
use super::*;

#[test]
fn keys_are_asked_for_at_most_once_a_minute() {
    let issuer = Issuer::new();
    let (fetched, hand) = (Counted::new(&issuer.key_set()), Hand::new());
    let keys = Keys::new(Box::new(fetched.clone()), Arc::new(hand.clone()));
    let trust = by_url();
    let ask = |id: &str| {
        let claims = claims(json!({"exp": NOW_S * 2}));
        verify(&issuer.token(&json!({"alg": "EdDSA", "kid": id}), &claims), &trust, &keys).err()
    };
    assert_eq!((ask("ed"), fetched.count()), (None, 1));
    for at in 0..100 {
        assert_eq!(ask(&format!("unknown-{at}")), Some(Refused::Key));
    }
    assert_eq!(fetched.count(), 1, "unknown ids, again and again, within the pause");
    hand.turn(PAUSE_MS);
    assert_eq!((ask("new"), ask("newer"), fetched.count()), (Some(Refused::Key), Some(Refused::Key), 2));
    hand.turn(FRESH_MS - 1);
    assert_eq!((ask("ed"), fetched.count()), (None, 2), "still fresh");
    hand.turn(1);
    assert_eq!((ask("ed"), fetched.count()), (None, 3), "old, and asked for again");
    // A key that the issuer took away is not taken any more once the set is old.
    *fetched.answer.lock().unwrap() =
        Ok(json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "next", "x": base64(&[9; 32])}]})
            .to_string()
            .into_bytes());
    hand.turn(FRESH_MS);
    assert_eq!((ask("ed"), fetched.count()), (Some(Refused::Key), 4));
    // Old keys are good for a while if new ones cannot be had, and not for ever.
    for broken in [Err(FetchError), Ok(b"{".to_vec()), Ok(json!({"keys": []}).to_string().into_bytes())] {
        *fetched.answer.lock().unwrap() = Ok(issuer.key_set().to_string().into_bytes());
        hand.turn(GOOD_MS);
        assert_eq!(ask("ed"), None);
        *fetched.answer.lock().unwrap() = broken;
        let before = fetched.count();
        hand.turn(GOOD_MS - 1);
        assert_eq!((ask("ed"), ask("ed"), fetched.count()), (None, None, before + 1));
        hand.turn(1);
        let gone = Some(Refused::Unavailable);
        assert_eq!((ask("ed"), ask("ed"), fetched.count()), (gone, gone, before + 1), "and asked once a minute still");
    }
}

#[test]
fn whoever_sets_the_clock_has_nobody_asked_more_often() {
    let issuer = Issuer::new();
    let (fetched, hand) = (Counted::new(&issuer.key_set()), Hand::new());
    let keys = Keys::new(Box::new(fetched.clone()), Arc::new(hand.clone()));
    let claims = claims(json!({"exp": NOW_S * 4}));
    let ask = |id: &str| verify(&issuer.token(&json!({"alg": "EdDSA", "kid": id}), &claims), &by_url(), &keys).err();
    assert_eq!((ask("ed"), fetched.count()), (None, 1));
    for set in [NOW_S * 2000, NOW_S * 1000, NOW_S * 3000, 0] {
        hand.set(set);
        assert_eq!((ask("ed"), ask("unknown"), fetched.count()), (None, Some(Refused::Key), 1), "set to {set}");
    }
    hand.turn(PAUSE_MS);
    assert_eq!((ask("unknown"), fetched.count()), (Some(Refused::Key), 2), "a clock that runs back stops nothing");
}

#[test]
fn many_places_make_nobody_be_asked_again() {
    let issuer = Issuer::new();
    #[derive(Clone)]
    struct Anywhere(Arc<Mutex<Vec<String>>>, Vec<u8>);
    impl Fetch for Anywhere {
        fn fetch(&self, url: &str) -> Result<Vec<u8>, FetchError> {
            self.0.lock().unwrap().push(url.to_owned());
            Ok(self.1.clone())
        }
    }
    let (hand, fetched) = (Hand::new(), Anywhere(Arc::default(), issuer.key_set().to_string().into_bytes()));
    let keys = Keys::new(Box::new(fetched.clone()), Arc::new(hand.clone()));
    let ask = |at: usize| {
        let trust = trust(TokenKeys::Url(format!("https://id.example/{at}")));
        keys.key(&trust, "ed", TokenAlgorithm::EdDsa).err()
    };
    let asked = |at: usize| fetched.0.lock().unwrap().iter().filter(|url| url.ends_with(&format!("/{at}"))).count();
    for at in 0..PLACES_MAX {
        assert_eq!(ask(at), None);
    }
    assert_eq!(ask(PLACES_MAX), Some(NoKey::Asked), "there is no room before a minute is over");
    assert_eq!((ask(0), asked(0)), (None, 1));
    hand.turn(PAUSE_MS);
    assert_eq!(ask(0), None, "needed since");
    assert_eq!((ask(PLACES_MAX), asked(PLACES_MAX)), (None, 1));
    assert_eq!((ask(0), asked(0)), (None, 1), "it was not the one that made room");
}

/// Hangs until it is let go, one call at a time.
#[derive(Clone)]
struct Hanging {
    begun: Sender<String>,
    go: Arc<Mutex<Receiver<()>>>,
    answer: Vec<u8>,
}

impl Fetch for Hanging {
    fn fetch(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        self.begun.send(url.to_owned()).unwrap();
        self.go.lock().unwrap().recv().map_err(|_| FetchError)?;
        Ok(self.answer.clone())
    }
}

/// One waits for an issuer that hangs; all others are answered at once, of this issuer and of every other one.
#[test]
#[allow(clippy::disallowed_methods, reason = "many who ask at once")]
fn an_issuer_that_hangs_holds_up_one_request() {
    let issuer = Arc::new(Issuer::new());
    let ((begun, begins), (goes, go)) = (channel(), channel());
    let answer = issuer.key_set().to_string().into_bytes();
    let hanging = Hanging { begun, go: Arc::new(Mutex::new(go)), answer };
    let hand = Hand::new();
    let keys = Arc::new(Keys::new(Box::new(hanging), Arc::new(hand.clone())));
    let ask = {
        let (issuer, keys) = (Arc::clone(&issuer), Arc::clone(&keys));
        move |place: usize| {
            let token = issuer.token(&json!({"alg": "EdDSA", "kid": "ed"}), &claims(json!({"exp": NOW_S * 2})));
            let trust = trust(TokenKeys::Url(format!("https://id-{place}.example/keys")));
            verify(&token, &trust, &keys).err()
        }
    };
    // Whoever is held up says nothing: a minute is a failure, not a measure.
    let soon = |place: usize| {
        let (told, tells) = channel();
        let ask = ask.clone();
        std::thread::spawn(move || told.send(ask(place)));
        tells.recv_timeout(Duration::from_secs(60)).expect("whoever asks is answered while an issuer hangs")
    };
    let waits = |place: usize| {
        let ask = ask.clone();
        let waiting = std::thread::spawn(move || ask(place));
        assert_eq!(begins.recv_timeout(Duration::from_secs(60)).unwrap(), format!("https://id-{place}.example/keys"));
        waiting
    };
    let first = waits(0);
    assert_eq!((soon(0), soon(0)), (Some(Refused::Asked), Some(Refused::Asked)), "nothing is known of it yet");
    let others: Vec<_> = (1..FETCHES_MAX).map(waits).collect();
    assert_eq!(soon(FETCHES_MAX), Some(Refused::Asked), "so many wait and no more");
    assert!(begins.try_recv().is_err(), "nobody was asked twice, nor one too many");
    (0..FETCHES_MAX).for_each(|_| goes.send(()).unwrap());
    assert_eq!(first.join().unwrap(), None);
    assert!(others.into_iter().all(|other| other.join().unwrap().is_none()));
    // Once there is a set, it serves all others while a newer one is awaited.
    hand.turn(FRESH_MS);
    let again = waits(0);
    assert_eq!((soon(0), soon(0), soon(0)), (None, None, None));
    drop(goes);
    assert_eq!(again.join().unwrap(), None, "nor does it matter that there is no newer one yet");
    assert_eq!(soon(0), None);
}

/// Answers each connection with this, and counts them.
#[allow(clippy::disallowed_methods, reason = "the other end of a fetch")]
fn listener(answer: Vec<u8>) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, count) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            counted.fetch_add(1, Ordering::Relaxed);
            _ = stream.read(&mut [0; 4096]);
            _ = stream.write_all(&answer);
        }
    });
    (port, count)
}

fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[test]
fn a_fetch_is_bounded_goes_nowhere_else_and_not_home() {
    let at = |scheme: &str, port: u16| format!("{scheme}://127.0.0.1:{port}/keys");
    let fetch = |port: u16| Https(Reach::new(&[format!("127.0.0.1:{port}")])).fetch(&at("http", port));
    let (port, _) = listener(response("200 OK", "", b"{}"));
    assert_eq!(fetch(port), Ok(b"{}".to_vec()), "allowed by whoever runs the server");

    let (target, reached) = listener(response("200 OK", "", b"{}"));
    let (redirecting, asked) = listener(response("302 Found", &format!("Location: {}\r\n", at("http", target)), b""));
    assert_eq!(fetch(redirecting), Err(FetchError));
    assert_eq!((asked.load(Ordering::Relaxed), reached.load(Ordering::Relaxed)), (1, 0), "a redirect is not followed");

    let (huge, _) = listener(response("200 OK", "", &vec![b' '; BYTES_MAX as usize + 1]));
    assert_eq!(fetch(huge), Err(FetchError));
    let (endless, _) = listener([b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &vec![b' '; 1 << 20]].concat());
    assert_eq!(fetch(endless), Err(FetchError));
    let (absent, _) = listener(response("404 Not Found", "", b"{}"));
    assert_eq!(fetch(absent), Err(FetchError));
    let headers: String = (0..20).map(|at| format!("X-{at}: {}\r\n", "x".repeat(1024))).collect();
    let (wordy, _) = listener(response("200 OK", &headers, b"{}"));
    assert_eq!(fetch(wordy), Err(FetchError));

    let (home, reached) = listener(response("200 OK", "", b"{}"));
    let elsewhere = Https(Reach::new(&[format!("127.0.0.1:{port}"), format!("localhost:{}", home ^ 1)]));
    let urls =
        [at("http", home), at("https", home), format!("https://localhost:{home}/"), format!("https://[::1]:{home}/")];
    for url in &urls {
        assert_eq!(Https(Reach::default()).fetch(url), Err(FetchError), "{url}");
        assert_eq!(elsewhere.fetch(url), Err(FetchError), "{url}: the settings name others");
    }
    assert_eq!(reached.load(Ordering::Relaxed), 0, "no connection to a private address");
}

/// Somebody who never answers holds up one fetch, and not for ever.
#[test]
#[allow(clippy::disallowed_methods, reason = "the other end of a fetch")]
fn a_fetch_from_who_never_answers_ends() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = silent.local_addr().unwrap().to_string();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        tell.send(Https(Reach::new(std::slice::from_ref(&place))).fetch(&format!("http://{place}/keys")))
    });
    assert_eq!(told.recv_timeout(Duration::from_secs(600)), Ok(Err(FetchError)));
}

/// The text of a URL says nothing of where it leads: every address of the name does.
#[test]
fn a_name_that_leads_home_is_refused_by_its_addresses() {
    for (url, name) in [("https://localhost/keys", "localhost"), ("https://127.0.0.1/keys", "127.0.0.1")] {
        assert_eq!(Reach::default().check(url), Ok(false));
        let found: Vec<_> = (name, 443).to_socket_addrs().unwrap().collect();
        assert!(!may_connect(false, &found) && may_connect(true, &found), "{name}");
    }
    let [world, home] = ["8.8.8.8:443", "10.0.0.1:443"].map(|address| address.parse().unwrap());
    assert!(may_connect(false, &[world, world]));
    assert!(!may_connect(false, &[world, home]) && !may_connect(false, &[home, world]), "one is enough");
}

#[test]
fn only_the_settings_say_what_is_fetched_without_tls_or_from_other_ports() {
    let reach = Reach::new(&["id.internal:8443".to_owned(), "ID.Lan:80".to_owned(), "[::1]:9000".to_owned()]);
    for (url, expected) in [
        ("https://id.example/keys", Ok(false)),
        ("https://id.example:443/keys", Ok(false)),
        ("https://id.internal:8443/keys", Ok(true)),
        ("http://id.internal:8443/keys", Ok(true)),
        ("http://id.lan/keys", Ok(true)),
        ("https://[::1]:9000/keys", Ok(true)),
        ("https://id.internal/keys", Ok(false)),
        ("http://id.example/keys", Err(OutOfReach)),
        ("https://id.example:22/keys", Err(OutOfReach)),
        ("https://id.internal:8444/keys", Err(OutOfReach)),
        ("https://evil.id.internal:8443/keys", Err(OutOfReach)),
        ("http://id.internal/keys", Err(OutOfReach)),
        ("ftp://id.example/keys", Err(OutOfReach)),
        ("/keys", Err(OutOfReach)),
    ] {
        assert_eq!(reach.check(url), expected, "{url}");
    }
}

#[test]
fn networks_of_few_are_not_of_the_world() {
    for private in [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.9",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::1",
    ] {
        assert!(!is_worldwide(private.parse::<IpAddr>().unwrap()), "{private}");
    }
    for public in ["1.1.1.1", "8.8.8.8", "100.128.0.1", "172.32.0.1", "198.20.0.1", "2606:4700::1111", "2a00:1450::1"] {
        assert!(is_worldwide(public.parse::<IpAddr>().unwrap()), "{public}");
    }
}
