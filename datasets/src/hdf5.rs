//! Files of ann-benchmarks: HDF5 with `train` and `test` (rows of floats), `neighbors` and `distances` (per query,
//! nearest first) and an attribute `distance`.
//!
//! Invariant: what comes out fits together (dimensions, counts, positions), whatever the file says. It is read by
//! `hdf5-pure`, so no C library is needed.

use std::path::Path;

use hdf5_pure::{AttrValue, File, FileBuilder};

use crate::{Dataset, Distance, Matrix};

/// Why a file of ann-benchmarks could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Hdf5Error {
    /// No readable HDF5 file, or without `train` or `test`.
    #[error("cannot read or write the HDF5 file")]
    Format(#[from] hdf5_pure::Error),
    /// The attribute `distance` is missing or names a distance other than angular, euclidean and dot.
    #[error("the attribute `distance` is missing or unknown; known are angular, euclidean and dot")]
    Distance,
    /// A dataset has the wrong number of axes, rows or columns.
    #[error("dataset `{dataset}` has the wrong shape")]
    Shape {
        /// Its name.
        dataset: &'static str,
    },
    /// A neighbour is no row of `train`.
    #[error("dataset `neighbors` holds at {at} a position outside `train`")]
    Neighbor {
        /// The index of the first such value, counted row by row.
        at: usize,
    },
}

/// Reads the file at `path`; its name without extension becomes the name of the set. The positions come from
/// `neighbors` if the file has it; `distances` is not needed.
pub fn read(path: impl AsRef<Path>) -> Result<Dataset, Hdf5Error> {
    let path = path.as_ref();
    let file = File::open_streaming(path)?;
    let attributes = file.root().attrs()?;
    let metric = attributes.get("distance").and_then(AttrValue::as_str).and_then(|name| name.parse().ok());
    let metric = metric.ok_or(Hdf5Error::Distance)?;
    let train = matrix(&file, "train")?;
    let test = matrix(&file, "test")?;
    if test.dimension() != train.dimension() {
        return Err(Hdf5Error::Shape { dataset: "test" });
    }
    let known = file.root().datasets()?.iter().any(|name| name == "neighbors");
    let neighbors = if known { Some(neighbors(&file, &train, &test)?) } else { None };
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Dataset { name, metric, train, test, neighbors })
}

/// The rows of `train`, a few at a time: a file larger than memory can be imported.
pub struct Rows {
    data: hdf5_pure::Dataset,
    metric: Option<Distance>,
    dimension: usize,
    rows: u64,
    /// Rows taken out of the file so far, and those of them that are not yielded yet.
    read: u64,
    batch: std::vec::IntoIter<f32>,
}

/// Numbers that are read together, and the most that a row may have: 4 MiB.
const BATCH_NUMBERS: usize = 1 << 20;

impl Rows {
    /// Opens the file at `path`; neither queries nor a distance need be there.
    ///
    /// # Errors
    /// `Format` for a file that is damaged or holds no `train`; `Shape` for one that holds no rows of numbers.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Hdf5Error> {
        let file = File::open_streaming(path.as_ref())?;
        let attributes = file.root().attrs()?;
        let metric = attributes.get("distance").and_then(AttrValue::as_str).and_then(|name| name.parse().ok());
        let data = file.dataset("train")?;
        let [rows, dimension] = shape(&data, "train")?;
        // A file can claim any shape without holding the numbers.
        if dimension == 0 || dimension > BATCH_NUMBERS {
            return Err(Hdf5Error::Shape { dataset: "train" });
        }
        Ok(Self { data, metric, dimension, rows: rows as u64, read: 0, batch: Vec::new().into_iter() })
    }

    /// Numbers in a row, at least 1.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// How many rows the file says it has.
    pub fn total(&self) -> u64 {
        self.rows
    }

    /// The distance the file was made for, if it says one that is known here.
    pub fn metric(&self) -> Option<Distance> {
        self.metric
    }

    fn fill(&mut self) -> Result<(), Hdf5Error> {
        let rows = (self.rows - self.read).min((BATCH_NUMBERS / self.dimension).max(1) as u64);
        let numbers = self.data.read_f32_rows(self.read, rows)?;
        if Some(numbers.len() as u64) != rows.checked_mul(self.dimension as u64) {
            return Err(Hdf5Error::Shape { dataset: "train" });
        }
        self.read += rows;
        self.batch = numbers.into_iter();
        Ok(())
    }
}

