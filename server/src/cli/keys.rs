//! `lethedb keys`: what there is to know of the keys, other keys above the data, and ways to the root key.
//!
//! Invariant: no key, passphrase or share is an argument, and none is printed but a share that was asked for.
#![expect(clippy::disallowed_methods, reason = "writes shares and keys to files that the user names")]

use std::fmt::{self, Display};
use std::fs::DirBuilder;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use clap::value_parser;
use engine::{KeyStatus, Passphrase, RootKey, Share};
use serde_json::json;
use zeroize::Zeroizing;

use super::context::Context;
use super::failure::Failure;
use super::policy::{ApprovalArgs, write_new};
use super::seal;
use super::terminal::table;
use crate::json::{count, rfc3339};

/// What can be done with keys.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Tell which keys there are, how old they are and where they lie.
    Status,
    /// Replace the KEK and the anchor of the environment, so that older copies of its keyring do not open any more.
    RotateKek,
    /// Replace the root key: seal the keyring of every environment with another one.
    RotateRoot(RotateRoot),
    /// Wrap the root key in the data directory under a passphrase, instead of the present one if there is one.
    Passphrase(PassphraseArgs),
    /// Split the root key into shares, of which some give it back.
    Split(Split),
    /// Put the root key together from shares, see that it is the right one, and write it to a file.
    Unseal(Unseal),
}

/// Arguments of `keys rotate-root`.
#[derive(clap::Args)]
pub struct RotateRoot {
    /// The file with the next root key; made if there is none. Without it, a new key is made and wrapped in the data
    /// directory under the passphrase.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// The file with the passphrase, where the store has one. Asked for otherwise.
    #[arg(long, value_name = "FILE", conflicts_with = "to")]
    passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    approval: ApprovalArgs,
}

/// Arguments of `keys passphrase`.
#[derive(clap::Args)]
pub struct PassphraseArgs {
    /// The file with the new passphrase, such as /dev/fd/3. Asked for otherwise.
    #[arg(long, value_name = "FILE")]
    new_file: Option<PathBuf>,
}

/// Arguments of `keys split`.
#[derive(clap::Args)]
pub struct Split {
    /// How many shares there are to be.
    #[arg(long, value_parser = value_parser!(u8).range(2..))]
    shares: u8,
    /// How many of them give the key back.
    #[arg(long, value_parser = value_parser!(u8).range(2..))]
    threshold: u8,
    /// Write each share to a file of its own in this directory, readable by its owner only.
    #[arg(long, value_name = "DIR", required_unless_present = "stdout")]
    to: Option<PathBuf>,
    /// Print the shares instead.
    #[arg(long, conflicts_with = "to")]
    stdout: bool,
}

