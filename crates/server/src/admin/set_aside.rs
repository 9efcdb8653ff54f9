//! `GET /v1/set-aside?limit=&cursor=`: rows of the store that could not be read.

use super::{Admin, PAGE_DEFAULT, PAGE_MAX, input::Params, problem::Problem};
use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use store::SetAside;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    cursor: Option<u64>,
    limit: Option<usize>,
}

#[derive(Serialize)]
pub(super) struct Page {
    rows: Vec<Row>,
    /// Send it as `cursor` for the next page; absent on the last one.
    cursor: Option<u64>,
}

#[derive(Serialize)]
struct Row {
    table: String,
    key: String,
    why: String,
    at: u64,
    /// Its columns.
    content: Value,
}

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    Params(wanted): Params<Wanted>,
) -> Result<Json<Page>, Problem> {
    let limit = wanted.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let kept = admin.store.set_aside(wanted.cursor.unwrap_or(0), limit).await?;
    let cursor = kept.last().filter(|_| kept.len() == limit).map(|row| row.id);
    let row = |SetAside { table, key, content, why, at, .. }| Row {
        table,
        key,
        why,
        at: at.0,
        content: serde_json::from_str(&content).unwrap_or(Value::String(content)),
    };
    Ok(Json(Page { rows: kept.into_iter().map(row).collect(), cursor }))
}
