//! The long runner: seed after seed of one suite, or of all of them in turn, until the hours asked for are done.
//!
//! A second call with the same file goes on where the first ended. A promise that does not hold is written beside the
//! file with the words that replay it, and the run goes on; it ends with 1 if there was one.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the face of the suites is a terminal")]
#![allow(clippy::disallowed_methods, reason = "measures how long it has run, and fences itself in")]

use std::alloc::System;
use std::error::Error;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use clap::Parser;
use lethedb_tests::case::{Outcome, Violation};
use lethedb_tests::progress::{Progress, Tally};
use lethedb_tests::{crash, damage, decode, errors, full, kill, power, readers, thin};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

// The suites of damage hold what a case allocates against a limit.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// A suite: how to run the case of a seed, and the case that a violation names.
struct Suite {
    name: &'static str,
    case: fn(u64) -> Outcome,
    replay: fn(&str) -> Outcome,
}

/// Every suite there is.
const SUITES: [Suite; 9] = [
    Suite { name: "crash", case: crash::case, replay: crash::replay },
    Suite { name: "damage", case: damage::case, replay: damage::replay },
    Suite { name: "decode", case: decode::case, replay: decode::replay },
    Suite { name: "errors", case: errors::case, replay: errors::replay },
    Suite { name: "full", case: full::case, replay: full::replay },
    Suite { name: "kill", case: kill::case, replay: kill::replay },
    Suite { name: "power", case: power::case, replay: power::replay },
    Suite { name: "readers", case: readers::case, replay: readers::replay },
    Suite { name: "thin", case: thin::case, replay: thin::replay },
];

/// Runs the suites for hours.
#[derive(Parser)]
struct Args {
    /// Which suite, or `all`.
    #[arg(long, default_value = "all")]
    suite: String,
    /// How long in all, earlier calls with the same file included.
    #[arg(long, default_value_t = 1.0)]
    hours: f64,
    /// The first seed of a run that begins.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the state is kept [default: torture-<suite>.json].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Run one case again, by the words of its violation.
    #[arg(long)]
    replay: Option<String>,
    /// Said to itself once mounts are private.
    #[arg(long, hide = true)]
    fenced: bool,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args = Args::parse();
    if !args.fenced {
        fence();
    }
    match &args.replay {
        Some(words) => replay(words),
        None => run(&args),
    }
}

/// Starts this program anew where its mounts are its own: the system undoes them when it ends, however it ends. Where
/// that is not allowed it goes on without.
fn fence() {
    let fence = || {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--"]);
        command
    };
    if fence().arg("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        && let Ok(program) = std::env::current_exe()
    {
        let failure = fence().arg(program).args(std::env::args_os().skip(1)).arg("--fenced").exec();
        eprintln!("mounts stay visible to all: {failure}");
    }
}

fn replay(words: &str) -> Result<ExitCode, Box<dyn Error>> {
    let name = words.split('/').next().unwrap_or_default();
    let suite = SUITES.iter().find(|suite| suite.name == name).ok_or_else(|| format!("no suite is named {name}"))?;
    match guarded(suite, words.to_owned(), || (suite.replay)(words)) {
        Ok(counts) => {
            println!("{name} holds: {}", serde_json::to_string(&counts)?);
            Ok(ExitCode::SUCCESS)
        }
        Err(violation) => {
            println!("{violation}");
            Ok(ExitCode::FAILURE)
        }
    }
}

fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let mut suites: Vec<&Suite> =
        SUITES.iter().filter(|suite| args.suite == "all" || args.suite == suite.name).collect();
    if suites.is_empty() {
        let names: Vec<_> = SUITES.iter().map(|suite| suite.name).collect();
        return Err(format!("--suite is one of all, {}", names.join(", ")).into());
    }
    let out = args.out.clone().unwrap_or_else(|| format!("torture-{}.json", args.suite).into());
    let mut progress = Progress::load(&out)?;
    for suite in &suites {
        let begins = || Tally { next_seed: args.seed, ..Tally::default() };
        progress.suites.entry(suite.name.to_owned()).or_insert_with(begins);
    }
    let mut told = Instant::now();
    while progress.seconds() < args.hours * 3600.0 {
        // The suite that has had the least time is next, so that all get their share however long their cases are.
        let spent = |suite: &&&Suite| progress.suites[suite.name].seconds;
        let Some(suite) = suites.iter().min_by(|a, b| spent(a).total_cmp(&spent(b))).copied() else { break };
        let seed = progress.suites[suite.name].next_seed;
        let began = Instant::now();
        let outcome = guarded(suite, format!("{}/{seed}", suite.name), || (suite.case)(seed));
        if let Err(violation) = &outcome {
            println!("{violation}");
        }
        if outcome.as_ref().is_ok_and(|counts| counts.contains_key("skipped")) {
            suites.retain(|other| other.name != suite.name);
        }
        progress.record(suite.name, seed, &outcome, began.elapsed().as_secs_f64())?;
        if told.elapsed().as_secs() >= 60 {
            told = Instant::now();
            tell(&progress)?;
        }
    }
    tell(&progress)?;
    Ok(if progress.violations() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Takes a panic for the violation it is.
fn guarded(suite: &Suite, replay: String, case: impl FnOnce() -> Outcome) -> Outcome {
    catch_unwind(AssertUnwindSafe(case)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
        Err(Violation { suite: suite.name, what: format!("a panic: {said}"), replay })
    })
}

fn tell(progress: &Progress) -> Result<(), Box<dyn Error>> {
    for (suite, tally) in &progress.suites {
        let Tally { next_seed, seconds, cases, violations, counts } = tally;
        let counts: Vec<_> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let counts = counts.join(", ");
        println!("{suite}: {seconds:.0} s, {cases} cases before seed {next_seed}, {violations} violations; {counts}");
    }
    Ok(progress.save()?)
}
