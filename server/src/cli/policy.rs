//! `lethedb rules`, `end-users`, `approvers` and `approve`: what end users are shown, and who approves what is critical.
//! All but the last work on the data directory itself, with the root key, while no server has it open; a running server
//! does the same at `/v1/admin/…`.
#![expect(clippy::disallowed_methods, reason = "reads and writes files that the user names")]

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use engine::{
    Approval, BallotError, Operation, Quorum, Source, TokenKeys, VoterKey, new_voter_key, quorum_of, rules_of,
};
use serde_json::json;
use zeroize::Zeroizing;

use super::context::Context;
use super::failure::Failure;
use crate::json::{ApproversAnswer, EndUsersBody, RulesAnswer};
use crate::tokens::{Reach, check_inline};

#[derive(Subcommand)]
pub enum Rules {
    /// Show the rules of every collection that has any.
    Show,
    /// Give a collection these rules instead of those it has. An operation without one is refused to end users.
    #[command(
        after_help = "Example:\n  lethedb rules set docs --rule 'search: payload.org == claims.org' --rule 'query: entity == claims.sub'"
    )]
    Set {
        /// The collection, by its own name.
        collection: String,
        /// `query`, `search`, `similar` or `stream`, a colon, and the rule. Given again, each; without any, end users are
        /// shown nothing.
        #[arg(long = "rule", value_name = "OPERATION: RULE")]
        rules: Vec<String>,
        #[command(flatten)]
        approval: ApprovalArgs,
    },
}

#[derive(Subcommand)]
pub enum EndUsers {
    /// Show whose tokens are believed.
    Show,
    /// Say whose tokens are believed.
    #[command(
        after_help = "Example:\n  lethedb end-users trust --issuer https://id.example --audience docs --keys-url https://id.example/keys.json"
    )]
    Trust(TrustArgs),
    /// Believe nobody's tokens any more.
    Distrust(ApprovalArgs),
}

/// Arguments of `end-users trust`.
#[derive(clap::Args)]
pub struct TrustArgs {
    /// Who makes the tokens: their claim `iss`.
    #[arg(long)]
    issuer: String,
    /// For whom they must be: one of their claim `aud`.
    #[arg(long)]
    audience: String,
    /// How they may be signed: EdDSA, ES256 or RS256. Given again, each; all of these otherwise.
    #[arg(long = "algorithm", value_name = "NAME")]
    algorithms: Vec<String>,
    /// The file with their public keys: a JSON Web Key Set.
    #[arg(long, value_name = "FILE", required_unless_present = "keys_url")]
    keys: Option<PathBuf>,
    /// Where the key set is: over HTTPS, at port 443 and of no private address, unless the setting
    /// server.private_issuers has its host and port.
    #[arg(long, value_name = "URL", conflicts_with = "keys")]
    keys_url: Option<String>,
    #[command(flatten)]
    approval: ApprovalArgs,
}

#[derive(Subcommand)]
pub enum Approvers {
    /// Show who approves critical operations.
    Show {
        /// Those of the whole database.
        #[arg(long)]
        database: bool,
    },
    /// Make a key for somebody who approves, and show its public half.
    NewKey {
        /// The file for the key; it must not be there yet.
        file: PathBuf,
    },
    /// Say who approves: raising a privacy budget, believing other tokens, rules that show end users more, and changing
    /// this; or, for the whole database, replacing the root key.
    #[command(after_help = "Example:\n  lethedb approvers set --threshold 2 --key 5f3a… --key 91c0… --key d24b…")]
    Set {
        /// How many of them must, two at least.
        #[arg(long)]
        threshold: usize,
        /// The public half of a key. Given again, each.
        #[arg(long = "key", required = true, value_name = "PUBLIC KEY")]
        keys: Vec<String>,
        /// For the whole database, instead of the environment.
        #[arg(long)]
        database: bool,
        #[command(flatten)]
        approval: ApprovalArgs,
    },
    /// Have nobody approve anything any more.
    Remove {
        /// For the whole database, instead of the environment.
        #[arg(long)]
        database: bool,
        #[command(flatten)]
        approval: ApprovalArgs,
    },
}

/// The votes for a critical operation.
#[derive(clap::Args)]
pub struct ApprovalArgs {
    /// The operation that was asked to be approved, and the votes for it, with spaces between.
    #[arg(long = "approval", value_name = "OPERATION VOTE VOTE…")]
    shown: Option<String>,
}

