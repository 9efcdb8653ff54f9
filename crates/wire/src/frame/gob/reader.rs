//! The numbers, lengths and field deltas that all of gob is made of.
//!
//! Nothing here copies, allocates or calls itself: a length is only ever a claim.

use super::super::FrameError;
use super::malformed;

/// What is left of a message.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Below 128 one byte; else the negated count of the big-endian bytes that follow.
    pub(super) fn uint(&mut self) -> Result<u64, FrameError> {
        let first = self.take(1)?[0];
        if first < 0x80 {
            return Ok(first.into());
        }
        let len = usize::from(first.wrapping_neg());
        if len > size_of::<u64>() {
            return Err(malformed("gob: number of more than 64 bits"));
        }
        let bytes = self.take(len)?;
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// The sign is the lowest bit, and a negative number is stored inverted.
    pub(super) fn int(&mut self) -> Result<i64, FrameError> {
        let zigzag = self.uint()?;
        let magnitude = (zigzag >> 1) as i64;
        Ok(if zigzag & 1 == 1 { !magnitude } else { magnitude })
    }

    /// A length and as many bytes: a message, a string, a byte slice.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], FrameError> {
        let len = self.uint()?;
        self.take(usize::try_from(len).unwrap_or(usize::MAX))
    }

    /// The index of a struct's next field, counted from the one `before`; `None` at its end.
    ///
    /// There are `fields` of them.
    pub(super) fn field(
        &mut self,
        before: Option<usize>,
        fields: usize,
    ) -> Result<Option<usize>, FrameError> {
        let delta = self.uint()?;
        if delta == 0 {
            return Ok(None);
        }
        let delta = usize::try_from(delta - 1).unwrap_or(usize::MAX);
        let index = before.map_or(0, |index| index + 1).saturating_add(delta);
        if index < fields { Ok(Some(index)) } else { Err(malformed("gob: no such field")) }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], FrameError> {
        let (taken, rest) =
            self.rest.split_at_checked(len).ok_or(malformed("gob: frame is cut short"))?;
        self.rest = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::Reader;

    #[test]
    fn numbers_are_read_as_the_format_says() {
        for (bytes, uint, int) in [
            (b"\x00".as_slice(), 0, 0),
            (b"\x7f", 127, -64),
            (b"\xff\x80", 128, 64),
            (b"\xff\x82", 130, 65),
            (b"\xff\x81", 129, -65),
            (b"\xfe\x07\xd2", 2002, 1001),
            (b"\xfe\x00\x05", 5, -3),
            (b"\xf8\xff\xff\xff\xff\xff\xff\xff\xff", u64::MAX, i64::MIN),
            (b"\xf8\xff\xff\xff\xff\xff\xff\xff\xfe", u64::MAX - 1, i64::MAX),
        ] {
            assert_eq!(Reader::new(bytes).uint(), Ok(uint), "{bytes:x?}");
            assert_eq!(Reader::new(bytes).int(), Ok(int), "{bytes:x?}");
        }
    }

    #[test]
    fn a_number_or_length_that_does_not_fit_is_an_error() {
        for bytes in [b"".as_slice(), b"\xff", b"\xfe\x01", b"\xf7000000000", b"\x80"] {
            assert!(Reader::new(bytes).uint().is_err(), "{bytes:x?}");
        }
        for bytes in
            [b"\x02a".as_slice(), b"\xfb\x02\0\0\0\0aa", b"\xf8\xff\xff\xff\xff\xff\xff\xff\xff"]
        {
            assert!(Reader::new(bytes).bytes().is_err(), "{bytes:x?}");
        }
    }

    #[test]
    fn fields_count_on_from_the_last_one() {
        for (bytes, before, expected) in [
            (b"\x01".as_slice(), None, Some(Some(0))),
            (b"\x03", None, Some(Some(2))),
            (b"\x01", Some(0), Some(Some(1))),
            (b"\x00", Some(0), Some(None)),
            (b"\x04", None, None),
            (b"\x02", Some(1), None),
            (b"\xf8\xff\xff\xff\xff\xff\xff\xff\xff", Some(2), None),
        ] {
            assert_eq!(Reader::new(bytes).field(before, 3).ok(), expected, "{bytes:x?}");
        }
    }
}
