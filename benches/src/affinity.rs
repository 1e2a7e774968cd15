//! On which cores the current thread may run.
//!
//! Invariant: a [`Pin`] gives back what it took, so only what is timed is bound to a core. Where the system cannot bind a
//! thread, nothing is bound and the cores are those that the standard library counts.

#[cfg(target_os = "linux")]
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores on which the current thread may run, ascending.
#[cfg(target_os = "linux")]
pub fn allowed() -> Vec<usize> {
    let cores = sched_getaffinity(None).unwrap_or_default();
    (0..CpuSet::MAX_CPU).filter(|core| cores.is_set(*core)).collect()
}

/// The cores on which the current thread may run, ascending.
#[cfg(not(target_os = "linux"))]
pub fn allowed() -> Vec<usize> {
    (0..std::thread::available_parallelism().map_or(1, usize::from)).collect()
}

/// Which cores a server has that is measured, and which those who ask it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares {
    /// The server's: half of them, or the more where that cannot be.
    pub server: Vec<usize>,
    /// Those of who asks; the server's where there is only one.
    pub askers: Vec<usize>,
}

impl Shares {
    /// Of these cores.
    pub fn of(cores: &[usize]) -> Self {
        let (server, askers) = cores.split_at(cores.len().div_ceil(2));
        let askers = if askers.is_empty() { server } else { askers };
        Self { server: server.to_vec(), askers: askers.to_vec() }
    }

    /// Whether nobody has a core of another's.
    pub fn are_apart(&self) -> bool {
        self.server != self.askers
    }
}

/// Binds the current thread to cores as long as it lives, and the threads that it starts for good.
pub struct Pin {
    before: Vec<usize>,
}

impl Pin {
    /// Binds the current thread to `core`; `None` if the system refuses.
    pub fn to(core: usize) -> Option<Self> {
        Self::among(&[core])
    }

    /// Binds the current thread to `cores`; `None` if the system refuses.
    pub fn among(cores: &[usize]) -> Option<Self> {
        let before = allowed();
        bind(cores).then_some(Self { before })
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        bind(&self.before);
    }
}

#[cfg(target_os = "linux")]
fn bind(cores: &[usize]) -> bool {
    let mut set = CpuSet::new();
    for core in cores.iter().filter(|core| **core < CpuSet::MAX_CPU) {
        set.set(*core);
    }
    sched_setaffinity(None, &set).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn bind(_cores: &[usize]) -> bool {
    true
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn server_and_askers_are_apart_where_there_are_two_cores() {
        for (cores, server, askers) in [(1, 1, 1), (2, 1, 1), (3, 2, 1), (8, 4, 4)] {
            let shares = Shares::of(&(10..10 + cores).collect::<Vec<_>>());
            assert_eq!((shares.server.len(), shares.askers.len(), shares.are_apart()), (server, askers, cores > 1));
            assert!(cores == 1 || shares.askers.iter().all(|core| !shares.server.contains(core)));
        }
    }

    #[test]
    fn a_thread_is_bound_and_let_go() {
        let before = allowed();
        let core = *before.last().unwrap();
        let pin = Pin::to(core).unwrap();
        assert_eq!(allowed(), [core]);
        drop(pin);
        assert_eq!(allowed(), before);
        assert!(Pin::to(CpuSet::MAX_CPU).is_none(), "a core that no machine has");
        assert_eq!(allowed(), before);
    }
}
