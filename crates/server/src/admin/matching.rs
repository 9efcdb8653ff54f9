//! Which settled callbacks an operator means, for `replay` and `purge` of many.

use super::{Admin, PAGE_MAX, problem::Problem};
use presence::UserId;
use serde::{Deserialize, Serialize};
use store::{CallbackQuery, CallbackRecord, CallbackState, EndpointName, StoreError};

/// How many are taken in one call; the answer says whether there may be more.
const TAKEN_MAX: usize = 10_000;
/// How many are written in one transaction, so that nobody else waits long.
pub(super) const TRANSACTION_MAX: usize = 1_000;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    /// Unix milliseconds: changes from then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<u64>,
    /// Unix milliseconds: changes before then.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
}

/// What was done, and whether a further call may find more.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    pub(super) done: u64,
    /// Not done, because another callback of that user was on its way.
    pub(super) in_flight: u64,
    pub(super) more: bool,
}

impl Filter {
    /// As it was sent, for the log.
    pub(super) fn shown(body: Option<&Filter>) -> String {
        serde_json::to_string(&body).unwrap_or_default()
    }

    /// To take all there is must be said.
    pub(super) fn of(body: Option<Filter>) -> Result<Filter, Problem> {
        body.ok_or_else(|| Problem::bad_request("body: which? as {\"state\":\"dead\"}"))
    }

    /// Oldest first.
    pub(super) async fn find(&self, admin: &Admin) -> Result<(Vec<CallbackRecord>, bool), Problem> {
        let state = CallbackState::parse(&self.state).filter(|s| *s != CallbackState::Pending);
        let known = "dead, expired, superseded and delivered are known";
        let state = state.ok_or_else(|| Problem::bad_request(format!("state: {known}")))?;
        let endpoint = admin.named(self.endpoint.clone()).await?;
        let mut found = Vec::new();
        let mut before = None;
        loop {
            let page = self.page(admin, state, &endpoint, before).await?;
            let Some(last) = page.last().map(|record| record.row) else { break };
            let more = page.len() == PAGE_MAX;
            found.extend(page.into_iter().filter(|record| self.is_in_time(record)));
            if found.len() >= TAKEN_MAX || !more {
                break;
            }
            before = Some(last);
        }
        let more = found.len() >= TAKEN_MAX;
        found.truncate(TAKEN_MAX);
        found.reverse();
        Ok((found, more))
    }

    async fn page(
        &self,
        admin: &Admin,
        state: CallbackState,
        endpoint: &Option<EndpointName>,
        before: Option<u64>,
    ) -> Result<Vec<CallbackRecord>, StoreError> {
        let query = CallbackQuery {
            state: Some(state),
            user: self.user.as_deref().map(UserId::new),
            endpoint: endpoint.clone(),
            before,
            limit: PAGE_MAX,
        };
        admin.store.callbacks(query).await
    }

    fn is_in_time(&self, record: &CallbackRecord) -> bool {
        let at = record.change.at.0;
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
    }
}
