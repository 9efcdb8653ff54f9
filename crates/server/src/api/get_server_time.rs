//! `/msg/get_server_time`: unix milliseconds.

use super::call::Call;
use serde::{Deserialize, Serialize};
use wire::code::WireError;

#[derive(Deserialize)]
pub(super) struct Request {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    server_time: u64,
}

pub(super) async fn run(call: Call<Request>) -> Result<Answer, WireError> {
    let Request {} = call.request;
    Ok(Answer { server_time: call.api.clock.now().wall.0 })
}
