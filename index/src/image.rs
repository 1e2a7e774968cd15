//! The byte forms of an index, in the memory where it will be searched.
//!
//! Invariant: rows and neighbours lie in their bytes as they are searched, from the first cache line after the header
//! on, so that reading an index is checking it: whoever has it sealed opens it into these buffers, and nothing of it is
//! ever in memory twice.

use crate::arena::Arena;
use crate::codec::DecodeError;

/// Room for the codes and the graph of an index, as bytes: to be filled, then read by [`Ann::read`](crate::Ann::read).
pub struct Image {
    pub(crate) codes: Arena<u8>,
    pub(crate) graph: Arena<u32>,
}

impl Image {
    /// Room for so many bytes each; 0 of a graph if there is none.
    ///
    /// # Errors
    /// If no graph has that length.
    pub fn zeroed(codes: usize, graph: usize) -> Result<Self, DecodeError> {
        if !graph.is_multiple_of(size_of::<u32>()) {
            return Err(DecodeError::Length);
        }
        Ok(Self { codes: Arena::zeroed(codes), graph: Arena::zeroed(graph / size_of::<u32>()) })
    }

    /// An image of bytes that are in memory already.
    ///
    /// # Errors
    /// As [`Image::zeroed`].
    pub fn copied(codes: &[u8], graph: &[u8]) -> Result<Self, DecodeError> {
        let mut image = Self::zeroed(codes.len(), graph.len())?;
        let (codes_room, graph_room) = image.buffers();
        codes_room.copy_from_slice(codes);
        graph_room.copy_from_slice(graph);
        Ok(image)
    }

    /// Where the bytes of the codes go, and where those of the graph.
    pub fn buffers(&mut self) -> (&mut [u8], &mut [u8]) {
        (&mut self.codes, bytemuck::cast_slice_mut(&mut self.graph))
    }
}
