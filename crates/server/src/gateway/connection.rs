//! The life of one connection, from its commit to its end.

use super::{
    Gateway,
    admission::{Socket, socket},
    budget::Budget,
    ending::{Close, Ended, Ending},
    outbound::{Next, Outbound},
    request::{self, Handled},
    sites,
};
use crate::{
    login::{Interruption, NotAdmitted, PendingLogin, PendingSocket},
    said,
    supervision::{Panicked, contain},
    tokens,
};
use async_trait::async_trait;
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::OnUpgrade;
use presence::{Denied, End, Instant, Timestamp};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::{sleep, timeout},
};
use tokio_tungstenite::tungstenite::{
    self, Bytes, Message,
    error::{CapacityError, ProtocolError},
    protocol::CloseFrame,
};
use wire::{
    code::{Code, WireError},
    envelope,
    frame::{FrameError, Response},
    heartbeat::{self, Heartbeat},
};

/// How often a login that waits looks whether its client is still there.
const LOOK_FOR_CLIENT: Duration = Duration::from_millis(200);
/// How long a client may take to accept a frame.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take to answer a close, so that what was sent last is not lost.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Somebody whose papers are good, not yet let in.
pub(super) struct Newcomer {
    pub(super) pending: PendingLogin,
    pub(super) first_text_reply: bool,
    /// When its token expires, if that ends it.
    pub(super) ends_at: Option<Timestamp>,
    pub(super) outbound: Arc<Outbound>,
    /// Held for as long as the connection lives.
    pub(super) _place: OwnedSemaphorePermit,
    pub(super) _one_of_its_address: Option<sites::Client>,
}

impl Newcomer {
    /// Commits the login, tells `admitted`, and lives until the socket is gone. However that comes, by
    /// a panic too, presence is told.
    pub(super) async fn live(
        self,
        gateway: Arc<Gateway>,
        admitted: oneshot::Sender<Result<(), (WireError, OnUpgrade)>>,
        on_upgrade: OnUpgrade,
    ) {
        let (user, conn) = (self.pending.user.clone(), self.pending.login.conn);
        // Known before it is committed, so that a kick right after the commit finds it.
        gateway.registry.insert(conn, Arc::clone(&self.outbound));
        let ended =
            contain("connection", self.enter_and_attend(&gateway, admitted, on_upgrade)).await;
        gateway.registry.remove(conn);
        let end = match ended {
            Ok(Some(ending)) => {
                tracing::debug!(user.id = %user, conn.id = %conn, ?ending, "connection ended");
                if ending == Ending::FallsBehind {
                    gateway.metrics.slow_readers.inc();
                }
                ending.told()
            }
            Ok(None) => None,
            Err(Panicked) => Some(End::Lost),
        };
        if let Some(end) = end {
            Box::pin(gateway.driver.lose(&user, conn, end)).await;
        }
    }

    /// How it ended; none: it was not let in.
    ///
    /// What is rarely under way is boxed, so that an idle connection does not hold room for it.
    async fn enter_and_attend(
        &self,
        gateway: &Gateway,
        admitted: oneshot::Sender<Result<(), (WireError, OnUpgrade)>>,
        on_upgrade: OnUpgrade,
    ) -> Option<Ending> {
        let waiting = Waiting { newcomer: self, admitted: &admitted };
        let entered = Box::pin(gateway.logins.enter(&self.pending, &waiting)).await;
        if let Err(why) = entered {
            let _ = admitted.send(Err((self.in_words(why), on_upgrade)));
            return None;
        }
        // A 101 that cannot be sent is a lost connection.
        let _ = admitted.send(Ok(()));
        let Ok(Ok(upgraded)) = timeout(gateway.settings.handshake_timeout, on_upgrade).await else {
            return Some(Ending::LineBreaks);
        };
        let frame_bytes_max = gateway.settings.frame_bytes_max;
        let mut socket = Box::pin(socket(upgraded, frame_bytes_max)).await;
        let ended = self.attend(gateway, &mut socket).await;
        Box::pin(self.say_farewell(&mut socket, &ended)).await;
        Some(ended.ending)
    }

    /// Why it is not let in, as its client can read it. Other codes than these SDKs redial for ever.
    fn in_words(&self, why: NotAdmitted) -> WireError {
        match why {
            NotAdmitted::Denied(denied) => in_words(denied),
            NotAdmitted::Interrupted(Interruption::Kicked) => in_words(Denied::Kicked),
            NotAdmitted::Interrupted(Interruption::Stopping) => {
                Code::ServerInternal.with("the server is stopping")
            }
            NotAdmitted::Interrupted(Interruption::HungUp) => {
                Code::ServerInternal.with("the client hung up")
            }
            NotAdmitted::NoAnswer => {
                Code::ServerInternal.with("the App was not heard in time, try again later")
            }
            NotAdmitted::TooOften => {
                Code::ServerInternal.with("this user logs in too often, try again later")
            }
            NotAdmitted::NotStored(error) => {
                let user = &self.pending.user;
                tracing::error!(%error, user.id = %user, "a login could not be stored");
                Code::ServerInternal.with("presence cannot be stored right now, try again later")
            }
        }
    }

