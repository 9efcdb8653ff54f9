//! Errors of the management API: RFC 9457 problem documents.

use axum::{
    Json,
    extract::rejection::{BytesRejection, PathRejection, QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use store::StoreError;

/// What went wrong, and what to do about it.
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
}

impl Problem {
    pub(super) fn bad_request(detail: impl Into<String>) -> Problem {
        Problem { status: StatusCode::BAD_REQUEST, detail: detail.into() }
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Problem {
        Problem { status: StatusCode::NOT_FOUND, detail: detail.into() }
    }

    pub(super) fn conflict(detail: impl Into<String>) -> Problem {
        Problem { status: StatusCode::CONFLICT, detail: detail.into() }
    }

    pub(super) fn gone(detail: impl Into<String>) -> Problem {
        Problem { status: StatusCode::GONE, detail: detail.into() }
    }

    pub(super) fn too_many_requests(detail: impl Into<String>) -> Problem {
        Problem { status: StatusCode::TOO_MANY_REQUESTS, detail: detail.into() }
    }

    pub(super) fn method_not_allowed() -> Problem {
        let detail = "this route knows other methods; see docs/operating.md";
        Problem { status: StatusCode::METHOD_NOT_ALLOWED, detail: detail.into() }
    }

    pub(super) fn unauthorized() -> Problem {
        let detail = "send the header `Authorization: Bearer TOKEN`; the token is admin.token, or \
                      else in the file admin-token in the store's folder";
        Problem { status: StatusCode::UNAUTHORIZED, detail: detail.into() }
    }
}

impl From<QueryRejection> for Problem {
    fn from(error: QueryRejection) -> Problem {
        Problem { status: error.status(), detail: error.body_text() }
    }
}

impl From<PathRejection> for Problem {
    fn from(error: PathRejection) -> Problem {
        Problem { status: error.status(), detail: error.body_text() }
    }
}

impl From<BytesRejection> for Problem {
    fn from(error: BytesRejection) -> Problem {
        Problem { status: error.status(), detail: error.body_text() }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        Problem { status: StatusCode::SERVICE_UNAVAILABLE, detail: error.to_string() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason(),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        (self.status, kind, Json(body).into_response().into_body()).into_response()
    }
}
