//! A token as it is, and one whose two parts, a line each, are signed with the right secret.

use crate::within;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use wire::{
    limit::TOKEN_BYTES_MAX,
    platform::Platform,
    token::{Claims, Keys},
};

const SECRET: &[u8] = b"nobody may know this";
const NOW_S: i64 = 1_795_374_100;
/// Most of it is what the HMAC and the JSON library need.
const BYTES_MAX: usize = 16 * TOKEN_BYTES_MAX;

pub fn check(data: &[u8]) {
    let keys = Keys::new(SECRET);
    let text = String::from_utf8_lossy(data);
    let forged = within(BYTES_MAX, || keys.read(&text, NOW_S));
    assert!(forged.is_err(), "signed by nobody, and yet it is good");

    let mut lines = data.splitn(2, |byte| *byte == b'\n');
    let [header, payload] = [(); 2].map(|()| URL_SAFE_NO_PAD.encode(lines.next().unwrap_or(b"")));
    let message = format!("{header}.{payload}");
    let mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap().chain_update(&message);
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    let token = format!("{message}.{signature}");
    if let Ok(claims) = within(BYTES_MAX, || keys.read(&token, NOW_S)) {
        check_claims(&keys, &claims);
    }
}

fn check_claims(keys: &Keys, claims: &Claims) {
    assert!(claims.expires_at > NOW_S);
    let Some(platform) = Platform::from_id(claims.platform_id) else { return };
    assert_eq!(claims.matches(&claims.user_id, platform), Ok(()));
    let again = keys.issue(&claims.user_id, platform, NOW_S, claims.expires_at - NOW_S);
    if again.len() <= TOKEN_BYTES_MAX {
        let again = keys.read(&again, NOW_S).unwrap();
        assert_eq!(again, Claims { issued_at: again.issued_at, ..claims.clone() });
    }
}
