//! Rules of where: each kind of contact with the world has its rooms, and is found nowhere else.
//!
//! Tests are free to touch files and threads; only unsafe code is bound to its rooms everywhere. `.clippy.toml` names
//! the same calls to whoever writes one; this table also catches what a grouped import would hide.

use crate::paths::paths;
use crate::repository::{Finding, Repository};
use crate::text::words;

/// What only some rooms may do.
struct Place {
    what: &'static str,
    /// Paths that do it, as runs of whole segments.
    signs: &'static [&'static str],
    /// Where it may be done (a folder ends with `/`), and why there.
    rooms: &'static [(&'static str, &'static str)],
}

const FILES: Place = Place {
    what: "touches files",
    signs: &["std::fs", "tokio::fs", "rustix::fs", "memmap2", "File::open", "File::create", "OpenOptions"],
    rooms: &[
        ("storage/src/backend/", "the one room for the files of a database"),
        ("datasets/src/vecs/rows.rs", "reads vector files that the user names"),
        ("benches/src/", "asks the system for its memory, writes reports"),
        ("benches/benches/opening.rs", "copies an index file: the pace that opening is held against"),
        ("server/src/cli/", "reads and writes files that the user names"),
        ("server/build.rs", "writes what it makes where cargo says"),
    ],
};

const CLOCK: Place = Place {
    what: "reads the clock",
    signs: &["SystemTime::now", "Instant::now"],
    rooms: &[
        ("engine/src/clock.rs", "the system's clock behind the engine's trait"),
        ("benches/", "measures time"),
        ("server/src/cli/demo/story.rs", "prints how long each step took"),
        (
            "server/src/rest/brisk.rs",
            "how long a client leaves its answer unread, by the runtime's clock, which tests turn",
        ),
        ("server/src/rest/turns.rs", "how long requests wait for a turn, by the same"),
        ("server/src/grpc/deadline.rs", "when a call is over, by the same"),
        ("server/src/rest/gate.rs", "how often the log tells of those who were sent away, by the same"),
        ("server/src/rest/readers.rs", "how long requests wait to be looked at, by the same"),
        ("server/src/rest/shares.rs", "whose requests came of late, by the same"),
    ],
};

const ENTROPY: Place = Place {
    what: "asks the system for randomness",
    signs: &["getrandom", "rand::rng", "rand::random", "OsRng", "SysRng", "thread_rng", "Uuid::new_v4"],
    rooms: &[
        ("engine/src/entropy.rs", "the one door to the system's entropy"),
        ("storage/src/sync.rs", "what the explorer of schedules chooses"),
        ("server/src/cli/demo/copy.rs", "a throw-away root key for the demonstration"),
    ],
};

const THREADS: Place = Place {
    what: "starts or stops threads",
    signs: &["thread::spawn", "thread::scope", "thread::Builder", "thread::sleep", "ThreadPoolBuilder", "rayon::spawn"],
    rooms: &[
        ("engine/src/pool.rs", "the pool lent to the index"),
        ("engine/src/worker.rs", "the one background thread"),
        ("benches/", "asks from many threads"),
    ],
};

const PROCESSES: Place = Place {
    what: "spawns processes",
    signs: &["process::Command"],
    rooms: &[("benches/src/peer.rs", "runs the Python that the user names, for `bench compare` alone")],
};

const NETWORK: Place = Place {
    what: "opens connections",
    signs: &["TcpStream::connect", "UdpSocket", "reqwest", "ureq", "hyper_util::client"],
    rooms: &[
        ("server/src/cli/seal.rs", "a command hands a share to the server on this machine"),
        ("benches/src/load/connection.rs", "asks the server that `bench load` started in its own process"),
        ("server/src/cli/bench/load/call.rs", "asks it over gRPC"),
        ("server/src/tokens/fetch.rs", "fetches the keys of end users' tokens, where an administrator says"),
        ("server/src/telemetry/collector.rs", "sends spans where the operator says"),
    ],
};

const SETTINGS: Place = Place {
    what: "reads environment variables",
    signs: &["env::var", "env::var_os", "env::vars", "env::vars_os"],
    rooms: &[
        ("engine/src/root_key.rs", "root keys given by the environment"),
        ("benches/src/peer.rs", "hands on where programs and libraries lie"),
        ("server/build.rs", "asks cargo where to write"),
    ],
};

/// Where unsafe code may stand.
const UNSAFE: [&str; 3] = ["index/src/kernel/", "index/src/arena.rs", "storage/src/backend/map.rs"];

fn elsewhere(place: &Place, repository: &Repository) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in repository.rust() {
        if place.rooms.iter().any(|(room, _)| file.path.starts_with(room)) {
            continue;
        }
        let signs = paths(&file.shipped).into_iter().filter(|path| place.signs.iter().any(|sign| path.contains(sign)));
        found.extend(
            signs.map(|path| file.finding(path.offset, format!("{}: {}", place.what, path.segments.join("::")))),
        );
    }
    found
}

