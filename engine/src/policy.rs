//! POLICY: permit → approved, where that is asked for → told → journal (sealed, synced) → from the next request on. What is
//! decided of end users, and who approves critical operations.
//!
//! Invariant: whoever could widen what end users see, or do away with those who approve, is asked for approval first, once
//! there is anybody to ask; to take a rule away narrows, and so does a rule beside none.

use std::collections::BTreeMap;

use privacy::VerifyingKey;
use privacy::access::{
    Algorithm, Approval, Asked, Critical, KeySource, Permission, Quorum, QuorumError, Rule, Rules, Trust, TrustError,
};
use privacy::audit::{Act, Name};

use crate::access::{Access, audit_name};
use crate::error::{Error, ErrorKind, Result};
use crate::name;

impl Access {
    /// The same, with votes for the critical operation that is asked for.
    #[must_use]
    pub fn approved_by(&self, approval: &Approval) -> Self {
        Self::new(self.db.clone(), self.permit.approved_by(approval))
    }

    /// The rules for end users of every collection that has any, by the collection's own name.
    ///
    /// # Errors
    /// `Denied`; `NotFound` for an environment that is not there.
    pub fn rules(&self, environment: &str) -> Result<BTreeMap<String, Rules>> {
        self.environment(environment)?.state.admit(&self.permit, Permission::RuleRead)?;
        let Some(system) = self.db.system(false)? else { return Ok(BTreeMap::new()) };
        let one = |(collection, rules): (&str, &Rules)| (collection.to_owned(), rules.clone());
        Ok(system.look(|book| book.all_rules(environment).map(one).collect()))
    }

    /// Gives a collection, by its own name, these rules instead of those it has. What has no rule is shown to no end user.
    /// Whoever may set rules in a collection may set what all end users see of it.
    ///
    /// # Errors
    /// `Denied`; `NotFound` for a collection that is not there.
    pub fn set_rules(&self, environment: &str, collection: &str, rules: &Rules) -> Result<()> {
        let env = self.environment(environment)?;
        env.state.admit_in(&self.permit, Permission::RuleWrite, collection)?;
        if !rules.is_empty() && env.state.catalog.read().named(collection).is_none() {
            return Err(name::no_collection());
        }
        let act = Act::RulesChanged { collection: audit_name(collection)? };
        self.decide(environment, act, |book| book.set_rules(environment, collection, rules.clone()))
    }

    /// Whose tokens of end users are believed; nobody's, if none.
    ///
    /// # Errors
    /// `Denied`; `NotFound` for an environment that is not there.
    pub fn trust(&self, environment: &str) -> Result<Option<Trust>> {
        self.environment(environment)?.state.admit(&self.permit, Permission::TokenRead)?;
        let system = self.db.system(false)?;
        Ok(system.and_then(|system| system.look(|book| book.trust(environment).cloned())))
    }

    /// Says whose tokens are believed. Keys at a URL are fetched by whoever verifies tokens, not here.
    ///
    /// # Errors
    /// `Denied`; `NotFound` for an environment that is not there; `Unapproved` where approval is needed.
    pub fn set_trust(&self, environment: &str, trust: Option<&Trust>) -> Result<()> {
        let env = self.environment(environment)?;
        env.state.admit(&self.permit, Permission::TokenWrite)?;
        if let Some(trust) = trust {
            env.state.approved(&self.permit, Critical::WeakenSecurity, &believed(environment, trust))?;
        }
        let act = Act::SettingsChanged { setting: setting("end-users")? };
        self.decide(environment, act, |book| book.set_trust(environment, trust.cloned()))
    }

    /// Who approves critical operations; nobody has to, if none.
    ///
    /// # Errors
    /// `Denied`; `NotFound` for an environment that is not there.
    pub fn approvers(&self, environment: &str) -> Result<Option<Quorum>> {
        self.environment(environment)?.state.admit(&self.permit, Permission::ApprovalRead)?;
        let system = self.db.system(false)?;
        Ok(system.and_then(|system| system.look(|book| book.quorum(environment).cloned())))
    }

