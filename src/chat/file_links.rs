//! Links to uploaded files, signed anew when a message is read: a link is good for a week, a message for good.

use chrono::{DateTime, Utc};
use serde_json::Value;
use url::form_urlencoded;

use super::uploads::{LINK_LIFE, Uploads};
use crate::{
    domain::{FilePath, Message},
    protocol::FileLink,
};

/// Where the files are served.
const ROUTE: &str = "/api/chat/files/";
/// A link that is good for this many seconds more is left as it is: browsers keep what they fetched by it.
const GOOD_ENOUGH: i64 = 6 * DAY;
const DAY: i64 = 86_400;

impl Uploads {
    /// The link under which a file is fetched, until `expires` (seconds since 1970) and saved as `name`.
    #[must_use]
    pub fn link(&self, base: &str, path: &str, name: &str, expires: i64) -> String {
        format!("{base}{ROUTE}{path}?{}", self.sign(path, name, expires))
    }

    /// When a link that is made now expires.
    #[must_use]
    pub fn link_expires(now: DateTime<Utc>) -> i64 {
        now.timestamp() + i64::try_from(LINK_LIFE.as_secs()).unwrap_or(0)
    }

    /// Signs the links to its sender's own files anew. What points elsewhere is left as it is, and so is what names somebody
    /// else's file: its path alone gives nobody a link to it.
    pub fn renew_links(&self, message: &mut Message, now: DateTime<Utc>) {
        let sender = message.sender_id.0;
        for file in message.attachments.as_array_mut().into_iter().flatten() {
            if let Some(url) = self.renewed(file, sender, now) {
                file["url"] = Value::String(url);
            }
        }
    }

    fn renewed(&self, file: &Value, sender: uuid::Uuid, now: DateTime<Utc>) -> Option<String> {
        let text = |field: &str| file.get(field).and_then(Value::as_str).unwrap_or_default();
        let (url, path) = (text("url"), text("path"));
        let (base, of_url, query) = match url.split_once(ROUTE) {
            Some((base, rest)) => {
                let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
                (base, path, query)
            }
            None if url.is_empty() => ("", path, ""),
            None => return None,
        };
        let file =
            FilePath::parse(of_url).filter(|file| file.owner == sender && (path.is_empty() || path == of_url))?;
        let link = link_of(query).filter(|link| self.is_signed(of_url, link));
        let base = self.public_url.as_deref().unwrap_or(base);
        if link.as_ref().is_some_and(|l| l.expires - now.timestamp() >= GOOD_ENOUGH) && url.starts_with(base) {
            return None;
        }
        // The name that we once signed, and not what the message calls it, which anything may be.
        let name = link.map_or_else(|| file.name().to_owned(), |link| link.name);
        // The same all day, so that a browser knows it again.
        let expires = (now.timestamp().div_euclid(DAY) + 8) * DAY;
        Some(self.link(base, of_url, &name, expires))
    }
}

/// A link's query as [`Uploads::sign`] writes it.
fn link_of(query: &str) -> Option<FileLink> {
    let field = |name: &str| form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, v)| v);
    Some(FileLink {
        name: field("name")?.into_owned(),
        expires: field("expires")?.parse().ok()?,
        signature: field("signature")?.into_owned(),
    })
}
