//! An end user behind a key: what their token claims, and the rules that say what they are shown for it.
//!
//! Invariant: a rule becomes a filter that is ANDed to what was asked for, before anything is searched; where there is no
//! rule for what is asked, or a claim that it needs is missing or cannot be compared with, nothing is shown at all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use privacy::EntityId;
use privacy::access::{
    Asked, Claim, Claims, CollectionRules, Condition, Denied, Entities, Permission, Permissions, Rules,
};
use storage::id::CollectionId;

use crate::filter::{Filter, Operand};

/// An end user, and the rules of the environment by its collections' own names.
#[derive(Clone, Debug)]
pub(crate) struct EndUser {
    pub claims: Claims,
    pub rules: Arc<BTreeMap<String, CollectionRules>>,
}

impl EndUser {
    /// What an end user may do at most, whatever the key permits that they came with: read, where rules say what.
    pub fn ceiling() -> Permissions {
        use Permission::{RecordRead, RecordReadVector, SearchQuery, SearchScan, SearchSimilar};
        [RecordRead, RecordReadVector, SearchQuery, SearchSimilar, SearchScan].into_iter().collect()
    }

    /// Whether the rules show them anything of the collection of this name and id, whatever they ask for.
    pub fn knows(&self, collection: &str, id: CollectionId) -> bool {
        self.of(collection, id).is_some()
    }

    /// Which of its records they are shown who ask for this.
    pub fn shown(&self, asked: Asked, collection: &str, id: CollectionId) -> Result<Filter, Denied> {
        let rules = self.of(collection, id).ok_or(Denied)?;
        let conditions = rules.conditions(asked, &self.claims)?;
        let filter = Filter::all(conditions.iter().map(filter).collect::<Result<Vec<_>, _>>()?);
        // What nothing compares with shows nothing.
        if filter.fault().is_some() { Err(Denied) } else { Ok(filter) }
    }

    fn of(&self, collection: &str, id: CollectionId) -> Option<&Rules> {
        self.rules.get(collection)?.of(&id.0)
    }
}

fn filter(condition: &Condition) -> Result<Filter, Denied> {
    match condition {
        Condition::Payload(path, values) => Ok(Filter::any_of(path, values.iter().map(operand))),
        Condition::Entity(ids) => {
            let ids = ids.iter().map(EntityId::new).collect::<Result<BTreeSet<_>, _>>().map_err(|_| Denied)?;
            Ok(Filter::subjects(&Arc::new(Entities { types: BTreeSet::new(), ids })))
        }
    }
}

fn operand(claim: &Claim) -> Operand {
    match claim {
        Claim::Text(text) => text.as_str().into(),
        Claim::Integer(number) => (*number).into(),
        Claim::Flag(flag) => (*flag).into(),
    }
}
