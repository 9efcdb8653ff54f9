//! The protobuf messages inside `data` that presence needs, and no others.
//!
//! Written by hand, as there are seven of them: no build script, no protoc. Repeated numbers are
//! written packed and read both ways.

use std::collections::BTreeMap;

pub use prost::{DecodeError, Message};

/// 1001: which messages does the server have that I lack?
#[derive(Clone, PartialEq, Message)]
pub struct GetMaxSeqReq {
    #[prost(string, tag = "1")]
    pub user_id: String,
}

/// Empty from a server that stores no messages.
#[derive(Clone, PartialEq, Message)]
pub struct GetMaxSeqResp {
    #[prost(btree_map = "string, int64", tag = "1")]
    pub max_seqs: BTreeMap<String, i64>,
    #[prost(btree_map = "string, int64", tag = "2")]
    pub min_seqs: BTreeMap<String, i64>,
}

/// 2003: log this device out.
#[derive(Clone, PartialEq, Message)]
pub struct DelUserPushTokenReq {
    #[prost(string, tag = "1")]
    pub user_id: String,
    #[prost(int32, tag = "2")]
    pub platform_id: i32,
}

/// 2004: the app went to the background or came back.
#[derive(Clone, PartialEq, Message)]
pub struct SetAppBackgroundStatusReq {
    /// Newer Go cores leave it empty. Do not check it: the connection knows its user.
    #[prost(string, tag = "1")]
    pub user_id: String,
    #[prost(bool, tag = "2")]
    pub is_background: bool,
}

/// 2005: unsubscribe, then subscribe.
#[derive(Clone, PartialEq, Message)]
pub struct SubUserOnlineStatus {
    #[prost(string, repeated, tag = "1")]
    pub subscribe_user_ids: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub unsubscribe_user_ids: Vec<String>,
}

/// 2005: who is online where, as answer and as push.
#[derive(Clone, PartialEq, Message)]
pub struct SubUserOnlineStatusTips {
    #[prost(message, repeated, tag = "1")]
    pub subscribers: Vec<SubUserOnlineStatusElem>,
}

#[derive(Clone, PartialEq, Message)]
pub struct SubUserOnlineStatusElem {
    #[prost(string, tag = "1")]
    pub user_id: String,
    /// Empty means offline. The Go SDK compares by order, so keep the order stable.
    #[prost(int32, repeated, tag = "2")]
    pub online_platform_ids: Vec<i32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platform_ids_are_read_packed_and_unpacked_and_written_packed() {
        let bob =
            SubUserOnlineStatusElem { user_id: "bob".into(), online_platform_ids: vec![5, 2] };
        let packed = b"\x0a\x03bob\x12\x02\x05\x02".as_slice();
        let unpacked = b"\x0a\x03bob\x10\x05\x10\x02".as_slice();
        assert_eq!(SubUserOnlineStatusElem::decode(packed), Ok(bob.clone()));
        assert_eq!(SubUserOnlineStatusElem::decode(unpacked), Ok(bob.clone()));
        assert_eq!(bob.encode_to_vec(), packed);
    }

    #[test]
    fn a_broken_message_is_an_error_and_an_unknown_field_is_not() {
        for (data, whole) in [
            (b"".as_slice(), true),
            (b"\x0a\x01a\x12\x01b", true),
            (b"\x7a\x01x\x0a\x01a", true),
            (b"\x0a\x05a", false),
            (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", false),
            (b"\x0a\x01\xff", false),
            (b"\x08\x01", false),
            (b"\x0b\x0b\x0b", false),
            (b"\x80", false),
        ] {
            assert_eq!(SubUserOnlineStatus::decode(data).is_ok(), whole, "{data:?}");
        }
    }
}
