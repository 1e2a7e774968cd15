//! Another engine, in a Python process of its own: started, asked, and ended.
//!
//! A database that starts programs is a way into its host, so nothing here does, with this one exception: `bench compare`
//! runs engines that exist only as Python packages. Invariant: the program is the one that the user names on the command
//! line, its script is part of this binary, its environment is empty but for three variables that finding Python takes,
//! no data of a database reaches it, and it ends when its handle does. It stands in `benches` because the engine and the
//! server must never come near it.
#![expect(clippy::disallowed_methods, reason = "the one place that starts a program: the Python that the user names")]

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::str::FromStr;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;

/// What the process runs, so that an installed binary has it.
const SCRIPTS: [(&str, &str); 3] = [
    ("runner.py", include_str!("../peers/runner.py")),
    ("peers.py", include_str!("../peers/peers.py")),
    ("requirements.txt", include_str!("../peers/requirements.txt")),
];
/// All that the process gets of our environment: where programs, settings of the user and libraries lie.
const ENVIRONMENT: [&str; 3] = ["PATH", "HOME", "LD_LIBRARY_PATH"];
/// Bytes of an id in the file that a search leaves.
const ID_BYTES: usize = 8;

/// How long a process that closed its pipes may take to end, in steps: that it does is not taken on trust.
const LAST_STEPS: usize = 200;
/// One of them.
const STEP: Duration = Duration::from_millis(10);

/// The name of an engine that can be compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerName(&'static str);

impl PeerName {
    /// All there are.
    pub const ALL: [&'static str; 9] =
        ["hnswlib", "rabitqlib", "faiss", "usearch", "scann", "svs", "vsag", "zvec", "ngt"];

    /// The name as it is typed.
    pub fn as_str(&self) -> &'static str {
        self.0
    }
}

/// No such engine can be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("known peers are {}", PeerName::ALL.join(", "))]
pub struct UnknownPeer;

impl FromStr for PeerName {
    type Err = UnknownPeer;

    fn from_str(name: &str) -> Result<Self, UnknownPeer> {
        Self::ALL.into_iter().find(|known| *known == name).map(Self).ok_or(UnknownPeer)
    }
}

