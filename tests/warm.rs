//! What searches wait for: nothing but memory, once everything is open, whatever others do meanwhile. Those whose thread
//! others wait for rely on it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "starts threads that wait for each other")]

use std::io;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use engine::{
    ApiKeyClass, ApiKeyRequest, AuditReads, Builder, Clock, Collection, Credentials, Database, Entropy, Record,
    Settings,
};
use lethedb_tests::world::{SeededEntropy, TickingClock, in_memory, small_settings};
use storage::backend::Memory;

/// Nothing takes as long unless it would never end.
const NEVER: Duration = Duration::from_secs(60);

fn furnished(builder: Builder) -> (Database, Collection) {
    let db = builder.open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = env.collection("docs").dimension(2).open_or_create().unwrap();
    docs.upsert((0..100).map(|id| Record::new(id, vec![id as f32, 1.0]).entity("mine:1"))).unwrap();
    env.flush().unwrap();
    (db, docs)
}

fn search(docs: &Collection) -> usize {
    docs.search(&[1.0, 1.0]).run().unwrap().iter().count()
}

#[test]
fn what_is_open_and_loaded_is_warm_and_nothing_else_is() {
    let memory = Memory::new();
    let (db, docs) = furnished(in_memory(&memory, 1));
    search(&docs);
    assert!(db.is_open("acme") && docs.is_warm());
    assert!(!db.is_open("other") && !db.is_open("../acme"));
    let mut request = ApiKeyRequest::new(ApiKeyClass::Secret, "acme");
    request.roles = vec!["Developer".to_owned()];
    let of_key = |request: &ApiKeyRequest| {
        let key = db.access().create(request).unwrap().text;
        let session = db.authorize(&Credentials::api_key(&key)).unwrap();
        session.environment("acme").unwrap().open_collection("docs").unwrap()
    };
    assert!(of_key(&request).is_warm());
    let ingest = ApiKeyRequest { roles: vec!["Ingest".to_owned()], ..request.clone() };
    assert!(!of_key(&ingest).is_warm(), "that it may not search is told to the disk");
    request.entities = Some(vec!["mine:1".to_owned()]);
    assert!(!of_key(&request).is_warm(), "who is shown some records filters");
    db.close().unwrap();

    let db = in_memory(&memory, 2).open().unwrap();
    assert!(!db.is_open("acme"), "nobody used it yet");
    let docs = db.open_environment("acme").unwrap().open_collection("docs").unwrap();
    assert!(db.is_open("acme") && !docs.is_warm(), "nothing is loaded yet");
    assert_eq!(search(&docs), 10);
    assert!(docs.is_warm());
    let again = db.clone();
    db.close().unwrap();
    assert!(!again.is_open("acme"));

    let each = Settings { audit_reads: AuditReads::Each, ..small_settings() };
    let (_db, docs) = furnished(in_memory(&Memory::new(), 3).settings(each));
    search(&docs);
    assert!(!docs.is_warm(), "a look is told to the disk");
}

/// Holds up whoever comes as the `n`th, once: it says so, and waits for a word.
#[derive(Default)]
struct Gate(Mutex<Option<Shut>>);

/// How many may pass before somebody is held up, where that is said, and what is waited for then.
struct Shut(usize, mpsc::Sender<()>, mpsc::Receiver<()>);

impl Gate {
    /// What hears that somebody is held up, and what lets them go on.
    fn shut(&self, n: usize) -> (mpsc::Receiver<()>, mpsc::Sender<()>) {
        let ((tell, told), (go_on, going)) = (mpsc::channel(), mpsc::channel());
        *self.0.lock().unwrap() = Some(Shut(n, tell, going));
        (told, go_on)
    }

    fn open(&self) {
        *self.0.lock().unwrap() = None;
    }

    fn pass(&self) {
        let mut gate = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *gate {
            Some(Shut(0, ..)) => {}
            Some(Shut(n, ..)) => return *n -= 1,
            None => return,
        }
        let Some(Shut(_, tell, going)) = gate.take() else { return };
        drop(gate);
        tell.send(()).unwrap();
        // An error, too, is the word.
        _ = going.recv();
    }
}

struct Gated<T>(Arc<Gate>, T);

impl Entropy for Gated<SeededEntropy> {
    fn fill(&self, out: &mut [u8]) -> io::Result<()> {
        self.0.pass();
        self.1.fill(out)
    }
}

impl Clock for Gated<TickingClock> {
    fn now_ms(&self) -> u64 {
        self.0.pass();
        self.1.now_ms()
    }
}

/// Has `held` done, held up at each time that it passes the gate, and each time `free` meanwhile, which must not wait for it;
/// how many times that was.
fn hold_up(gate: &Gate, held: impl Fn() + Sync, free: impl Fn() + Sync) -> usize {
    for n in 0.. {
        let (told, go_on) = gate.shut(n);
        let was_held = thread::scope(|scope| {
            let (free, (tell, done)) = (&free, mpsc::channel());
            scope.spawn(|| {
                held();
                gate.open();
            });
            if told.recv_timeout(NEVER).is_err() {
                return false;
            }
            scope.spawn(move || {
                free();
                tell.send(()).unwrap();
            });
            let is_free = done.recv_timeout(NEVER).is_ok();
            go_on.send(()).unwrap();
            assert!(is_free, "it waits for what is held up at its passage {n}");
            true
        });
        if !was_held {
            return n;
        }
    }
    unreachable!("it passes the gate without end")
}

#[test]
fn an_open_environment_is_there_while_another_is_opened() {
    let gate = Arc::new(Gate::default());
    let entropy = Arc::new(Gated(Arc::clone(&gate), SeededEntropy::new(4)));
    let (db, _docs) = furnished(in_memory(&Memory::new(), 4).entropy(entropy));
    let made = Mutex::new(0);
    let make = || {
        let mut made = made.lock().unwrap();
        *made += 1;
        db.environment(&format!("other-{made}")).unwrap();
    };
    let use_open = || {
        assert!(db.is_open("acme"));
        assert_eq!(search(&db.open_environment("acme").unwrap().open_collection("docs").unwrap()), 10);
    };
    assert!(hold_up(&gate, make, use_open) > 0);
}

#[test]
fn searches_are_counted_while_counts_are_told() {
    let gate = Arc::new(Gate::default());
    let clock = Arc::new(Gated(Arc::clone(&gate), TickingClock::default()));
    let (db, docs) = furnished(in_memory(&Memory::new(), 5).clock(clock));
    let env = db.open_environment("acme").unwrap();
    let tell = || {
        search(&docs);
        env.audit().run().unwrap();
    };
    assert!(hold_up(&gate, tell, || assert_eq!(search(&docs), 10)) > 2);
}
