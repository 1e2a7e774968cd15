//! What a comparison found, as one JSON object and as a table.
//!
//! Invariant: an engine's speed at a recall comes from points that were measured in turns with ours; points of the first
//! sweep alone only draw its curve. The member names are those that other tools read; they are only ever added to.

use std::fmt;

use serde::Serialize;

use crate::front::{qps_at, reaching};
use crate::machine::Machine;

/// The recalls at which engines are compared.
pub const TARGETS: [f64; 3] = [0.90, 0.95, 0.99];
/// Our row.
pub const OURS: &str = "lethedb";
/// The engine that everybody compares with.
const REFERENCE: &str = "hnswlib";

/// A whole comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Name of the data set.
    pub dataset: String,
    /// Rows stored.
    pub n: usize,
    /// Numbers in a vector.
    pub dim: usize,
    /// `cosine`, `dot` or `l2`.
    pub metric: String,
    /// Queries asked in each pass.
    pub queries: usize,
    /// Neighbours asked for and scored; only the nearest `k` themselves, and rows exactly as near as the last, count.
    pub k: usize,
    /// Entities that own the rows of ours, which is encrypted and was opened from disk.
    pub entities: u32,
    /// Passes in turns of each point that decides.
    pub rounds: usize,
    /// Which grid of settings the peers had: `small` or `full`.
    pub grid: &'static str,
    /// Threads that built.
    pub build_threads: usize,
    /// The one core on which all searched, one query at a time.
    pub core: usize,
    /// On what it was measured.
    pub machine: Machine,
    /// Ours first, then the peers in the order asked for.
    pub engines: Vec<Engine>,
}

/// One row: an engine, or one of its kinds of index.
#[derive(Clone, Debug, Serialize)]
pub struct Engine {
    /// Its name.
    pub engine: String,
    /// Of its package.
    pub version: String,
    /// Whether it took all queries in one call, which saves it the way to and from Python.
    pub batched: bool,
    /// Why it, or one of its builds, did not run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub did_not_run: Vec<String>,
    /// Its indexes.
    pub builds: Vec<Index>,
    /// Every setting of every index.
    pub points: Vec<Tried>,
    /// Its speed at [`TARGETS`].
    pub at: Vec<Speed>,
}

/// An index that was built.
#[derive(Clone, Debug, Serialize)]
pub struct Index {
    /// Its setting.
    pub setting: String,
    /// How long it took; null if ours was there already.
    pub seconds: Option<f64>,
    /// Growth of the memory held by building (ours: opening) and searching it, pages of mapped files left out.
    pub memory_bytes: i64,
    /// Its files.
    pub disk_bytes: u64,
}

/// An index searched with one setting.
#[derive(Clone, Debug, Serialize)]
pub struct Tried {
    /// Position in `builds`.
    pub build: usize,
    /// Setting of the search.
    pub setting: String,
    /// Share of the true neighbours found, from 0 to 1.
    pub recall: f64,
    /// Queries a second: the median over the rounds, or that of the first sweep.
    pub qps: f64,
    /// Passes in turns with the others; 0 if only the first sweep met it.
    pub rounds: usize,
    /// Times of single queries in the median pass; ours only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
}

/// Times of single queries, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// Median.
    pub p50_us: f64,
    /// 95 of 100 were faster.
    pub p95_us: f64,
    /// 99 of 100 were faster.
    pub p99_us: f64,
}

/// Speed at a recall.
#[derive(Clone, Debug, Serialize)]
pub struct Speed {
    /// The recall.
    pub recall: f64,
    /// Queries a second, interpolated; null if it is not reached.
    pub qps: Option<f64>,
    /// How many times as fast ours is.
    pub lethedb_ratio: Option<f64>,
    /// Position in `points` of the setting that reaches it fastest.
    pub point: Option<usize>,
}

impl Engine {
    /// Reads the speeds off the points that were measured in turns.
    pub fn judge(&mut self) {
        let measured: Vec<usize> = (0..self.points.len()).filter(|at| self.points[*at].rounds > 0).collect();
        let spots: Vec<_> = measured.iter().map(|at| (self.points[*at].recall, self.points[*at].qps)).collect();
        let speed = |recall| Speed {
            recall,
            qps: qps_at(&spots, recall),
            lethedb_ratio: None,
            point: reaching(&spots, recall).map(|at| measured[at]),
        };
        self.at = TARGETS.map(speed).into();
    }

