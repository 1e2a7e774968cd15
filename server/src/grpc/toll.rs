//! What the messages of a stream pay as they arrive: for their bytes, and for the room that these take.
//!
//! Invariant: as in a body of REST, a byte is paid for and has its room before anybody looks at it; the room comes back once
//! what came in it was answered, or with the stream. The first message may owe its bytes, as a body of REST may; later ones
//! pay as they come, so that a stream whose units are spent ends before more of it is taken in.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use hyper::body::{Body as Frames, Frame};
use parking_lot::Mutex;

use crate::rest::{App, NoRoom, Problem, Refusal, Share, Told, units_of};

/// That of one stream; a cheap clone that shares it.
#[derive(Clone)]
pub struct Toll(Arc<Mutex<Till>>);

struct Till {
    app: App,
    share: Share,
    /// Bytes since the stream began.
    arrived: u64,
    /// Units that were paid for them.
    paid: u32,
    /// Whether a message was handed on.
    has_begun: bool,
}

impl Toll {
    /// Nothing came yet.
    pub fn new(app: App) -> Self {
        let share = app.pantry().share();
        Self(Arc::new(Mutex::new(Till { app, share, arrived: 0, paid: 0, has_begun: false })))
    }

    /// `body`, whose bytes pay.
    pub fn on(&self, body: Body) -> Body {
        Body::new(Paying { body, toll: self.clone() })
    }

    /// The room of what arrived since it was last taken.
    pub fn take(&self) -> Share {
        let mut till = self.0.lock();
        till.has_begun = true;
        let fresh = till.app.pantry().share();
        std::mem::replace(&mut till.share, fresh)
    }

    fn pay(&self, bytes: usize) -> Result<(), Problem> {
        let till = &mut *self.0.lock();
        till.share.grow(bytes).map_err(|NoRoom| {
            let detail = "the bodies of other requests take all of limits.bodies_bytes_max; try again later";
            Problem::new(Refusal::Overloaded, detail)
        })?;
        till.arrived = till.arrived.saturating_add(bytes as u64);
        let due = units_of(till.arrived);
        match till.has_begun {
            true => till.app.charge(due - till.paid)?,
            false => till.app.owe(due - till.paid)?,
        }
        till.paid = due;
        Ok(())
    }
}

struct Paying {
    body: Body,
    toll: Toll,
}

impl Frames for Paying {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
        match self.toll.pay(bytes) {
            Ok(()) => Poll::Ready(frame),
            Err(problem) => Poll::Ready(Some(Err(axum::Error::new(Told(Arc::new(problem)))))),
        }
    }
}
