//! A connection that ends if its client does not take what is written to it.
//!
//! Invariant: a write waits no longer than the [`Leeway`] of the connection has left; time in which nothing is to be
//! written costs nothing, and what the system takes at once does not either. Reads are left to who knows what is awaited:
//! heads and bodies have times of their own.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::leeway::Leeway;

/// Slower readers than this hold more than they are worth.
const BYTES_A_SECOND: u32 = 4 << 10;

/// A stream whose writes do not wait for ever.
pub struct Brisk<S> {
    stream: S,
    leeway: Leeway,
    /// Since when a write waits, and what wakes it when that was long enough.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<S> Brisk<S> {
    /// `stream`, whose client is lent so much time.
    pub fn new(stream: S, lent: Duration) -> Self {
        Self { stream, leeway: Leeway::new(lent, BYTES_A_SECOND), waiting: None }
    }

    /// Notes how a write went that moved `bytes` if it is ready; fails one that waited for too long.
    fn note<T>(
        &mut self,
        context: &mut Context<'_>,
        went: Poll<io::Result<T>>,
        bytes: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        let Poll::Ready(written) = went else {
            let (_, alarm) = self.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(self.leeway.left()))));
            ready!(alarm.as_mut().poll(context));
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")));
        };
        let bytes = written.as_ref().map_or(0, bytes);
        let waited = self.waiting.take().map(|(since, _)| since.elapsed());
        self.leeway.spend(waited.unwrap_or_default(), bytes);
        Poll::Ready(written)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Brisk<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Brisk<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let went = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(context, went, |written| *written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let went = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.note(context, went, |written| *written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let went = Pin::new(&mut self.stream).poll_flush(context);
        self.note(context, went, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let went = Pin::new(&mut self.stream).poll_shutdown(context);
        self.note(context, went, |()| 0)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const LENT: Duration = Duration::from_secs(10);
    /// What the system holds for a client that does not read.
    const HELD: usize = 1000;

    #[tokio::test(start_paused = true)]
    async fn who_never_reads_is_let_go_after_the_lent_time() {
        let (ours, _theirs) = duplex(HELD);
        let mut ours = Brisk::new(ours, LENT);
        let begun = Instant::now();
        let error = ours.write_all(&[7; 2 * HELD]).await.unwrap_err();
        assert_eq!((error.kind(), begun.elapsed().as_secs()), (io::ErrorKind::TimedOut, LENT.as_secs()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_now_and_then_buys_no_time_worth_speaking_of() {
        let (ours, mut theirs) = duplex(HELD);
        let mut ours = Brisk::new(ours, LENT);
        let reading = tokio::spawn(async move {
            while theirs.read_u8().await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        });
        let begun = Instant::now();
        let error = ours.write_all(&[7; 2 * HELD]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!((10..=11).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
        reading.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_steady_reader_gets_an_answer_that_takes_far_longer_than_the_lent_time() {
        let (ours, mut theirs) = duplex(HELD);
        let mut ours = Brisk::new(ours, LENT);
        let all = 100 * BYTES_A_SECOND as usize;
        let writing = tokio::spawn(async move { ours.write_all(&vec![7; all]).await });
        let (begun, mut read) = (Instant::now(), 0);
        let mut some = [0; HELD];
        while read < all {
            read += theirs.read(&mut some).await.unwrap();
            sleep(Duration::from_millis(200)).await;
        }
        writing.await.unwrap().unwrap();
        assert!(begun.elapsed() > 5 * LENT);
    }

    #[tokio::test(start_paused = true)]
    async fn time_without_anything_to_write_costs_nothing() {
        let (ours, mut theirs) = duplex(HELD);
        let mut ours = Brisk::new(ours, LENT);
        for _ in 0..10 {
            ours.write_all(&[7; HELD]).await.unwrap();
            sleep(3 * LENT).await;
            theirs.read_exact(&mut [0; HELD]).await.unwrap();
        }
    }
}
