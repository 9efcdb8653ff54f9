//! What requests of the management API say, read so that every mistake is a problem document.

use super::problem::Problem;
use crate::said;
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::request::Parts,
};
use presence::UserId;
use serde::de::DeserializeOwned;

/// The user of the path, whose name is one that could log in.
pub(super) struct User(pub(super) UserId);

/// The one parameter of the path.
pub(super) struct Parameter(pub(super) String);

/// The parameters of the query.
pub(super) struct Params<T>(pub(super) T);

/// The body: a JSON object, or none.
pub(super) struct Body<T>(pub(super) Option<T>);

impl<S: Send + Sync> FromRequestParts<S> for User {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<User, Problem> {
        let Parameter(user) = Parameter::from_request_parts(parts, state).await?;
        let problem = |problem| Problem::bad_request(format!("the user of the path {problem}"));
        said::check_user(&user).map_err(problem)?;
        Ok(User(UserId::new(user)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Parameter {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Parameter, Problem> {
        let Path(parameter) = Path::from_request_parts(parts, state).await?;
        Ok(Parameter(parameter))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Params<T>, Problem> {
        let Query(params) = Query::from_request_parts(parts, state).await?;
        Ok(Params(params))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Body<T>, Problem> {
        let bytes = Bytes::from_request(request, state).await?;
        let text = bytes.as_ref();
        if text.is_empty() {
            return Ok(Body(None));
        }
        // A struct would also be read from an array, by position.
        if !text.trim_ascii_start().starts_with(b"{") {
            return Err(Problem::bad_request("body: expected a JSON object"));
        }
        let problem = |error| Problem::bad_request(format!("body: {error}"));
        serde_json::from_slice(text).map(|said| Body(Some(said))).map_err(problem)
    }
}
