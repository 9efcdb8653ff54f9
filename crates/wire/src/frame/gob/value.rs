//! The message that holds a struct's value, read by its definition.

use super::super::{FrameError, Request};
use super::definition::{Definition, Field};
use super::malformed;
use super::reader::Reader;

/// Fields that are not sent are zero.
pub(super) fn read(
    mut message: Reader<'_>,
    definition: &Definition,
) -> Result<Request, FrameError> {
    let fields = definition.fields();
    let mut request = Request::default();
    let mut before = None;
    while let Some(index) = message.field(before, fields.len())? {
        read_field(&mut message, fields[index], &mut request)?;
        before = Some(index);
    }
    Ok(request)
}

fn read_field(
    message: &mut Reader<'_>,
    field: Field,
    request: &mut Request,
) -> Result<(), FrameError> {
    match field {
        Field::Identifier => request.identifier = int32(message)?,
        Field::SendId => request.send_id = string(message)?,
        Field::OperationId => request.operation_id = string(message)?,
        Field::MsgIncr => request.msg_incr = string(message)?,
        Field::Data => request.data = message.bytes()?.to_vec(),
        Field::OtherNumber => _ = message.uint()?,
        Field::OtherBytes => _ = message.bytes()?,
    }
    Ok(())
}

fn int32(message: &mut Reader<'_>) -> Result<i32, FrameError> {
    let number = message.int()?;
    number.try_into().map_err(|_| malformed("gob: ReqIdentifier is not a 32-bit integer"))
}

/// Go would take any bytes for a string; ours are ids and keys, which are text.
fn string(message: &mut Reader<'_>) -> Result<String, FrameError> {
    let text = str::from_utf8(message.bytes()?).map_err(|_| malformed("gob: text is not UTF-8"))?;
    Ok(text.to_owned())
}
