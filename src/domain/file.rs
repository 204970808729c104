//! Files that may be uploaded, told by their content and not by their name alone (contract §3, Uploads).

/// A kind of file that may be uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// JPEG image.
    Jpeg,
    /// PNG image.
    Png,
    /// GIF image.
    Gif,
    /// WebP image.
    WebP,
    /// PDF.
    Pdf,
    /// Word, the old format.
    Doc,
    /// Word, the new format.
    Docx,
    /// Plain text.
    Txt,
}

/// The name of the stream that every old Word file has, and no other old Office file, somewhere in its directory.
pub const WORD_STREAM: &[u8] = b"W\0o\0r\0d\0D\0o\0c\0u\0m\0e\0n\0t\0";
/// What old Word files, and other old Office files, begin with.
const OLE: &[u8] = &[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1];
/// A text with one of these could be taken for a page.
const MARKUP: &[&str] = &["<!doctype", "<html", "<head>", "<body", "<script", "<svg", "<iframe", "<?xml"];

impl FileKind {
    const ALL: [Self; 8] = [Self::Jpeg, Self::Png, Self::Gif, Self::WebP, Self::Pdf, Self::Doc, Self::Docx, Self::Txt];

    /// MIME type.
    #[must_use]
    pub fn mime(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
            Self::WebP => "image/webp",
            Self::Pdf => "application/pdf",
            Self::Doc => "application/msword",
            Self::Docx => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            Self::Txt => "text/plain",
        }
    }

    /// Extensions that its name may have, the usual one first.
    #[must_use]
    pub fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Jpeg => &["jpg", "jpeg", "jfif"],
            Self::Png => &["png"],
            Self::Gif => &["gif"],
            Self::WebP => &["webp"],
            Self::Pdf => &["pdf"],
            Self::Doc => &["doc"],
            Self::Docx => &["docx"],
            Self::Txt => &["txt"],
        }
    }

    /// Whether a browser may show it in place; anything else is downloaded.
    #[must_use]
    pub fn is_shown_inline(self) -> bool {
        // Browsers show a PDF in a viewer of their own, which the sandbox it is served under keeps from running.
        matches!(self, Self::Jpeg | Self::Png | Self::Gif | Self::WebP)
    }

    /// The kind that an extension stands for.
    #[must_use]
    pub fn of_extension(extension: &str) -> Option<Self> {
        let extension = extension.to_ascii_lowercase();
        Self::ALL.into_iter().find(|kind| kind.extensions().contains(&extension.as_str()))
    }

    /// The kind of a file that begins with `head` and is called `name`; `None` for what may not be uploaded, and
    /// where content and name disagree. A name without an extension says nothing.
    #[must_use]
    pub fn detect(head: &[u8], name: &str) -> Option<Self> {
        let is_word = |e: &&str| (1..=5).contains(&e.len()) && e.chars().all(|c| c.is_ascii_alphanumeric());
        let extension = name.rsplit_once('.').map(|(_, e)| e).filter(is_word);
        let named = match extension {
            Some(e) => Some(Self::of_extension(e)?),
            None => None,
        };
        let found = Self::by_content(head, named)?;
        (named.is_none() || named == Some(found)).then_some(found)
    }

    fn by_content(head: &[u8], named: Option<Self>) -> Option<Self> {
        // Every old Office file begins alike, and every new one is a zip: there the name has a say as well.
        match infer::get(head).map(|t| t.mime_type()) {
            Some("application/zip") if named == Some(Self::Docx) && contains(head, b"word/") => Some(Self::Docx),
            Some(mime) if Self::ALL.iter().any(|k| k.mime() == mime && *k != Self::Txt) => {
                Self::ALL.into_iter().find(|k| k.mime() == mime)
            }
            _ if head.starts_with(OLE) && named == Some(Self::Doc) => Some(Self::Doc),
            Some(_) => None,
            None => (named == Some(Self::Txt) && looks_like_text(head)).then_some(Self::Txt),
        }
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|w| w == needle)
}

