//! The path of an uploaded file in the store.

use uuid::Uuid;

use super::FileKind;

/// `chat/{owner}/{random id}/{name}`: the path names the file's owner, and nobody can guess it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePath {
    text: String,
    pub owner: Uuid,
}

impl FilePath {
    /// Makes a new path for a file of `owner` that is shown as `name`.
    pub fn new(owner: Uuid, name: &str, kind: FileKind) -> Self {
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let stem: String = stem.chars().map(|c| if is_plain(c) { c } else { '_' }).take(60).collect();
        let extension = kind.extensions()[0];
        Self { text: format!("chat/{owner}/{}/{stem}.{extension}", Uuid::new_v4()), owner }
    }

    /// Reads a path as [`FilePath::new`] makes it; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let (Some("chat"), Some(owner), Some(id), Some(name), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        let hyphenated = |id: &str| Uuid::parse_str(id).ok().filter(|parsed| parsed.to_string() == id);
        let (stem, extension) = name.rsplit_once('.')?;
        let is_name = (1..=60).contains(&stem.len()) && stem.chars().all(is_plain);
        hyphenated(id)?;
        let owner = hyphenated(owner)?;
        (is_name && FileKind::of_extension(extension).is_some()).then(|| Self { text: text.to_owned(), owner })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The last part: the name without characters that are not plain ASCII.
    pub fn name(&self) -> &str {
        self.text.rsplit('/').next().unwrap_or_default()
    }

    /// The kind for its extension, which is also the kind of its content.
    pub fn kind(&self) -> Option<FileKind> {
        FileKind::of_extension(self.text.rsplit_once('.')?.1)
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_read_and_nothing_else() {
        let owner = Uuid::new_v4();
        let made = FilePath::new(owner, "Grüße \"1\".tar.pdf", FileKind::Pdf);
        assert_eq!(FilePath::parse(made.as_str()), Some(made.clone()));
        assert_eq!((made.owner, made.name(), made.kind()), (owner, "Gr__e__1__tar.pdf", Some(FileKind::Pdf)));
        let id = Uuid::new_v4();
        for other in [
            String::new(),
            "chat/lamp.png".into(),
            format!("chat/{owner}/../{id}/a.png"),
            format!("chat/{owner}/{id}/../a.png"),
            format!("chat/{owner}/{id}/a.exe"),
            format!("chat/{owner}/{id}/.png"),
            format!("chat/{owner}/{id}/a%2e.png"),
            format!("chat/{}/{id}/a.png", owner.simple()),
            format!("chat/{owner}/{id}/a.png/"),
            format!("/chat/{owner}/{id}/a.png"),
        ] {
            assert_eq!(FilePath::parse(&other), None, "{other}");
        }
    }
}
