//! The attachments of a message.

use serde::{Deserialize, Deserializer, Serialize};

use crate::error::Error;

/// An attachment of a message (contract §Shapes). `url` and `path` come from `POST /upload`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attachment {
    pub name: String,
    #[serde(rename = "type", default, deserialize_with = "or_default")]
    pub kind: String,
    /// Size in bytes.
    #[serde(default, deserialize_with = "or_default")]
    pub size: u64,
    /// The URL of the file.
    #[serde(default, deserialize_with = "or_default")]
    pub url: String,
    #[serde(default, deserialize_with = "or_default")]
    pub path: String,
}

/// Reads `null` as a missing field.
fn or_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(d: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(d)?.unwrap_or_default())
}

impl Attachment {
    /// Checks the lengths, and that a browser may follow the URL safely.
    /// Fails with [`Error::InvalidAttachment`] naming the field at fault.
    pub fn check(&self) -> Result<(), Error> {
        let field = |name, text: &str, max: usize| {
            if text.chars().count() > max || text.contains(char::is_control) {
                return Err(Error::InvalidAttachment(format!("Attachment {name} is not valid")));
            }
            Ok(())
        };
        if self.name.trim().is_empty() {
            return Err(Error::InvalidAttachment("Attachment name is required".into()));
        }
        field("name", &self.name, 255)?;
        field("type", &self.kind, 127)?;
        field("url", &self.url, 2048)?;
        field("path", &self.path, 1024)?;
        // A clicked `javascript:` or `data:` link would run as the shop's page.
        let safe = self.url.is_empty()
            || self.url.starts_with('/')
            || ["http://", "https://"].iter().any(|scheme| self.url.starts_with(scheme));
        if !safe {
            return Err(Error::InvalidAttachment("Attachment url must be http(s) or a path".into()));
        }
        Ok(())
    }
}
