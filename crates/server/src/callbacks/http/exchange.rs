//! One request and its answer over one connection, and how much of an answer is read.

use super::failure::Failure;
use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, Request, StatusCode, header::CONTENT_ENCODING};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use presence::Instant;
use std::{
    io::{self, Read},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::task::AbortOnDropHandle;

/// How long an answer may be, packed and unpacked.
pub const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// What may come before its body, interim answers (1xx) included.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// What is read in one exchange at all. Whatever an App sends, and however, it costs no more.
const ROOM: usize = HEAD_BYTES_MAX + ANSWER_BYTES_MAX;
/// In how many pieces: what comes byte by byte costs more than it says.
const PIECES_MAX: usize = 1024;
/// How long a connection may take to be ready for the next request, once the answer is here.
const READY_WITHIN: Duration = Duration::from_millis(100);

/// A connection to the App, with HTTP on it.
pub(super) struct Line {
    sender: http1::SendRequest<Full<Bytes>>,
    room: Arc<AtomicUsize>,
    pub(super) made_at: Instant,
    _driver: AbortOnDropHandle<()>,
}

/// What the App answered.
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

/// What it said.
#[derive(Debug, PartialEq)]
pub(super) enum Body {
    Whole(Bytes),
    /// Why it is not read, and how it began.
    Unread(String, Bytes),
}

impl Line {
    pub(super) async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        made_at: Instant,
    ) -> hyper::Result<Line> {
        let room = Arc::new(AtomicUsize::new(ROOM));
        let stream = Rationed { stream, room: Arc::clone(&room) };
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_BYTES_MAX);
        let (sender, driver) = builder.handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(async move { driver.await.unwrap_or_default() });
        Ok(Line { sender, room, made_at, _driver: AbortOnDropHandle::new(driver) })
    }

    /// Whether the App has not closed it, and expects a request.
    pub(super) fn is_open(&self) -> bool {
        self.sender.is_ready()
    }

    /// The answer, and the connection if it can be used again.
    pub(super) async fn exchange(
        mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<(Response, Option<Line>), Failure> {
        self.room.store(ROOM, Relaxed);
        let sent = self.sender.send_request(request).await;
        let (head, body) = sent.map_err(|error| self.failure(error))?.into_parts();
        let body = self.read(body).await?;
        let body = match body {
            Body::Whole(body) => unpacked(&head.headers, body),
            unread => unread,
        };
        let response = Response { status: head.status, headers: head.headers, body };
        let ready = tokio::time::timeout(READY_WITHIN, self.sender.ready()).await;
        Ok((response, matches!(ready, Ok(Ok(()))).then_some(self)))
    }

    async fn read(&self, mut body: Incoming) -> Result<Body, Failure> {
        let mut read = Vec::new();
        let mut pieces = 0;
        while let Some(frame) = body.frame().await {
            pieces += 1;
            if pieces > PIECES_MAX {
                return Ok(in_pieces(read));
            }
            match frame {
                Ok(frame) => read.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Err(_) if self.is_used_up() => return Ok(too_long(read)),
                Err(error) => return Err(self.failure(error)),
            }
            if read.len() > ANSWER_BYTES_MAX {
                return Ok(too_long(read));
            }
        }
        Ok(Body::Whole(read.into()))
    }

    fn is_used_up(&self) -> bool {
        self.room.load(Relaxed) == 0
    }

    fn failure(&self, error: hyper::Error) -> Failure {
        // One that is cancelled was not sent.
        let nothing_came = error.is_canceled() || self.room.load(Relaxed) == ROOM;
        let is_too_long = self.is_used_up() || error.is_parse_too_large();
        Failure::BrokeOff { nothing_came, is_too_long, error: Box::new(error) }
    }
}

fn too_long(read: Vec<u8>) -> Body {
    let why = "the answer is longer than 1 MiB and was not read; an App answers with a short JSON";
    Body::Unread(why.to_owned(), read.into())
}

fn in_pieces(read: Vec<u8>) -> Body {
    let why = format!(
        "the answer comes in more than {PIECES_MAX} pieces and was not read; an App writes it at once"
    );
    Body::Unread(why, read.into())
}