/// Arguments of `approve`.
#[derive(clap::Args)]
pub struct Approve {
    /// The operation, as the refusal named it.
    operation: String,
    /// What the operation says it does, as the refusal named it. Read it: this is what you vote for.
    #[arg(long)]
    statement: String,
    /// The file with your key.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

impl ApprovalArgs {
    /// The votes, if any were given.
    pub fn read(&self) -> Result<Option<Approval>, Failure> {
        self.shown.as_deref().map(|text| text.parse().map_err(unusable)).transpose()
    }
}

/// `lethedb rules`.
pub fn rules(context: &Context, command: Rules) -> Result<(), Failure> {
    let database = context.database(false)?;
    let access = database.access().by_way_of(Source::CommandLine);
    let environment = context.config.store.environment.as_str();
    if let Rules::Set { collection, rules, approval } = command {
        let wrong = || Failure::Usage("--rule: an operation, a colon and a rule are expected".to_owned());
        let parts = rules.iter().map(|text| text.split_once(": ").ok_or_else(wrong));
        let rules = rules_of(parts.collect::<Result<Vec<_>, _>>()?)?;
        approved(&access, approval.read()?.as_ref()).set_rules(environment, &collection, &rules)?;
    }
    let told = RulesAnswer::from(&access.rules(environment)?);
    context.terminal.show(&told, &told)?;
    Ok(database.close()?)
}

/// `lethedb end-users`.
pub fn end_users(context: &Context, command: EndUsers) -> Result<(), Failure> {
    let database = context.database(false)?;
    let access = database.access().by_way_of(Source::CommandLine);
    let environment = context.config.store.environment.as_str();
    match command {
        EndUsers::Show => {}
        EndUsers::Trust(args) => {
            let approval = args.approval.read()?;
            let trust = args.body()?.trust().map_err(Failure::Usage)?;
            if let TokenKeys::Url(url) = trust.keys() {
                let reach = Reach::new(&context.config.server.private_issuers);
                reach.check(url).map_err(|error| Failure::Usage(error.to_string()))?;
            }
            approved(&access, approval.as_ref()).set_trust(environment, Some(&trust))?;
        }
        EndUsers::Distrust(args) => approved(&access, args.read()?.as_ref()).set_trust(environment, None)?,
    }
    match access.trust(environment)? {
        Some(trust) => {
            let told = EndUsersBody::from(&trust);
            context.terminal.show(&told, &told)?;
        }
        None => context.terminal.show(&json!({ "issuer": null }), "nobody's tokens are believed")?,
    }
    Ok(database.close()?)
}

/// `lethedb approvers`.
pub fn approvers(context: &Context, command: Approvers) -> Result<(), Failure> {
    if let Approvers::NewKey { file } = &command {
        let key = new_voter_key()?;
        write_new(file, &key.text())?;
        let public = key.public().to_string();
        return context.terminal.show(&json!({ "approver": public }), &public);
    }
    let database = context.database(false)?;
    let access = database.access().by_way_of(Source::CommandLine);
    let environment = context.config.store.environment.as_str();
    let change = |is_of_all: bool, quorum: Option<&Quorum>, approval: &ApprovalArgs| {
        let access = approved(&access, approval.read()?.as_ref());
        match is_of_all {
            true => access.set_database_approvers(quorum)?,
            false => access.set_approvers(environment, quorum)?,
        }
        Ok::<_, Failure>(is_of_all)
    };
    let is_of_all = match command {
        Approvers::Show { database } => database,
        Approvers::NewKey { .. } => false,
        Approvers::Set { threshold, keys, database, approval } => {
            change(database, Some(&quorum_of(threshold, &keys)?), &approval)?
        }
        Approvers::Remove { database, approval } => change(database, None, &approval)?,
    };
    let quorum = if is_of_all { access.database_approvers()? } else { access.approvers(environment)? };
    let told = ApproversAnswer::from(quorum.as_ref());
    context.terminal.show(&told, &told)?;
    Ok(database.close()?)
}

/// `lethedb approve`: signs with a key file, and needs no database.
pub fn approve(context: &Context, args: &Approve) -> Result<(), Failure> {
    let operation: Operation = args.operation.parse().map_err(unusable)?;
    let vote = VoterKey::parse(&read(&args.key)?).and_then(|key| key.vote(&operation, &args.statement));
    let vote = vote.map_err(unusable)?.to_string();
    context.terminal.show(&json!({ "vote": vote }), &vote)
}

impl TrustArgs {
    fn body(self) -> Result<EndUsersBody, Failure> {
        let algorithms = engine::TokenAlgorithm::ALL.iter().map(|algorithm| algorithm.as_str().to_owned());
        let keys = self.keys.as_deref().map(read).transpose()?;
        let keys = keys.map(|text| {
            check_inline(&text).map_err(|error| Failure::Usage(error.to_string()))?;
            serde_json::from_str(&text).map_err(|_| Failure::Usage("the key set is not JSON".to_owned()))
        });
        Ok(EndUsersBody {
            issuer: self.issuer,
            audience: self.audience,
            algorithms: if self.algorithms.is_empty() { algorithms.collect() } else { self.algorithms },
            keys: keys.transpose()?,
            keys_url: self.keys_url,
        })
    }
}

fn approved(access: &engine::Access, approval: Option<&Approval>) -> engine::Access {
    match approval {
        Some(approval) => access.approved_by(approval).by_way_of(Source::CommandLine),
        None => access.by_way_of(Source::CommandLine),
    }
}

fn unusable(error: BallotError) -> Failure {
    Failure::Usage(error.to_string())
}

fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let failed = |source| Failure::File { file: path.display().to_string(), source };
    std::fs::read_to_string(path).map(Zeroizing::new).map_err(failed)
}

/// Writes a secret to a file that is not there yet, for its owner only.
pub fn write_new(path: &Path, secret: &str) -> Result<(), Failure> {
    let failed = |source| Failure::File { file: path.display().to_string(), source };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    writeln!(file, "{secret}").and_then(|()| file.sync_all()).map_err(failed)
}