impl Iterator for Rows {
    type Item = Result<Vec<f32>, Hdf5Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.batch.len() == 0 {
            if self.read == self.rows {
                return None;
            }
            if let Err(error) = self.fill() {
                // Nothing follows an error.
                self.read = self.rows;
                return Some(Err(error));
            }
        }
        Some(Ok(self.batch.by_ref().take(self.dimension).collect()))
    }
}

/// Writes `set` to a new file at `path` in the layout that [`read`] reads. `distances` is computed here.
pub fn write(path: impl AsRef<Path>, set: &Dataset) -> Result<(), Hdf5Error> {
    let mut file = FileBuilder::new();
    let metric = match set.metric {
        Distance::Cosine => "angular",
        Distance::Dot => "dot",
        Distance::L2 => "euclidean",
    };
    file.set_attr("distance", AttrValue::AsciiString(metric.into()));
    file.set_attr("dimension", AttrValue::I64(set.train.dimension() as i64));
    file.set_attr("type", AttrValue::AsciiString("dense".into()));
    file.set_attr("point_type", AttrValue::AsciiString("float".into()));
    for (name, matrix) in [("train", &set.train), ("test", &set.test)] {
        let shape = [matrix.len() as u64, matrix.dimension() as u64];
        file.create_dataset(name).with_f32_data(matrix.as_slice()).with_shape(&shape);
    }
    if let Some(neighbors) = &set.neighbors {
        let wrong = Hdf5Error::Shape { dataset: "neighbors" };
        let k = neighbors.first().map_or(0, Vec::len);
        let fits = neighbors.len() == set.test.len() && neighbors.iter().all(|row| row.len() == k);
        let positions: Option<Vec<i32>> = neighbors.iter().flatten().map(|row| i32::try_from(*row).ok()).collect();
        let (Some(positions), true) = (positions, fits) else {
            return Err(wrong);
        };
        let mut distances = Vec::with_capacity(positions.len());
        for (query, row) in set.test.rows().zip(neighbors) {
            for neighbor in row {
                let neighbor = set.train.rows().nth(*neighbor as usize);
                let neighbor = neighbor.ok_or(Hdf5Error::Neighbor { at: distances.len() })?;
                distances.push(set.metric.between(query, neighbor));
            }
        }
        let shape = [neighbors.len() as u64, k as u64];
        file.create_dataset("neighbors").with_i32_data(&positions).with_shape(&shape);
        file.create_dataset("distances").with_f32_data(&distances).with_shape(&shape);
    }
    Ok(file.write(path)?)
}

/// The rows and columns of a dataset with two axes.
fn shape(data: &hdf5_pure::Dataset, dataset: &'static str) -> Result<[usize; 2], Hdf5Error> {
    let wrong = || Hdf5Error::Shape { dataset };
    let axes: Option<Vec<usize>> = data.shape()?.into_iter().map(|axis| usize::try_from(axis).ok()).collect();
    axes.and_then(|axes| axes.try_into().ok()).ok_or_else(wrong)
}

fn matrix(file: &File, dataset: &'static str) -> Result<Matrix, Hdf5Error> {
    let data = file.dataset(dataset)?;
    let [rows, dimension] = shape(&data, dataset)?;
    let matrix = Matrix::new(dimension, data.read_f32()?).filter(|matrix| matrix.len() == rows);
    matrix.ok_or(Hdf5Error::Shape { dataset })
}

