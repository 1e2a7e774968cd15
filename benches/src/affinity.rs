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

/// Binds the current thread to one core as long as it lives.
pub struct Pin {
    before: Vec<usize>,
}

impl Pin {
    /// Binds the current thread to `core`; `None` if the system refuses.
    pub fn to(core: usize) -> Option<Self> {
        let before = allowed();
        bind(&[core]).then_some(Self { before })
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