    /// The index that the table tells about: the one behind the speed at .95, or else at whatever recall it reaches.
    fn shown(&self) -> Option<&Index> {
        let point = [1, 0, 2].into_iter().find_map(|target| self.at.get(target)?.point);
        self.builds.get(point.map_or(0, |point| self.points[point].build))
    }
}

impl Comparison {
    /// Fills in how many times as fast ours is, after all engines were judged.
    pub fn relate(&mut self) {
        let ours: Vec<_> =
            self.engines.first().map(|ours| ours.at.iter().map(|speed| speed.qps).collect()).unwrap_or_default();
        for engine in &mut self.engines {
            for (speed, ours) in engine.at.iter_mut().zip(&ours) {
                speed.lethedb_ratio = ours.zip(speed.qps).map(|(ours, theirs)| ours / theirs);
            }
        }
    }

    /// The ratio to `engine` at each target.
    fn over(&self, name: &str) -> Option<Vec<Option<f64>>> {
        let engine = self.engines.iter().find(|engine| engine.engine == name)?;
        Some(engine.at.iter().map(|speed| speed.lethedb_ratio).collect())
    }

    /// The fastest peer at each target.
    fn best(&self) -> Vec<Option<(&str, f64)>> {
        let fastest = |target: usize| {
            let speeds = self.engines.iter().skip(1).filter_map(|engine| {
                let speed = engine.at.get(target)?;
                Some((engine.engine.as_str(), speed.lethedb_ratio?))
            });
            speeds.min_by(|a, b| a.1.total_cmp(&b.1))
        };
        (0..TARGETS.len()).map(fastest).collect()
    }

    fn write_row(&self, f: &mut fmt::Formatter<'_>, engine: &Engine) -> fmt::Result {
        let per_row = |bytes: f64| format!("{:.0}", bytes / self.n.max(1) as f64);
        let (seconds, memory, disk) = match engine.shown() {
            Some(index) => (
                index.seconds.map_or("found".into(), |seconds| format!("{seconds:.1}")),
                per_row(index.memory_bytes as f64),
                per_row(index.disk_bytes as f64),
            ),
            None => ("-".into(), "-".into(), "-".into()),
        };
        write!(f, "{:<17} {seconds:>8} {memory:>9} {disk:>9}", engine.engine)?;
        for speed in &engine.at {
            let qps = speed.qps.map_or("not reached".into(), |qps| format!("{qps:.0}"));
            write!(f, "  {qps:>11} {:>6}", ratio(speed.lethedb_ratio))?;
        }
        writeln!(f, "  {}", engine.shown().map_or("", |index| &index.setting))
    }
}

fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or("-".into(), |ratio| format!("{ratio:.2}×"))
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { processor, instructions, cores, read_gb_per_second } = &self.machine;
        writeln!(
            f,
            "{}: {} rows of {} under {}, {} queries, k = {}",
            self.dataset, self.n, self.dim, self.metric, self.queries, self.k
        )?;
        writeln!(
            f,
            "{processor} ({instructions}), {cores} core(s), reads {read_gb_per_second:.1} GB/s; all search on core {}, one query at a time; {} grid, median of {} rounds",
            self.core, self.grid, self.rounds
        )?;
        writeln!(
            f,
            "{OURS} is encrypted, owned by {} entities, opened from disk; peers are in plain text, in memory. × is how many times as fast {OURS} is\n",
            self.entities
        )?;
        write!(f, "{:<17} {:>8} {:>9} {:>9}", "", "build s", "memory/v", "disk/v")?;
        for target in TARGETS {
            write!(f, "  {:>11} {:>6}", format!("q/s @{target:.2}"), "×")?;
        }
        writeln!(f, "  best build at .95")?;
        for engine in self.engines.iter().filter(|engine| !engine.points.is_empty()) {
            self.write_row(f, engine)?;
        }
        for engine in &self.engines {
            for reason in &engine.did_not_run {
                writeln!(f, "{:<17} did not run: {reason}", engine.engine)?;
            }
        }
        writeln!(f)?;
        if let Some(ours) = self.engines.first() {
            for speed in &ours.at {
                if let Some((point, Latency { p50_us, p95_us, p99_us })) =
                    speed.point.and_then(|at| Some((&ours.points[at], ours.points[at].latency?)))
                {
                    writeln!(
                        f,
                        "{OURS} @{:.2} ({}): p50 {p50_us:.0} µs, p95 {p95_us:.0} µs, p99 {p99_us:.0} µs",
                        speed.recall, point.setting
                    )?;
                }
            }
        }
        if let Some(over) = self.over(REFERENCE) {
            let over: Vec<_> = over.into_iter().map(ratio).collect();
            writeln!(f, "{OURS} over {REFERENCE} at .90, .95, .99: {}", over.join(", "))?;
        }
        let best = self
            .best()
            .into_iter()
            .map(|best| best.map_or("-".into(), |(name, times)| format!("{times:.2}× ({name})")));
        write!(f, "{OURS} over the best peer at .90, .95, .99: {}", best.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(name: &str, points: &[(f64, f64, usize)]) -> Engine {
        let tried = |(recall, qps, rounds): &(f64, f64, usize)| Tried {
            build: 0,
            setting: "ef=1".into(),
            recall: *recall,
            qps: *qps,
            rounds: *rounds,
            latency: (name == OURS).then_some(Latency { p50_us: 1.0, p95_us: 2.0, p99_us: 3.0 }),
        };
        let index = Index { setting: "M=16".into(), seconds: Some(1.0), memory_bytes: 1000, disk_bytes: 2000 };
        let mut engine = Engine {
            engine: name.into(),
            version: "1".into(),
            batched: true,
            did_not_run: Vec::new(),
            builds: vec![index],
            points: points.iter().map(tried).collect(),
            at: Vec::new(),
        };
        engine.judge();
        engine
    }

    fn comparison(engines: Vec<Engine>) -> Comparison {
        let machine =
            Machine { processor: "a processor".into(), instructions: "avx2", cores: 2, read_gb_per_second: 9.0 };
        let mut comparison = Comparison {
            dataset: "set".into(),
            n: 10,
            dim: 2,
            metric: "l2".into(),
            queries: 5,
            k: 10,
            entities: 3,
            rounds: 5,
            grid: "small",
            build_threads: 2,
            core: 1,
            machine,
            engines,
        };
        comparison.relate();
        comparison
    }

    #[test]
    fn ratios_come_from_points_measured_in_turns() {
        let ours = engine(OURS, &[(0.9, 300.0, 5), (0.95, 200.0, 5), (0.99, 100.0, 5)]);
        let reference = engine(REFERENCE, &[(0.9, 150.0, 5), (0.95, 100.0, 5), (0.95, 900.0, 0)]);
        let comparison = comparison(vec![ours, reference, engine("fast", &[(1.0, 400.0, 5)])]);
        assert_eq!(comparison.over(REFERENCE), Some(vec![Some(2.0), Some(2.0), None]));
        assert_eq!(comparison.best(), [Some(("fast", 0.75)), Some(("fast", 0.5)), Some(("fast", 0.25))]);
        let text = comparison.to_string();
        assert!(text.contains("not reached"), "{text}");
        assert!(text.contains("lethedb over hnswlib at .90, .95, .99: 2.00×, 2.00×, -"), "{text}");
        assert!(text.contains("lethedb @0.95 (ef=1): p50 1 µs, p95 2 µs, p99 3 µs"), "{text}");
        let json = serde_json::to_value(&comparison).unwrap();
        assert_eq!(json["engines"][1]["at"][2]["qps"], serde_json::Value::Null);
        assert_eq!(json["engines"][1]["at"][1]["lethedb_ratio"], 2.0);
    }

    #[test]
    fn who_did_not_run_is_told_with_the_reason() {
        let mut broken = engine("svs", &[]);
        broken.did_not_run.push("its process ended with signal: 11".into());
        let text = comparison(vec![engine(OURS, &[(1.0, 1.0, 5)]), broken]).to_string();
        assert!(text.contains("svs               did not run: its process ended with signal: 11"), "{text}");
        assert!(text.ends_with("best peer at .90, .95, .99: -, -, -"), "{text}");
    }
}
