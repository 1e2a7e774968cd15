//! `lethedb api-keys`: who may use the server. Works on the data directory itself, with the root key, while no server
//! has it open; a running server does the same at `/v1/admin/api-keys`.

use clap::{Subcommand, ValueEnum};
use engine::{ApiKeyClass, ApiKeyRequest, Source};

use super::context::Context;
use super::failure::Failure;
use crate::json::{ApiKeysAnswer, IssuedAnswer, millis};

#[derive(Subcommand)]
pub enum Command {
    /// Make a key. It is printed once; from the first one on the server asks everybody for a key.
    #[command(after_help = "Example:\n  lethedb api-keys create --class sk --role Developer --label backend")]
    Create(Create),
    /// List the keys of the environment, revoked and expired ones too.
    List,
    /// Revoke a key, for good.
    Revoke(Args),
    /// Give a key another secret.
    Rotate(Rotate),
}

/// For whom a key is.
#[derive(Clone, Copy, ValueEnum)]
enum Class {
    /// A program that works with data.
    Sk,
    /// A page or an app in the hands of end users: it shows what rules show them for their tokens.
    Pk,
    /// Whatever only delivers records.
    Ik,
    /// Whoever administers.
    Ak,
}

/// Arguments of `create`.
#[derive(clap::Args)]
pub struct Create {
    /// For whom it is.
    #[arg(long, value_enum, default_value = "sk")]
    class: Class,
    /// What it may do: Owner, Admin, Operator, Developer, Analyst, ReadOnly, Ingest, PrivacyOfficer, Auditor, or a role
    /// that the environment defines. Given again, each.
    #[arg(long = "role", required = true, value_name = "ROLE")]
    roles: Vec<String>,
    /// What people call it.
    #[arg(long, default_value = "")]
    label: String,
    /// The collection that it reaches; all if none is named. Given again, each.
    #[arg(long = "collection", value_name = "NAME")]
    collections: Vec<String>,
    /// The type of data subjects whose records alone it reaches: what their ids have before the first `:`. Given again, each.
    #[arg(long = "entity-type", value_name = "TYPE")]
    entity_types: Vec<String>,
    /// From when on it is refused: RFC 3339.
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// Address or network from where it may be used. Given again, each.
    #[arg(long = "from", value_name = "NETWORK")]
    networks: Vec<String>,
}

/// Arguments of `revoke`.
#[derive(clap::Args)]
pub struct Args {
    /// The public part of the key.
    id: String,
}

/// Arguments of `rotate`.
#[derive(clap::Args)]
pub struct Rotate {
    /// The public part of the key.
    id: String,
    /// For how many more seconds the secret before is taken, too.
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    overlap: u64,
}

/// Runs it.
pub fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let database = context.database(false)?;
    let access = database.access().by_way_of(Source::CommandLine);
    let environment = context.config.store.environment.as_str();
    match command {
        Command::Create(create) => {
            let issued = IssuedAnswer::from(access.create(&create.request(environment)?)?);
            context.terminal.show(&issued, &issued)?;
        }
        Command::List => {
            let api_keys = access.list(environment)?.into_iter().map(Into::into).collect();
            let found = ApiKeysAnswer { api_keys };
            context.terminal.show(&found, &found)?;
        }
        Command::Revoke(Args { id }) => {
            if !access.revoke(environment, &id)? {
                return Err(Failure::Missing(vec!["such a key, or it was revoked".to_owned()]));
            }
            context.terminal.say("revoked")?;
        }
        Command::Rotate(Rotate { id, overlap }) => {
            let issued = IssuedAnswer::from(access.rotate(environment, &id, overlap.saturating_mul(1000))?);
            context.terminal.show(&issued, &issued)?;
        }
    }
    Ok(database.close()?)
}

impl Create {
    fn request(self, environment: &str) -> Result<ApiKeyRequest, Failure> {
        let class = match self.class {
            Class::Sk => ApiKeyClass::Secret,
            Class::Pk => ApiKeyClass::Public,
            Class::Ik => ApiKeyClass::Ingest,
            Class::Ak => ApiKeyClass::Admin,
        };
        let wrong = || Failure::Usage("--expires: an RFC 3339 time after 1970 is expected".to_owned());
        let expires_ms = self.expires.map(|time| millis(&time).ok_or_else(wrong)).transpose()?;
        let given = |list: Vec<String>| Some(list).filter(|list| !list.is_empty());
        Ok(ApiKeyRequest {
            label: self.label,
            roles: self.roles,
            collections: given(self.collections),
            entity_types: given(self.entity_types),
            expires_ms,
            networks: self.networks,
            ..ApiKeyRequest::new(class, environment)
        })
    }
}
