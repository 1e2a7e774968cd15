//! What is decided of end users, and who approves critical operations, as JSON and as text.

use std::collections::BTreeMap;
use std::fmt;

use engine::{Quorum, Rules, TokenKeys, Trust, trust_of};
use serde::{Deserialize, Serialize};
use serde_json::{Value, from_str};
use utoipa::ToSchema;

/// Whose tokens of end users are believed.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndUsersBody {
    /// Who makes the tokens: their claim `iss`.
    pub issuer: String,
    /// For whom they must be: one of their claim `aud`.
    pub audience: String,
    /// How they may be signed: `EdDSA`, `ES256`, `RS256`; all of these if absent.
    #[serde(default = "all_algorithms")]
    pub algorithms: Vec<String>,
    /// The public keys that they are signed with: a JSON Web Key Set. Give this or `keys_url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub keys: Option<Value>,
    /// The URL of the key set: over HTTPS, at port 443 and of no private address, unless the server's settings have its
    /// host and port in `server.private_issuers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_url: Option<String>,
}

/// Rules for end users, one for each operation.
#[derive(Deserialize, Serialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
pub struct RulesBody {
    /// Of records by id, scroll, count, facet and sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<String>,
    /// Of a search by a vector.
    #[serde(skip_serializing_if = "Option::is_none")]
    search: Option<String>,
    /// Of a search by examples.
    #[serde(skip_serializing_if = "Option::is_none")]
    similar: Option<String>,
    /// Of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<String>,
}

/// The rules of every collection that has any.
#[derive(Serialize, ToSchema)]
pub struct RulesAnswer {
    /// By the collection's own name.
    rules: BTreeMap<String, RulesBody>,
}

/// Who is to approve critical operations.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproversBody {
    /// How many of them must, two at least.
    pub threshold: usize,
    /// Their public keys (Ed25519), 64 hexadecimal digits each.
    pub approvers: Vec<String>,
}

/// Who approves critical operations.
#[derive(Serialize, ToSchema)]
pub struct ApproversAnswer {
    /// How many of them must; null where nobody approves anything.
    threshold: Option<usize>,
    /// Their public keys.
    approvers: Vec<String>,
}

fn all_algorithms() -> Vec<String> {
    engine::TokenAlgorithm::ALL.iter().map(|algorithm| algorithm.as_str().to_owned()).collect()
}

impl EndUsersBody {
    /// What it says; why it cannot be so, otherwise.
    pub fn trust(&self) -> Result<Trust, String> {
        let keys = match (&self.keys, &self.keys_url) {
            (Some(keys), None) => TokenKeys::Inline(keys.to_string()),
            (None, Some(url)) => TokenKeys::Url(url.clone()),
            _ => return Err("give either keys or keys_url".to_owned()),
        };
        trust_of(&self.issuer, &self.audience, &self.algorithms, keys).map_err(|error| error.to_string())
    }
}

impl From<&Trust> for EndUsersBody {
    fn from(trust: &Trust) -> Self {
        let (keys, keys_url) = match trust.keys() {
            TokenKeys::Inline(set) => (from_str(set).ok(), None),
            TokenKeys::Url(url) => (None, Some(url.clone())),
        };
        Self {
            issuer: trust.issuer().to_owned(),
            audience: trust.audience().to_owned(),
            algorithms: trust.algorithms().iter().map(|algorithm| algorithm.as_str().to_owned()).collect(),
            keys,
            keys_url,
        }
    }
}

impl RulesBody {
    /// Each operation that has a rule, with its text.
    pub fn texts(&self) -> Vec<(&str, &str)> {
        let all =
            [("query", &self.query), ("search", &self.search), ("similar", &self.similar), ("stream", &self.stream)];
        all.into_iter().filter_map(|(asked, rule)| Some((asked, rule.as_deref()?))).collect()
    }
}

impl From<&Rules> for RulesBody {
    fn from(rules: &Rules) -> Self {
        let of = |name: &str| rules.iter().find(|(asked, _)| asked.as_str() == name).map(|(_, rule)| rule.to_string());
        Self { query: of("query"), search: of("search"), similar: of("similar"), stream: of("stream") }
    }
}

impl From<&BTreeMap<String, Rules>> for RulesAnswer {
    fn from(rules: &BTreeMap<String, Rules>) -> Self {
        Self { rules: rules.iter().map(|(collection, rules)| (collection.clone(), rules.into())).collect() }
    }
}

impl From<Option<&Quorum>> for ApproversAnswer {
    fn from(quorum: Option<&Quorum>) -> Self {
        Self {
            threshold: quorum.map(Quorum::threshold),
            approvers: quorum.into_iter().flat_map(Quorum::voters).map(|voter| voter.to_string()).collect(),
        }
    }
}

impl fmt::Display for EndUsersBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.keys_url.as_deref().unwrap_or("given here");
        writeln!(f, "Tokens of {} for {} are believed.", self.issuer, self.audience)?;
        write!(f, "Signed by {}; keys: {keys}", self.algorithms.join(", "))
    }
}

impl fmt::Display for RulesAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rules.is_empty() {
            return f.write_str("no rules: end users are shown nothing");
        }
        let lines = self.rules.iter().flat_map(|(collection, rules)| {
            rules.texts().into_iter().map(move |(asked, rule)| format!("{collection}  {asked}: {rule}"))
        });
        f.write_str(&lines.collect::<Vec<_>>().join("\n"))
    }
}

impl fmt::Display for ApproversAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.threshold {
            None => f.write_str("nobody approves critical operations"),
            Some(threshold) => write!(f, "{threshold} of:\n{}", self.approvers.join("\n")),
        }
    }
}
