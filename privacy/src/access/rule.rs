//! Rules for end users: what a record must have so that whoever has these claims is shown it.
//!
//! ```text
//! rule      = condition *( " and " condition )
//! condition = ( "payload." path / "entity" ) " " ( "==" / "in" ) " claims." name
//! ```
//!
//! Invariant: rules only take away. Each becomes conditions that are all ANDed to what was asked; a claim that is missing,
//! or empty, denies, and so does an operation without a rule. The grammar is strict: what it does not know is an error when
//! the rule is written, not a rule that means something else when it is used.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use minicbor::{Decoder, Encoder};
use thiserror::Error;

use super::claims::{Claim, Claims};
use crate::cbor::{Malformed, Sink, Written, array, fixed, length, rising};

/// How many conditions a rule has at most.
const CONDITIONS_MAX: usize = 16;
/// The longest rule, in bytes.
const BYTES_MAX: usize = 1024;

/// What an end user asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Asked {
    /// Records by filter: get, scroll, count, facet, sample.
    Query = 1,
    /// A search by a vector.
    Search = 2,
    /// A search by records that are there.
    Similar = 3,
    /// A stream of records.
    Stream = 4,
}

impl Asked {
    /// All of them.
    pub const ALL: [Asked; 4] = [Asked::Query, Asked::Search, Asked::Similar, Asked::Stream];

    /// What has this name.
    pub fn parse(name: &str) -> Option<Asked> {
        Asked::ALL.into_iter().find(|asked| asked.as_str() == name)
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Asked::Query => "query",
            Asked::Search => "search",
            Asked::Similar => "similar",
            Asked::Stream => "stream",
        }
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule(Vec<Comparison>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Comparison {
    /// The path in the payload; none for the data subject.
    path: Option<String>,
    /// Whether the claim may have several values.
    is_list: bool,
    claim: String,
}

/// The rules of an environment, one for each operation that end users may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Rules(BTreeMap<Asked, Rule>);

/// The rules of one collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionRules {
    /// The collection's id, so that rules end with it and are not those of another that is called the same later; none in
    /// what was written before ids were kept.
    collection: Option<[u8; 16]>,
    rules: Rules,
}

/// What a record must have. All conditions of a rule must hold.
#[derive(Clone, PartialEq, Eq)]
pub enum Condition {
    /// Its payload has one of these values at the path.
    Payload(String, Vec<Claim>),
    /// It belongs to one of these data subjects; never to any where there are none.
    Entity(Vec<String>),
}

/// What a rule says of somebody.
pub type Ruled = Result<Vec<Condition>, Denied>;

/// No rule lets them, or a claim that it needs is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no rule lets this end user do this")]
pub struct Denied;

/// Why a text is no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RuleError {
    /// It is too long, or has too many conditions.
    #[error("a rule has at most {CONDITIONS_MAX} conditions and {BYTES_MAX} bytes")]
    TooLong,
    /// A condition does not read as one.
    #[error(
        "condition {0} of the rule is not understood: it must read `payload.PATH == claims.NAME`, with `in` for lists, or `entity` instead of the path"
    )]
    Condition(usize),
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Rule, RuleError> {
        let conditions: Vec<&str> = text.split(" and ").collect();
        if text.len() > BYTES_MAX || conditions.len() > CONDITIONS_MAX {
            return Err(RuleError::TooLong);
        }
        let read = |(at, text): (usize, &&str)| comparison(text).ok_or(RuleError::Condition(at + 1));
        conditions.iter().enumerate().map(read).collect::<Result<_, _>>().map(Rule)
    }
}

fn comparison(text: &str) -> Option<Comparison> {
    let mut words = text.split(' ');
    let (left, operator, right) = (words.next()?, words.next()?, words.next()?);
    let is_list = match operator {
        "==" => false,
        "in" => true,
        _ => return None,
    };
    let path = match left {
        "entity" => None,
        left => Some(left.strip_prefix("payload.").filter(|path| path.split('.').all(is_name))?.to_owned()),
    };
    let claim = right.strip_prefix("claims.").filter(|claim| is_name(claim))?.to_owned();
    words.next().is_none().then_some(Comparison { path, is_list, claim })
}

