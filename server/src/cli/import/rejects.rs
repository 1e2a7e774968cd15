//! The rows that were not stored, in a file beside the import: where each stands and what is wrong with it.
//!
//! Invariant: the file is made with the first such row, readable by its owner alone, and written at once, so that it is
//! true when the import is interrupted. It holds nothing of the rows themselves unless the user asks for it.
#![expect(clippy::disallowed_methods, reason = "writes a file that the user names; no file of ours")]

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::row::{Bad, Unit};
use crate::cli::failure::Failure;
use crate::cli::format::is_pipe;
use crate::cli::terminal::Terminal;

/// So many are also told on the terminal.
const SHOWN: u64 = 3;

/// Where rejected rows go.
pub struct Rejects {
    path: PathBuf,
    unit: Unit,
    max: u64,
    with_data: bool,
    terminal: Terminal,
    file: Option<File>,
    count: u64,
}

impl Rejects {
    /// None yet. `path` is where they will be listed, beside `input` unless said; over `max` the import ends.
    pub fn new(
        input: &Path,
        path: Option<PathBuf>,
        max: u64,
        with_data: bool,
        unit: Unit,
        terminal: Terminal,
    ) -> Result<Self, Failure> {
        let path = path.unwrap_or_else(|| {
            let mut name = if is_pipe(input) { OsString::from("stdin") } else { input.as_os_str().to_owned() };
            name.push(".rejects.jsonl");
            name.into()
        });
        // Rejects of an earlier run are replaced, but nothing that is imported now.
        if let (Ok(input), Ok(path)) = (fs::canonicalize(input), fs::canonicalize(&path))
            && input == path
        {
            return Err(Failure::Usage("--rejects names the file that is imported".into()));
        }
        Ok(Self { path, unit, max, with_data, terminal, file: None, count: 0 })
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Where they are listed; nothing if there are none.
    pub fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|_| self.path.as_path())
    }

    /// Lists one more.
    ///
    /// # Errors
    /// That the file cannot be written, and that there are too many, this one listed.
    pub fn add(&mut self, bad: Bad) -> Result<(), Failure> {
        let Bad { place, reason, data } = bad;
        self.count += 1;
        if self.count <= SHOWN {
            self.terminal.note(format_args!("{} {place} was rejected: {reason}", self.unit.name()))?;
        }
        let mut members = Map::new();
        members.insert(self.unit.name().to_owned(), place.into());
        members.insert("reason".to_owned(), reason.into());
        if let (true, Some(data)) = (self.with_data, data) {
            members.insert("data".to_owned(), data);
        }
        let line = format!("{}\n", Value::Object(members));
        self.write(line.as_bytes()).map_err(|error| Failure::Io("the file of rejects cannot be written", error))?;
        if self.count > self.max { Err(self.failure()) } else { Ok(()) }
    }

    /// That there are rejects, as a failure.
    pub fn failure(&self) -> Failure {
        Failure::Rejected { count: self.count, unit: self.unit.name(), path: self.path.clone() }
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => create(&self.path)?,
        };
        file.write_all(line)?;
        self.file = Some(file);
        Ok(())
    }
}

fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => (),
    }
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
