//! The environments that are open in this process, as each is from its first use on until the database closes.
//!
//! Invariant: one is opened at a time, and whoever looks for one that is open does not wait for that.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use storage::sync::Mutex;

use crate::error::Result;
use crate::state::{EnvironmentState, Shared};
use crate::worker::Open;

pub(crate) struct Environments {
    shared: Arc<Shared>,
    /// Held while one is opened, and for good once the database closes. Taken before `by_name`.
    pub opening: Mutex<()>,
    pub by_name: Mutex<BTreeMap<String, Arc<EnvironmentState>>>,
    /// All of them, and the room of API keys, for the background threads.
    open: Open,
}

impl Environments {
    pub fn new(shared: &Arc<Shared>, open: &Open) -> Self {
        let (shared, open) = (Arc::clone(shared), Arc::clone(open));
        Self { shared, opening: Mutex::new(()), by_name: Mutex::default(), open }
    }

    /// The environment `name`, if it is open.
    pub fn get(&self, name: &str) -> Result<Option<Arc<EnvironmentState>>> {
        let by_name = self.by_name.lock();
        self.shared.check_open()?;
        Ok(by_name.get(name).cloned())
    }

    /// The environment `name`, opened by `open` if it is not open yet.
    pub fn enter(&self, name: &str, open: impl FnOnce() -> Result<EnvironmentState>) -> Result<Arc<EnvironmentState>> {
        if let Some(state) = self.get(name)? {
            return Ok(state);
        }
        let _one = self.opening.lock();
        // Whoever had the lock before may have opened it.
        if let Some(state) = self.get(name)? {
            return Ok(state);
        }
        let state = Arc::new(open()?);
        self.by_name.lock().insert(name.to_owned(), Arc::clone(&state));
        self.add(&state);
        Ok(state)
    }

    /// Has the background threads tend `state` too.
    pub fn add(&self, state: &Arc<EnvironmentState>) {
        self.open.lock().push(Arc::downgrade(state));
    }

    /// All that are open; waits for nobody who is opening one.
    pub fn all(&self) -> Vec<Arc<EnvironmentState>> {
        self.open.lock().iter().filter_map(Weak::upgrade).collect()
    }
}