    /// The last frame, if this ending has one, and the close.
    async fn say_farewell(&self, socket: &mut Socket, ended: &Ended) {
        let farewell = ended.ending.farewell();
        if let Some(identifier) = farewell.frame {
            let frame = self.outbound.codec.encode(&Response::push(identifier, Vec::new()));
            let _ = send(socket, Message::binary(frame)).await;
            if let_close(socket).await {
                return;
            }
        }
        say_close(socket, ended).await;
    }

    async fn attend(&self, gateway: &Gateway, socket: &mut Socket) -> Ended {
        if self.first_text_reply
            && let Err(ended) = send(socket, Message::text(envelope::SUCCESS)).await
        {
            return ended;
        }
        let mut heard_at = gateway.clock.now().mono;
        let mut pinged_at = heard_at;
        let mut budget = Budget::default();
        loop {
            let settings = &gateway.settings;
            let (now, reads_from) = (gateway.clock.now().mono, budget.reads_from());
            // Who is not read is not silent.
            let silence_ends = heard_at.max(reads_from) + settings.read_timeout;
            let ping_at = pinged_at + settings.ping_interval;
            let is_read = now >= reads_from;
            let reads_at = if is_read { silence_ends } else { reads_from };
            let nap = silence_ends.min(ping_at).min(reads_at).after(now);
            let nap = match self.good_for(gateway) {
                Some(Duration::ZERO) => return Ending::TokenExpires.into(),
                good_for => nap.min(good_for.unwrap_or(nap)),
            };
            let done = tokio::select! {
                biased;
                next = self.outbound.next() => match next {
                    Next::Send(frame) => Box::pin(send(socket, Message::Binary(frame))).await,
                    Next::Close(ending) => Err(ending.into()),
                },
                frame = socket.next(), if is_read => {
                    heard_at = gateway.clock.now().mono;
                    budget.frame(heard_at);
                    self.hear(gateway, socket, frame, &mut budget).await
                }
                () = sleep(nap) => {
                    let now = gateway.clock.now().mono;
                    wake(socket, now, silence_ends, ping_at, &mut pinged_at).await
                }
            };
            if let Err(ended) = done {
                return ended;
            }
        }
    }

    /// How long its token is good, by a clock that is believed; none: what it says does not matter.
    fn good_for(&self, gateway: &Gateway) -> Option<Duration> {
        let ahead = gateway.clock.ahead().as_millis() as u64;
        let now = gateway.clock.now().wall.0.saturating_sub(ahead);
        self.ends_at.map(|at| Duration::from_millis(at.0.saturating_sub(now)))
    }

    async fn hear(
        &self,
        gateway: &Gateway,
        socket: &mut Socket,
        frame: Option<Result<Message, tungstenite::Error>>,
        budget: &mut Budget,
    ) -> Result<(), Ended> {
        match frame {
            Some(Ok(Message::Text(text))) => match heartbeat::read(&text) {
                Ok(Heartbeat::Ping(body)) => {
                    send(socket, Message::text(heartbeat::pong(body))).await
                }
                Ok(Heartbeat::Pong) => Ok(()),
                Err(error) => Err(unreadable(error)),
            },
            Some(Ok(Message::Binary(frame))) => {
                Box::pin(self.request(gateway, socket, &frame, budget)).await
            }
            Some(Ok(Message::Close(_))) => Err(Ending::ClientCloses.into()),
            // The library answers pings by itself.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(()),
            Some(Err(error)) => Err(broken(&error)),
            None => Err(Ending::LineBreaks.into()),
        }
    }

    async fn request(
        &self,
        gateway: &Gateway,
        socket: &mut Socket,
        frame: &[u8],
        budget: &mut Budget,
    ) -> Result<(), Ended> {
        let codec = self.outbound.codec;
        let request = codec.decode(frame, gateway.settings.frame_bytes_max).map_err(unreadable)?;
        match request::handle(gateway, self, &request, budget).await {
            Handled::Answer(answer) => send(socket, Message::binary(codec.encode(&answer))).await,
            Handled::LoggedOut(answer) => {
                // Presence knows already, whether or not the client waits for the answer.
                let _ = send(socket, Message::binary(codec.encode(&answer))).await;
                Err(Ending::LogsOut.into())
            }
            Handled::NotAllowed(why) => Err(Ending::RequestNotAllowed.because(why)),
        }
    }
}

