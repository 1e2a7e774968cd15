//! Independent cases on all cores. Invariant: the order of what comes back is the order of what went in.

use std::sync::Mutex;

/// Does `work` on every item, as many at a time as there are cores.
///
/// # Panics
/// If `work` does.
#[allow(clippy::disallowed_methods, clippy::expect_used, reason = "tests may start threads, and fail")]
pub fn over<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let queue = Mutex::new(items.into_iter().enumerate());
    let done: Mutex<Vec<(usize, R)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().expect("another thread failed").next();
                    let Some((at, item)) = next else { return };
                    let result = work(item);
                    done.lock().expect("another thread failed").push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("another thread failed");
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}
