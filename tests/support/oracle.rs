//! The one judge of every recovery: what a store may be after a crash or a fault, and whether it is that. Invariant: it
//! knows nothing of how the engine works, only what was promised.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use engine::{Collection, Environment, ErrorKind, Filter, Metric, RecordId, Rerank};
use storage::backend::Faulty;
use storage::backend::faulty::Medium;

use crate::autopsy::autopsy;
use crate::model::distance;
use crate::workload::{ALIAS, ALIASED, Action, COLLECTIONS, OWNERS, Records, State, Store, owner, owner_name, vector};

/// What is promised of a store.
#[derive(Clone, Debug)]
pub struct Promise {
    /// It is exactly one of these.
    pub states: Vec<State>,
    /// These owners were erased, and nothing of theirs was written since.
    pub erased: BTreeSet<u64>,
    /// These records of `docs` went by retention, and were not written since.
    pub expired: BTreeSet<u64>,
    /// So many erasures were answered, each with a receipt.
    pub receipts: usize,
}

impl Promise {
    /// The promise of a store that holds `state`.
    #[must_use]
    pub fn of(state: State) -> Self {
        Self { states: vec![state], erased: BTreeSet::new(), expired: BTreeSet::new(), receipts: 0 }
    }

    /// What is promised after `action` was acknowledged.
    #[must_use]
    pub fn kept(&self, action: &Action) -> Self {
        let mut after = self.clone();
        after.states = self.states.iter().map(|state| action.applied(state)).collect();
        after.states.dedup();
        after.receipts += usize::from(matches!(action, Action::Erase(_) | Action::Epoch));
        match action {
            Action::Erase(owner) => after.erased.extend([*owner]),
            Action::Put(ids, _) => {
                after.erased.retain(|owner| ids.clone().all(|id| id % OWNERS != *owner));
                after.expired.retain(|id| !ids.contains(id));
            }
            Action::Retain(_) => after.expired.extend(self.ids().difference(&after.ids())),
            _ => {}
        }
        after
    }

    /// What is promised while the outcome of `action` is unknown: all of it or nothing.
    #[must_use]
    pub fn doubted(&self, action: &Action) -> Self {
        let after = self.kept(action);
        let mut states = self.states.clone();
        states.extend(after.states.into_iter().filter(|state| !self.states.contains(state)));
        let erased = self.erased.intersection(&after.erased).copied().collect();
        let expired = self.expired.intersection(&after.expired).copied().collect();
        Self { states, erased, expired, receipts: self.receipts }
    }

    /// Every record that may be there.
    fn ids(&self) -> BTreeSet<u64> {
        self.states.iter().flat_map(State::values).flat_map(|records| records.keys().copied()).collect()
    }
}

/// Nonces and salts seen in sibling images, each with a hash of what it sealed.
pub type Nonces = HashMap<[u8; 24], u64>;

/// Opens the store on `disk` as a process would after a restart, reads everything, and holds it against `promise`.
///
/// # Errors
/// Says which promise is broken.
pub fn judge(disk: &Faulty, promise: &Promise, seed: u64, nonces: &mut Nonces) -> Result<(), String> {
    let store = Store::open(Arc::new(disk.clone()), seed).map_err(|error| format!("it does not open: {error:?}"))?;
    let state = read(&store)?;
    if !promise.states.contains(&state) {
        return Err(format!(
            "it holds {} where {} was promised",
            brief(&state),
            promise.states.iter().map(brief).collect::<Vec<_>>().join(" or ")
        ));
    }
    if let Ok(env) = store.environment() {
        let problems = env.verify().map_err(|error| format!("verify fails: {error}"))?.problems;
        if !problems.is_empty() {
            return Err(format!("verify finds {problems:?}"));
        }
        check_receipts(&env, promise)?;
        drop((env, store));
        take_apart(&disk.medium(), promise, nonces)?;
    }
    Ok(())
}

/// Every erasure that was answered has a receipt, and every receipt verifies.
fn check_receipts(env: &Environment, promise: &Promise) -> Result<(), String> {
    let mut found = 0;
    for job in 0..64 {
        match env.receipt(job) {
            Ok(stored) => {
                found += 1;
                let verified = stored.receipt.verify(&env.receipt_key());
                verified.map_err(|error| format!("the receipt of erasure {job} does not verify: {error}"))?;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(format!("the receipt of erasure {job} cannot be read: {error}")),
        }
    }
    if found >= promise.receipts { Ok(()) } else { Err(format!("{found} receipts of {} are there", promise.receipts)) }
}

/// Reads an open store in every way and returns what it holds.
///
/// # Errors
/// Says which ways of reading disagree, or that one fails.
pub fn read(store: &Store) -> Result<State, String> {
    let env = match store.environment() {
        Ok(env) => env,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(State::new()),
        Err(error) => return Err(format!("the environment does not open: {error:?}")),
    };
    let mut state = State::new();
    for name in COLLECTIONS {
        match env.open_collection(name) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(format!("a collection does not open: {error:?}")),
            Ok(collection) => state.extend([(name, records(&collection)?)]),
        }
    }
    for alias in env.aliases() {
        let to = COLLECTIONS.into_iter().position(|name| name == alias.collection);
        let to = to.filter(|_| alias.alias == ALIAS).ok_or("there is an alias that nobody gave")?;
        let found = env.open_collection(ALIAS).map_err(|error| format!("an alias does not open: {error:?}"))?;
        if found.name() != COLLECTIONS[to] || !state.contains_key(COLLECTIONS[to]) {
            return Err("an alias stands for another collection than it says".into());
        }
        state.extend([(ALIASED[to], Records::new())]);
    }
    Ok(state)
}

