//! Tokens as the shop issues them.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use uuid::Uuid;

const GOOD_FOR: Duration = Duration::from_hours(24);

/// A token for `user`. What it says of the role is not believed by anybody.
pub fn issue(user: Uuid, secret: &str) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let expires = now + GOOD_FOR;
    let claims =
        format!(r#"{{"userId":"{user}","role":"customer","iat":{},"exp":{}}}"#, now.as_secs(), expires.as_secs());
    let encode = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
    let signed = format!("{}.{}", encode(br#"{"alg":"HS256","typ":"JWT"}"#), encode(claims.as_bytes()));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(signed.as_bytes());
    format!("{signed}.{}", encode(&mac.finalize().into_bytes()))
}
