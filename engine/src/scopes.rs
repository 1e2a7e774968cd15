//! The data subjects that an API key is bound to, as they are kept.
//!
//! Invariant: each is sealed as a row of theirs, under a key of their own in the keyring of their environment. So an
//! erasure reaches them here as it reaches their records, in every old copy, too, and a key is bound to nobody who was
//! erased, not even once they come back.

use privacy::access::{Bound, Entities, Scope, SealedId};
use privacy::{EntityId, RowContext, RowField, Wanted, open_row, seal_row};
use rand::RngExt;

use crate::entropy::generator;
use crate::error::{Error, Result};
use crate::state::EnvironmentState;

/// The collection whose keys seal them. No collection has this id, which is no random one.
const SCOPES: [u8; 16] = *b"lethedb scopes\0\0";

/// The scope as it is kept: its data subjects sealed, each under a key of theirs that is durable before.
pub(crate) fn sealed(env: &EnvironmentState, scope: &Scope) -> Result<Bound> {
    let mut rng = generator(&*env.shared.entropy)?;
    let entities = match scope.subjects() {
        None => None,
        Some(Entities { types, ids }) => {
            let tags: Vec<_> = {
                let keyring = env.keys.read();
                ids.iter().map(|id| keyring.tag(id)).collect()
            };
            let wanted: Vec<Wanted> =
                tags.iter().map(|tag| Wanted::Dek { owner: *tag, collection: SCOPES, until: None }).collect();
            env.keys.extend(&wanted)?;
            let keyring = env.keys.read();
            let seal = |(id, tag)| {
                // Erased between: then the key is not bound to anything of theirs.
                let (key, dek) = keyring.dek(&tag, SCOPES, None)?;
                let row = rng.random();
                let context = RowContext { scope: env.scope, collection: SCOPES, row, field: RowField::Body };
                let id: &EntityId = id;
                Some(SealedId { key, row, sealed: seal_row(&dek, &context, id.as_str().as_bytes(), &mut rng) })
            };
            Some((types.clone(), ids.iter().zip(tags).filter_map(seal).collect()))
        }
    };
    let environment = scope.environment_name().to_owned();
    Ok(Bound { environment, collections: scope.collection_names().cloned(), entities })
}

/// Those whose keys are there.
pub(crate) fn unsealed(env: &EnvironmentState, sealed: &[SealedId]) -> Result<Vec<EntityId>> {
    let keyring = env.keys.read();
    let open = |id: &SealedId| -> Option<Result<EntityId>> {
        let dek = keyring.dek_by_id(id.key)?;
        let context = RowContext { scope: env.scope, collection: SCOPES, row: id.row, field: RowField::Body };
        let damaged = || Error::corrupt("the scope of an API key is damaged");
        let opened = open_row(dek, &context, &id.sealed).map_err(|_| damaged());
        Some(opened.and_then(|plain| {
            let text = str::from_utf8(&plain).map_err(|_| damaged())?;
            Ok(EntityId::new(text)?)
        }))
    };
    sealed.iter().filter_map(open).collect()
}