/// A name that needs no quotes, in a rule or in a filter.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Comparison { path, is_list, claim }) in self.0.iter().enumerate() {
            f.write_str(if at > 0 { " and " } else { "" })?;
            match path {
                Some(path) => write!(f, "payload.{path}")?,
                None => f.write_str("entity")?,
            }
            write!(f, " {} claims.{claim}", if *is_list { "in" } else { "==" })?;
        }
        Ok(())
    }
}

impl Rules {
    /// The same, with another rule for an operation.
    #[must_use]
    pub fn with(mut self, asked: Asked, rule: Rule) -> Rules {
        self.0.insert(asked, rule);
        self
    }

    /// Each operation that has a rule, with it.
    pub fn iter(&self) -> impl Iterator<Item = (Asked, &Rule)> {
        self.0.iter().map(|(asked, rule)| (*asked, rule))
    }

    fn write(&self, e: &mut Encoder<Sink>) -> Written {
        e.array(self.0.len() as u64)?;
        self.0.iter().try_for_each(|(asked, rule)| e.array(2)?.u8(*asked as u8)?.str(&rule.to_string()).map(drop))
    }

    fn read(d: &mut Decoder<'_>) -> Result<Rules, Malformed> {
        let mut rules = Rules::default();
        for _ in 0..length(d)? {
            fixed(d, 2)?;
            let code = d.u8()?;
            let asked = Asked::ALL.into_iter().find(|asked| *asked as u8 == code).ok_or(Malformed)?;
            rising(rules.0.last_key_value().map(|(asked, _)| asked), &asked)?;
            rules.0.insert(asked, d.str()?.parse().map_err(|_| Malformed)?);
        }
        Ok(rules)
    }

    /// Whether no operation has a rule: then no end user may do anything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether these show nobody more than `before` did, for all claims and records: each rule has all conditions of
    /// the one that it stands in for, and maybe more.
    pub fn narrows(&self, before: &Rules) -> bool {
        self.0.iter().all(|(asked, rule)| {
            let stricter = |before: &Rule| before.0.iter().all(|condition| rule.0.contains(condition));
            before.0.get(asked).is_some_and(stricter)
        })
    }

    /// What records must have that somebody with these claims is shown.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn conditions(&self, asked: Asked, claims: &Claims) -> Ruled {
        let rule = self.0.get(&asked).ok_or(Denied)?;
        rule.0.iter().map(|comparison| comparison.of(claims)).collect()
    }
}

impl CollectionRules {
    /// Rules of the collection with this id.
    pub fn new(collection: [u8; 16], rules: Rules) -> CollectionRules {
        CollectionRules { collection: Some(collection), rules }
    }

    /// The rules, if they are those of the collection with this id.
    pub fn of(&self, collection: &[u8; 16]) -> Option<&Rules> {
        self.collection.is_none_or(|of| of == *collection).then_some(&self.rules)
    }

    /// Writes them as the members of what they stand in that come after their place.
    pub(super) fn write(&self, e: &mut Encoder<Sink>) -> Written {
        self.rules.write(e)?;
        self.collection.iter().try_for_each(|collection| e.bytes(collection).map(drop))
    }

    /// How many members that is.
    pub(super) fn members(&self) -> u64 {
        1 + u64::from(self.collection.is_some())
    }

    /// Reads so many.
    pub(super) fn read(d: &mut Decoder<'_>, members: u64) -> Result<CollectionRules, Malformed> {
        let rules = Rules::read(d)?;
        let collection = match members {
            1 => None,
            2 => Some(array(d)?),
            _ => return Err(Malformed),
        };
        if rules.is_empty() { Err(Malformed) } else { Ok(CollectionRules { collection, rules }) }
    }
}

