//! The numbers that say what a binary frame asks for or tells.
//!
//! A Go client dies on a frame whose number it does not know: send nothing that is not listed here.

pub const GET_NEWEST_SEQ: i32 = 1001;
pub const PULL_BY_SEQ_RANGE: i32 = 1002;
pub const SEND_MSG: i32 = 1003;
pub const SEND_SIGNAL_MSG: i32 = 1004;
pub const PULL_BY_SEQ_LIST: i32 = 1005;
pub const GET_CONV_MAX_READ_SEQ: i32 = 1006;
pub const PULL_CONV_LAST_MESSAGE: i32 = 1007;
pub const PUSH_MSG: i32 = 2001;
pub const KICK_ONLINE: i32 = 2002;
pub const LOGOUT: i32 = 2003;
pub const SET_BACKGROUND_STATUS: i32 = 2004;
pub const SUB_USER_ONLINE_STATUS: i32 = 2005;

/// What upstream calls the number, or `None` for one that no client knows.
pub const fn name(identifier: i32) -> Option<&'static str> {
    Some(match identifier {
        GET_NEWEST_SEQ => "GetNewestSeq",
        PULL_BY_SEQ_RANGE => "PullBySeqRange",
        SEND_MSG => "SendMsg",
        SEND_SIGNAL_MSG => "SendSignalMsg",
        PULL_BY_SEQ_LIST => "PullBySeqList",
        GET_CONV_MAX_READ_SEQ => "GetConvMaxReadSeq",
        PULL_CONV_LAST_MESSAGE => "PullConvLastMessage",
        PUSH_MSG => "PushMsg",
        KICK_ONLINE => "KickOnlineMsg",
        LOGOUT => "Logout",
        SET_BACKGROUND_STATUS => "SetBackgroundStatus",
        SUB_USER_ONLINE_STATUS => "SubUserOnlineStatus",
        _ => return None,
    })
}