fn records(collection: &Collection) -> Result<Records, String> {
    let failed = |error: engine::Error| format!("reading fails: {error:?}");
    let page = collection.scroll().limit(10_000).with_vector(true).run().map_err(failed)?;
    if page.partial {
        return Err("a part cannot be read".into());
    }
    let mut found = Records::new();
    for record in &page.records {
        let RecordId::Num(id) = record.id() else { return Err("an id that nobody gave".into()) };
        let payload = record.payload_json().ok_or("a payload is gone")?;
        let version = payload["version"].as_u64().ok_or("a payload is another")?;
        let same = record.entity_id().map(str::to_owned) == owner(id) && payload["of"].as_str() == record.entity_id();
        if !same || bits(record.vector()) != bits(&vector(id, version)) {
            return Err(format!("record {id} is not what was written"));
        }
        found.insert(id, version);
    }
    check_counts(collection, &found)?;
    check_search(collection, &found)?;
    for id in found.keys().copied().chain([1_000_000]) {
        let got = collection.get(id).map_err(failed)?;
        let got = got.and_then(|record| record.payload_json()?["version"].as_u64());
        if got != found.get(&id).copied() {
            return Err(format!("get and scroll disagree on record {id}"));
        }
    }
    Ok(found)
}

fn bits(vector: &[f32]) -> Vec<u32> {
    vector.iter().map(|number| number.to_bits()).collect()
}

fn check_counts(collection: &Collection, found: &Records) -> Result<(), String> {
    let failed = |error: engine::Error| format!("counting fails: {error:?}");
    if collection.count().run().map_err(failed)?.count != found.len() as u64 {
        return Err("count and scroll disagree".into());
    }
    for number in 0..OWNERS {
        let name = owner_name(number);
        let expected = found.keys().filter(|id| owner(**id).as_ref() == Some(&name)).count() as u64;
        let counted = collection.count().filter(Filter::entity(name)).run().map_err(failed)?.count;
        if counted != expected {
            return Err(format!("{counted} records of an owner are counted where there are {expected}"));
        }
    }
    Ok(())
}

/// Exact search against brute force, graph search against exact.
fn check_search(collection: &Collection, found: &Records) -> Result<(), String> {
    let query = vector(17, 3);
    let mut nearest: Vec<(f64, u64)> =
        found.iter().map(|(id, version)| (distance(Metric::L2, &query, &vector(*id, *version)), *id)).collect();
    nearest.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    nearest.truncate(12);
    for (exact, rerank) in [(true, Rerank::All), (false, Rerank::All), (false, Rerank::Auto)] {
        let hits = collection.search(&query).limit(12).ef(100).exact(exact).rerank(rerank).run();
        let hits = hits.map_err(|error| format!("search fails: {error:?}"))?;
        let mut reached: Vec<f64> = Vec::new();
        for hit in &*hits {
            let RecordId::Num(id) = hit.id else { return Err("search finds an id of another kind".into()) };
            let version = found.get(&id).ok_or("search finds a record that is not there")?;
            let distance = distance(Metric::L2, &query, &vector(id, *version)).sqrt();
            // Vectors of few components: the bound holds for them only up to a factor.
            if (f64::from(hit.score) - distance).abs() > 4.0 * f64::from(hit.score_error) + 1e-3 {
                return Err(format!("search (exact: {exact}, {rerank:?}) gives a wrong score"));
            }
            reached.push(distance);
        }
        if rerank == Rerank::Auto {
            reached.sort_by(f64::total_cmp);
        }
        let is_far = |(distance, nearest): (&f64, &(f64, u64))| (distance - nearest.0.sqrt()).abs() > 1e-3;
        if reached.len() != nearest.len() || reached.iter().zip(&nearest).any(is_far) {
            return Err(format!("search (exact: {exact}, {rerank:?}) does not find the nearest"));
        }
    }
    Ok(())
}

fn take_apart(medium: &Medium, promise: &Promise, nonces: &mut Nonces) -> Result<(), String> {
    let found = autopsy(medium)?;
    if let Some(stray) = found.strays.first() {
        return Err(format!("{} files too many or too few, such as {stray}", found.strays.len()));
    }
    if found.indexes.iter().any(|index| !index.waits && !index.is_canonical) {
        return Err("a graph that was repaired passes for one that was built".into());
    }
    for erased in &promise.erased {
        if found.knows(&owner_name(*erased)) {
            return Err(format!("owner {erased} was erased, and a key that survives opens its name"));
        }
        let name = owner_name(*erased);
        if found.ids.iter().any(|id| owner(*id).as_ref() == Some(&name)) {
            return Err(format!("owner {erased} was erased, and a key that survives opens a record's id"));
        }
    }
    if let Some(id) = promise.expired.intersection(&found.ids).next() {
        return Err(format!("record {id} is past its window, and a key that survives opens it"));
    }
    for (nonce, blob) in found.nonces {
        if *nonces.entry(nonce).or_insert(blob) != blob {
            return Err("a nonce sealed two plaintexts".into());
        }
    }
    Ok(())
}

/// A state in few words.
fn brief(state: &State) -> String {
    let collection = |(name, records): (&&str, &Records)| {
        let mut versions: BTreeMap<u64, usize> = BTreeMap::new();
        records.values().for_each(|version| *versions.entry(*version).or_default() += 1);
        format!("{name}: {versions:?}")
    };
    format!("{{{}}}", state.iter().map(collection).collect::<Vec<_>>().join(", "))
}
