//! A dry run: what an erasure would do, counted on views that nobody else sees.

use privacy::EntityId;

use crate::error::Result;
use crate::state::EnvironmentState;

/// What an erasure would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErasurePlan {
    /// Live records that would go.
    pub records: u64,
    /// Segments that hold rows of the entities, dead ones included, or may hold some.
    pub segments: u64,
    /// Keys that would be destroyed.
    pub keys: u64,
}

/// What an erasure of these entities would do; changes nothing.
pub(crate) fn plan(env: &EnvironmentState, entities: &[EntityId]) -> Result<ErasurePlan> {
    let mut plan = ErasurePlan::default();
    for state in env.all() {
        let mut view = (*state.view()).clone();
        for view in &view.segments {
            let index = view.segment.index_unless_lost(&env.keys)?;
            let holds =
                |entity: &EntityId| index.as_ref().is_none_or(|index| !index.entities.positions(entity).is_empty());
            plan.segments += u64::from(entities.iter().any(holds));
        }
        for entity in entities {
            // A view that nobody else sees.
            plan.records += view.mask(entity, &state.space, &env.keys)?;
        }
    }
    let keyring = env.keys.read();
    plan.keys = entities.iter().map(|entity| keyring.key_ids(&keyring.tag(entity)).len() as u64).sum();
    Ok(plan)
}
