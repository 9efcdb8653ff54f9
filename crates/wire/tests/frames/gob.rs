//! Gob frames, read by name, within what the frame really holds.

use expect_test::expect;
use wire::frame::{Codec, Encoding, FrameError, Response};
use wire::limit::FRAME_BYTES_MAX;

use super::check;

pub(super) const GOB: Codec = Codec { encoding: Encoding::Gob, gzip: false };

/// The definition that every client sends.
pub(super) const DEFINITION: &[u8] =
    b"\x65\x7f\x03\x01\x01\x0cGeneralWsReq\x01\xff\x80\x00\x01\x06\
    \x01\x0dReqIdentifier\x01\x04\x00\x01\x05Token\x01\x0c\x00\x01\x06SendID\x01\x0c\x00\
    \x01\x0bOperationID\x01\x0c\x00\x01\x07MsgIncr\x01\x0c\x00\x01\x04Data\x01\x0a\x00\x00\x00";

/// [`super::request`] by that definition.
pub(super) const VALUE: &[u8] =
    b"\x1e\xff\x80\x01\xfe\x07\xd2\x02\x02u1\x01\x03op1\x01\x06u1_op1\x01\x04\x0a\x02u1\x00";

const INT64_MIN: &[u8] = b"\xf8\xff\xff\xff\xff\xff\xff\xff\xff";
const UINT64_MAX: &[u8] = INT64_MIN;
const UINT_2_33: &[u8] = b"\xfb\x02\0\0\0\0";

pub(super) fn whole() -> Vec<u8> {
    [DEFINITION, VALUE].concat()
}