/// Undoes what nobody asked for.
fn unpacked(headers: &HeaderMap, body: Bytes) -> Body {
    let all: Vec<_> = headers.get_all(CONTENT_ENCODING).iter().collect();
    let encoding = match all[..] {
        [] => "",
        [one] => one.to_str().unwrap_or("?").trim(),
        _ => "more than one",
    };
    if body.is_empty() {
        return Body::Whole(body);
    }
    let unpacked = match encoding.to_ascii_lowercase().as_str() {
        "" | "identity" => return Body::Whole(body),
        "gzip" | "x-gzip" => read_whole(MultiGzDecoder::new(&body[..])),
        "deflate" => read_whole(ZlibDecoder::new(&body[..])),
        _ => {
            let why = format!(
                "the answer is packed ({encoding:?}), which Herald did not ask for and cannot read"
            );
            return Body::Unread(why, body);
        }
    };
    match unpacked {
        Ok(read) if read.len() > ANSWER_BYTES_MAX => too_long(read),
        Ok(read) => Body::Whole(read.into()),
        Err(error) => {
            let why =
                format!("the answer is packed ({encoding:?}) and cannot be unpacked: {error}");
            Body::Unread(why, body)
        }
    }
}

fn read_whole(decoder: impl Read) -> io::Result<Vec<u8>> {
    let mut read = Vec::new();
    decoder.take(ANSWER_BYTES_MAX as u64 + 1).read_to_end(&mut read)?;
    Ok(read)
}

/// A stream of which only so much is read.
struct Rationed<T> {
    stream: T,
    room: Arc<AtomicUsize>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Rationed<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = self.room.load(Relaxed);
        if room == 0 {
            return Poll::Ready(Err(io::Error::other("the answer is too long")));
        }
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(context, buffer);
        let read = buffer.filled().len() - before;
        self.room.store(room.saturating_sub(read), Relaxed);
        poll
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Rationed<T> {
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

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use flate2::{
        Compression,
        write::{GzEncoder, ZlibEncoder},
    };
    use std::io::Write as _;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut packer = ZlibEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    #[test]
    fn what_is_packed_is_unpacked_or_not_read_at_all() {
        let answer: &[u8] = br#"{"nextCode":1}"#;
        let bomb = gzip(&vec![b' '; 4 * ANSWER_BYTES_MAX]);
        let told = |encodings: &[&str], body: &[u8]| {
            let mut headers = HeaderMap::new();
            for encoding in encodings {
                headers.append(CONTENT_ENCODING, encoding.parse().unwrap());
            }
            match unpacked(&headers, body.to_vec().into()) {
                Body::Whole(body) => format!("{encodings:?}: {}\n", String::from_utf8_lossy(&body)),
                Body::Unread(why, _) => format!("{encodings:?}: {why}\n"),
            }
        };
        let all = [
            told(&[], answer),
            told(&["identity"], answer),
            told(&["gzip"], &gzip(answer)),
            told(&[" X-Gzip"], &gzip(answer)),
            told(&["deflate"], &deflate(answer)),
            told(&["gzip"], b""),
            told(&["gzip"], answer),
            told(&["gzip"], &gzip(answer)[..20]),
            told(&["gzip"], &bomb),
            told(&["br"], answer),
            told(&["gzip", "gzip"], &gzip(&gzip(answer))),
        ];
        expect![[r#"
            []: {"nextCode":1}
            ["identity"]: {"nextCode":1}
            ["gzip"]: {"nextCode":1}
            [" X-Gzip"]: {"nextCode":1}
            ["deflate"]: {"nextCode":1}
            ["gzip"]: 
            ["gzip"]: the answer is packed ("gzip") and cannot be unpacked: invalid gzip header
            ["gzip"]: the answer is packed ("gzip") and cannot be unpacked: incomplete deflate stream
            ["gzip"]: the answer is longer than 1 MiB and was not read; an App answers with a short JSON
            ["br"]: the answer is packed ("br"), which Herald did not ask for and cannot read
            ["gzip", "gzip"]: the answer is packed ("more than one"), which Herald did not ask for and cannot read
        "#]].assert_eq(&all.concat());
    }
}