/// Arguments of `keys unseal`.
#[derive(clap::Args)]
pub struct Unseal {
    /// A file with a share; give as many as are needed. Asked for otherwise, one after the other.
    #[arg(long, value_name = "FILE")]
    share: Vec<PathBuf>,
    /// Give a share to the server that was started with --sealed: those of --share, or one from standard input or the
    /// terminal. Without a URL, to the one on this machine at `server.listen`; over https, to any whose certificate --ca
    /// vouches for.
    #[arg(long, value_name = "URL", num_args = 0..=1, conflicts_with = "to")]
    server: Option<Option<String>>,
    /// The authorities that vouch for the server, as PEM. The system's are not asked: a share opens everything.
    #[arg(long, value_name = "FILE", requires = "server")]
    ca: Option<PathBuf>,
    /// Have the server forget the shares that it was given, and begin again.
    #[arg(long, requires = "server")]
    reset: bool,
    /// Where to write the root key, readable by its owner only: in memory, such as below /run. Without it, the shares are
    /// only tried.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

/// Runs the command.
pub fn run(context: &Context, command: &Command) -> Result<(), Failure> {
    match command {
        Command::Status => status(context),
        Command::RotateKek => rotate_kek(context),
        Command::RotateRoot(args) => rotate_root(context, args),
        Command::Passphrase(args) => passphrase(context, args),
        Command::Split(args) => split(context, args),
        Command::Unseal(args) => unseal(context, args),
    }
}

fn status(context: &Context) -> Result<(), Failure> {
    let database = context.database(false)?;
    let status = database.key_status()?;
    context.terminal.show(&status, Told(&status))?;
    Ok(database.close()?)
}

fn rotate_kek(context: &Context) -> Result<(), Failure> {
    let database = context.database(false)?;
    let epoch = context.environment(&database)?.rotate_kek()?;
    let text = format_args!("Epoch {epoch}: older copies of this keyring do not open any more.").to_string();
    context.terminal.show(&json!({ "epoch": epoch }), text)?;
    Ok(database.close()?)
}

fn rotate_root(context: &Context, args: &RotateRoot) -> Result<(), Failure> {
    let database = context.database(false)?;
    let next = match (&args.to, &args.passphrase_file) {
        (Some(path), _) => {
            if RootKey::make_file(path)? {
                context.terminal.note(format_args!("A new root key was made in {}. Back it up.", path.display()))?;
            }
            RootKey::file(path)
        }
        (None, Some(path)) => RootKey::passphrase_file(path),
        (None, None) => RootKey::passphrase(ask("Passphrase: ")?),
    };
    let sealed = database.rotate_root_key_approved(&next, args.approval.read()?.as_ref())?;
    let status = database.key_status()?;
    let value = json!({ "environments": sealed, "root_key": status.root_key });
    let text = format!("The root key {} seals {} now.", status.root_key, count(sealed, "environment"));
    context.terminal.show(&value, text)?;
    if let Some(path) = &args.to {
        context.terminal.note(format_args!(
            "From now on, give this key: {}={}. The one before opens nothing here.",
            engine::ROOT_KEY_FILE_VARIABLE,
            path.display()
        ))?;
    }
    Ok(database.close()?)
}

fn passphrase(context: &Context, args: &PassphraseArgs) -> Result<(), Failure> {
    let database = context.database(false)?;
    let new = match &args.new_file {
        Some(path) => RootKey::read_passphrase(path)?,
        None => ask_twice()?,
    };
    database.set_passphrase(&new)?;
    let text = "The root key is wrapped under the new passphrase; every other way to it stays.";
    context.terminal.show(&json!({ "changed": true }), text)?;
    Ok(database.close()?)
}

fn split(context: &Context, args: &Split) -> Result<(), Failure> {
    let database = context.database(false)?;
    let shares = database.split_root_key(args.threshold, args.shares)?;
    database.close()?;
    let threshold = args.threshold;
    let Some(dir) = &args.to else {
        let texts: Vec<Zeroizing<String>> = shares.iter().map(Share::format).collect();
        let texts: Vec<&str> = texts.iter().map(|text| text.as_str()).collect();
        return context.terminal.show(&json!({ "threshold": threshold, "shares": texts }), texts.join("\n"));
    };
    let failed = |source| Failure::File { file: dir.display().to_string(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    let mut files = Vec::new();
    for share in &shares {
        let path = dir.join(format!("share-{}-of-{}.txt", share.place(), args.shares));
        write_new(&path, &share.format())?;
        files.push(path.display().to_string());
    }
    let all = files.join("\n");
    let text = format!("{all}\nAny {threshold} of these give the root key. Hand them out and delete them here.");
    context.terminal.show(&json!({ "threshold": threshold, "files": files }), text)
}

fn unseal(context: &Context, args: &Unseal) -> Result<(), Failure> {
    if let Some(url) = &args.server {
        let to = seal::Server::named(url.as_deref(), args.ca.as_deref(), context.config.server.listen)?;
        return seal::unseal(context, &to, read_shares(&args.share)?, args.reset);
    }
    let shares = if args.share.is_empty() { ask_shares(context)? } else { read_shares(&args.share)? };
    let found = shares.first().map(Share::root_key);
    let (key, text) = RootKey::combine(&shares)?;
    let database = context.database_with(key, false)?;
    for name in database.environments()? {
        database.open_environment(&name)?;
    }
    database.close()?;
    if let Some(path) = &args.to {
        write_new(path, &text)?;
    }
    let name = found.map(|name| name.to_string());
    let told = match &args.to {
        Some(path) => format!(
            "The root key is in {}; start with {}={}.",
            path.display(),
            engine::ROOT_KEY_FILE_VARIABLE,
            path.display()
        ),
        None => "These shares give the root key of this store.".to_owned(),
    };
    context.terminal.show(&json!({ "root_key": name, "file": args.to }), told)
}

fn read_shares(paths: &[PathBuf]) -> Result<Vec<Share>, Failure> {
    let mut shares = Vec::new();
    for path in paths {
        shares.extend(RootKey::read_shares(path)?);
    }
    Ok(shares)
}

fn ask_shares(context: &Context) -> Result<Vec<Share>, Failure> {
    somebody_is_there("shares; name files that hold them with --share")?;
    let mut shares: Vec<Share> = Vec::new();
    loop {
        let needed = shares.first().map_or(2, |share| usize::from(share.threshold()));
        if shares.len() >= needed {
            return Ok(shares);
        }
        let text = typed(&format!("Share {}: ", shares.len() + 1))?;
        match Share::parse(&text) {
            Ok(share) if shares.iter().any(|there| there.place() == share.place() && there.set() == share.set()) => {
                context.terminal.note("This share was given already.")?;
            }
            Ok(share) => shares.push(share),
            Err(error) => context.terminal.note(error)?,
        }
    }
}

fn somebody_is_there(sought: &str) -> Result<(), Failure> {
    if io::stderr().is_terminal() || io::stdin().is_terminal() {
        return Ok(());
    }
    Err(Failure::Usage(format!("nobody is there to ask for {sought}")))
}

/// Asks on the terminal.
fn ask(prompt: &str) -> Result<Passphrase, Failure> {
    somebody_is_there("a passphrase; name a file that holds it")?;
    Passphrase::new(typed(prompt)?.as_str()).map_err(|error| Failure::Usage(error.to_string()))
}

/// What is typed at the terminal, without showing it.
fn typed(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    let typed =
        rpassword::prompt_password(prompt).map_err(|error| Failure::Io("the terminal cannot be read", error))?;
    Ok(Zeroizing::new(typed))
}

fn ask_twice() -> Result<Passphrase, Failure> {
    loop {
        let (first, second) = (typed("New passphrase: ")?, typed("The same again: ")?);
        if *first == *second {
            return Passphrase::new(first.as_str()).map_err(|error| Failure::Usage(error.to_string()));
        }
        _ = writeln!(io::stderr(), "They differ.");
    }
}

/// A status as text.
struct Told<'a>(&'a KeyStatus);

impl Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.0;
        writeln!(f, "Root key {}, from: {}", status.root_key, status.source)?;
        if let Some(before) = &status.rotating_from {
            writeln!(f, "  It replaces {before}; the rotation is not finished.")?;
        }
        if status.has_passphrase {
            writeln!(f, "  A root key is wrapped under a passphrase in the data directory.")?;
        }
        let yes = |is: bool, what: &str| if is { what.to_owned() } else { format!("not {what}") };
        let memory = [
            yes(status.memory.locked, "locked in memory"),
            yes(status.memory.kept_out_of_dumps, "kept out of core dumps"),
        ];
        writeln!(f, "  It is {}.", memory.join(" and "))?;
        for (what, homes) in [("Anchors", &status.homes.anchors), ("Mirror", &status.homes.mirrors)] {
            for home in homes {
                let volume = if home.off_volume { "another volume than the data" } else { "the volume of the data" };
                writeln!(f, "{what} in {}, on {volume}", home.path.display())?;
            }
        }
        if status.homes.anchors.is_empty() {
            writeln!(f, "Anchors in the data directory: erasures do not reach copies of it.")?;
        }
        let rows: Vec<[String; 6]> = status
            .environments
            .iter()
            .map(|env| {
                [
                    env.name.clone(),
                    env.epoch.to_string(),
                    rfc3339(env.rotated_at),
                    env.rotates_by.map_or_else(|| "never".to_owned(), rfc3339),
                    env.owners.to_string(),
                    env.destroyed.to_string(),
                ]
            })
            .collect();
        f.write_str(&table(["environment", "epoch", "rotated", "rotates by", "owners", "keys destroyed"], &rows))
    }
}
