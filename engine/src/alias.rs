//! ALIAS: permit → audit → manifest → from then on a name stands for this collection, or for none.
//!
//! One manifest takes a name from one collection and gives it to another, so that at no moment, not after a crash either,
//! it stands for none or for both. Whoever has found a collection by the name keeps that one.

use privacy::access::Permission;
use privacy::audit::Act;
use serde::Serialize;
use storage::manifest::Manifest;

use crate::error::{Error, ErrorKind, Result};
use crate::name;
use crate::permit::Permit;
use crate::state::EnvironmentState;

/// Aliases that one collection may have.
const ALIASES_MAX: usize = 64;

/// Another name of a collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alias {
    /// The other name.
    pub alias: String,
    /// The collection's own name.
    pub collection: String,
}

/// Every alias of the environment, in their order.
pub(crate) fn list(env: &EnvironmentState) -> Vec<Alias> {
    let alias =
        |(alias, collection): (&str, &str)| Alias { alias: alias.to_owned(), collection: collection.to_owned() };
    env.catalog.read().aliases().map(alias).collect()
}

/// Has `alias` stand for `collection`, which may be named by an alias itself; returns what it stood for before.
pub(crate) fn set(env: &EnvironmentState, permit: &Permit, alias: &str, collection: &str) -> Result<Option<String>> {
    env.admit(permit, Permission::CollectionUpdate)?;
    name::check(alias, "alias")?;
    name::check(collection, "collection")?;
    let _one = env.structure.lock();
    env.check_open()?;
    let (state, before) = {
        let catalog = env.catalog.read();
        if catalog.named(alias).is_some() {
            return Err(Error::new(
                ErrorKind::Conflict,
                "a collection of this name exists: no alias can take its place",
            ));
        }
        let state = catalog.find(collection).cloned().ok_or_else(name::no_collection)?;
        let before = catalog.alias(alias).map(str::to_owned);
        let others = catalog.aliases().filter(|(other, of)| *other != alias && *of == state.name).count();
        if others >= ALIASES_MAX {
            return Err(Error::invalid(format!("a collection may have at most {ALIASES_MAX} aliases")));
        }
        (state, before)
    };
    if before.as_ref() == Some(&state.name) {
        return Ok(before);
    }
    let _order = env.apply.lock();
    let act = Act::AliasChanged { collection: state.id.0 };
    let go = |manifest: &mut Manifest| {
        for entry in &mut manifest.collections {
            entry.aliases.remove(alias);
            if entry.id == state.id {
                entry.aliases.insert(alias.to_owned());
            }
        }
    };
    env.told(permit, act, || env.commit(go))?;
    env.catalog.write().set_alias(alias.to_owned(), &state);
    Ok(before)
}

/// Takes `alias` away; returns what it stood for, if anything.
pub(crate) fn remove(env: &EnvironmentState, permit: &Permit, alias: &str) -> Result<Option<String>> {
    env.admit(permit, Permission::CollectionUpdate)?;
    name::check(alias, "alias")?;
    let _one = env.structure.lock();
    env.check_open()?;
    let Some(before) = env.catalog.read().alias(alias).map(str::to_owned) else { return Ok(None) };
    let state = env.catalog.read().find(alias).cloned().ok_or_else(name::no_collection)?;
    let _order = env.apply.lock();
    let go = |manifest: &mut Manifest| {
        manifest.collections.iter_mut().for_each(|entry| {
            entry.aliases.remove(alias);
        });
    };
    env.told(permit, Act::AliasChanged { collection: state.id.0 }, || env.commit(go))?;
    env.catalog.write().remove_alias(alias);
    Ok(Some(before))
}