fn looks_like_text(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head).to_lowercase();
    is_plain(head) && !MARKUP.iter().any(|tag| text.contains(tag))
}

/// Whether bytes of a text have no control characters but white space.
#[must_use]
pub fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| *b >= 0x20 || matches!(b, b'\t' | b'\n' | b'\r' | 0x0c))
}

/// A file name as it may be shown and stored: no folders, no control or reserved characters, not too long.
#[must_use]
pub fn clean_file_name(name: &str) -> String {
    const RESERVED: &[char] = &['<', '>', ':', '"', '|', '?', '*', '/', '\\'];
    // Browsers write these three so in a form (HTML standard, multipart/form-data encoding).
    let name = name.replace("%22", "\"").replace("%0D", "").replace("%0A", "");
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = last.chars().filter(|c| !c.is_control() && !turns_text(*c) && !RESERVED.contains(c)).collect();
    let kept = kept.trim_matches(|c: char| c == '.' || c.is_whitespace());
    // The end has the extension.
    let excess = kept.chars().count().saturating_sub(120);
    let kept: String = kept.chars().skip(excess).collect();
    if kept.is_empty() { "file".to_owned() } else { kept }
}

/// Characters that turn the direction of what follows: a name with them could lie about its end.
fn turns_text(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    const EXE: &[u8] = b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0";

    #[test]
    fn content_and_name_must_agree() {
        assert_eq!(FileKind::detect(PNG, "a.png"), Some(FileKind::Png));
        assert_eq!(FileKind::detect(PNG, "A.PNG"), Some(FileKind::Png));
        assert_eq!(FileKind::detect(PNG, "photo"), Some(FileKind::Png));
        assert_eq!(FileKind::detect(PNG, "a.exe"), None);
        assert_eq!(FileKind::detect(PNG, "a.txt"), None);
        assert_eq!(FileKind::detect(EXE, "a.png"), None);
        assert_eq!(FileKind::detect(EXE, "a.exe"), None);
        assert_eq!(FileKind::detect(b"%PDF-1.7\n", "a.pdf"), Some(FileKind::Pdf));
        assert_eq!(FileKind::detect(OLE, "a.doc"), Some(FileKind::Doc));
        assert_eq!(FileKind::detect(OLE, "a.xls"), None);
        assert_eq!(FileKind::detect(b"%PDF-1.7\n", "Invoice No. 5"), Some(FileKind::Pdf));
    }

    #[test]
    fn a_text_is_a_text_and_no_page() {
        assert_eq!(FileKind::detect("grüße\r\n\tan alle".as_bytes(), "a.txt"), Some(FileKind::Txt));
        assert_eq!(FileKind::detect(b"gr\xfc\xdfe in Windows' own letters", "a.txt"), Some(FileKind::Txt));
        for page in ["<!DOCTYPE html>", "hi <script>x</script>", "<svg xmlns=''>", "  <html>", "<?xml version='1'?>"] {
            assert_eq!(FileKind::detect(page.as_bytes(), "a.txt"), None, "{page}");
        }
        assert_eq!(FileKind::detect(b"a\0b", "a.txt"), None);
        assert_eq!(FileKind::detect(b"plain", "a.html"), None);
        assert_eq!(FileKind::detect(b"plain", "plain"), None, "without a name it could be anything");
    }

    #[test]
    fn names_are_cleaned() {
        let table = [
            ("../../etc/passwd.txt", "passwd.txt"),
            ("C:\\temp\\a.png", "a.png"),
            ("a\0b\n.png", "ab.png"),
            ("..", "file"),
            ("a\u{202e}gpj.txt", "agpj.txt"),
            ("say %22hi%22.txt", "say hi.txt"),
            ("Grüße \"x\".pdf", "Grüße x.pdf"),
        ];
        for (given, clean) in table {
            assert_eq!(clean_file_name(given), clean);
        }
        assert_eq!(clean_file_name(&format!("{}.png", "x".repeat(500))), format!("{}.png", "x".repeat(116)));
    }
}