impl Comparison {
    fn of(&self, claims: &Claims) -> Result<Condition, Denied> {
        let values = claims.values(&self.claim).ok_or(Denied)?;
        // Several values where one is expected: which of them is meant is not for us to choose.
        if !self.is_list && values.len() > 1 {
            return Err(Denied);
        }
        match &self.path {
            Some(path) => Ok(Condition::Payload(path.clone(), values.to_vec())),
            None => {
                let name = |value: &Claim| match value {
                    Claim::Text(name) => Ok(name.clone()),
                    Claim::Integer(_) | Claim::Flag(_) => Err(Denied),
                };
                values.iter().map(name).collect::<Result<_, _>>().map(Condition::Entity)
            }
        }
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Condition(..)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

    use proptest::prelude::*;

    use super::*;

    fn text(value: &str) -> Claim {
        Claim::Text(value.to_owned())
    }

    fn ruled(rule: &str, claims: &Claims) -> Ruled {
        Rules::default().with(Asked::Search, rule.parse().unwrap()).conditions(Asked::Search, claims)
    }

    #[test]
    fn a_rule_becomes_conditions() {
        let claims = Claims::default().with("org", [text("acme")]).with("teams", [text("a"), Claim::Integer(7)]);
        let expected = vec![
            Condition::Payload("org".to_owned(), vec![text("acme")]),
            Condition::Payload("meta.team".to_owned(), vec![text("a"), Claim::Integer(7)]),
        ];
        assert!(ruled("payload.org == claims.org and payload.meta.team in claims.teams", &claims) == Ok(expected));
        assert!(ruled("entity == claims.org", &claims) == Ok(vec![Condition::Entity(vec!["acme".to_owned()])]));
    }

    #[test]
    fn what_is_missing_denies() {
        let claims = Claims::default()
            .with("none", [])
            .with("two", [text("a"), text("b")])
            .with("number", [Claim::Integer(1)])
            .with("org", [text("acme")]);
        for rule in [
            "payload.org == claims.other",
            "payload.org in claims.none",
            "payload.org == claims.two",
            "entity == claims.number",
            "payload.org == claims.org and payload.team == claims.team",
            "payload.org == claims.Org",
        ] {
            assert!(ruled(rule, &claims) == Err(Denied), "{rule}");
        }
        let rules = Rules::default().with(Asked::Search, "payload.org == claims.org".parse().unwrap());
        assert!(rules.conditions(Asked::Search, &claims).is_ok());
        for asked in [Asked::Query, Asked::Similar, Asked::Stream] {
            assert!(rules.conditions(asked, &claims) == Err(Denied), "{}", asked.as_str());
        }
    }

    #[test]
    fn only_the_grammar_is_a_rule() {
        for bad in [
            "",
            "true",
            "payload.org",
            "payload.org = claims.org",
            "payload.org != claims.org",
            "payload.org == claims.org or payload.a == claims.b",
            "payload.org == \"acme\"",
            "payload. == claims.org",
            "payload.a..b == claims.org",
            "payload.a[] == claims.org",
            "payload.org == claims.",
            "payload.org == claims.a.b",
            "payload.org  == claims.org",
            " payload.org == claims.org",
            "payload.org == claims.org ",
            "payload.org == claims.org and ",
            "payload.org == claims.org and payload.a",
            "PAYLOAD.org == claims.org",
            "claims.org == payload.org",
            "entity.x == claims.org",
            "payload.org == claims.org == claims.org",
        ] {
            assert!(bad.parse::<Rule>().is_err(), "{bad}");
        }
        let second = "payload.a == claims.a and payload.b".parse::<Rule>();
        assert_eq!(second, Err(RuleError::Condition(2)));
        assert_eq!(vec!["entity == claims.a"; 17].join(" and ").parse::<Rule>(), Err(RuleError::TooLong));
    }

    proptest! {
        #[test]
        fn text_leads_back(
            parts in prop::collection::vec(
                (prop::option::of("[a-z_-]{1,4}(\\.[a-zA-Z0-9]{1,3}){0,2}"), any::<bool>(), "[a-zA-Z0-9_-]{1,6}"),
                1..5,
            ),
        ) {
            let comparison = |(path, is_list, claim)| Comparison { path, is_list, claim };
            let rule = Rule(parts.into_iter().map(comparison).collect());
            prop_assert_eq!(rule.to_string().parse::<Rule>(), Ok(rule));
        }

        #[test]
        fn any_text_is_a_rule_or_an_error(text in "(payload|entity|claims|and|==|in|[.a ]){0,12}") {
            if let Ok(rule) = text.parse::<Rule>() {
                prop_assert_eq!(rule.to_string(), text, "a rule has one text");
            }
        }

        /// Rules that narrow show nobody what those before did not, whatever they claim and whatever a record has.
        #[test]
        fn what_narrows_shows_nobody_more(
            (before, after) in {
                let one = || prop::option::of(prop::collection::vec(
                    (prop::option::of("[ab]"), any::<bool>(), "[xy]"), 1..3));
                let all = || prop::collection::vec(one(), 2);
                (all(), all(), 0..3u8).prop_map(|(before, more, how)| {
                    // What was there is extended, or only begun, or is something else.
                    let after = before.iter().zip(&more).map(|(before, more)| match (before, more, how) {
                        (Some(before), Some(more), 0) => Some([before.clone(), more.clone()].concat()),
                        (Some(before), _, 1) => Some(before[..1].to_vec()),
                        (_, more, _) => more.clone(),
                    });
                    let after: Vec<_> = after.collect();
                    (before, after)
                })
            },
            values in prop::collection::vec(prop::collection::vec("[01]", 0..3), 2),
            (entity, at_a, at_b) in (prop::option::of("[01]"), prop::option::of("[01]"), prop::option::of("[01]")),
        ) {
            type Parts = Option<Vec<(Option<String>, bool, String)>>;
            let rules = |all: &[Parts]| {
                let some = Asked::ALL.into_iter().zip(all).filter_map(|(asked, parts)| Some((asked, parts.as_ref()?)));
                some.fold(Rules::default(), |rules, (asked, parts)| {
                    let comparison = |(path, is_list, claim): &(Option<String>, bool, String)| {
                        Comparison { path: path.clone(), is_list: *is_list, claim: claim.clone() }
                    };
                    rules.with(asked, Rule(parts.iter().map(comparison).collect()))
                })
            };
            let (before, after) = (rules(&before), rules(&after));
            prop_assert!(before.narrows(&before) && Rules::default().narrows(&before));
            let named = ["x", "y"].into_iter().zip(&values);
            let claims = named.fold(Claims::default(), |claims, (name, values)| {
                claims.with(name, values.iter().map(|value| text(value)))
            });
            let shows = |rules: &Rules, asked| {
                let holds = |condition: &Condition| match condition {
                    Condition::Entity(ids) => entity.as_ref().is_some_and(|entity| ids.contains(entity)),
                    Condition::Payload(path, values) => {
                        let value = if path == "a" { &at_a } else { &at_b };
                        value.as_ref().is_some_and(|value| values.contains(&text(value)))
                    }
                };
                rules.conditions(asked, &claims).is_ok_and(|all| all.iter().all(holds))
            };
            if after.narrows(&before) {
                for asked in Asked::ALL {
                    prop_assert!(!shows(&after, asked) || shows(&before, asked));
                }
            }
        }

        /// More claims never show more: whoever satisfies a rule, satisfied each of its conditions by itself.
        #[test]
        fn rules_only_take_away(names in prop::collection::vec("[abc]", 1..4), has in prop::collection::vec("[abc]", 0..4)) {
            let claims = has.iter().fold(Claims::default(), |claims, name| claims.with(name, [text(name)]));
            let one = |name: &String| format!("payload.{name} == claims.{name}");
            let all = names.iter().map(one).collect::<Vec<_>>().join(" and ");
            let ruled_all = ruled(&all, &claims);
            let each: Result<Vec<_>, Denied> = names.iter().map(|name| ruled(&one(name), &claims)).collect();
            prop_assert!(ruled_all == each.map(|each| each.concat()));
        }
    }
}
