//! What a file that holds secrets may hold. A secret that was stored wrongly would be taken for another one,
//! silently: nobody would be let in, or callbacks would go out unsigned.

/// The text of a file of secrets, without a byte-order mark and the white space around it.
pub(super) fn text(bytes: Vec<u8>) -> Result<String, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").map(<[u8]>::to_vec).unwrap_or(bytes);
    let no_text = "it is no text in UTF-8; save it as plain text";
    let text = String::from_utf8(bytes).map_err(|_| no_text.to_owned())?;
    let text = text.trim();
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err("it holds control characters, as text in UTF-16 does; save it in UTF-8".into());
    }
    Ok(text.to_owned())
}

/// The one secret of a file.
pub fn one(bytes: Vec<u8>) -> Result<String, String> {
    let text = text(bytes)?;
    if text.lines().count() > 1 {
        return Err("it has more than one line; it must hold the secret and nothing else".into());
    }
    let is_quoted = |quote| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
    if is_quoted('"') || is_quoted('\'') {
        return Err(
            "it has quotes around the secret, which would be part of it; leave them out".into()
        );
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_file_holds_one_secret_and_nothing_else() {
        let utf16: Vec<u8> = "secret".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let files: [&[u8]; 9] = [
            b" secret\r\n",
            b"\xef\xbb\xbfsecret\n",
            b"",
            b" \n",
            b"\xef\xbb\xbf",
            &utf16,
            b"\xff\xfe",
            b"secret\nanother\n",
            b"\"secret\"\n",
        ];
        let read: String = files.iter().map(|file| format!("{:?}\n", one(file.to_vec()))).collect();
        expect![[r#"
            Ok("secret")
            Ok("secret")
            Err("it is empty")
            Err("it is empty")
            Err("it is empty")
            Err("it holds control characters, as text in UTF-16 does; save it in UTF-8")
            Err("it is no text in UTF-8; save it as plain text")
            Err("it has more than one line; it must hold the secret and nothing else")
            Err("it has quotes around the secret, which would be part of it; leave them out")
        "#]]
        .assert_eq(&read);
        assert_eq!(text(b"one\ntwo\n".to_vec()).unwrap(), "one\ntwo");
    }
}
