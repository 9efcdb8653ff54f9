//! What every operation has in common: operationID, token, body, envelope.

use super::{Api, answer, answer_body::answer_body, refuse, request_json};
use crate::{
    bodies::{self, Payer, Unread},
    listener::Proven,
    logging::AUDIT,
    peer::{self, Peer},
    said, tokens,
};
use axum::{
    body::Body,
    extract::{Request, State},
    http::HeaderMap,
    response::Response,
    routing::{MethodRouter, post},
};
use presence::{Platform, TokenHash, UserId};
use serde::{Serialize, de::DeserializeOwned};
use std::{future::Future, sync::Arc};
use store::StoreError;
use wire::{
    code::{Code, WireError},
    envelope,
};

/// One call, its papers checked.
pub(super) struct Call<T> {
    pub(super) api: Arc<Api>,
    pub(super) operation_id: String,
    pub(super) caller: Caller,
    pub(super) peer: Peer,
    pub(super) request: T,
    /// What was read of it takes memory for as long.
    _body: bodies::Read,
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Caller {
    /// An operation that asks for no token.
    Nobody(Peer),
    /// The user of the token.
    User {
        /// Their name.
        id: String,
        /// With it they logged in, too.
        token: TokenHash,
    },
    /// One of the configured administrators.
    Admin {
        /// Their name.
        id: String,
    },
}

/// For a line in the log about what an administrator did.
pub(super) struct Record {
    who: String,
    peer: Peer,
    operation_id: String,
}

impl Record {
    /// It is done.
    pub(super) fn done(&self, what: &'static str, user: &str) {
        let Record { who, peer, operation_id } = self;
        tracing::info!(target: AUDIT, who, address = %peer, operation.id = operation_id, user.id = user, "{what}");
    }
}

impl<T> Call<T> {
    /// Checks the users that a call names, and that its caller may ask about so many.
    pub(super) fn check_asked(&self, name: &str, users: &[String]) -> Result<(), WireError> {
        check_users(name, users)?;
        self.api.check_pace(&self.caller, users.len())
    }

    /// Who does it, and from where. Whoever knows the secret needs no name.
    pub(super) fn record(&self) -> Record {
        let who = match &self.caller {
            Caller::Nobody(_) => "auth.secret",
            Caller::User { id, .. } | Caller::Admin { id } => id.as_str(),
        };
        Record { who: who.to_owned(), peer: self.peer, operation_id: self.operation_id.clone() }
    }
}

impl Caller {
    pub(super) fn is_admin(&self) -> bool {
        matches!(self, Caller::Admin { .. })
    }

    /// The user themselves, or an administrator; else 1002.
    pub(super) fn must_be(&self, user: &str) -> Result<(), WireError> {
        if self.is(user) {
            return Ok(());
        }
        Err(Code::NoPermission.with(format!("only {user:?} or an administrator may do this")))
    }

    /// Whose budget a long answer takes.
    fn pays(&self) -> Option<Payer> {
        match self {
            Caller::Nobody(peer) => Some(Payer::Site(peer.site())),
            Caller::User { id, .. } => Some(Payer::User(id.as_str().into())),
            Caller::Admin { .. } => None,
        }
    }

    pub(super) fn is(&self, user: &str) -> bool {
        match self {
            Caller::Nobody(_) => false,
            Caller::User { id, .. } => id == user,
            Caller::Admin { .. } => true,
        }
    }
}

/// An answer without data.
#[derive(Serialize)]
pub(super) struct Nothing {}

/// Whose token an operation asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    Everybody,
    Users,
    Administrators,
}

/// An operation for everybody.
pub(super) fn open<T, R, F>(run: fn(Call<T>) -> F) -> MethodRouter<Arc<Api>>
where
    T: DeserializeOwned + Send + 'static,
    R: Serialize + 'static,
    F: Future<Output = Result<R, WireError>> + Send + 'static,
{
    operation(For::Everybody, run)
}

/// An operation for everybody with a good token.
pub(super) fn anyone<T, R, F>(run: fn(Call<T>) -> F) -> MethodRouter<Arc<Api>>
where
    T: DeserializeOwned + Send + 'static,
    R: Serialize + 'static,
    F: Future<Output = Result<R, WireError>> + Send + 'static,
{
    operation(For::Users, run)
}

/// An operation for administrators.
pub(super) fn admin<T, R, F>(run: fn(Call<T>) -> F) -> MethodRouter<Arc<Api>>
where
    T: DeserializeOwned + Send + 'static,
    R: Serialize + 'static,
    F: Future<Output = Result<R, WireError>> + Send + 'static,
{
    operation(For::Administrators, run)
}

