//! Rows of equal length, one after another in memory.
//!
//! Invariant: the dimension is at least 1 and the values are a whole number of rows. It stands alone because every
//! reader makes one and every measurement borrows from it.

use std::slice::ChunksExact;

/// A row-major matrix of vectors: `len()` rows of `dimension()` values.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    pub(crate) dimension: usize,
    pub(crate) data: Vec<f32>,
}

impl Matrix {
    /// Takes values laid out row by row; `None` if the dimension is zero or the last row is incomplete.
    pub fn new(dimension: usize, data: Vec<f32>) -> Option<Self> {
        (dimension > 0 && data.len().is_multiple_of(dimension)).then_some(Self { dimension, data })
    }

    /// How many values a row has, at least 1.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.data.len() / self.dimension
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The row at `position`, of `dimension()` values.
    ///
    /// # Panics
    /// As slice indexing does, when `position` is not below `len()`.
    pub fn row(&self, position: usize) -> &[f32] {
        let start = position * self.dimension;
        &self.data[start..start + self.dimension]
    }

    /// All rows in order.
    pub fn rows(&self) -> ChunksExact<'_, f32> {
        self.data.chunks_exact(self.dimension)
    }

    /// All values, row after row.
    pub fn as_slice(&self) -> &[f32] {
        &self.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_where_the_dimension_says() {
        let matrix = Matrix::new(2, vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!(matrix.len(), 2);
        assert_eq!(matrix.row(1), [3.0, 4.0]);
        assert_eq!(matrix.rows().collect::<Vec<_>>(), [[1.0, 2.0], [3.0, 4.0]]);
    }

    #[test]
    fn a_ragged_matrix_cannot_be_made() {
        assert!(Matrix::new(2, vec![1.0, 2.0, 3.0]).is_none());
        assert!(Matrix::new(0, vec![]).is_none());
        assert!(Matrix::new(3, vec![]).unwrap().is_empty());
    }
}