pub fn files(repository: &Repository) -> Vec<Finding> {
    elsewhere(&FILES, repository)
}

pub fn clock(repository: &Repository) -> Vec<Finding> {
    elsewhere(&CLOCK, repository)
}

pub fn entropy(repository: &Repository) -> Vec<Finding> {
    elsewhere(&ENTROPY, repository)
}

pub fn threads(repository: &Repository) -> Vec<Finding> {
    elsewhere(&THREADS, repository)
}

pub fn processes(repository: &Repository) -> Vec<Finding> {
    elsewhere(&PROCESSES, repository)
}

pub fn network(repository: &Repository) -> Vec<Finding> {
    elsewhere(&NETWORK, repository)
}

pub fn settings(repository: &Repository) -> Vec<Finding> {
    elsewhere(&SETTINGS, repository)
}

pub fn unsafe_code(repository: &Repository) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in repository.rust().filter(|file| !UNSAFE.iter().any(|room| file.path.starts_with(room))) {
        let keywords = words(&file.code).filter(|(_, word)| *word == "unsafe");
        found.extend(keywords.map(|(at, _)| file.finding(at, "unsafe outside its rooms")));
    }
    found
}

/// An exception for a file that is gone would silently cover the next one of that name.
pub fn live_exceptions(repository: &Repository) -> Vec<Finding> {
    let places = [FILES, CLOCK, ENTROPY, THREADS, PROCESSES, NETWORK, SETTINGS];
    let rooms = places.iter().flat_map(|place| place.rooms).map(|(room, _)| *room).chain(UNSAFE);
    let gone = rooms.filter(|room| !repository.has(room));
    gone.map(|room| Finding { path: room.into(), line: 1, what: "is excepted from a rule, but does not exist".into() })
        .collect()
}

#[cfg(test)]
mod sabotage {
    use super::*;
    use crate::ats;

    /// The places where `rule` finds `line` as the second line of a file, of those where it could stand.
    fn caught(rule: fn(&Repository) -> Vec<Finding>, line: &str) -> Vec<String> {
        let text = format!("//! x\n{line}\n#[cfg(test)]\nmod tests {{\n{line}\n}}");
        let places =
            ["engine/src/a.rs", "index/src/kernel/a.rs", "privacy/src/a.rs", "storage/src/backend/a.rs", "tests/a.rs"];
        ats(rule(&Repository::of(&places.map(|place| (place, text.as_str())))))
    }

    #[test]
    fn each_kind_of_contact_is_caught_outside_its_rooms() {
        let (engine, index, privacy, storage) =
            ("engine/src/a.rs:2", "index/src/kernel/a.rs:2", "privacy/src/a.rs:2", "storage/src/backend/a.rs:2");
        assert_eq!(caught(files, "use std::{io, fs::File};"), [engine, index, privacy]);
        assert_eq!(caught(files, "let x = OpenOptions::new();"), [engine, index, privacy]);
        assert_eq!(caught(clock, "let x = SystemTime::now();"), [engine, index, privacy, storage]);
        assert_eq!(caught(entropy, "use getrandom::fill;"), [engine, index, privacy, storage]);
        assert_eq!(caught(threads, "std::thread::spawn(f);"), [engine, index, privacy, storage]);
        assert_eq!(caught(processes, "use std::process::{self, Command};"), [engine, index, privacy, storage]);
        assert_eq!(caught(network, "TcpStream::connect(x);"), [engine, index, privacy, storage]);
        assert_eq!(caught(settings, "std::env::var(x);"), [engine, index, privacy, storage]);
    }

    #[test]
    fn harmless_neighbours_are_not() {
        for rule in [files, clock, entropy, threads, processes, network, settings, unsafe_code] {
            let lines = "// unsafe std::fs\nuse std::{io, path::Path, time::Duration};\nlet x = \"std::fs::read\"; clap::Command::new(); unsafe_code();";
            assert!(caught(rule, lines).is_empty());
        }
    }

    #[test]
    fn unsafe_code_is_caught_in_tests_too() {
        let expected = ["engine/src/a.rs", "privacy/src/a.rs", "storage/src/backend/a.rs", "tests/a.rs"];
        let expected: Vec<_> = expected.iter().flat_map(|path| [format!("{path}:2"), format!("{path}:5")]).collect();
        assert_eq!(caught(unsafe_code, "unsafe { x() }"), expected);
    }

    #[test]
    fn an_exception_for_nothing_is_caught() {
        assert!(ats(live_exceptions(&Repository::of(&[]))).contains(&"engine/src/clock.rs:1".into()));
    }
}