/// Why a peer did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// It says itself why.
    #[error("{0}")]
    Refused(String),
    /// Its process is gone; the text is the end of what it wrote to its log.
    #[error("its process ended with {status}: {last}")]
    Ended {
        /// Exit code or signal.
        status: String,
        /// The last line of its log.
        last: String,
    },
    /// It took too long and was ended.
    #[error("no answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// What it said is no answer to the question.
    #[error("its answer cannot be read")]
    Answer(#[from] serde_json::Error),
    /// It cannot be started, or the ids that it found cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What a peer says about itself.
#[derive(Debug, Deserialize)]
pub struct Description {
    /// Of its package.
    pub version: String,
    /// Whether it takes all queries in one call; otherwise it is called for each, which costs it a microsecond or two.
    pub batched: bool,
    /// What is worth building.
    pub builds: Vec<Plan>,
}

/// An index worth building.
#[derive(Debug, Deserialize)]
pub struct Plan {
    /// The row of the report that it competes for.
    pub engine: String,
    /// Its setting in words.
    pub label: String,
    /// Its setting as the peer takes it.
    pub setting: Value,
    /// How it is worth searching.
    pub searches: Vec<Effort>,
}

/// A setting of the search.
#[derive(Debug, Deserialize)]
pub struct Effort {
    /// In words.
    pub label: String,
    /// As the peer takes it.
    pub setting: Value,
}

/// An index that was built.
#[derive(Debug, Deserialize)]
pub struct Built {
    /// Its number in the process.
    pub index: u64,
    /// How long it took.
    pub seconds: f64,
    /// Resident bytes of the process before.
    pub rss_before: i64,
    /// Bytes of its files.
    pub disk_bytes: u64,
}

/// All queries asked once.
#[derive(Debug, Deserialize)]
pub struct Searched {
    /// How long they took together.
    pub seconds: f64,
    /// Resident bytes of the process after.
    pub rss: i64,
}

/// Puts the scripts into `folder`, from where [`Peer::start`] runs them.
pub fn unpack(folder: &Path) -> io::Result<()> {
    SCRIPTS.iter().try_for_each(|(name, text)| fs::write(folder.join(name), text))
}

/// A running peer.
pub struct Peer {
    child: Child,
    /// Closed to end the process.
    commands: Option<ChildStdin>,
    answers: Receiver<String>,
    /// Its log, the ids that it found last, and the files of its indexes; gone when it is.
    home: TempDir,
    timeout: Duration,
}

impl Peer {
    /// Starts the peer `name` with the interpreter `python` on what lies in `folder`: the scripts, `train.npy` and
    /// `test.npy`. Its queries run on `core`. A command may take as long as `timeout`.
    pub fn start(python: &Path, name: &PeerName, folder: &Path, core: usize, timeout: Duration) -> io::Result<Self> {
        let home = tempfile::Builder::new().prefix(name.0).tempdir_in(folder)?;
        let log = home.path().join("log");
        let inherited = ENVIRONMENT.iter().filter_map(|variable| Some((variable, std::env::var_os(variable)?)));
        let mut child = Command::new(python)
            .arg(folder.join("runner.py"))
            .arg(name.0)
            .arg(folder)
            .arg(home.path())
            .arg(core.to_string())
            .env_clear()
            .envs(inherited)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            .spawn()?;
        let commands = child.stdin.take();
        let lines = child.stdout.take().map(BufReader::new);
        let (sender, answers) = mpsc::channel();
        // A thread of its own, because a pipe cannot be read with a deadline. It ends with the process.
        thread::spawn(move || {
            let lines = lines.into_iter().flat_map(BufRead::lines).map_while(Result::ok);
            lines.take_while(|line| sender.send(line.clone()).is_ok()).for_each(drop);
        });
        Ok(Self { child, commands, answers, home, timeout })
    }

    /// Asks what it can build for `rows` rows of `dimension` under `metric`, from its small or its full grid.
    pub fn describe(
        &mut self,
        grid: &str,
        rows: usize,
        dimension: usize,
        metric: &str,
    ) -> Result<Description, PeerError> {
        self.ask(&json!({
            "do": "describe", "grid": grid, "rows": rows, "dimension": dimension, "metric": metric,
        }))
    }

    /// Builds an index.
    pub fn build(&mut self, setting: &Value, threads: usize) -> Result<Built, PeerError> {
        self.ask(&json!({ "do": "build", "setting": setting, "threads": threads }))
    }

    /// Asks all queries for `k` neighbours each, `passes` times; the positions that it found, by query, come with the time
    /// that the last pass took.
    pub fn search(
        &mut self,
        index: u64,
        k: usize,
        setting: &Value,
        passes: usize,
    ) -> Result<(Searched, Vec<Vec<u32>>), PeerError> {
        let ids = self.home.path().join("ids");
        let command = json!({
            "do": "search", "index": index, "k": k, "setting": setting, "passes": passes, "ids": ids,
        });
        let searched = self.ask(&command)?;
        let bytes = fs::read(&ids)?;
        let ids = bytes.as_chunks::<ID_BYTES>().0.iter().map(|id| u32::try_from(i64::from_le_bytes(*id)).ok());
        let ids: Vec<Option<u32>> = ids.collect();
        let found = ids.chunks(k.max(1)).map(|query| query.iter().flatten().copied().collect());
        Ok((searched, found.collect()))
    }

    /// Drops an index.
    pub fn forget(&mut self, index: u64) -> Result<(), PeerError> {
        self.ask::<Value>(&json!({ "do": "forget", "index": index })).map(drop)
    }

    /// Sends a command and waits for its answer. A process that is late is killed: it may be in any state.
    fn ask<T: DeserializeOwned>(&mut self, command: &Value) -> Result<T, PeerError> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Answer<T> {
            Failed { error: String },
            Done(T),
        }

        let sent =
            self.commands.as_mut().map(|commands| writeln!(commands, "{command}").and_then(|()| commands.flush()));
        if !matches!(sent, Some(Ok(()))) {
            return Err(self.ended());
        }
        let line = match self.answers.recv_timeout(self.timeout) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                self.end(0);
                return Err(PeerError::Silent(self.timeout));
            }
            Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
        };
        match serde_json::from_str(&line)? {
            Answer::Failed { error } => Err(PeerError::Refused(error)),
            Answer::Done(answer) => Ok(answer),
        }
    }

    /// How the process ended, and what it said last.
    fn ended(&mut self) -> PeerError {
        let status = self.end(LAST_STEPS);
        let log = fs::read(self.home.path().join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let last = log.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it left no word");
        PeerError::Ended { status, last: last.to_owned() }
    }

    /// Waits as many steps for the process to end by itself, then ends it; says how it ended.
    fn end(&mut self, steps: usize) -> String {
        self.commands = None;
        for _ in 0..steps {
            if let Ok(Some(status)) = self.child.try_wait() {
                return status.to_string();
            }
            thread::sleep(STEP);
        }
        let status = self.child.kill().and_then(|()| self.child.wait());
        status.map_or_else(|error| error.to_string(), |status| status.to_string())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_class_in_the_script() {
        for name in PeerName::ALL {
            assert!(SCRIPTS[1].1.contains(&format!("    \"{name}\": ")), "{name}");
            assert_eq!(name.parse::<PeerName>().unwrap().as_str(), name);
        }
        assert_eq!("qdrant".parse::<PeerName>(), Err(UnknownPeer));
        assert!(UnknownPeer.to_string().contains("hnswlib, rabitqlib"));
    }

    #[test]
    fn every_package_is_pinned() {
        let pinned = SCRIPTS[2].1.lines().filter(|line| line.contains("==")).count();
        assert_eq!(pinned, PeerName::ALL.len());
    }
}
