//! What a measurement of growth found: as one JSON object, as tables, and as a picture of each axis.
//!
//! Invariant: the member names are only ever added to; a case that no width brought to the recall has no figures.

use std::fmt;

use serde::Serialize;

use super::case::{Case, Growing};
use super::cost::Cost;
use crate::machine::Machine;
use crate::plot::{Axis, Line, Picture};

/// What grew, and what that cost.
#[derive(Clone, Debug, Serialize)]
pub struct Growth {
    /// `lethedb`.
    pub engine: &'static str,
    /// Of the engine.
    pub version: &'static str,
    /// Where.
    pub machine: Machine,
    /// `cosine`.
    pub metric: String,
    /// Queries asked of each store.
    pub queries: usize,
    /// The recall at which the figures are read.
    pub recall: f64,
    /// What each axis grows from.
    pub base: Case,
    /// What grew.
    pub axes: Vec<Along>,
}

/// The figures along one axis.
#[derive(Clone, Debug, Serialize)]
pub struct Along {
    /// What grew.
    pub axis: Growing,
    /// By its rising values.
    pub points: Vec<Grown>,
}

/// The figures of one case.
#[derive(Clone, Debug, Serialize)]
pub struct Grown {
    /// What was measured.
    pub case: Case,
    /// Import, encryption and index together; null if the store of the case before was used again.
    pub build_seconds: Option<f64>,
    /// At the recall asked for; null if no width got there. Where the narrowest already finds more, its own.
    pub cost: Option<Cost>,
    /// Queries a second, all threads together, by that cost.
    pub qps: Option<f64>,
    /// Bytes a second, in 10⁹, that one thread reads at random places, in rows as long as the mean of what was compared.
    pub rows_gb_per_second: Option<f64>,
    /// Bytes over the speed of reading in order, over time: how near the machine's limit a query comes.
    pub roof: Option<f64>,
    /// The same, of the speed of reading such rows at random places.
    pub roof_of_rows: Option<f64>,
}

impl Along {
    /// What grew, and what a query cost.
    pub fn picture(&self, growth: &Growth) -> Picture {
        let line = |name: &str, is_ours, figure: fn(&Cost) -> f64| {
            let at = |grown: &Grown| Some((grown.case.value(self.axis) as f64, figure(grown.cost.as_ref()?)));
            let points = self.points.iter().filter_map(at).filter(|(_, figure)| *figure > 0.0).collect();
            Line { name: name.to_owned(), points, dots: None, is_ours }
        };
        let Case { n, dimension, segments, deleted, k, threads } = growth.base;
        let all = [
            (Growing::N, format!("{n} rows")),
            (Growing::Dimension, format!("{dimension} dimensions")),
            (Growing::Segments, format!("{segments} segment(s)")),
            (Growing::Deleted, format!("{deleted} % deleted")),
            (Growing::K, format!("k = {k}")),
            (Growing::Threads, format!("{threads} thread(s)")),
        ];
        let others = all.into_iter().filter(|(axis, _)| *axis != self.axis).map(|(_, what)| what);
        let x = match self.axis {
            Growing::Deleted | Growing::Threads => Axis::Linear,
            _ => Axis::Log,
        };
        Picture {
            title: format!("what a query costs at recall {}, by {}", growth.recall, self.axis),
            subtitle: others.collect::<Vec<_>>().join(", "),
            x: (x, self.axis.label().to_owned()),
            y: (Axis::Log, "of one query".to_owned()),
            lines: vec![
                line("microseconds", true, |cost| cost.us),
                line("codes compared", false, |cost| cost.compared),
                line("lists read", false, |cost| cost.hops),
                line("rows opened", false, |cost| cost.opened),
                line("kilobytes read", false, |cost| cost.bytes / 1e3),
            ],
        }
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case { n, dimension, segments, deleted, k, threads } = self.base;
        writeln!(f, "{} (encrypted) on {}", self.engine, self.machine.processor)?;
        writeln!(f, "one thread reads {:.1} GB/s in order", self.machine.read_gb_per_second)?;
        write!(f, "unless it grows: {n} rows of {dimension} under {}, {segments} segment(s), ", self.metric)?;
        write!(f, "{deleted} % deleted, k = {k}, {threads} thread(s); all at recall {}", self.recall)?;
        for Along { axis, points } in &self.axes {
            write!(f, "\n\n{axis:>9} {:>8} {:>7} {:>7} {:>8}", "build s", "ef", "recall", "compared")?;
            write!(f, " {:>7} {:>7} {:>8} {:>8} {:>8}", "lists", "opened", "KB", "µs", "q/s")?;
            write!(f, " {:>6} {:>9} {:>6}", "roof", "rows GB/s", "roof")?;
            points.iter().try_for_each(|grown| write!(f, "\n{}", Row(*axis, grown)))?;
        }
        Ok(())
    }
}

/// A line of a table.
struct Row<'a>(Growing, &'a Grown);

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(axis, grown) = self;
        let seconds = grown.build_seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1}"));
        write!(f, "{:>9} {seconds:>8}", grown.case.value(*axis))?;
        let Some(Cost { ef, recall, compared, hops, opened, bytes, us }) = grown.cost else {
            return write!(f, "  the recall was not reached");
        };
        write!(f, " {ef:>7.0} {recall:>7.3} {compared:>8.0} {hops:>7.0} {opened:>7.1}")?;
        write!(f, " {:>8.1} {us:>8.1} {:>8.0}", bytes / 1e3, grown.qps.unwrap_or_default())?;
        let [roof, speed, of_rows] =
            [grown.roof, grown.rows_gb_per_second, grown.roof_of_rows].map(Option::unwrap_or_default);
        write!(f, " {roof:>6.2} {speed:>9.1} {of_rows:>6.2}")
    }
}
