//! How somebody whose papers are good gets in: at once, or after the App was asked.
//!
//! What the App is asked is the callback itself. It is committed like any other before it is sent,
//! so a crash leaves nothing that the App believes and Herald has forgotten; but until the App has
//! answered nobody else sees the newcomer, and nobody is pushed out.

use super::{Gateway, connection::Newcomer, ending::Ending, outbound::Next};
use crate::{
    callbacks::{Answered, Endpoint, GateSettings},
    said, tokens,
};
use presence::{Change, Denied, End, Event, Kind, Permit};
use std::sync::Arc;
use store::StoreError;
use tokio::{sync::oneshot, time::timeout};
use wire::code::{Code, WireError};

/// `Ok`: durable, and the client may be told.
pub(super) async fn enter(gateway: &Gateway, newcomer: &Newcomer) -> Result<(), WireError> {
    match gateway.driver.gate() {
        Some((app, settings)) => ask(gateway, app, settings, newcomer).await,
        None => commit(gateway, newcomer, let_in_at_once(newcomer)).await.map(|_| ()),
    }
}

async fn ask(
    gateway: &Gateway,
    app: &Endpoint,
    settings: GateSettings,
    newcomer: &Newcomer,
) -> Result<(), WireError> {
    let conn = newcomer.login.conn;
    let Some(answered) = place(gateway, app, newcomer).await else {
        let outcome = if settings.failed_continue { "let_in_unasked" } else { "turned_away" };
        gateway.metrics.gate(outcome);
        return match settings.failed_continue {
            true => commit(gateway, newcomer, let_in_at_once(newcomer)).await.map(|_| ()),
            false => Err(no_answer()),
        };
    };
    gateway.metrics.at_gate.inc();
    let answer = knock(gateway, app, newcomer, answered).await;
    app.asked.leave(conn);
    gateway.metrics.at_gate.dec();
    let entered = match answer {
        Ok(answer) => conclude(gateway, newcomer, settings, answer).await,
        Err(why) => Err(why),
    };
    if entered.is_err() {
        // What it knocked with must not stay. Quiet, if it did not get that far or is gone already.
        let (driver, user) = (Arc::clone(&gateway.driver), newcomer.user.clone());
        tokio::spawn(async move { driver.lose(&user, conn, End::Lost).await });
    }
    entered
}

/// A place to wait at, if it makes sense to wait: the App is not known to be away, and need not be
/// told older things about this user first.
async fn place(
    gateway: &Gateway,
    app: &Endpoint,
    newcomer: &Newcomer,
) -> Option<oneshot::Receiver<Answered>> {
    let permit = app.health().permit(gateway.clock.now().mono);
    let owed = gateway.store.owes(&app.settings.name, &newcomer.user).await;
    if permit != Permit::Open || owed.unwrap_or(true) {
        return None;
    }
    app.asked.wait(newcomer.login.conn)
}

/// Has the App told, and waits for what it says.
async fn knock(
    gateway: &Gateway,
    app: &Endpoint,
    newcomer: &Newcomer,
    answered: oneshot::Receiver<Answered>,
) -> Result<Answered, WireError> {
    let changes = commit(gateway, newcomer, Event::Knocked(newcomer.login.clone())).await?;
    let is_told = |change: &Change| {
        change.kind == Kind::Online
            && change.conn == Some(newcomer.login.conn)
            && app.settings.interest.selects(change)
    };
    if !changes.iter().any(is_told) {
        // To the App this is no news, so there is nothing to ask.
        return Ok(Answered::Agreed);
    }
    tokio::select! {
        answer = timeout(app.settings.timeouts.online, answered) => {
            Ok(answer.ok().and_then(Result::ok).unwrap_or(Answered::Failed))
        }
        why = sent_away(newcomer) => Err(why),
    }
}

/// The server stops, or somebody threw the newcomer out: it need not wait any longer.
async fn sent_away(newcomer: &Newcomer) -> WireError {
    loop {
        match newcomer.outbound.next().await {
            Next::Close(Ending::Kicked) => return in_words(Denied::Kicked),
            Next::Close(_) => return Code::ServerInternal.with("the server is stopping"),
            // Nobody watches for it yet.
            Next::Send(_) => {}
        }
    }
}

async fn conclude(
    gateway: &Gateway,
    newcomer: &Newcomer,
    settings: GateSettings,
    answer: Answered,
) -> Result<(), WireError> {
    let conn = newcomer.login.conn;
    match answer {
        Answered::Refused(refusal) => {
            gateway.metrics.gate("refused");
            Err(in_words(Denied::Refused(refusal)))
        }
        Answered::Failed if !settings.failed_continue => {
            gateway.metrics.gate("turned_away");
            Err(no_answer())
        }
        Answered::Agreed | Answered::Failed => {
            let outcome =
                if answer == Answered::Agreed { "agreed" } else { "let_in_without_answer" };
            gateway.metrics.gate(outcome);
            commit(gateway, newcomer, Event::LetIn { conn }).await.map(|_| ())
        }
    }
}

fn let_in_at_once(newcomer: &Newcomer) -> Event {
    Event::Connected(newcomer.login.clone())
}

async fn commit(
    gateway: &Gateway,
    newcomer: &Newcomer,
    event: Event,
) -> Result<Vec<Change>, WireError> {
    let operation_id = Some(newcomer.operation_id.clone());
    let committed = gateway.driver.handle(&newcomer.user, event, operation_id).await;
    let outcome = committed.map_err(|error| not_stored(newcomer, &error))?;
    outcome.denied.map_or(Ok(outcome.changes), |denied| Err(in_words(denied)))
}

fn not_stored(newcomer: &Newcomer, error: &StoreError) -> WireError {
    tracing::error!(%error, user.id = %newcomer.user, "a login could not be stored");
    Code::ServerInternal.with("presence cannot be stored right now, try again later")
}

fn no_answer() -> WireError {
    Code::ServerInternal.with("the App was not heard in time, try again later")
}

fn in_words(denied: Denied) -> WireError {
    match denied {
        Denied::Token(standing) => {
            tokens::refusal(standing).expect("a good token is no reason to deny")
        }
        Denied::Refused(refusal) => Code::TokenKicked.with(refusal.detail).in_words(refusal.msg),
        Denied::Kicked => Code::TokenKicked.with("kicked before it was let in"),
        Denied::TooOften => Code::ConnOverMax.with(said::TOO_OFTEN),
    }
}
