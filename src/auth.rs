//! Tokens: HS256 JWTs with `userId`, `role`, `iat` and `exp` (contract §0).

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind};
use serde::Deserialize;

use crate::{
    config::Secret,
    domain::{Role, UserId},
};

/// Why a token was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// There was none.
    Missing,
    /// Not a token of ours.
    Invalid,
    /// It was one once.
    Expired,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(rename = "userId")]
    user_id: UserId,
    exp: f64,
}

/// What a good token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whom it was issued to.
    pub user_id: UserId,
    /// Until when it is good: seconds since 1970.
    pub expires_at: i64,
}

/// Makes and checks tokens.
pub struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

impl Tokens {
    /// Uses `secret` for both directions.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        validation.validate_aud = false;
        let key = secret.expose().as_bytes();
        Self { encoding: EncodingKey::from_secret(key), decoding: DecodingKey::from_secret(key), validation }
    }

    /// Whom a token was issued to, and until when. Its `role` claim is not believed.
    ///
    /// # Errors
    /// [`TokenError`], after the signature and `exp` were checked.
    pub fn verify(&self, token: &str) -> Result<Verified, TokenError> {
        let token = token.trim();
        if token.is_empty() {
            return Err(TokenError::Missing);
        }
        match jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation) {
            #[allow(clippy::cast_possible_truncation)] // saturates, far beyond any date
            Ok(data) => Ok(Verified { user_id: data.claims.user_id, expires_at: data.claims.exp as i64 }),
            Err(e) if matches!(e.kind(), ErrorKind::ExpiredSignature) => Err(TokenError::Expired),
            Err(_) => Err(TokenError::Invalid),
        }
    }

    /// A token for `user`, good for `seconds`. For trying things out: the shop issues its own.
    ///
    /// # Errors
    /// What the signing library says; it does not fail for an HMAC key.
    pub fn issue(&self, user: UserId, role: Role, seconds: i64) -> Result<String, jsonwebtoken::errors::Error> {
        let now = chrono::Utc::now().timestamp();
        let claims = serde_json::json!({ "userId": user, "role": role, "iat": now, "exp": now + seconds });
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
    }
}

/// Takes the `Bearer ` prefix off, in any case; a token without it is returned as it is.
#[must_use]
pub fn strip_bearer(value: &str) -> &str {
    let value = value.trim();
    match value.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer ") => token.trim(),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(secret: &str) -> Tokens {
        Tokens::new(&Secret::from(secret))
    }

    fn user() -> UserId {
        UserId::parse("00000000-0000-4000-8000-000000000001").unwrap()
    }

    #[test]
    fn a_token_names_its_user() {
        let t = tokens("one");
        let token = t.issue(user(), Role::Customer, 60).unwrap();
        assert_eq!(t.verify(&token).map(|v| v.user_id), Ok(user()));
        assert_eq!(t.verify(strip_bearer(&format!("bearer {token}"))).map(|v| v.user_id), Ok(user()));
        let left = t.verify(&token).unwrap().expires_at - chrono::Utc::now().timestamp();
        assert!((58..=60).contains(&left));
    }

    #[test]
    fn expired_foreign_and_empty_tokens_are_told_apart() {
        let t = tokens("one");
        let expired = t.issue(user(), Role::Customer, -1).unwrap();
        assert_eq!(t.verify(&expired), Err(TokenError::Expired));
        let foreign = tokens("two").issue(user(), Role::Customer, 60).unwrap();
        assert_eq!(t.verify(&foreign), Err(TokenError::Invalid));
        assert_eq!(t.verify("  "), Err(TokenError::Missing));
        assert_eq!(t.verify("a.b.c"), Err(TokenError::Invalid));
    }

    #[test]
    fn an_unsigned_token_is_no_token() {
        // {"alg":"none"} . {"userId":"…01","exp":9999999999} .
        let none = "eyJhbGciOiJub25lIn0.eyJ1c2VySWQiOiIwMDAwMDAwMC0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwMDEiLCJleHAiOjk5OTk5OTk5OTl9.";
        assert_eq!(tokens("one").verify(none), Err(TokenError::Invalid));
    }
}
