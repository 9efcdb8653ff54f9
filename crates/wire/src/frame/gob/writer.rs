//! Our answers: always the same type definition, then the value.
//!
//! The order of the fields is upstream's, because the Python SDK goes by position.

use super::super::Response;

/// The message that defines `Resp`, as type 64.
const DEFINITION: &[u8] = b"\x5f\x7f\x03\x01\x01\x04Resp\x01\xff\x80\x00\x01\x06\
    \x01\x0dReqIdentifier\x01\x04\x00\
    \x01\x07MsgIncr\x01\x0c\x00\
    \x01\x0bOperationID\x01\x0c\x00\
    \x01\x07ErrCode\x01\x04\x00\
    \x01\x06ErrMsg\x01\x0c\x00\
    \x01\x04Data\x01\x0a\x00\
    \x00\x00";
const TYPE_ID: i64 = 64;

pub(in super::super) fn encode(response: &Response) -> Vec<u8> {
    let value = value(response);
    let mut frame = Vec::with_capacity(DEFINITION.len() + size_of::<u64>() + 1 + value.len());
    frame.extend_from_slice(DEFINITION);
    put_bytes(&mut frame, &value);
    frame
}

fn value(response: &Response) -> Vec<u8> {
    let mut fields = Fields { bytes: Vec::new(), skipped: 0 };
    put_int(&mut fields.bytes, TYPE_ID);
    fields.int(response.identifier);
    fields.text(response.msg_incr.as_bytes());
    fields.text(response.operation_id.as_bytes());
    fields.int(response.err_code);
    fields.text(response.err_msg.as_bytes());
    fields.text(&response.data);
    fields.bytes.push(0);
    fields.bytes
}

/// A struct's fields, one call for each: zero values are left out and counted.
struct Fields {
    bytes: Vec<u8>,
    skipped: u64,
}

impl Fields {
    fn int(&mut self, number: i32) {
        self.field(number != 0, |bytes| put_int(bytes, number.into()));
    }

    fn text(&mut self, text: &[u8]) {
        self.field(!text.is_empty(), |bytes| put_bytes(bytes, text));
    }

    fn field(&mut self, is_there: bool, put: impl FnOnce(&mut Vec<u8>)) {
        self.skipped += 1;
        if is_there {
            put_uint(&mut self.bytes, self.skipped);
            put(&mut self.bytes);
            self.skipped = 0;
        }
    }
}

fn put_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    put_uint(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

fn put_int(to: &mut Vec<u8>, number: i64) {
    put_uint(to, (number << 1 ^ number >> 63) as u64);
}

fn put_uint(to: &mut Vec<u8>, number: u64) {
    if number < 0x80 {
        return to.push(number as u8);
    }
    let bytes = number.to_be_bytes();
    let digits = &bytes[number.leading_zeros() as usize / 8..];
    to.push((digits.len() as u8).wrapping_neg());
    to.extend_from_slice(digits);
}
