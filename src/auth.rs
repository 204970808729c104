//! Tokens: HS256 JWTs with `userId`, `role`, `iat` and `exp` (contract §Connecting).

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Deserialize as _;
use serde_json::{Map, Value};

use crate::{
    clock::Clock,
    config::Secret,
    domain::{Role, UserId},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// No token was given.
    Missing,
    /// The token is malformed, or `JWT_SECRET` did not sign it.
    Invalid,
    Expired,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    pub user_id: UserId,
    /// The time at which the token expires, in seconds since 1970.
    pub expires_at: i64,
}

pub struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    clock: Clock,
}

impl Tokens {
    /// Signs and checks with `secret`, by the time of `clock`.
    pub fn new(secret: &Secret, clock: Clock) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        // The times are checked below, as the shop's library does it: this one rounds them.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        let key = secret.expose().as_bytes();
        Self { encoding: EncodingKey::from_secret(key), decoding: DecodingKey::from_secret(key), validation, clock }
    }

    /// Returns the user and the expiry of a token. Its `role` claim is ignored.
    /// Fails with [`TokenError`] if the signature, `exp` or another claim is wrong.
    pub fn verify(&self, token: &str) -> Result<Verified, TokenError> {
        let token = token.trim();
        if token.is_empty() {
            return Err(TokenError::Missing);
        }
        let decoded = jsonwebtoken::decode::<Map<String, Value>>(token, &self.decoding, &self.validation);
        let claims = decoded.map_err(|_| TokenError::Invalid)?.claims;
        check_claims(&claims, self.clock.now().timestamp())
    }

    /// Makes a token for `user` that is valid for `seconds`, to try the chat with. The shop issues its own tokens.
    /// Fails with the error of the signing library; it does not fail for an HMAC key.
    pub fn issue(&self, user: UserId, role: Role, seconds: i64) -> Result<String, jsonwebtoken::errors::Error> {
        let now = self.clock.now().timestamp();
        let claims = serde_json::json!({ "userId": user, "role": role, "iat": now, "exp": now + seconds });
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
    }
}

/// Reads the claims as npm's jsonwebtoken does, which issues the shop's tokens: `now` is in whole seconds, `exp` and `nbf`
/// are any numbers, and anything else in their place makes the token invalid. `iat` is ignored. Unlike there,
/// `exp` is required.
fn check_claims(claims: &Map<String, Value>, now: i64) -> Result<Verified, TokenError> {
    #[allow(clippy::cast_precision_loss)] // exact until the year 285,000,000
    let now = now as f64;
    let number = |name| claims.get(name).map(|value| value.as_f64().ok_or(TokenError::Invalid)).transpose();
    if number("nbf")?.is_some_and(|from| from > now) {
        return Err(TokenError::Invalid);
    }
    let expires_at = number("exp")?.ok_or(TokenError::Invalid)?;
    if now >= expires_at {
        return Err(TokenError::Expired);
    }
    let user_id = claims.get("userId").and_then(|id| UserId::deserialize(id).ok()).ok_or(TokenError::Invalid)?;
    #[allow(clippy::cast_possible_truncation)] // saturates, far beyond any date
    Ok(Verified { user_id, expires_at: expires_at.ceil() as i64 })
}

/// Removes the prefix `Bearer ` (in any case); a token without it is returned unchanged.
pub fn strip_bearer(value: &str) -> &str {
    let value = value.trim();
    match value.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer ") => token.trim(),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use serde_json::json;

    use super::*;

    /// Tokens at second 1000.
    fn tokens(secret: &str) -> Tokens {
        Tokens::new(&Secret::from(secret), Clock::manual(DateTime::from_timestamp(1000, 0).unwrap()))
    }

    fn user() -> UserId {
        UserId::parse("00000000-0000-4000-8000-000000000001").unwrap()
    }

    #[test]
    fn a_token_names_its_user() {
        let t = tokens("one");
        let token = t.issue(user(), Role::Customer, 60).unwrap();
        let verified = Ok(Verified { user_id: user(), expires_at: 1060 });
        assert_eq!(t.verify(&token), verified);
        assert_eq!(t.verify(strip_bearer(&format!("bearer {token}"))), verified);
    }

    #[test]
    fn foreign_malformed_and_empty_tokens_are_told_apart() {
        let t = tokens("one");
        let foreign = tokens("two").issue(user(), Role::Customer, 60).unwrap();
        assert_eq!(t.verify(&foreign), Err(TokenError::Invalid));
        assert_eq!(t.verify("  "), Err(TokenError::Missing));
        assert_eq!(t.verify("a.b.c"), Err(TokenError::Invalid));
    }

    /// The claims of a token of the user's, with these in place of its own, looked at at second 1000.
    fn checked(changes: &Value) -> Result<Verified, TokenError> {
        let mut claims = serde_json::json!({ "userId": user(), "role": "customer", "iat": 900, "exp": 2000 });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        check_claims(claims.as_object().unwrap(), 1000)
    }

    #[test]
    fn a_token_that_is_not_good_yet_is_refused() {
        assert_eq!(checked(&json!({ "nbf": 1001 })), Err(TokenError::Invalid));
        assert_eq!(checked(&json!({ "nbf": 1000.5 })), Err(TokenError::Invalid));
        assert!(checked(&json!({ "nbf": 1000 })).is_ok());
        assert!(checked(&json!({ "nbf": 999.9 })).is_ok());
        // And by a token: the signature alone does not do.
        let t = tokens("one");
        let claims = json!({ "userId": user(), "nbf": 1060, "exp": 2000 });
        let early = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &t.encoding).unwrap();
        assert_eq!(t.verify(&early), Err(TokenError::Invalid));
        t.clock.advance(TimeDelta::seconds(60));
        assert!(t.verify(&early).is_ok());
    }

    #[test]
    fn times_with_a_fraction_are_not_rounded() {
        // At second 1000 a token that ends at 1000.4 is still good, as the shop's server has it.
        assert_eq!(checked(&json!({ "exp": 1000.4 })).map(|v| v.expires_at), Ok(1001));
        assert_eq!(checked(&json!({ "exp": 999.9 })), Err(TokenError::Expired));
        assert_eq!(checked(&json!({ "exp": 1000 })), Err(TokenError::Expired));
        assert!(checked(&json!({ "exp": 1e300, "iat": 900.5 })).is_ok());
        assert_eq!(checked(&json!({ "exp": -5 })), Err(TokenError::Expired));
    }

    #[test]
    fn a_time_that_is_no_number_makes_a_token_invalid() {
        for wrong in [json!("2000"), json!(null), json!([2000]), json!(true)] {
            assert_eq!(checked(&json!({ "exp": wrong })), Err(TokenError::Invalid), "exp {wrong}");
            assert_eq!(checked(&json!({ "nbf": wrong })), Err(TokenError::Invalid), "nbf {wrong}");
            assert!(checked(&json!({ "iat": wrong })).is_ok(), "iat {wrong}");
        }
    }

    #[test]
    fn an_unsigned_token_is_no_token() {
        // {"alg":"none"} . {"userId":"…01","exp":9999999999} .
        let none = "eyJhbGciOiJub25lIn0.eyJ1c2VySWQiOiIwMDAwMDAwMC0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwMDEiLCJleHAiOjk5OTk5OTk5OTl9.";
        assert_eq!(tokens("one").verify(none), Err(TokenError::Invalid));
    }
}
