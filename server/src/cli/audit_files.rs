//! The audit log in files: exported, checked offline, and followed while another process writes it.
//!
//! Invariant: nothing here opens a database but an export. What is checked is checked against the public key alone, and a
//! key that the file itself names is called a claim.
#![expect(clippy::disallowed_methods, reason = "reads and writes files that the user names")]

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use engine::{AuditCheck, AuditFileReport, VerifyingKey};
use serde_json::Value;

use super::context::Context;
use super::failure::Failure;
use super::terminal::Terminal;
use crate::json::{count, from_hex, rfc3339};

/// How often a file that is followed is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// A line of an event is some hundred bytes; nothing longer is read.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// Arguments of `export`.
#[derive(clap::Args)]
pub struct Export {
    /// The file to write; standard output without it. One that is there is not replaced.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Arguments of `tail`.
#[derive(clap::Args)]
pub struct Tail {
    /// How many of the newest events to show.
    #[arg(long, short = 'n', default_value_t = 10)]
    lines: usize,
    /// Go on with those that are told from now on, until interrupted.
    #[arg(long, short)]
    follow: bool,
    /// The directory that holds the files; without it, the one of the environment in audit.sink.
    #[arg(long, value_name = "DIR")]
    sink: Option<PathBuf>,
}

/// What files are checked against.
pub struct Against {
    /// The public key, 64 hex digits.
    pub key: Option<String>,
    /// A file with a checkpoint that was kept elsewhere.
    pub checkpoint: Option<PathBuf>,
}

fn failed(path: &Path) -> impl Fn(io::Error) -> Failure {
    let file = path.display().to_string();
    move |source| Failure::File { file: file.clone(), source }
}

/// Writes the whole log.
pub fn export(context: &Context, args: &Export) -> Result<(), Failure> {
    let database = context.database(false)?;
    let export = context.environment(&database)?.export_audit()?;
    let events = export.events();
    let name = args.out.clone().unwrap_or_else(|| "standard output".into());
    let wrong = failed(&name);
    let mut out: Box<dyn Write> = match &args.out {
        Some(path) => Box::new(BufWriter::new(File::create_new(path).map_err(&wrong)?)),
        None => Box::new(io::stdout().lock()),
    };
    for lines in export {
        out.write_all(lines?.as_bytes()).map_err(&wrong)?;
    }
    out.flush().map_err(&wrong)?;
    drop(out);
    if let Some(path) = &args.out {
        File::open(path).and_then(|file| file.sync_all()).map_err(&wrong)?;
        context.terminal.note(format_args!("{events} events, signed for: {}", path.display()))?;
    }
    Ok(database.close()?)
}

/// Checks files, in order, or all those of directories.
pub fn verify(context: &Context, files: &[PathBuf], against: &Against) -> Result<(), Failure> {
    let key = match &against.key {
        None => None,
        Some(text) => {
            let bytes = from_hex(text).and_then(|bytes| bytes.try_into().ok());
            let due = || Failure::Usage("--key: 64 hex digits are due, as `lethedb receipt key` prints them".into());
            Some(VerifyingKey(bytes.ok_or_else(due)?))
        }
    };
    let mut check = AuditCheck::new(key);
    if let Some(path) = &against.checkpoint {
        check = check.reaching(fs::read_to_string(path).map_err(failed(path))?);
    }
    let mut torn = 0;
    for path in in_order(files)? {
        torn += take_in(&mut check, &path).map_err(|failure| match failure {
            Failure::Engine(error) => Failure::Altered { file: path.display().to_string(), source: error },
            other => other,
        })?;
    }
    let report = check.finish()?;
    context.terminal.show(&report, told(&report, torn))
}

fn told(report: &AuditFileReport, torn: usize) -> String {
    let mut text = format!(
        "{} from {} on: as written, the first {} of the log signed for\n{}",
        count(report.through.saturating_sub(report.from), "event"),
        report.from,
        report.signed_through,
        report.log
    );
    if report.signed_through < report.through {
        let tail = report.through - report.signed_through;
        text.push_str(&format!(
            "\n{tail} events at the end are not signed for yet: nobody can say that they are the last"
        ));
    }
    if torn > 0 {
        text.push_str("\nA line at the end of a file was torn, as a crash tears it; the next file goes on before it");
    }
    if report.unread > 0 {
        text.push_str(&format!("\n{} events are of a later version and were not read", report.unread));
    }
    if report.is_key_claimed {
        text.push_str(&format!(
            "\nThe key is what the file says it is: compare {} with `lethedb receipt key`",
            report.key
        ));
    }
    text
}

/// The files, and those of directories in the order of their names, which is that of their events.
fn in_order(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let found = files_of(path)?;
            if found.is_empty() {
                let place = path.display();
                let what = format!("audit files in {place}; a sink has a directory of them for each environment");
                return Err(Failure::Missing(vec![what]));
            }
            files.extend(found);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn files_of(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed(dir))? {
        let path = entry.map_err(failed(dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("audit-") && name.ends_with(".jsonl") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Has the lines of a file checked; says how many torn ones it ends with.
fn take_in(check: &mut AuditCheck, path: &Path) -> Result<usize, Failure> {
    let mut lines = BufReader::new(File::open(path).map_err(failed(path))?);
    let mut line = String::new();
    loop {
        line.clear();
        let read = lines.by_ref().take(LINE_BYTES_MAX).read_line(&mut line);
        match read {
            Ok(0) => return Ok(0),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidData => line.clear(),
            Err(error) => return Err(failed(path)(error)),
        }
        match line.strip_suffix('\n') {
            Some(whole) => check.line(whole)?,
            // A crash tears the last line only, and whoever goes on writes it whole into another file.
            None if line.len() as u64 == LINE_BYTES_MAX => check.line(&line)?,
            None => return Ok(1),
        }
    }
}

/// Shows the newest events of the second sink, and goes on if asked to.
pub fn tail(context: &Context, args: &Tail) -> Result<(), Failure> {
    let dir = match &args.sink {
        Some(dir) => dir.clone(),
        None => sink_of(context)?,
    };
    let mut newest: Vec<String> = Vec::new();
    let (mut at, mut offset) = (None, 0);
    for path in files_of(&dir)? {
        offset = 0;
        newest.extend(lines_from(&path, &mut offset)?);
        let surplus = newest.len().saturating_sub(args.lines.max(1));
        newest.drain(..surplus);
        at = Some(path);
    }
    newest.truncate(if args.lines == 0 { 0 } else { newest.len() });
    newest.iter().try_for_each(|line| show(&context.terminal, line))?;
    if args.follow { follow(context, &dir, at, offset) } else { Ok(()) }
}

/// Shows what is written after `offset` of the file `at`, and in those after it, until somebody interrupts it or reads no
/// more.
fn follow(context: &Context, dir: &Path, mut at: Option<PathBuf>, mut offset: u64) -> Result<(), Failure> {
    loop {
        let files = files_of(dir)?;
        let from = at.as_ref().and_then(|at| files.iter().position(|path| path == at)).unwrap_or_default();
        for path in files.get(from..).unwrap_or_default() {
            if at.as_ref() != Some(path) {
                (at, offset) = (Some(path.clone()), 0);
            }
            lines_from(path, &mut offset)?.iter().try_for_each(|line| show(&context.terminal, line))?;
        }
        thread::park_timeout(LOOK_EVERY);
    }
}

/// The directory of the environment among those of the sink.
fn sink_of(context: &Context) -> Result<PathBuf, Failure> {
    let none = "audit.sink names no directory: `lethedb audit list` shows events while no server runs, and \
        GET /v1/admin/audit while one does";
    let root = context.config.audit.sink.clone().ok_or_else(|| Failure::Usage(none.into()))?;
    let environment = &context.config.store.environment;
    let mut found = Vec::new();
    for entry in fs::read_dir(&root).map_err(failed(&root))? {
        let path = entry.map_err(failed(&root))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let rest = name.strip_prefix(&format!("{environment}-")).unwrap_or_default();
        if rest.len() >= 8 && rest.bytes().take(8).all(|byte| byte.is_ascii_hexdigit()) {
            found.push(path);
        }
    }
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Failure::Missing(vec![format!("a directory of {environment} in {}", root.display())])),
        _ => Err(Failure::Usage("the sink holds several logs of this environment: name one with --sink".into())),
    }
}

/// The whole lines of events from `offset` on, which is moved behind the last of them.
fn lines_from(path: &Path, offset: &mut u64) -> Result<Vec<String>, Failure> {
    let mut file = File::open(path).map_err(failed(path))?;
    file.seek(SeekFrom::Start(*offset)).map_err(failed(path))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(failed(path))?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    text.truncate(whole);
    *offset += whole as u64;
    let text = String::from_utf8_lossy(&text);
    Ok(text.lines().filter(|line| line.starts_with("{\"sequence\"")).map(str::to_owned).collect())
}

fn show(terminal: &Terminal, line: &str) -> Result<(), Failure> {
    let mut value: Value = serde_json::from_str(line).unwrap_or_default();
    for field in value.get_mut("fields").and_then(Value::as_array_mut).into_iter().flatten() {
        if let (Some(name), Some(text)) = (field[0].as_str(), field[1].as_str()) {
            field[1] = engine::audit_field(name, text).into();
        }
    }
    let word = |name: &str| value[name].as_str().unwrap_or("-").to_owned();
    let time = rfc3339(value["time_ms"].as_u64().unwrap_or_default());
    let text = [value["sequence"].to_string(), time, word("action"), word("actor"), word("outcome"), word("resource")];
    terminal.show(&value, text.join("  "))
}
