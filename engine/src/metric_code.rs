//! The stable numbers by which a manifest names metrics.

use index::Metric;

/// The number of `metric` in a manifest.
pub(crate) fn metric_code(metric: Metric) -> u8 {
    match metric {
        Metric::Cosine => 1,
        Metric::Dot => 2,
        Metric::L2 => 3,
    }
}

/// The metric of a number; `None` for one that a newer version wrote.
pub(crate) fn metric_of(code: u8) -> Option<Metric> {
    [Metric::Cosine, Metric::Dot, Metric::L2].into_iter().find(|metric| metric_code(*metric) == code)
}
