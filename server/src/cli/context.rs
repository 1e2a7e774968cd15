//! What every command is given: the settings, the terminal, and the database and environment they name.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use engine::{AuditSink, Builder, Collection, Database, Environment, Passphrase, RootKey, Source, Succession};
use zeroize::Zeroizing;

use super::failure::Failure;
use super::terminal::{Output, Terminal};
use crate::config::{Config, Flags};

/// Arguments of every command.
#[derive(clap::Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Common {
    /// Settings file [default: lethedb.toml, if there is one].
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory [default: lethedb-data].
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Keep the anchors here instead of inside the data directory: on a volume outside copies and backups. Given again,
    /// in each of them.
    #[arg(long, global = true, value_name = "DIR")]
    anchor_dir: Vec<PathBuf>,
    /// Mirror the keyrings here, on another volume than the data. Given again, into each.
    #[arg(long, global = true, value_name = "DIR")]
    keyring_mirror: Vec<PathBuf>,
    /// Go on without anchor stores that are not here, for good: what they hold is never destroyed, and opens every older
    /// copy of the keyring that somebody has.
    #[arg(long, global = true)]
    give_up_missing_anchor_stores: bool,
    /// Environment to work in [default: default].
    #[arg(long, global = true, value_name = "NAME")]
    env: Option<String>,
    /// How to print results.
    #[arg(long, global = true, value_enum, default_value_t)]
    output: Output,
}

/// Settings and terminal of a running command.
pub struct Context {
    /// From all sources, flags first.
    pub config: Config,
    /// Where results go.
    pub terminal: Terminal,
    /// The data directory, if the command line names it.
    pub data: Option<PathBuf>,
    /// What the command line says of the settings.
    pub flags: Flags,
    gives_up_missing: bool,
}

impl Context {
    /// Reads the settings.
    pub fn new(common: Common) -> Result<Self, Failure> {
        let flags = Flags {
            file: common.config,
            data: common.data.clone(),
            environment: common.env,
            anchor_dirs: common.anchor_dir,
            keyring_mirrors: common.keyring_mirror,
        };
        Ok(Self {
            config: Config::load(&flags)?,
            flags,
            terminal: Terminal::new(common.output),
            data: common.data,
            gives_up_missing: common.give_up_missing_anchor_stores,
        })
    }

    /// Opens the database; without `create` it must exist.
    pub fn database(&self, create: bool) -> Result<Database, Failure> {
        self.database_with(RootKey::sources().ask(ask), create)
    }

    /// [`Context::database`], with the root key from where `root_key` says.
    pub fn database_with(&self, root_key: RootKey, create: bool) -> Result<Database, Failure> {
        self.finish(Database::builder(&self.config.store.data).root_key(root_key).create(create))
    }

    /// Describes the existing database, with the root key from where `root_key` says, for whoever opens it.
    pub fn existing(&self, root_key: RootKey) -> Builder {
        self.described(Database::builder(&self.config.store.data).root_key(root_key).create(false))
    }

    /// Opens the database in `data`, which may succeed another one, with keys where the settings say.
    pub fn open(&self, data: &Path, create: bool, succession: Option<Succession>) -> Result<Database, Failure> {
        let mut builder = Database::builder(data).root_key(RootKey::sources().ask(ask)).create(create);
        if let Some(succession) = succession {
            builder = builder.succeed(succession);
        }
        self.finish(builder)
    }

    fn finish(&self, builder: Builder) -> Result<Database, Failure> {
        let database = self.described(builder).open()?;
        if let Some(notice) = database.root_key_notice() {
            self.terminal.note(notice)?;
        }
        Ok(database)
    }

    /// `builder` as the settings have it.
    fn described(&self, builder: Builder) -> Builder {
        let store = &self.config.store;
        let mut builder = builder.settings(self.config.engine.clone());
        builder = builder.give_up_missing_anchor_stores(self.gives_up_missing);
        for dir in &store.anchor_dirs {
            builder = builder.anchor_dir(dir);
        }
        for dir in &store.keyring_mirrors {
            builder = builder.keyring_mirror(dir);
        }
        let audit = &self.config.audit;
        if let Some(dir) = &audit.sink {
            let sink = AuditSink::directory(dir).required(audit.sink_required);
            builder = builder.audit_sink(sink.lag_ms(audit.sink_lag_ms).file_bytes(audit.sink_file_bytes));
        }
        builder
    }

    /// Opens the environment in `database`; it must exist.
    pub fn environment(&self, database: &Database) -> Result<Environment, Failure> {
        Ok(database.open_environment(&self.config.store.environment)?.by_way_of(Source::CommandLine))
    }

    /// Opens the database, and in its environment the collection of this name or alias; both must exist.
    pub fn collection(&self, name: &str) -> Result<(Database, Collection), Failure> {
        let database = self.database(false)?;
        let collection = self.environment(&database)?.open_collection(name)?;
        Ok((database, collection))
    }
}

/// The passphrase of the store, if somebody sits at the terminal.
fn ask() -> io::Result<Option<Passphrase>> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    let typed = Zeroizing::new(rpassword::prompt_password("Passphrase: ")?);
    Passphrase::new(typed.as_str()).map(Some).map_err(io::Error::other)
}