    /// Says who approves critical operations: replacing the root key, raising a privacy budget, believing other tokens,
    /// and any other change of this.
    ///
    /// # Errors
    /// `Denied`; `NotFound` for an environment that is not there; `Unapproved` where somebody approves already.
    pub fn set_approvers(&self, environment: &str, quorum: Option<&Quorum>) -> Result<()> {
        let env = self.environment(environment)?;
        env.state.admit(&self.permit, Permission::ApprovalWrite)?;
        env.state.approved(&self.permit, Critical::WeakenSecurity, &approving(environment, quorum))?;
        let act = Act::SettingsChanged { setting: setting("approvers")? };
        self.decide(environment, act, |book| book.set_quorum(environment, quorum.cloned()))
    }

    /// Changes the book; both the environment and the system tell it.
    fn decide(&self, environment: &str, act: Act, change: impl FnOnce(&mut privacy::access::Book)) -> Result<()> {
        let env = self.environment(environment)?;
        self.system()?.change(&self.permit, act.clone(), |book| {
            change(book);
            env.state.tell(&self.permit, act).map(drop)
        })
    }
}

/// Reads rules: for each operation, by its name, the text of its rule.
///
/// # Errors
/// `Invalid` for an operation that has none, and for a text that is no rule.
pub fn rules_of<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Rules> {
    texts.into_iter().try_fold(Rules::default(), |rules, (asked, text)| {
        let unknown = || Error::invalid("rules are for query, search, similar and stream");
        let asked = Asked::parse(asked).ok_or_else(unknown)?;
        let wrong = |e| Error::with(ErrorKind::Invalid, format!("the rule for {} is none", asked.as_str()), e);
        Ok(rules.with(asked, text.parse::<Rule>().map_err(wrong)?))
    })
}

/// Tokens of `issuer` for `audience`, signed in one of these ways by one of these keys.
///
/// # Errors
/// `Invalid`, saying what cannot be so.
pub fn trust_of(issuer: &str, audience: &str, algorithms: &[String], keys: KeySource) -> Result<Trust> {
    let wrong = |e: TrustError| Error::with(ErrorKind::Invalid, "tokens of end users cannot be believed so", e);
    let algorithms: Vec<Algorithm> =
        algorithms.iter().map(|name| name.parse()).collect::<Result<_, _>>().map_err(wrong)?;
    Trust::new(issuer, audience, algorithms, keys).map_err(wrong)
}

/// `threshold` of those with these public keys, in hexadecimal digits.
///
/// # Errors
/// `Invalid`, saying what cannot be so.
pub fn quorum_of(threshold: usize, voters: &[String]) -> Result<Quorum> {
    let key = |text: &String| text.parse::<VerifyingKey>();
    let wrong = |e| Error::with(ErrorKind::Invalid, "an approver is none", e);
    let voters: Vec<VerifyingKey> = voters.iter().map(key).collect::<Result<_, _>>().map_err(wrong)?;
    let wrong = |e: QuorumError| Error::with(ErrorKind::Invalid, "the approvers cannot be these", e);
    Quorum::new(threshold, voters).map_err(wrong)
}

/// The statement that is approved.
fn believed(environment: &str, trust: &Trust) -> String {
    let algorithms: Vec<&str> = trust.algorithms().iter().map(|algorithm| algorithm.as_str()).collect();
    let keys = match trust.keys() {
        KeySource::Inline(set) => format!("with the keys {set}"),
        KeySource::Url { url, allows_private } => {
            format!("with the keys at {url} (private addresses: {allows_private})")
        }
    };
    let (issuer, audience, algorithms) = (trust.issuer(), trust.audience(), algorithms.join(", "));
    format!("in the environment {environment}, believe tokens of {issuer} for {audience} by {algorithms}, {keys}")
}

fn approving(environment: &str, quorum: Option<&Quorum>) -> String {
    match quorum {
        None => format!("in the environment {environment}, nobody approves critical operations any more"),
        Some(quorum) => {
            let voters: Vec<String> = quorum.voters().map(|voter| voter.to_string()).collect();
            let (threshold, voters) = (quorum.threshold(), voters.join(" "));
            format!("in the environment {environment}, critical operations are approved by {threshold} of {voters}")
        }
    }
}

fn setting(name: &str) -> Result<Name> {
    audit_name(name)
}
