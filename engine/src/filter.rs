//! Which records a read may return. The JSON form is Qdrant's shape; a condition on the data subject is
//! `{"entity": "user-42"}`. Parsing is strict: an unknown member is an error, never ignored.

use std::fmt;

use privacy::EntityId;
use serde::Deserialize;

use crate::error::Result;

/// A condition on records.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    entity: String,
}

impl Filter {
    /// Records of one entity.
    pub fn entity(id: impl Into<String>) -> Self {
        Self { entity: id.into() }
    }

    /// The checked form that the walks use.
    pub(crate) fn resolve(&self) -> Result<EntityId> {
        Ok(EntityId::new(self.entity.clone())?)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Filter(..)")
    }
}
