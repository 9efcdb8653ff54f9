//! What the index learns once a write is on disk.

use crate::{
    CallbackId, EndpointName, EndpointState, Lease, Mark, NewCallback, index::Index, queue::Row,
};
use presence::{Instant, Subject, Timestamp, User, UserId};

/// What the index learns.
pub(super) enum Fact {
    User { user: UserId, version: u64, state: User, wake_at: Option<Instant> },
    Queued { user: UserId, row: Row, callback: NewCallback },
    Requeued { id: CallbackId, row: Row, at: Timestamp },
    Retried { lease: Lease, at: Instant },
    Gone { id: CallbackId, row: Row },
    Superseded { id: CallbackId, row: Row },
    Dead { endpoint: EndpointName, more: i64 },
    Marked(Mark),
    Unmarked { endpoint: EndpointName, user: UserId, subject: Subject },
    Endpoint { endpoint: EndpointName, state: EndpointState },
    SetAside { more: i64 },
    Skipped { endpoint: EndpointName, row: Row },
}

impl Fact {
    pub(super) fn teach(self, index: &mut Index) {
        match self {
            Fact::User { user, version, state, wake_at } => {
                index.put_user(&user, version, state, wake_at);
            }
            Fact::Queued { user, row, callback } => index.push(&user, row, &callback),
            Fact::Requeued { id, row, at } => index.requeue(&id, row, at),
            Fact::Retried { lease, at } => index.retry(&lease, at),
            Fact::Gone { id, row } => index.remove(&id, row),
            Fact::Superseded { id, row } => index.supersede(&id, row),
            Fact::Dead { endpoint, more } => index.count_dead(&endpoint, more),
            Fact::Marked(mark) => index.marks_mut(&mark.endpoint.clone()).put(mark),
            Fact::Unmarked { endpoint, user, subject } => {
                index.marks_mut(&endpoint).remove(&user, subject);
            }
            Fact::Endpoint { endpoint, state } => index.put_endpoint(endpoint, state),
            Fact::Skipped { endpoint, row } => index.skip_row(endpoint, row),
            Fact::SetAside { more } => index.count_set_aside(more),
        }
    }
}