/// A newcomer whose client waits for the answer to its handshake.
struct Waiting<'a> {
    newcomer: &'a Newcomer,
    admitted: &'a oneshot::Sender<Result<(), (WireError, OnUpgrade)>>,
}

#[async_trait]
impl PendingSocket for Waiting<'_> {
    async fn interrupted(&self) -> Interruption {
        loop {
            tokio::select! {
                next = self.newcomer.outbound.next() => match next {
                    Next::Close(Ending::Kicked) => return Interruption::Kicked,
                    Next::Close(_) => return Interruption::Stopping,
                    // Nobody watches for it yet.
                    Next::Send(_) => {}
                },
                () = sleep(LOOK_FOR_CLIENT) => {
                    if self.admitted.is_closed() {
                        return Interruption::HungUp;
                    }
                }
            }
        }
    }
}

fn in_words(denied: Denied) -> WireError {
    match denied {
        Denied::Token(standing) => {
            tokens::refusal(standing).expect("a good token is no reason to deny")
        }
        Denied::Refused(refusal) => Code::TokenKicked.with(refusal.detail).in_words(refusal.msg),
        Denied::Kicked => Code::TokenKicked.with("kicked before it was let in"),
        Denied::TooOften => Code::ConnOverMax.with(said::TOO_OFTEN),
        Denied::TooManyQuestions => {
            Code::ConnOverMax.with("the App is being asked about too many logins of this user")
        }
        Denied::NoPlace => Code::ServerInternal.with("the App cannot be asked right now"),
        Denied::NotBefore(_) => Code::ServerInternal.with("this user logs in too often"),
    }
}

/// Nothing was heard for a while: pings, or gives up.
async fn wake(
    socket: &mut Socket,
    now: Instant,
    silence_ends: Instant,
    ping_at: Instant,
    pinged_at: &mut Instant,
) -> Result<(), Ended> {
    if now >= silence_ends {
        return Err(Ending::Silent.into());
    }
    if now >= ping_at {
        *pinged_at = now;
        send(socket, Message::Ping(Bytes::new())).await?;
    }
    Ok(())
}

fn unreadable(error: FrameError) -> Ended {
    let ending = match error {
        FrameError::TooLarge => Ending::FrameTooLarge,
        _ => Ending::FrameUnreadable,
    };
    ending.because(error.to_string())
}

/// WebSocket's own closing, as this ending has it.
pub(super) async fn say_close(socket: &mut Socket, ended: &Ended) {
    match ended.ending.farewell().close {
        Close::Unsaid => {}
        Close::Echoed => answer_close(socket).await,
        Close::Code(_) => close(socket, ended.close_frame()).await,
    }
}

/// Gives a client that was told to go the chance to close by itself; whether it did.
///
/// The JS SDK in a browser decodes frames one after another in the background: if the close came
/// before it has read the kick, it would make ready to dial again.
pub(super) async fn let_close(socket: &mut Socket) -> bool {
    let closes = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(_))) => return true,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return false,
            }
        }
    };
    let closed = timeout(CLOSE_TIMEOUT, closes).await.unwrap_or(false);
    if closed {
        answer_close(socket).await;
    }
    closed
}

/// Sends the answer to a close frame, which the library has ready.
async fn answer_close(socket: &mut Socket) {
    let _ = timeout(CLOSE_TIMEOUT, socket.flush()).await;
}

/// The line broke, or the client broke WebSocket's rules.
pub(super) fn broken(error: &tungstenite::Error) -> Ended {
    let ending = match error {
        tungstenite::Error::Capacity(CapacityError::MessageTooLong { .. }) => Ending::FrameTooLarge,
        tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            Ending::LineBreaks
        }
        tungstenite::Error::Protocol(_) => Ending::ProtocolBroken,
        tungstenite::Error::Utf8(_) => Ending::FrameUnreadable,
        _ => Ending::LineBreaks,
    };
    ending.because(error.to_string())
}

pub(super) async fn send(socket: &mut Socket, message: Message) -> Result<(), Ended> {
    match timeout(WRITE_TIMEOUT, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Ending::LineBreaks.into()),
        Err(_) => Err(Ending::WriteStalls.into()),
    }
}

/// Closes properly: flushes, and gives the client a moment to read what was sent last.
pub(super) async fn close(socket: &mut Socket, frame: Option<CloseFrame>) {
    let closed = async {
        if socket.close(frame).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    let _ = timeout(CLOSE_TIMEOUT, closed).await;
}
