//! What a run found, as one JSON object and as a table.
//!
//! Invariant: the member names are those that other tools read; they are only ever added to.
#![expect(clippy::disallowed_methods, reason = "writes the report where the user wants it")]

use std::fmt;
use std::io;
use std::path::Path;

use serde::Serialize;

/// A whole run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `lethedb`.
    pub engine: &'static str,
    /// Of the engine.
    pub version: &'static str,
    /// Name of the data set.
    pub dataset: String,
    /// Rows stored.
    pub n: usize,
    /// Numbers in a vector.
    pub dim: usize,
    /// `cosine`, `dot` or `l2`.
    pub metric: String,
    /// Neighbours asked for and scored.
    pub k: usize,
    /// Threads that searched, each one query at a time.
    pub threads: usize,
    /// Whether everything on disk was encrypted: always, but in the twin that measures what encryption costs.
    pub encrypted: bool,
    /// Entities that own the rows; 0 if nobody does.
    pub entities: u32,
    /// How the store came to be.
    pub build: Build,
    /// From opening the database to the first answer, which loads the index.
    pub open_seconds: f64,
    /// Memory while searching.
    pub memory: Memory,
    /// All files of the environment.
    pub disk_bytes: u64,
    /// One for each `ef`.
    pub points: Vec<Point>,
    /// Another engine, measured in turns with ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Points>,
}

/// Another engine's points.
#[derive(Clone, Debug, Serialize)]
pub struct Points {
    /// Its name.
    pub engine: &'static str,
    /// One for each `ef`.
    pub points: Vec<Point>,
}

/// How the store came to be.
#[derive(Clone, Debug, Serialize)]
pub struct Build {
    /// Import, encryption and index together; null if the store was there already.
    pub seconds: Option<f64>,
    /// Threads that built.
    pub threads: usize,
}

/// Memory while searching.
#[derive(Clone, Debug, Serialize)]
pub struct Memory {
    /// The loaded index, as the engine counts it.
    pub resident_index_bytes: u64,
    /// Growth of the memory held, pages of mapped files left out, from before the store is built or opened to after
    /// searching, without a baseline's.
    /// Memory that the import gave back and the allocator kept counts, so only a run on an existing store shows what
    /// searching takes. 0 where the system does not tell.
    pub rss_delta_bytes: i64,
}

/// Quality and speed at one search width.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// Width of the graph search.
    pub ef: usize,
    /// Share of true neighbours found, from 0 to 1; rows as near as the k-th neighbour count as right.
    pub recall: f64,
    /// Queries a second, all threads together.
    pub qps: f64,
    /// Median time of one query, in microseconds.
    pub p50_us: f64,
    /// 95 of 100 queries were faster.
    pub p95_us: f64,
    /// 99 of 100 queries were faster.
    pub p99_us: f64,
}

/// Writes `report` as one JSON object to `path`, replacing what is there.
pub fn write_json(report: &impl Serialize, path: &Path) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(report)?;
    text.push(b'\n');
    std::fs::write(path, text)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MIB: f64 = (1 << 20) as f64;
        writeln!(f, "{}: {} rows of {} under {}", self.dataset, self.n, self.dim, self.metric)?;
        match self.build.seconds {
            Some(seconds) => write!(f, "built in {seconds:.1} s on {} threads", self.build.threads)?,
            None => write!(f, "found as built before")?,
        }
        writeln!(
            f,
            ", opened in {:.2} s, {:.1} MiB on disk, index {:.1} MiB in memory",
            self.open_seconds,
            self.disk_bytes as f64 / MIB,
            self.memory.resident_index_bytes as f64 / MIB,
        )?;
        let sealed = if self.encrypted { "encrypted" } else { "NOT encrypted" };
        writeln!(f, "{} ({sealed}), {} thread(s), k = {}", self.engine, self.threads, self.k)?;
        write_points(f, &self.points)?;
        if let Some(baseline) = &self.baseline {
            writeln!(f, "\n{} (plain text, in memory)", baseline.engine)?;
            write_points(f, &baseline.points)?;
        }
        Ok(())
    }
}

fn write_points(f: &mut fmt::Formatter<'_>, points: &[Point]) -> fmt::Result {
    write!(f, "{:>6} {:>8} {:>10} {:>9} {:>9} {:>9}", "ef", "recall", "queries/s", "p50 µs", "p95 µs", "p99 µs")?;
    for point in points {
        let Point { ef, recall, qps, p50_us, p95_us, p99_us } = point;
        write!(f, "\n{ef:>6} {recall:>8.4} {qps:>10.0} {p50_us:>9.0} {p95_us:>9.0} {p99_us:>9.0}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_object_has_the_agreed_members() {
        let point = Point { ef: 16, recall: 0.5, qps: 1.0, p50_us: 1.0, p95_us: 2.0, p99_us: 3.0 };
        let report = Report {
            engine: "lethedb",
            version: "0",
            dataset: "set".into(),
            n: 1,
            dim: 2,
            metric: "l2".into(),
            k: 10,
            threads: 1,
            encrypted: true,
            entities: 0,
            build: Build { seconds: None, threads: 2 },
            open_seconds: 0.25,
            memory: Memory { resident_index_bytes: 3, rss_delta_bytes: -4 },
            disk_bytes: 5,
            points: vec![point],
            baseline: None,
        };
        let expected = serde_json::json!({
            "engine": "lethedb", "version": "0", "dataset": "set", "n": 1, "dim": 2, "metric": "l2", "k": 10,
            "threads": 1, "encrypted": true, "entities": 0, "build": {"seconds": null, "threads": 2},
            "open_seconds": 0.25, "memory": {"resident_index_bytes": 3, "rss_delta_bytes": -4}, "disk_bytes": 5,
            "points": [{"ef": 16, "recall": 0.5, "qps": 1.0, "p50_us": 1.0, "p95_us": 2.0, "p99_us": 3.0}],
        });
        assert_eq!(serde_json::to_value(&report).unwrap(), expected);
    }
}
