//! Checks that the settings make sense together.

use super::{origin::normal_origin, settings::Config};

impl Config {
    /// Treats an empty variable (`DATABASE_URL=` in `.env`) as one that is not set.
    pub fn drop_empty(&mut self) {
        for secret in [&mut self.database_url, &mut self.jwt_secret] {
            if secret.as_ref().is_some_and(|s| s.expose().trim().is_empty()) {
                *secret = None;
            }
        }
        for text in [&mut self.server_name, &mut self.upload_store, &mut self.public_url] {
            text.take_if(|t| t.trim().is_empty());
        }
    }

    /// Checks what depends on more than one setting.
    /// A fault is one line that names the variable at fault.
    pub fn validate(&self) -> Result<(), String> {
        if let Some(url) = &self.database_url {
            let known = ["postgres://", "postgresql://"].iter().any(|p| url.expose().starts_with(p));
            if !known {
                return Err("DATABASE_URL: must start with postgres:// or postgresql://".into());
            }
            if self.jwt_secret.is_none() {
                return Err("JWT_SECRET: required when DATABASE_URL is set".into());
            }
            if self.embedded {
                return Err("EMBEDDED: must not be true when DATABASE_URL is set".into());
            }
        } else if cfg!(not(feature = "embedded")) {
            return Err("DATABASE_URL: required, because this build has no embedded database".into());
        } else if self.is_production() && !self.embedded {
            return Err("DATABASE_URL: required when NODE_ENV=production, unless EMBEDDED=true".into());
        }
        if self.jwt_secret.as_ref().is_some_and(|s| s.expose().len() < 32) {
            return Err("JWT_SECRET: must be at least 32 bytes".into());
        }
        if let Some(origin) = self.frontend_origins().find(|origin| normal_origin(origin).is_none()) {
            return Err(format!(
                "FRONTEND_URL: {origin:?} is not an origin such as https://shop.example or capacitor://localhost"
            ));
        }
        if self.database_lock_timeout_ms >= self.database_statement_timeout_ms {
            return Err("DATABASE_LOCK_TIMEOUT_MS: must be below DATABASE_STATEMENT_TIMEOUT_MS".into());
        }
        if self.max_payload_bytes < self.max_message_chars {
            return Err("MAX_PAYLOAD_BYTES: must not be below MAX_MESSAGE_CHARS".into());
        }
        Ok(())
    }
}
