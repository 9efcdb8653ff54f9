//! The messages inside `data`, each read from the same bytes.
#![no_main]

use herald_fuzz::within;
use libfuzzer_sys::fuzz_target;
use std::fmt::Debug;
use wire::message::*;

/// The worst is a list of empty elements: two bytes make 48, in a list that doubles.
const BYTES_PER_BYTE: usize = 96;

fuzz_target!(|data: &[u8]| {
    check::<GetMaxSeqReq>(data);
    check::<GetMaxSeqResp>(data);
    check::<DelUserPushTokenReq>(data);
    check::<SetAppBackgroundStatusReq>(data);
    check::<SubUserOnlineStatus>(data);
    check::<SubUserOnlineStatusTips>(data);
    check::<SubUserOnlineStatusElem>(data);
});

fn check<M: Message + Default + PartialEq + Debug>(data: &[u8]) {
    let read = within(BYTES_PER_BYTE * data.len() + 4096, || M::decode(data));
    if let Ok(message) = read {
        assert_eq!(M::decode(message.encode_to_vec().as_slice()), Ok(message));
    }
}
