//! Links to uploaded files. A message is kept for good and a link is good for a week, so links are signed anew whenever
//! their message is read.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use sha2::Sha256;
use url::form_urlencoded;

use super::receiving::StoredFile;
use crate::{
    clock::Clock,
    config::Secret,
    domain::{FilePath, Message},
    error::{Error, Result},
    protocol::FileLink,
};

/// A signed link works for 7 days (contract §Uploads).
const LINK_LIFE: Duration = Duration::from_hours(7 * 24);
/// The route that serves the files.
const ROUTE: &str = "/api/chat/files/";
/// A link that is good for this many seconds more is left as it is, so that browsers find its file in their cache.
const GOOD_ENOUGH: i64 = 6 * DAY;
const DAY: i64 = 86_400;

pub struct Links {
    key: Hmac<Sha256>,
    /// `PUBLIC_URL`, without a slash at its end.
    public_url: Option<String>,
    clock: Clock,
}

impl Links {
    /// Signs with a key of its own, made from the tokens' secret.
    pub(super) fn new(secret: &Secret, public_url: Option<&str>, clock: Clock) -> Self {
        let mut key = keyed(secret.expose().as_bytes());
        key.update(b"souk file links");
        let key = keyed(&key.finalize().into_bytes());
        Self { key, public_url: public_url.map(|url| url.trim_end_matches('/').to_owned()), clock }
    }

    /// Checks that a link is ours and has not expired.
    ///
    /// # Errors
    /// [`Error::InvalidSignature`], [`Error::LinkExpired`].
    pub fn check(&self, path: &str, link: &FileLink) -> Result<()> {
        if !self.is_signed(path, link) {
            return Err(Error::InvalidSignature);
        }
        if self.clock.now().timestamp() >= link.expires { Err(Error::LinkExpired) } else { Ok(()) }
    }

    /// The link to a file that was just stored.
    pub fn to(&self, base: &str, file: &StoredFile) -> String {
        let life = i64::try_from(LINK_LIFE.as_secs()).unwrap_or(0);
        self.link(base, &file.path, &file.name, file.uploaded_at.timestamp() + life)
    }

    /// The link by which a file can be fetched until `expires` (seconds since 1970) and saved as `name`.
    fn link(&self, base: &str, path: &str, name: &str, expires: i64) -> String {
        format!("{base}{ROUTE}{path}?{}", self.sign(path, name, expires))
    }

    /// Signs a message's links to its sender's own files anew. Other links are left as they are, also those that name another
    /// user's file: knowing a path gives nobody a link to it.
    pub fn renew(&self, message: &mut Message) {
        let sender = message.sender_id.0;
        for file in message.attachments.as_array_mut().into_iter().flatten() {
            if let Some(url) = self.renewed(file, sender) {
                file["url"] = Value::String(url);
            }
        }
    }

    fn renewed(&self, file: &Value, sender: uuid::Uuid) -> Option<String> {
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
        let now = self.clock.now().timestamp();
        let link = link_of(query).filter(|link| self.is_signed(of_url, link));
        let base = self.public_url.as_deref().unwrap_or(base);
        if link.as_ref().is_some_and(|l| l.expires - now >= GOOD_ENOUGH) && url.starts_with(base) {
            return None;
        }
        // The name from the signed link: the name in the message was chosen by its sender, and may be anything.
        let name = link.map_or_else(|| file.name().to_owned(), |link| link.name);
        // The same link all day, so that browsers find the file in their cache.
        let expires = (now.div_euclid(DAY) + 8) * DAY;
        Some(self.link(base, of_url, &name, expires))
    }

    /// The query that lets `path` be fetched until `expires`, and saved as `name`.
    fn sign(&self, path: &str, name: &str, expires: i64) -> String {
        let signature = self.mac(path, name, expires).finalize().into_bytes();
        let hex: Vec<String> = signature.iter().map(|b| format!("{b:02x}")).collect();
        let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
        format!("name={name}&expires={expires}&signature={}", hex.concat())
    }

    /// True if this server signed the link, expired or not.
    fn is_signed(&self, path: &str, link: &FileLink) -> bool {
        let mac = self.mac(path, &link.name, link.expires);
        unhex(&link.signature).is_some_and(|given| mac.verify_slice(&given).is_ok())
    }

    fn mac(&self, path: &str, name: &str, expires: i64) -> Hmac<Sha256> {
        let mut mac = self.key.clone();
        // Neither a path nor a name has a line break.
        mac.update(format!("{expires}\n{path}\n{name}").as_bytes());
        mac
    }
}

/// A link's query as [`Links::sign`] writes it.
fn link_of(query: &str) -> Option<FileLink> {
    let field = |name: &str| form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, v)| v);
    Some(FileLink {
        name: field("name")?.into_owned(),
        expires: field("expires")?.parse().ok()?,
        signature: field("signature")?.into_owned(),
    })
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of any length (RFC 2104 §2): this does not fail.
    Hmac::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || text.len() % 2 == 1 {
        return None;
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).ok()).collect()
}
