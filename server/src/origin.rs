//! Every setting, its value, and which source it is from.
//!
//! Invariant: the list is made of the settings as they are in force, so that none can be missing from it. No setting is a
//! secret: keys and passphrases come in by other ways, see `lethedb keys`.

use std::fmt;

use figment::{Figment, Source};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::config::{Config, ConfigError, Flags};

/// One setting.
#[derive(Debug, PartialEq, Serialize)]
pub struct Setting {
    /// Its section and its name.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// Where the value is from.
    pub origin: Origin,
}

/// Where a value is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The settings file at this path.
    File(String),
    /// The environment variable of this name.
    Variable(String),
    /// The command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {path}"),
            Self::Variable(name) => write!(f, "environment {name}"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// All settings in force, in the order of their sections.
///
/// # Errors
/// Those of [`Config::load`].
pub fn settings(flags: &Flags) -> Result<Vec<Setting>, ConfigError> {
    let sources = Config::sources(flags)?;
    let config: Config = sources.extract().map_err(Box::new)?;
    let mut found = Vec::new();
    collect(String::new(), serde_json::to_value(config).unwrap_or_default(), &sources, &mut found);
    Ok(found)
}

fn collect(key: String, value: Value, sources: &Figment, found: &mut Vec<Setting>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let key = if key.is_empty() { name } else { format!("{key}.{name}") };
                collect(key, value, sources, found);
            }
        }
        value => found.push(Setting { origin: origin(&key, sources), key, value }),
    }
}

fn origin(key: &str, sources: &Figment) -> Origin {
    let Some(metadata) = sources.find_metadata(key) else { return Origin::Default };
    match &metadata.source {
        Some(Source::File(path)) => Origin::File(path.display().to_string()),
        // The command line's values are put in by code of ours.
        Some(Source::Code(_)) => Origin::Flag,
        _ => Origin::Variable(format!("LETHEDB__{}", key.to_uppercase().replace('.', "__"))),
    }
}

#[cfg(test)]
#[allow(clippy::result_large_err, reason = "figment's jail fixes the error")]
mod tests {
    use figment::Jail;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_setting_says_where_it_is_from() {
        Jail::expect_with(|jail| {
            jail.create_file(
                "lethedb.toml",
                "[server]\nrequests_max = 2\n[tls]\nmin = \"1.2\"\n[engine]\nef_max = 77",
            )?;
            jail.set_env("LETHEDB__SERVER__REQUESTS_MAX", "3");
            jail.set_env("LETHEDB__LIMITS__KEY_UNITS", "9");
            let flags = Flags { data: Some("/from/flag".into()), ..Flags::default() };
            let found = settings(&flags).unwrap();
            let of = |key: &str| {
                let setting = found.iter().find(|setting| setting.key == key).unwrap();
                (setting.value.clone(), setting.origin.to_string().replace(jail.directory().to_str().unwrap(), "."))
            };
            let said = |value: Value, origin: &str| (value, origin.to_owned());
            assert_eq!(of("store.data"), said(json!("/from/flag"), "flag"));
            assert_eq!(of("server.requests_max"), said(json!(3), "environment LETHEDB__SERVER__REQUESTS_MAX"));
            assert_eq!(of("limits.key_units"), said(json!(9), "environment LETHEDB__LIMITS__KEY_UNITS"));
            assert_eq!(of("tls.min"), said(json!("1.2"), "file lethedb.toml"));
            assert_eq!(of("engine.ef_max").0, json!(77));
            assert_eq!(of("server.listen"), said(json!("127.0.0.1:6333"), "default"));
            assert_eq!(of("store.anchor_dirs"), said(json!([]), "default"));
            assert_eq!(of("server.private_issuers"), said(json!([]), "default"));
            assert!(found.len() > 50, "all of them: {}", found.len());
            Ok(())
        });
    }
}