fn operation<T, R, F>(whose: For, run: fn(Call<T>) -> F) -> MethodRouter<Arc<Api>>
where
    T: DeserializeOwned + Send + 'static,
    R: Serialize + 'static,
    F: Future<Output = Result<R, WireError>> + Send + 'static,
{
    post(async move |State(api): State<Arc<Api>>, request: Request| -> Response {
        let call = match read(api, whose, request).await {
            Ok(call) => call,
            Err(error) => return refuse(&error),
        };
        let (api, payer) = (Arc::clone(&call.api), call.caller.pays());
        let is_admin = call.caller.is_admin();
        let done = match run(call).await {
            // An answer without fields has no data at all.
            Ok(_) if size_of::<R>() == 0 => Ok(envelope::SUCCESS.to_owned()),
            Ok(data) => Ok(envelope::success_with(&data)),
            Err(error) => Err(error),
        };
        let body = done.and_then(|text| {
            let body = answer_body(&api.answers, payer, text);
            body.map_err(|_| {
                let why = "you do not read your answers; read them, then ask again";
                Code::ServerInternal.with(why)
            })
        });
        let mut response = body.map_or_else(|error| refuse(&error), answer);
        if is_admin {
            response.extensions_mut().insert(Proven);
        }
        response
    })
}

async fn read<T: DeserializeOwned>(
    api: Arc<Api>,
    whose: For,
    request: Request,
) -> Result<Call<T>, WireError> {
    let (head, body) = request.into_parts();
    let headers = &head.headers;
    let peer = peer::of(&head.extensions);
    let operation_id = header(headers, "operationID")?.to_owned();
    let caller = match whose {
        For::Everybody => Caller::Nobody(peer),
        For::Users | For::Administrators => caller(&api, headers).await?,
    };
    if whose == For::Administrators && !caller.is_admin() {
        return Err(Code::NoPermission.with("this needs an administrator's token"));
    }
    let body = read_body(&api, &caller, body).await?;
    let request = request_json::read(&body)?;
    Ok(Call { api, operation_id, caller, peer, request, _body: body })
}

/// Nobody knows whose is that of an operation for everybody: it is short.
pub(super) async fn read_body(
    api: &Api,
    caller: &Caller,
    body: Body,
) -> Result<bodies::Read, WireError> {
    let most = api.settings.body_bytes_max;
    let (most, payer) = match caller {
        Caller::Nobody(peer) => (most.min(bodies::FREE_BYTES), Payer::Site(peer.site())),
        Caller::User { id, .. } => (most, Payer::User(id.as_str().into())),
        Caller::Admin { .. } => (most, Payer::All),
    };
    let read = api.bodies.read(body, most, payer).await;
    read.map_err(|unread| match unread {
        Unread::NoRoom => Code::ServerInternal.with(unread.to_string()),
        Unread::TooLong(_) | Unread::Broken(_) => Code::Args.with(unread.to_string()),
    })
}

/// Who calls; the operationID is asked for as well, as OpenIM does.
pub(super) async fn caller(api: &Api, headers: &HeaderMap) -> Result<Caller, WireError> {
    header(headers, "operationID")?;
    let token = header(headers, "token")?;
    let claims = api.tokens.read_good(token).await?;
    let is_admin = api.settings.admin_users.contains(&claims.user_id);
    if is_admin {
        return Ok(Caller::Admin { id: claims.user_id });
    }
    Ok(Caller::User { id: claims.user_id, token: tokens::hash(token) })
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, WireError> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    let missing = || Code::Args.with(format!("header must have {name}"));
    value.filter(|value| !value.is_empty()).ok_or_else(missing)
}

impl Api {
    /// That its caller may ask about so many users: each is a read of the store.
    pub(super) fn check_pace(&self, caller: &Caller, users: usize) -> Result<(), WireError> {
        let Caller::User { id, .. } = caller else { return Ok(()) };
        if self.pace.may_ask(id, users, self.clock.now().mono) {
            return Ok(());
        }
        let why = "you ask about too many users: 10,000 at once, then 1,000 a second";
        Err(Code::ServerInternal.with(why))
    }

    /// A token and how long it lasts, as OpenIM answers both.
    pub(super) async fn issue(
        &self,
        user: &UserId,
        platform: Platform,
        operation_id: String,
    ) -> Result<Token, WireError> {
        let issued = self.tokens.issue(user, platform, operation_id).await;
        let (token, expire_time_seconds) = issued.map_err(unavailable)?;
        Ok(Token { token, expire_time_seconds })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Token {
    token: String,
    expire_time_seconds: i64,
}

/// The store cannot be used: 500, which SDKs try again.
pub(super) fn unavailable(error: StoreError) -> WireError {
    Code::ServerInternal.with(error.to_string())
}

/// At least one and at most [`super::USERS_MAX`] users; else 1001.
pub(super) fn check_users(name: &str, users: &[String]) -> Result<(), WireError> {
    let most = super::USERS_MAX;
    if users.is_empty() {
        return Err(Code::Args.with(format!("{name} must name at least one user")));
    }
    if users.len() > most {
        let text = format!("{name} names {} users, {most} at most", users.len());
        return Err(Code::Args.with(text));
    }
    users.iter().try_for_each(|user| check_user(name, user))
}

/// A name that a handshake would let in; else 1001.
pub(super) fn check_user(name: &str, user: &str) -> Result<(), WireError> {
    said::check_user(user).map_err(|problem| Code::Args.with(format!("{name} {problem}")))
}
