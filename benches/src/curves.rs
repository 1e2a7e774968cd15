//! Reports read back as lines of a picture: recall against speed, one line an engine.
//!
//! Invariant: a line is the front of its points, so a setting that another beats in both does not bend it.
#![expect(clippy::disallowed_methods, reason = "reads reports and writes the picture where the user wants it")]

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::comparison::{Comparison, OURS};
use crate::front::front;
use crate::plot::{Axis, Line, Picture};

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum DrawError {
    /// A report cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is no report.
    #[error("`{path}` is no report of `bench run` or `bench compare`")]
    Report {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The picture cannot be drawn.
    #[error("the picture cannot be drawn: {0}")]
    Drawing(String),
    /// The picture cannot be written.
    #[error("the picture cannot be written")]
    Write(#[from] io::Error),
}

/// What both kinds of report share.
#[derive(Deserialize)]
struct Report {
    dataset: String,
    n: usize,
    dim: usize,
    metric: String,
    k: usize,
    #[serde(flatten)]
    measured: Measured,
}

/// Where their points stand.
#[derive(Deserialize)]
#[serde(untagged)]
enum Measured {
    Compared {
        engines: Vec<Curve>,
    },
    Ran {
        #[serde(flatten)]
        ours: Curve,
        baseline: Option<Curve>,
    },
}

#[derive(Deserialize)]
struct Curve {
    engine: String,
    points: Vec<Spot>,
}

#[derive(Deserialize)]
struct Spot {
    recall: f64,
    qps: f64,
}

/// The line of the points that none of the others beats.
fn line(name: String, is_ours: bool, spots: &[(f64, f64)]) -> Line {
    Line { name, points: front(spots).into_iter().map(|at| spots[at]).collect(), dots: None, is_ours }
}

fn picture(dataset: &str, subtitle: String, lines: Vec<Line>) -> Picture {
    Picture {
        title: format!("{dataset}: speed at recall"),
        subtitle,
        x: (Axis::Recall, "recall".into()),
        y: (Axis::Log, "queries a second".into()),
        lines,
    }
}

impl Comparison {
    /// Recall against speed of all engines.
    pub fn curves(&self) -> Picture {
        let spots = |points: &[crate::comparison::Tried]| -> Vec<_> {
            points.iter().map(|point| (point.recall, point.qps)).collect()
        };
        let lines = self
            .engines
            .iter()
            .map(|engine| line(engine.engine.clone(), engine.engine == OURS, &spots(&engine.points)));
        let subtitle = subtitle(self.n, self.dim, &self.metric, self.k);
        picture(
            &self.dataset,
            format!("{subtitle}, one query at a time on one core ({})", self.machine.instructions),
            lines.collect(),
        )
    }
}

fn subtitle(n: usize, dim: usize, metric: &str, k: usize) -> String {
    format!("{n} vectors of {dim} dimensions under {metric}, recall@{k}")
}

/// Recall against speed of all engines in these reports; of more than one, each line is named with its file too.
pub fn read_curves(paths: &[PathBuf]) -> Result<Picture, DrawError> {
    let mut lines = Vec::new();
    let mut head = (String::new(), String::new());
    for path in paths {
        let text = std::fs::read(path).map_err(|source| DrawError::Read { path: path.clone(), source })?;
        let report =
            serde_json::from_slice(&text).map_err(|source| DrawError::Report { path: path.clone(), source })?;
        let Report { dataset, n, dim, metric, k, measured } = report;
        head = (dataset, subtitle(n, dim, &metric, k));
        let curves: Vec<Curve> = match measured {
            Measured::Compared { engines } => engines,
            Measured::Ran { ours, baseline } => std::iter::once(ours).chain(baseline).collect(),
        };
        for curve in curves {
            let spots: Vec<_> = curve.points.iter().map(|spot| (spot.recall, spot.qps)).collect();
            let is_ours = curve.engine == OURS;
            let file = path.file_stem().unwrap_or_default().to_string_lossy();
            let name = if paths.len() > 1 { format!("{}, {file}", curve.engine) } else { curve.engine };
            lines.push(line(name, is_ours, &spots));
        }
    }
    Ok(picture(&head.0, head.1, lines))
}

/// Draws `picture` into the file at `path`, replacing what is there.
pub fn draw(picture: &Picture, path: &Path) -> Result<(), DrawError> {
    Ok(std::fs::write(path, picture.svg().map_err(DrawError::Drawing)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_of_both_kinds_become_lines() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, measured: &str| {
            let path = folder.path().join(name);
            let head = r#"{"dataset": "set", "n": 5, "dim": 2, "metric": "l2", "k": 10, "#;
            std::fs::write(&path, format!("{head}{measured}}}")).unwrap();
            path
        };
        let points = r#""points": [{"recall": 0.9, "qps": 100.0, "ef": 1}, {"recall": 0.8, "qps": 50}]"#;
        let ran = format!(r#""engine": "lethedb", {points}, "baseline": {{"engine": "hnsw_rs", {points}}}"#);
        let ran = write("ran.json", &ran);
        let compared = format!(r#""engines": [{{"engine": "lethedb", {points}}}, {{"engine": "ngt", "points": []}}]"#);
        let compared = write("compared.json", &compared);

        let both = read_curves(&[ran.clone(), compared]).unwrap();
        let names: Vec<_> = both.lines.iter().map(|line| (line.name.as_str(), line.is_ours)).collect();
        let expected =
            [("lethedb, ran", true), ("hnsw_rs, ran", false), ("lethedb, compared", true), ("ngt, compared", false)];
        assert_eq!(names, expected);
        assert_eq!(both.lines[0].points, [(0.9, 100.0)], "a beaten point is not drawn");
        assert_eq!(read_curves(&[ran]).unwrap().lines[1].name, "hnsw_rs");
        let svg = folder.path().join("a.svg");
        draw(&both, &svg).unwrap();
        assert!(std::fs::read_to_string(svg).unwrap().contains("lethedb, ran"));

        let broken = write("broken.json", "");
        assert!(matches!(read_curves(&[broken]), Err(DrawError::Report { .. })));
        assert!(matches!(read_curves(&[folder.path().join("none.json")]), Err(DrawError::Read { .. })));
    }
}
