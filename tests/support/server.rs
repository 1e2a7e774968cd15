//! The real server as a process: started on a data directory, spoken to over loopback, killed with its handle.

#![allow(clippy::disallowed_methods, reason = "starts the real server and talks to it over loopback")]

use std::collections::BTreeSet;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// Why a suite could not go on, or what it found.
pub type Fault = Box<dyn Error + Send + Sync>;

/// The root key of every test world, as text.
const ROOT_KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";
/// The one collection of the tests.
pub const COLLECTION: &str = "/v1/collections/docs";
/// Sets what a process gets from its parent, of util-linux.
const SET_PRIVILEGES: &str = "/usr/bin/setpriv";
/// Room set aside for erasures: enough for all that the ledger may hold.
const RESERVE_BYTES: u64 = 1 << 20;
/// A request that takes longer than this hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// The binary that cargo built beside the running program, or the one that `LETHEDB_SERVER` names.
///
/// # Errors
/// That it is missing, and how to get it.
pub fn program() -> Result<PathBuf, Fault> {
    let beside = || Some(std::env::current_exe().ok()?.parent()?.parent()?.join("lethedb"));
    let named = std::env::var_os("LETHEDB_SERVER").map(PathBuf::from);
    let hint = "build it first with `cargo build -p lethedb-server`, in the same profile, or name it in LETHEDB_SERVER";
    let program = named.or_else(beside).ok_or(hint)?;
    if program.is_file() {
        Ok(program)
    } else {
        Err(format!("there is no server at {}: {hint}", program.display()).into())
    }
}

/// A server's program, its data directory, and where its last words go.
pub struct Installation {
    program: PathBuf,
    /// The data directory.
    pub data: PathBuf,
    log: PathBuf,
}

impl Installation {
    /// `program` on the directory `data`, which is made durably; what it says goes to the file `log`.
    ///
    /// # Errors
    /// Those of making a directory.
    pub fn new(program: &Path, data: PathBuf, log: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&data)?;
        if let Some(parent) = data.parent() {
            File::open(parent)?.sync_all()?;
        }
        Ok(Self { program: program.to_owned(), data, log })
    }

    /// A command of the program, with memtables so small that segments come and go, on small disks. It dies with the thread that
    /// starts it, where the system can promise that.
    ///
    /// # Errors
    /// Those of opening the log.
    pub fn command(&self) -> io::Result<Command> {
        let mut command = Command::new(SET_PRIVILEGES);
        command.args(["--pdeathsig", "KILL", "--"]).arg(&self.program);
        if !Path::new(SET_PRIVILEGES).is_file() {
            command = Command::new(&self.program);
        }
        command.current_dir(&self.data).arg("--data").arg(&self.data).env("LETHEDB_ROOT_KEY", ROOT_KEY);
        command.env("LETHEDB__ENGINE__MEMTABLE_ROWS_MAX", "80").env("LETHEDB__ENGINE__FLAT_BELOW", "64");
        command.env("LETHEDB__ENGINE__RESERVE_BYTES", RESERVE_BYTES.to_string());
        command.env("RUST_LOG", "warn").stderr(File::options().create(true).append(true).open(&self.log)?);
        Ok(command)
    }

    /// Runs `lethedb verify`.
    ///
    /// # Errors
    /// What it finds.
    pub fn verify(&self) -> Result<(), Fault> {
        let verified = self.command()?.arg("verify").output()?;
        if verified.status.success() {
            return Ok(());
        }
        Err(format!("verify: {} {}", verified.status, String::from_utf8_lossy(&verified.stdout)).into())
    }

    /// `fault` with the last words of the server.
    #[must_use]
    pub fn explain(&self, fault: Fault) -> Fault {
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let mut last: Vec<_> = said.lines().rev().take(5).collect();
        last.reverse();
        format!("{fault}\n{}", last.join("\n")).into()
    }
}

/// Sends `signal` to a process, at once.
///
/// # Errors
/// Those of the system.
pub fn signal(child: &Child, signal: Signal) -> io::Result<()> {
    Ok(kill_process(Pid::from_child(child), signal)?)
}

/// A server that dies with its handle.
pub struct Server {
    /// The process.
    pub child: Child,
    address: String,
    grpc: String,
}

impl Server {
    /// Starts `command serve` and waits until it listens.
    ///
    /// # Errors
    /// That it did not start, with its exit status.
    pub fn start(command: &mut Command) -> Result<Self, Fault> {
        let mut child = spawn(command)?;
        let mut said = child.stdout.take().map(BufReader::new);
        let mut listening = || -> io::Result<String> {
            let mut line = String::new();
            if let Some(output) = &mut said {
                output.read_line(&mut line)?;
            }
            Ok(line.trim().rsplit("//").next().unwrap_or_default().to_owned())
        };
        let (address, grpc) = (listening()?, listening()?);
        if address.is_empty() {
            return Err(format!("the server does not start: {}", child.wait()?).into());
        }
        Ok(Self { child, address, grpc })
    }

    /// Where it listens for gRPC.
    #[must_use]
    pub fn grpc_address(&self) -> &str {
        &self.grpc
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sends a request; none if no answer came. Gives the status, the head and the body.
    #[must_use]
    pub fn send(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Option<(u16, String, String)> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(ANSWER_WITHIN)).ok()?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        // A server that refuses early closes before it has read everything; its answer counts all the same.
        let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        let mut answer = String::new();
        if let (Err(_), Err(_) | Ok(0)) = (sent, stream.read_to_string(&mut answer)) {
            return None;
        }
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, head.to_ascii_lowercase(), body.to_owned()))
    }

    /// Sends JSON and reads JSON; none if no answer came.
    #[must_use]
    pub fn json(&self, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
        let text = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let (status, _, body) = self.send(method, path, "Content-Type: application/json\r\n", &text)?;
        // An answer that was cut off by the server's end is none.
        if body.is_empty() { Some((status, Value::Null)) } else { Some((status, serde_json::from_str(&body).ok()?)) }
    }

    /// The answer to a request that must succeed.
    ///
    /// # Errors
    /// No answer, or another status than success.
    pub fn ok(&self, method: &str, path: &str, body: &Value) -> Result<Value, Fault> {
        let (status, answer) = self.json(method, path, body).ok_or_else(|| format!("{method} {path}: no answer"))?;
        if (200..300).contains(&status) {
            Ok(answer)
        } else {
            Err(format!("{method} {path}: {status} {answer}").into())
        }
    }

    /// All records, with vectors and payloads.
    ///
    /// # Errors
    /// A page that cannot be read, or that says it is incomplete.
    pub fn records(&self) -> Result<Vec<Value>, Fault> {
        let mut records = Vec::new();
        let mut body = json!({ "limit": 5000, "with_vector": true });
        loop {
            let page = self.ok("POST", &format!("{COLLECTION}/scroll"), &body)?;
            if page["partial"] != false {
                return Err("a scroll leaves records out".into());
            }
            records.extend(page["records"].as_array().into_iter().flatten().cloned());
            if page["next"].is_null() {
                return Ok(records);
            }
            body["after"] = page["next"].clone();
        }
    }

    /// The ids of all records.
    ///
    /// # Errors
    /// Those of [`Server::records`].
    pub fn ids(&self) -> Result<BTreeSet<u64>, Fault> {
        Ok(self.records()?.iter().filter_map(|record| record["id"].as_u64()).collect())
    }
}

/// Starts `command serve` and does not wait for it.
///
/// # Errors
/// Those of starting a process.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    command.args(["serve", "--listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn()
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
