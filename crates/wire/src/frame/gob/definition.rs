//! The message that defines a type: which fields the sender's struct has, in which order.

use super::super::FrameError;
use super::malformed;
use super::reader::Reader;
use crate::limit::GOB_FIELDS_MAX;

/// The fields of the sender's struct, in the sender's order. Of a fixed size, however many a client
/// claims.
#[derive(Clone, Copy)]
pub(super) struct Definition {
    fields: [Field; GOB_FIELDS_MAX],
    len: usize,
}

#[derive(Clone, Copy)]
pub(super) enum Field {
    Identifier,
    SendId,
    OperationId,
    MsgIncr,
    Data,
    /// Not of interest, and made of one number: a boolean, an integer or a float.
    OtherNumber,
    /// Not of interest, and made of a length and bytes.
    OtherBytes,
}

/// Ids that gob gives to the types every stream knows.
mod type_id {
    pub(super) const BOOL: i64 = 1;
    pub(super) const INT: i64 = 2;
    pub(super) const FLOAT: i64 = 4;
    pub(super) const BYTES: i64 = 5;
    pub(super) const STRING: i64 = 6;
}

impl Definition {
    /// Reads the rest of a definition's message, which holds a `wireType`.
    pub(super) fn read(message: &mut Reader<'_>) -> Result<Self, FrameError> {
        const STRUCT: usize = 2;
        const KINDS: usize = 7;
        if message.field(None, KINDS)? != Some(STRUCT) {
            return Err(malformed("gob: type is not a struct"));
        }
        let definition = Self::read_struct(message)?;
        if message.field(Some(STRUCT), KINDS)?.is_some() || !message.is_empty() {
            return Err(malformed("gob: type definition does not end"));
        }
        Ok(definition)
    }

    pub(super) fn fields(&self) -> &[Field] {
        &self.fields[..self.len]
    }

    /// `structType { CommonType, Field }`. The common part, a name and an id, says nothing to us.
    fn read_struct(message: &mut Reader<'_>) -> Result<Self, FrameError> {
        const FIELD_LIST: usize = 1;
        let mut definition = Self { fields: [Field::OtherNumber; GOB_FIELDS_MAX], len: 0 };
        let mut before = None;
        while let Some(index) = message.field(before, 2)? {
            if index == FIELD_LIST {
                definition.read_fields(message)?;
            } else {
                read_name_and_id(message)?;
            }
            before = Some(index);
        }
        if definition.fields().iter().all(Field::is_other) {
            return Err(malformed("gob: type has no field of a request"));
        }
        Ok(definition)
    }

    fn read_fields(&mut self, message: &mut Reader<'_>) -> Result<(), FrameError> {
        let count = message.uint()?;
        self.len = usize::try_from(count)
            .ok()
            .filter(|len| *len <= GOB_FIELDS_MAX)
            .ok_or(malformed("gob: type has too many fields"))?;
        for field in &mut self.fields[..self.len] {
            let (name, id) = read_name_and_id(message)?;
            *field = Field::new(name, id)?;
        }
        Ok(())
    }
}

impl Field {
    fn new(name: &[u8], id: i64) -> Result<Self, FrameError> {
        let (field, expected, otherwise) = match name {
            b"ReqIdentifier" => {
                (Self::Identifier, type_id::INT, "gob: ReqIdentifier is not an int")
            }
            b"SendID" => (Self::SendId, type_id::STRING, "gob: SendID is not a string"),
            b"OperationID" => {
                (Self::OperationId, type_id::STRING, "gob: OperationID is not a string")
            }
            b"MsgIncr" => (Self::MsgIncr, type_id::STRING, "gob: MsgIncr is not a string"),
            b"Data" => (Self::Data, type_id::BYTES, "gob: Data is not a byte slice"),
            _ => return Self::other(id),
        };
        if id == expected { Ok(field) } else { Err(malformed(otherwise)) }
    }

    fn other(id: i64) -> Result<Self, FrameError> {
        match id {
            type_id::BOOL..=type_id::FLOAT => Ok(Self::OtherNumber),
            type_id::BYTES | type_id::STRING => Ok(Self::OtherBytes),
            _ => Err(malformed("gob: field of a kind that no request has")),
        }
    }

    fn is_other(&self) -> bool {
        matches!(self, Self::OtherNumber | Self::OtherBytes)
    }
}

/// `CommonType { Name, Id }` and `fieldType { Name, Id }` are written alike.
fn read_name_and_id<'a>(message: &mut Reader<'a>) -> Result<(&'a [u8], i64), FrameError> {
    const NAME: usize = 0;
    let (mut name, mut id) = (b"".as_slice(), 0);
    let mut before = None;
    while let Some(index) = message.field(before, 2)? {
        if index == NAME {
            name = message.bytes()?;
        } else {
            id = message.int()?;
        }
        before = Some(index);
    }
    Ok((name, id))
}
