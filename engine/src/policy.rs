//! POLICY: permit → approved, where that is asked for → told → journal (sealed, synced) → from the next request on. What is
//! decided of end users, and who approves critical operations.
//!
//! Invariant: whoever could widen what end users see, or do away with those who approve, is asked for approval first, once
//! there is anybody to ask. What was decided before is looked at, the votes are spent and the book is changed under one
//! lock and in one frame: two who come at once cannot both go by what neither has changed yet. Rules widen unless each has
//! all conditions of the one that it stands in for; to take one away narrows, and so does believing nobody. Rules are a
//! collection's by its id: they end with it, in the commit that drops it, and are not those of one of the same name.

use std::collections::BTreeMap;

use privacy::VerifyingKey;
use privacy::access::{
    Algorithm, Approval, Asked, Book, CollectionRules, Critical, KeySource, Permission, Quorum, QuorumError, Rule,
    Rules, Trust, TrustError,
};
use privacy::audit::Act;

use crate::access::{Access, audit_name};
use crate::approve::quoted;
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::name;
use crate::system::{SYSTEM, System};

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
        let env = self.environment(environment)?;
        env.state.admit(&self.permit, Permission::RuleRead)?;
        let Some(system) = self.db.system(false)? else { return Ok(BTreeMap::new()) };
        let all = system.look(|book| book.rules(environment));
        let catalog = env.state.catalog.read();
        let of = |name: &str| all.get(name)?.of(&catalog.named(name)?.id.0).cloned();
        Ok(all.keys().filter_map(|name| Some((name.clone(), of(name)?))).collect())
    }

    /// Gives a collection, by its own name, these rules instead of those it has. What has no rule is shown to no end user.
    /// Whoever may set rules in a collection may set what all end users see of it.
    ///
    /// # Errors
    /// `Denied`; `NotFound` for a collection that is not there; `Unapproved` where approval is needed, unless these show
    /// nobody more than those before.
    pub fn set_rules(&self, environment: &str, collection: &str, rules: &Rules) -> Result<()> {
        let env = self.environment(environment)?;
        env.state.admit_in(&self.permit, Permission::RuleWrite, collection)?;
        let state = env.state.catalog.read().named(collection).cloned();
        if state.is_none() && !rules.is_empty() {
            return Err(name::no_collection());
        }
        let id = state.map(|state| state.id.0).unwrap_or_default();
        let act = Act::RulesChanged { collection: audit_name(collection)? };
        let widens = |book: &Book| {
            let all = book.rules(environment);
            let before = all.get(collection).and_then(|all| all.of(&id)).cloned().unwrap_or_default();
            (!rules.narrows(&before)).then(|| showing(environment, (collection, id), rules))
        };
        let catalog = &env.state.catalog;
        self.decide(&env, act, widens, |book| {
            // Rules of collections that are gone go, too.
            let all = book.rules(environment);
            let is_gone = |(name, rules): &(&String, &CollectionRules)| {
                let there = catalog.read().named(name).map(|state| state.id.0);
                there.is_none_or(|there| rules.of(&there).is_none())
            };
            all.iter().filter(is_gone).for_each(|(name, _)| book.set_rules(environment, name, None));
            let rules = (!rules.is_empty()).then(|| CollectionRules::new(id, rules.clone()));
            book.set_rules(environment, collection, rules);
        })
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
        let act = Act::SettingsChanged { setting: audit_name("end-users")? };
        let widens = |_: &Book| trust.map(|trust| believed(environment, trust));
        self.decide(&env, act, widens, |book| book.set_trust(environment, trust.cloned()))
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

    /// Says who approves critical operations of the environment: raising a privacy budget, believing other tokens, rules
    /// that do not merely narrow what end users are shown, and any other change of this.
    ///
    /// # Errors
    /// `Denied`; `NotFound` for an environment that is not there; `Unapproved` where somebody approves already.
    pub fn set_approvers(&self, environment: &str, quorum: Option<&Quorum>) -> Result<()> {
        let env = self.environment(environment)?;
        env.state.admit(&self.permit, Permission::ApprovalWrite)?;
        let act = Act::SettingsChanged { setting: audit_name("approvers")? };
        let place = format!("in the environment {}", quoted(environment));
        let widens = |_: &Book| Some(approving(&place, quorum));
        self.decide(&env, act, widens, |book| book.set_quorum(environment, quorum.cloned()))
    }

    /// Who approves what is critical for the whole database: replacing the root key. Nobody has to, if none.
    ///
    /// # Errors
    /// `Denied` to whoever is not the program that has the database open.
    pub fn database_approvers(&self) -> Result<Option<Quorum>> {
        self.check_host()?;
        let system = self.db.system(false)?;
        Ok(system.and_then(|system| system.look(|book| book.quorum(SYSTEM).cloned())))
    }

    /// Says who approves what is critical for the whole database: replacing the root key, and any other change of this.
    ///
    /// # Errors
    /// `Denied` to whoever is not the program that has the database open; `Unapproved` where somebody approves already.
    pub fn set_database_approvers(&self, quorum: Option<&Quorum>) -> Result<()> {
        self.check_host()?;
        let system = self.system()?;
        let act = Act::SettingsChanged { setting: audit_name("database-approvers")? };
        let does = approving("in the whole database", quorum);
        system.change(&self.permit, act, |book| {
            self.approved(&system, book, SYSTEM, &does)?;
            book.set_quorum(SYSTEM, quorum.cloned());
            Ok(())
        })
    }

    fn check_host(&self) -> Result<()> {
        let doing =
            "who approves for the whole database is decided where it lies, with the root key, and by no API key";
        if self.permit.caller().is_none() { Ok(()) } else { Err(Error::new(ErrorKind::Denied, doing)) }
    }

    /// Changes the book, once it is approved if the change `widens` something; both the environment and the system tell it.
    fn decide(
        &self,
        env: &Environment,
        act: Act,
        widens: impl FnOnce(&Book) -> Option<String>,
        change: impl FnOnce(&mut Book),
    ) -> Result<()> {
        let system = self.system()?;
        system.change(&self.permit, act.clone(), |book| {
            if let Some(does) = widens(book) {
                self.approved(&system, book, &env.state.name, &does)?;
            }
            change(book);
            env.state.tell(&self.permit, act).map(drop)
        })
    }

    /// Spends the votes for a change of the book in the book itself, if anybody has to approve it.
    fn approved(&self, system: &System, book: &mut Book, environment: &str, does: &str) -> Result<()> {
        match self.db.spend(book, &self.permit, environment, (Critical::WeakenSecurity, does))? {
            Some(spent) => system.env.tell(&self.permit, spent).map(drop),
            None => Ok(()),
        }
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

/// What is approved, in statements that can be read in one way alone.
fn showing(environment: &str, (collection, id): (&str, [u8; 16]), rules: &Rules) -> String {
    let rules: Vec<String> = rules.iter().map(|(asked, rule)| format!("{}: {rule}", asked.as_str())).collect();
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let (environment, collection, rules) = (quoted(environment), quoted(collection), rules.join("; "));
    format!(
        "in the environment {environment}, show end users of the collection {collection} ({id}) by these rules: {rules}"
    )
}

fn believed(environment: &str, trust: &Trust) -> String {
    let algorithms: Vec<&str> = trust.algorithms().iter().map(|algorithm| algorithm.as_str()).collect();
    let keys = match trust.keys() {
        KeySource::Inline(set) => format!("with the keys {}", quoted(set)),
        KeySource::Url(url) => format!("with the keys at {}", quoted(url)),
    };
    let [environment, issuer, audience] = [environment, trust.issuer(), trust.audience()].map(quoted);
    let algorithms = algorithms.join(", ");
    format!("in the environment {environment}, believe tokens of {issuer} for {audience} by {algorithms}, {keys}")
}

fn approving(place: &str, quorum: Option<&Quorum>) -> String {
    match quorum {
        None => format!("{place}, nobody approves critical operations any more"),
        Some(quorum) => {
            let voters: Vec<String> = quorum.voters().map(|voter| voter.to_string()).collect();
            let (threshold, voters) = (quorum.threshold(), voters.join(" "));
            format!("{place}, critical operations are approved by {threshold} of {voters}")
        }
    }
}
