//! The caps on what a client may send or be told, and how a text is cut to one.

/// One frame, both as it arrived and after decompression. Upstream bounds only the former.
pub const FRAME_BYTES_MAX: usize = 51_200;
/// The Go SDK reads no more of a refused handshake's body; the rest would break its JSON.
pub const REFUSAL_BYTES_MAX: usize = 1024;
/// The packed handshake parameter `v`, before base64 decoding.
pub const PACKED_BYTES_MAX: usize = 8 * 1024;
pub const USER_ID_BYTES_MAX: usize = 256;
pub const TOKEN_BYTES_MAX: usize = 4096;
/// Longer operation ids are cut: they only serve to find a request in the logs.
pub const OPERATION_ID_BYTES_MAX: usize = 256;
/// Longer SDK versions are cut, like operation ids.
pub const SDK_VERSION_BYTES_MAX: usize = 64;
/// Fields in a gob type definition. Every known client sends six.
pub const GOB_FIELDS_MAX: usize = 32;

/// The longest start of `text` that has at most `bytes_max` bytes and ends between two characters.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_character_is_never_cut_in_two() {
        for (text, bytes_max, expected) in
            [("", 0, ""), ("ab", 9, "ab"), ("ab", 1, "a"), ("aé", 2, "a"), ("aé", 3, "aé")]
        {
            assert_eq!(cut(text, bytes_max), expected);
        }
    }
}