fn neighbors(file: &File, train: &Matrix, test: &Matrix) -> Result<Vec<Vec<u32>>, Hdf5Error> {
    let wrong = Hdf5Error::Shape { dataset: "neighbors" };
    let data = file.dataset("neighbors")?;
    let [queries, k] = shape(&data, "neighbors")?;
    let positions = data.read_i64()?;
    if queries != test.len() || k == 0 || positions.len() != queries.saturating_mul(k) {
        return Err(wrong);
    }
    let inside = |position: i64| u32::try_from(position).ok().filter(|row| (*row as usize) < train.len());
    let positions =
        positions.into_iter().enumerate().map(|(at, position)| inside(position).ok_or(Hdf5Error::Neighbor { at }));
    let positions: Vec<u32> = positions.collect::<Result<_, _>>()?;
    Ok(positions.chunks(k).map(<[u32]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::Mixture;

    fn example(metric: Distance) -> Dataset {
        Dataset { name: "example".into(), ..Mixture::new(6, 3, 0.2, 1).dataset(metric, 40, 7, 5, 2) }
    }

    /// Writes a file of these pieces; the shapes may lie.
    fn write_raw(path: &Path, distance: &str, train: [u64; 2], neighbors: Option<&[i32]>) {
        let mut file = FileBuilder::new();
        file.set_attr("distance", AttrValue::String(distance.into()));
        let values = vec![0.5; (train[0] * train[1]) as usize];
        file.create_dataset("train").with_f32_data(&values).with_shape(&train);
        file.create_dataset("test").with_f64_data(&[1.0, 2.0]).with_shape(&[1, 2]);
        if let Some(neighbors) = neighbors {
            let shape = [1, neighbors.len() as u64];
            file.create_dataset("neighbors").with_i32_data(neighbors).with_shape(&shape);
        }
        file.write(path).unwrap();
    }

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("example.hdf5");
        for metric in [Distance::Cosine, Distance::Dot, Distance::L2] {
            let set = example(metric);
            write(&path, &set).unwrap();
            assert_eq!(read(&path).unwrap(), set);
            let set = Dataset { neighbors: None, ..set };
            write(&path, &set).unwrap();
            assert_eq!(read(&path).unwrap(), set);
        }
    }

    #[test]
    fn rows_come_one_by_one_as_they_come_together() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("example.hdf5");
        let set = Mixture::new(300, 3, 0.2, 1).dataset(Distance::L2, 4_000, 1, 1, 2);
        write(&path, &set).unwrap();
        let rows = Rows::open(&path).unwrap();
        assert_eq!((rows.dimension(), rows.total(), rows.metric()), (300, 4_000, Some(Distance::L2)));
        assert!(rows.total() > (BATCH_NUMBERS / 300) as u64, "more than one batch");
        let rows: Vec<Vec<f32>> = rows.map(Result::unwrap).collect();
        assert_eq!(rows, set.train.rows().collect::<Vec<_>>());
        write_raw(&path, "hamming", [3, 2], None);
        assert_eq!(Rows::open(&path).unwrap().metric(), None);
        assert!(matches!(Rows::open(folder.path().join("none.hdf5")), Err(Hdf5Error::Format(_))));
    }

    #[test]
    fn pieces_that_do_not_fit_together_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("raw.hdf5");
        let check = |distance, train, neighbors| {
            write_raw(&path, distance, train, neighbors);
            read(&path)
        };
        assert_eq!(check("angular", [3, 2], Some(&[2, 0])).unwrap().neighbors, Some(vec![vec![2, 0]]));
        assert_eq!(check("euclidean", [3, 2], None).unwrap().metric, Distance::L2);
        assert!(matches!(check("hamming", [3, 2], None), Err(Hdf5Error::Distance)));
        assert!(matches!(check("angular", [2, 3], None), Err(Hdf5Error::Shape { dataset: "test" })));
        assert!(matches!(check("angular", [3, 2], Some(&[2, 3])), Err(Hdf5Error::Neighbor { at: 1 })));
        assert!(matches!(check("angular", [3, 2], Some(&[-1])), Err(Hdf5Error::Neighbor { at: 0 })));
    }

    #[test]
    fn neighbours_that_do_not_fit_are_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("example.hdf5");
        let short = Dataset { neighbors: Some(vec![vec![0]]), ..example(Distance::L2) };
        assert!(matches!(write(&path, &short), Err(Hdf5Error::Shape { dataset: "neighbors" })));
        let stray = Dataset { neighbors: Some(vec![vec![40]; 7]), ..example(Distance::L2) };
        assert!(matches!(write(&path, &stray), Err(Hdf5Error::Neighbor { at: 0 })));
        assert!(matches!(read(&path), Err(Hdf5Error::Format(_))), "no half-written file stays");
    }
}
