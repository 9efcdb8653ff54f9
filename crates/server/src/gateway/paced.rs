//! A stream of which a client can have only so many bytes read.
//!
//! The budget of frames sees whole messages only: a message in a million empty pieces would be one, or none. What
//! is not read stays in the system's buffer, and then with the client.
#![allow(
    clippy::disallowed_methods,
    reason = "it waits by the timers of the runtime, so it counts by their clock"
)]

use crate::rate::{Rate, Spent};
use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// When what may come at once is used up, what is read is read in pieces that are worth a timer; small ones, because
/// the thousands of frames that may be in one are a turn in which nobody else's are read.
const PIECE: Duration = Duration::from_millis(5);

pub(super) struct Paced<S> {
    stream: S,
    rate: Rate,
    spent: Spent,
    began: Instant,
    /// Made only when it is used up.
    waits: Option<Pin<Box<Sleep>>>,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S, at_once: usize, bytes_each_second: usize) -> Paced<S> {
        let at_once = u32::try_from(at_once).unwrap_or(u32::MAX);
        let every = Duration::from_nanos(1_000_000_000 / bytes_each_second as u64);
        let rate = Rate { at_once, every };
        Paced { stream, rate, spent: Spent::default(), began: Instant::now(), waits: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(waits) = &mut self.waits {
            ready!(waits.as_mut().poll(context));
            self.waits = None;
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let bytes = (buffer.filled().len() - before) as u32;
        if bytes > 0 {
            let now = self.began.elapsed();
            let rate = self.rate;
            self.spent.spend(rate, bytes, now);
            if self.spent.is_over(rate, now) {
                let at = self.began + self.spent.ready_at(rate) + PIECE;
                self.waits = Some(Box::pin(sleep_until(at)));
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test(start_paused = true)]
    async fn what_comes_at_once_is_read_at_once_and_the_rest_at_a_pace() {
        let (ours, mut theirs) = tokio::io::duplex(64 << 10);
        let mut paced = Paced::new(ours, 200_000, 100_000);
        tokio::spawn(async move { while theirs.write_all(&[0; 4_000]).await.is_ok() {} });
        let began = Instant::now();
        let mut read = vec![0; 400_000];
        paced.read_exact(&mut read[..200_000]).await.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO);
        paced.read_exact(&mut read).await.unwrap();
        let took = began.elapsed();
        assert!((Duration::from_secs(3)..Duration::from_secs(5)).contains(&took), "{took:?}");
    }
}
