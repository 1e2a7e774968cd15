//! Messages from bytes and back, for calls of both kinds.
//!
//! Invariant: no message is read before its bytes were [weighed](super::weight), and no text that the library made about
//! one leaves. Large ones hold up nobody else.

use std::marker::PhantomData;

use prost_reflect::prost::bytes::Buf;
use prost_reflect::prost::{Message, Name};
use prost_reflect::{DynamicMessage, MessageDescriptor};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::aside::here;
use super::dynamic::wipe;
use super::shape::broken;
use super::weight::{Held, admit};
use crate::rest::{Problem, Refusal};

/// Of messages that have types of Rust; named by what the build makes of the `.proto` files.
pub struct Typed<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Typed<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T: Message + Send + 'static, U: Message + Name + Default + Send + 'static> Codec for Typed<T, U> {
    type Encode = T;
    type Decode = U;
    type Encoder = Written<T>;
    type Decoder = TypedRead<U>;

    fn encoder(&mut self) -> Written<T> {
        Written(PhantomData)
    }

    fn decoder(&mut self) -> TypedRead<U> {
        TypedRead(PhantomData)
    }
}

/// Reads messages of one kind, and writes any.
pub struct Dynamic {
    pub input: MessageDescriptor,
}

impl Codec for Dynamic {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = DynamicWritten;
    type Decoder = DynamicRead;

    fn encoder(&mut self) -> DynamicWritten {
        DynamicWritten
    }

    fn decoder(&mut self) -> DynamicRead {
        DynamicRead(self.input.clone())
    }
}

pub struct Written<T>(PhantomData<T>);

impl<T: Message> Encoder for Written<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        write(&item, buffer)
    }
}

/// Wipes what it wrote: some of it is a new key.
pub struct DynamicWritten;

impl Encoder for DynamicWritten {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, mut item: DynamicMessage, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let written = write(&item, buffer);
        wipe(&mut item);
        written
    }
}

fn write(message: &impl Message, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
    let written = here(message.encoded_len(), || message.encode(buffer));
    written.map_err(|_| Problem::new(Refusal::Internal, "the answer has no room").into())
}

pub struct TypedRead<U>(PhantomData<U>);

impl<U: Message + Name + Default> Decoder for TypedRead<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        here(buffer.remaining(), || {
            admit(&U::full_name(), buffer.chunk(), Held::Typed)?;
            Ok(Some(U::decode(buffer).map_err(|_| broken())?))
        })
    }
}

pub struct DynamicRead(MessageDescriptor);

impl Decoder for DynamicRead {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        here(buffer.remaining(), || {
            admit(self.0.full_name(), buffer.chunk(), Held::Dynamic)?;
            Ok(Some(DynamicMessage::decode(self.0.clone(), buffer).map_err(|_| broken())?))
        })
    }
}
