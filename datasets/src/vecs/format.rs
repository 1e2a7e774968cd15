//! Which kind of vector file it is, and how its head is read.
//!
//! Invariant: one place knows the formats by name; the rest of the room knows layouts.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;

use super::layout::{Element, Layout};
use super::npy;
use super::source::{ReadError, Source};

/// A kind of vector file; the table above describes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// f32 rows, each led by its dimension.
    Fvecs,
    /// u8 rows, each led by its dimension.
    Bvecs,
    /// f32 rows after one head.
    Fbin,
    /// u8 rows after one head.
    U8bin,
    /// A NumPy array of f16, f32 or f64.
    Npy,
}

impl Format {
    /// The format that the extension of `path` names, if it is one of these.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension().and_then(OsStr::to_str)? {
            "fvecs" => Some(Self::Fvecs),
            "bvecs" => Some(Self::Bvecs),
            "fbin" => Some(Self::Fbin),
            "u8bin" => Some(Self::U8bin),
            "npy" => Some(Self::Npy),
            _ => None,
        }
    }

    /// Reads the head of a file of `length` bytes, up to the values of its first row.
    pub(super) fn layout(self, source: &mut Source<impl Read>, length: u64) -> Result<Layout, ReadError> {
        match self {
            Self::Fvecs => Layout::led(Element::F32, source.number()? as usize, length),
            Self::Bvecs => Layout::led(Element::U8, source.number()? as usize, length),
            Self::Fbin => counted(source, Element::F32, length),
            Self::U8bin => counted(source, Element::U8, length),
            Self::Npy => npy::read(source, length),
        }
    }
}

/// The head of Big-ANN-Benchmarks: the number of rows, then the dimension.
fn counted(source: &mut Source<impl Read>, element: Element, length: u64) -> Result<Layout, ReadError> {
    let (rows, dimension) = (source.number()? as usize, source.number()? as usize);
    Layout::counted(element, rows, dimension, source.offset(), length)
}
