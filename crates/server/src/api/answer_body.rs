//! The body of an answer: long ones of ordinary users have a budget, and must be read at a pace.

use crate::bodies::{Bodies, Charge, Payer, Unread};
use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Sleep, sleep};

/// It is handed on in pieces, so that what a client does not read still counts.
const PIECE_BYTES: usize = 16 * 1024;
/// How long the reader may take, and beyond that for each piece.
const READ_WITHIN: Duration = Duration::from_secs(30);
const PIECE_WITHIN: Duration = Duration::from_millis(250);

/// A body that counts for as long as it is being sent. `payer`: whose budget it takes; none: nobody's.
pub(super) fn answer_body(
    answers: &Bodies,
    payer: Option<Payer>,
    text: String,
) -> Result<Body, Unread> {
    let Some(payer) = payer.filter(|_| text.len() > PIECE_BYTES) else {
        return Ok(Body::from(text));
    };
    let charge = answers.hold(text.len(), payer)?;
    let pieces = text.len().div_ceil(PIECE_BYTES) as u32;
    let ends = Box::pin(sleep(READ_WITHIN + PIECE_WITHIN * pieces));
    Ok(Body::new(InPieces { rest: text.into(), ends, _charge: charge }))
}

struct InPieces {
    rest: Bytes,
    ends: Pin<Box<Sleep>>,
    _charge: Charge,
}

impl HttpBody for InPieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        if self.ends.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(io::Error::other("the answer is read too slowly"))));
        }
        let length = self.rest.len().min(PIECE_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test(start_paused = true)]
    async fn a_long_answer_counts_until_it_is_read_and_is_read_in_time() {
        let answers = Bodies::default();
        let text = "x".repeat(1_500_000);
        let user = |name: &str| Some(Payer::User(name.into()));
        let hold = |name: &str| answer_body(&answers, user(name), text.clone());
        let mut first = hold("a").unwrap();
        assert!(matches!(hold("a"), Err(Unread::NoRoom)) && hold("b").is_ok());
        assert!(answer_body(&answers, user("a"), "short".into()).is_ok());
        assert!(answer_body(&answers, None, text.clone()).is_ok(), "an administrator's");
        first.frame().await.unwrap().unwrap();
        assert!(hold("a").is_err(), "most of it is still there");
        assert_eq!(first.collect().await.unwrap().to_bytes().len(), text.len() - PIECE_BYTES);
        let mut slow = hold("a").unwrap();
        slow.frame().await.unwrap().unwrap();
        sleep(READ_WITHIN + PIECE_WITHIN * 92).await;
        assert!(slow.frame().await.unwrap().is_err());
    }
}
