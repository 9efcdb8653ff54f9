//! The messages inside `data`, each read from the same bytes.

use crate::within;
use std::fmt::Debug;
use wire::message::*;

/// The worst is a list of empty elements: two bytes make 48, in a list that doubles.
const BYTES_PER_BYTE: usize = 96;

pub fn check(data: &[u8]) {
    check_one::<GetMaxSeqReq>(data);
    check_one::<GetMaxSeqResp>(data);
    check_one::<DelUserPushTokenReq>(data);
    check_one::<SetAppBackgroundStatusReq>(data);
    check_one::<SubUserOnlineStatus>(data);
    check_one::<SubUserOnlineStatusTips>(data);
    check_one::<SubUserOnlineStatusElem>(data);
}

fn check_one<M: Message + Default + PartialEq + Debug>(data: &[u8]) {
    let read = within(BYTES_PER_BYTE * data.len() + 4096, || M::decode(data));
    if let Ok(message) = read {
        assert_eq!(M::decode(message.encode_to_vec().as_slice()), Ok(message));
    }
}
