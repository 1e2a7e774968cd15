//! API keys and roles, as JSON and as text.

use std::fmt;

use engine::{ApiKeyInfo, BuiltInRole, IssuedApiKey, Permission, Permissions};
use serde::Serialize;
use utoipa::ToSchema;

use super::plural::count;
use super::time::rfc3339;

const DAY_MS: u64 = 86_400_000;

/// What is kept of a key.
#[derive(Serialize, ToSchema)]
pub struct ApiKeyAnswer {
    /// Its public part.
    pub id: String,
    /// For whom it is: `sk` a program, `ik` what only delivers records, `ak` whoever administers.
    class: &'static str,
    /// The environment that it is for.
    environment: String,
    /// What people call it.
    label: String,
    /// Its roles.
    roles: Vec<String>,
    /// What it permits now.
    permissions: Vec<&'static str>,
    /// The collections that it reaches; null if all.
    collections: Option<Vec<String>>,
    /// The types of data subjects that it is shown; null if all.
    entity_types: Option<Vec<String>>,
    /// How many data subjects it is shown beside these; null if all. Who they are is not told.
    entities: Option<usize>,
    /// From where it may be used; from anywhere if there are none.
    networks: Vec<String>,
    /// The key whose holder made it; null if the host did.
    created_by: Option<String>,
    /// RFC 3339, UTC.
    created_at: String,
    /// From when on it is refused.
    expires_at: Option<String>,
    /// When it was revoked.
    revoked_at: Option<String>,
    /// Until when the secret before the last rotation is taken, too.
    overlap_until: Option<String>,
    /// The last day on which it was used.
    last_used: Option<String>,
}

/// All keys of an environment.
#[derive(Serialize, ToSchema)]
pub struct ApiKeysAnswer {
    /// By their ids.
    pub api_keys: Vec<ApiKeyAnswer>,
}

/// A key that was made, or given another secret.
#[derive(Serialize, ToSchema)]
pub struct IssuedAnswer {
    /// The key itself: it is shown this once and kept nowhere.
    key: String,
    /// What is kept of it.
    api_key: ApiKeyAnswer,
}

/// A role and what it permits.
#[derive(Serialize, ToSchema)]
pub struct RoleAnswer {
    /// Its name.
    role: String,
    /// Whether every database has it.
    built_in: bool,
    /// What it permits.
    permissions: Vec<&'static str>,
}

/// All roles that keys of an environment can have.
#[derive(Serialize, ToSchema)]
pub struct RolesAnswer {
    /// Those built in first.
    pub roles: Vec<RoleAnswer>,
}

impl From<ApiKeyInfo> for ApiKeyAnswer {
    fn from(info: ApiKeyInfo) -> Self {
        let (entity_types, entities) = info.entities.unzip();
        Self {
            id: info.id,
            class: info.class,
            environment: info.environment,
            label: info.label,
            roles: info.roles,
            permissions: info.permissions,
            collections: info.collections,
            entity_types,
            entities,
            networks: info.networks,
            created_by: info.created_by,
            created_at: rfc3339(info.created_ms),
            expires_at: info.expires_ms.map(rfc3339),
            revoked_at: info.revoked_ms.map(rfc3339),
            overlap_until: info.overlap_until_ms.map(rfc3339),
            last_used: info.used_day.map(|day| rfc3339(day.saturating_mul(DAY_MS)).chars().take(10).collect()),
        }
    }
}

impl From<IssuedApiKey> for IssuedAnswer {
    fn from(issued: IssuedApiKey) -> Self {
        Self { key: issued.text.to_string(), api_key: issued.info.into() }
    }
}

impl RoleAnswer {
    /// A role that an environment defines.
    pub fn custom(role: String, permits: Permissions) -> Self {
        Self { role, built_in: false, permissions: permits.iter().map(Permission::as_str).collect() }
    }

    /// One that every database has.
    pub fn built_in(role: BuiltInRole) -> Self {
        let permissions = role.permissions().iter().map(Permission::as_str).collect();
        Self { role: role.as_str().to_owned(), built_in: true, permissions }
    }
}

impl fmt::Display for ApiKeyAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}  {}", self.id, self.class, self.roles.join(","))?;
        if let Some(collections) = &self.collections {
            write!(f, "  collections {}", collections.join(","))?;
        }
        if let Some(types) = &self.entity_types {
            write!(f, "  entity types {}", types.join(","))?;
        }
        if !self.networks.is_empty() {
            write!(f, "  from {}", self.networks.join(","))?;
        }
        if let Some(last) = &self.last_used {
            write!(f, "  last used {last}")?;
        }
        match (&self.revoked_at, &self.expires_at) {
            (Some(at), _) => write!(f, "  revoked {at}")?,
            (None, Some(at)) => write!(f, "  expires {at}")?,
            (None, None) => {}
        }
        if self.label.is_empty() { Ok(()) } else { write!(f, "  {}", self.label) }
    }
}

impl fmt::Display for ApiKeysAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&count(self.api_keys.len() as u64, "API key"))?;
        self.api_keys.iter().try_for_each(|key| write!(f, "\n{key}"))
    }
}

impl fmt::Display for IssuedAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nThis is the only time that it is shown.", self.key)
    }
}