#[test]
fn a_definition_may_come_in_any_shape_that_go_writes() {
    let of = |fields: &[(&str, u8)], value: &[u8]| [defined(fields), message(value)].concat();
    let send_id = |field: (&str, u8)| of(&[("SendID", STRING), field], b"\xff\x80\x01\x01s\0");
    check(
        GOB,
        &[
            ("whole", whole()),
            ("something behind it", [whole(), b"anything".to_vec()].concat()),
            ("another type id", with_id(b"\xff\xc7", b"\xff\xc8\x01\x01m\0")),
            (
                "other order",
                of(&[("Data", BYTES), ("SendID", STRING)], b"\xff\x80\x01\x01d\x01\x01s\0"),
            ),
            (
                "explicit zeros",
                of(&[("Data", BYTES), ("SendID", STRING)], b"\xff\x80\x01\0\x01\0\0"),
            ),
            ("extra bool", of(&[("A", BOOL), ("SendID", STRING)], b"\xff\x80\x01\x01\x01\x01s\0")),
            (
                "extra float",
                of(&[("A", FLOAT), ("SendID", STRING)], b"\xff\x80\x01\xfe\xf0\x3f\x01\x01s\0"),
            ),
            (
                "extra string",
                of(&[("A", STRING), ("SendID", STRING)], b"\xff\x80\x01\x01a\x01\x01s\0"),
            ),
            ("extra interface", send_id(("Any", 8))),
            ("extra of a user type", send_id(("Map", 40))),
            ("uint for int", send_id(("ReqIdentifier", UINT))),
            ("string for bytes", send_id(("Data", STRING))),
            ("bytes for string", send_id(("MsgIncr", BYTES))),
            ("int for string", send_id(("OperationID", INT))),
            ("another case", of(&[("sendid", STRING)], b"\xff\x80\x01\x01s\0")),
            ("no fields", of(&[], b"\xff\x80\0")),
            ("32 fields", of(&[("SendID", STRING); 32], b"\xff\x80\x01\x01s\0")),
            ("33 fields", of(&[("SendID", STRING); 33], b"\xff\x80\x01\x01s\0")),
            ("2^33 fields", message(&[b"\x7f\x03\x02", UINT_2_33].concat())),
            ("2^64-1 fields", message(&[b"\x7f\x03\x02", UINT64_MAX].concat())),
            ("a map", message(b"\x7f\x04\x01\x01\x02\x04\x02\x04\0\0")),
            (
                "two types in one",
                message(b"\x7f\x03\x02\x01\x01\x06SendID\x01\x0c\0\0\x01\x01\0\0"),
            ),
            ("a tail", message(b"\x7f\x03\x02\x01\x01\x06SendID\x01\x0c\0\0\0\0")),
        ],
        expect![[r#"
            whole: 1001 send=u1 op=op1 incr=u1_op1 data=[10, 2, 117, 49]
            something behind it: 1001 send=u1 op=op1 incr=u1_op1 data=[10, 2, 117, 49]
            another type id: 0 send= op= incr=m data=[]
            other order: 0 send=s op= incr= data=[100]
            explicit zeros: 0 send= op= incr= data=[]
            extra bool: 0 send=s op= incr= data=[]
            extra float: 0 send=s op= incr= data=[]
            extra string: 0 send=s op= incr= data=[]
            extra interface: gob: field of a kind that no request has
            extra of a user type: gob: field of a kind that no request has
            uint for int: gob: ReqIdentifier is not an int
            string for bytes: gob: Data is not a byte slice
            bytes for string: gob: MsgIncr is not a string
            int for string: gob: OperationID is not a string
            another case: gob: type has no field of a request
            no fields: gob: type has no field of a request
            32 fields: 0 send=s op= incr= data=[]
            33 fields: gob: type has too many fields
            2^33 fields: gob: type has too many fields
            2^64-1 fields: gob: type has too many fields
            a map: gob: type is not a struct
            two types in one: gob: type definition does not end
            a tail: gob: type definition does not end"#]],
    );
}

#[test]
fn a_value_is_read_within_its_bounds() {
    let value = |body: &[u8]| [DEFINITION, &message(body)].concat();
    let raw = |bytes: &[u8]| [DEFINITION, bytes].concat();
    check(
        GOB,
        &[
            ("all zero", value(b"\xff\x80\0")),
            ("identifier negative", value(b"\xff\x80\x01\x01\0")),
            ("identifier 2^31", value(b"\xff\x80\x01\xfb\x01\0\0\0\0\0")),
            ("identifier of 9 bytes", value(b"\xff\x80\x01\xf7\0\0\0\0\0\0\0\0\0\0")),
            ("no definition", VALUE.to_vec()),
            ("definition only", DEFINITION.to_vec()),
            ("two definitions", raw(&whole())),
            ("unknown type id", value(b"\xff\x82\x01\x04\0")),
            ("type id of int", value(b"\x04\x00\x04")),
            ("type id zero", value(b"\x00\x01\x04\0")),
            ("least type id", with_id(INT64_MIN, &[INT64_MIN, b"\x01\x01m\0"].concat())),
            ("empty", vec![]),
            ("empty message", raw(&[0])),
            ("JSON", b"{\"reqIdentifier\":1001}".to_vec()),
            ("length 2^33", raw(UINT_2_33)),
            ("length 2^64-1", raw(UINT64_MAX)),
            ("length of 9 bytes", raw(b"\xf7\0\0\0\0\0\0\0\0\0")),
            ("length of 128 bytes", raw(b"\x80")),
            ("string of 2^33", value(&[b"\xff\x80\x03", UINT_2_33].concat())),
            ("string into the next message", raw(b"\x05\xff\x80\x03\x02s\x01s\0")),
            ("string not UTF-8", value(b"\xff\x80\x03\x02\xff\xfe\0")),
            ("no end", value(b"\xff\x80\x03\x01s")),
            ("field 6 of 6", value(b"\xff\x80\x07\x01a\0")),
            ("field 2^64", value(&[b"\xff\x80\x01\x02", UINT64_MAX].concat())),
            ("51,201 bytes", vec![0; FRAME_BYTES_MAX + 1]),
        ],
        expect![[r#"
            all zero: 0 send= op= incr= data=[]
            identifier negative: -1 send= op= incr= data=[]
            identifier 2^31: gob: ReqIdentifier is not a 32-bit integer
            identifier of 9 bytes: gob: number of more than 64 bits
            no definition: gob: unknown type id
            definition only: gob: frame is cut short
            two definitions: gob: more than one type definition
            unknown type id: gob: unknown type id
            type id of int: gob: unknown type id
            type id zero: gob: unknown type id
            least type id: gob: more than one type definition
            empty: gob: frame is cut short
            empty message: gob: frame is cut short
            JSON: gob: frame is cut short
            length 2^33: gob: frame is cut short
            length 2^64-1: gob: frame is cut short
            length of 9 bytes: gob: number of more than 64 bits
            length of 128 bytes: gob: number of more than 64 bits
            string of 2^33: gob: frame is cut short
            string into the next message: gob: frame is cut short
            string not UTF-8: gob: text is not UTF-8
            no end: gob: frame is cut short
            field 6 of 6: gob: no such field
            field 2^64: gob: no such field
            51,201 bytes: frame is too large"#]],
    );
}

#[test]
fn gob_cut_short_anywhere_is_an_error() {
    let whole = whole();
    for len in 0..whole.len() {
        let error = GOB.decode(&whole[..len], FRAME_BYTES_MAX).unwrap_err();
        assert_eq!(error, FrameError::Malformed("gob: frame is cut short"), "{len} bytes");
    }
}

#[test]
fn lengths_of_every_width_are_written_as_go_writes_them() {
    for (data_len, expected) in [
        (1, "0a ff80 01fe0faa 05 01"),
        (127, "ff88 ff80 01fe0faa 05 7f"),
        (128, "ff8a ff80 01fe0faa 05 ff80"),
        (300, "fe0137 ff80 01fe0faa 05 fe012c"),
        (70_000, "fd01117c ff80 01fe0faa 05 fd011170"),
    ] {
        let frame = GOB.encode(&Response::push(2005, vec![7; data_len]));
        let start = &frame[96..frame.len() - data_len - 1];
        let hex: String = start.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected.replace(' ', ""), "{data_len} bytes of data");
    }
}

const BOOL: u8 = 1;
const INT: u8 = 2;
const UINT: u8 = 3;
const FLOAT: u8 = 4;
const BYTES: u8 = 5;
const STRING: u8 = 6;

/// Defines type 64 as a struct of these fields, each with its built-in type.
fn defined(fields: &[(&str, u8)]) -> Vec<u8> {
    let mut body = [b"\x7f\x03\x02".as_slice(), &[fields.len() as u8]].concat();
    for (name, type_id) in fields {
        body.extend([1, name.len() as u8]);
        body.extend(name.as_bytes());
        body.extend([1, type_id * 2, 0]);
    }
    body.extend([0, 0]);
    message(&body)
}

/// Defines a struct with a `MsgIncr` under the negated id, then sends a value.
fn with_id(negated_id: &[u8], value: &[u8]) -> Vec<u8> {
    let definition = [negated_id, b"\x03\x02\x01\x01\x07MsgIncr\x01\x0c\0\0\0"].concat();
    [message(&definition), message(value)].concat()
}

/// A gob message: its length and itself.
fn message(body: &[u8]) -> Vec<u8> {
    let len = body.len() as u16;
    let length = if len < 128 { vec![len as u8] } else { vec![0xfe, (len >> 8) as u8, len as u8] };
    [length.as_slice(), body].concat()
}
