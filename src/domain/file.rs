//! The types of files that may be uploaded. The content decides, not the name alone (contract §Uploads).

use super::file_text::begins_as_text;

/// A kind of file that may be uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    Jpeg,
    Png,
    Gif,
    WebP,
    /// HEIC image, as iPhones take them.
    Heic,
    Pdf,
    /// Word, the old format.
    Doc,
    /// Word, the new format.
    Docx,
    Txt,
}

/// The first bytes of old Word files and other old Office files.
const OLE: &[u8] = &[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1];
/// The first bytes of new Word files and other ZIPs.
const ZIP: &[u8] = b"PK\x03\x04";

impl FileKind {
    const ALL: [Self; 9] =
        [Self::Jpeg, Self::Png, Self::Gif, Self::WebP, Self::Heic, Self::Pdf, Self::Doc, Self::Docx, Self::Txt];

    pub fn mime(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
            Self::WebP => "image/webp",
            Self::Heic => "image/heic",
            Self::Pdf => "application/pdf",
            Self::Doc => "application/msword",
            Self::Docx => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            Self::Txt => "text/plain",
        }
    }

    /// The extensions that a file of this kind may have, the usual one first.
    pub fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Jpeg => &["jpg", "jpeg", "jfif"],
            Self::Png => &["png"],
            Self::Gif => &["gif"],
            Self::WebP => &["webp"],
            Self::Heic => &["heic", "heif", "hif"],
            Self::Pdf => &["pdf"],
            Self::Doc => &["doc"],
            Self::Docx => &["docx"],
            Self::Txt => &["txt"],
        }
    }

    /// True if a browser may show the file; any other file is downloaded.
    pub fn is_shown_inline(self) -> bool {
        // Browsers show a PDF in a viewer of their own, which the sandbox it is served under keeps from running.
        matches!(self, Self::Jpeg | Self::Png | Self::Gif | Self::WebP)
    }

    pub fn of_extension(extension: &str) -> Option<Self> {
        let extension = extension.to_ascii_lowercase();
        Self::ALL.into_iter().find(|kind| kind.extensions().contains(&extension.as_str()))
    }

    fn is_image(self) -> bool {
        matches!(self, Self::Jpeg | Self::Png | Self::Gif | Self::WebP | Self::Heic)
    }

    /// The kind of a file that begins with `head` (its first [`super::HEAD_BYTES`], or all of a shorter one) and is called
    /// `name`; `None` for a file that may not be uploaded, and if content and name disagree. An image may have another image's
    /// extension: phones and programs that convert leave the old one. A name without an extension says nothing.
    pub fn detect(head: &[u8], name: &str) -> Option<Self> {
        let named = match extension(name) {
            Some(e) => Some(Self::of_extension(e)?),
            None => None,
        };
        let found = Self::by_content(head, named)?;
        let agrees = |named: Self| named == found || named.is_image() && found.is_image();
        named.is_none_or(agrees).then_some(found)
    }

    fn by_content(head: &[u8], named: Option<Self>) -> Option<Self> {
        // A text may begin like any other file ("BM" of a bitmap, "MZ" of a program): all of its bytes are checked.
        if named == Some(Self::Txt) {
            return begins_as_text(head).then_some(Self::Txt);
        }
        // All old Office files begin alike, and all new ones are ZIPs, so the name counts as well.
        if head.starts_with(ZIP) && named == Some(Self::Docx) {
            return Some(Self::Docx);
        }
        if head.starts_with(OLE) && named == Some(Self::Doc) {
            return Some(Self::Doc);
        }
        if is_heic(head) {
            return Some(Self::Heic);
        }
        let mime = infer::get(head)?.mime_type();
        Self::ALL.into_iter().find(|k| k.mime() == mime && *k != Self::Txt)
    }

    /// Returns `name` with this kind's extension if it has the extension of another kind.
    pub fn rename(self, name: &str) -> String {
        match extension(name) {
            Some(e) if Self::of_extension(e) != Some(self) => {
                format!("{}.{}", &name[..name.len() - e.len() - 1], self.extensions()[0])
            }
            _ => name.to_owned(),
        }
    }
}

/// The extension of a file name: a short word after the last dot.
fn extension(name: &str) -> Option<&str> {
    let is_word = |e: &&str| (1..=5).contains(&e.len()) && e.chars().all(|c| c.is_ascii_alphanumeric());
    name.rsplit_once('.').map(|(_, e)| e).filter(is_word)
}

/// Detects an ISO media file whose brand says that it has HEVC images (ISO 23008-12, annex B).
fn is_heic(head: &[u8]) -> bool {
    const BRANDS: [&[u8]; 6] = [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"];
    const ANY_CODEC: [&[u8]; 2] = [b"mif1", b"msf1"];
    let Some((size, b"ftyp")) = head.first_chunk().map(|size| u32::from_be_bytes(*size)).zip(head.get(4..8)) else {
        return false;
    };
    let end = usize::try_from(size).unwrap_or(usize::MAX).min(head.len());
    let Some(brands) = head.get(8..end) else { return false };
    let mut brands = brands.chunks_exact(4);
    let major = brands.next().unwrap_or_default();
    // The minor version stands between the major brand and the compatible ones.
    BRANDS.contains(&major) || ANY_CODEC.contains(&major) && brands.skip(1).any(|b| BRANDS.contains(&b))
}

/// Cleans a file name for showing and storing: no folders, no control or reserved characters, not too long.
pub fn clean_file_name(name: &str) -> String {
    const RESERVED: &[char] = &['<', '>', ':', '"', '|', '?', '*', '/', '\\'];
    // Browsers escape these three characters in a form in this way (HTML standard, multipart/form-data encoding).
    let name = name.replace("%22", "\"").replace("%0D", "").replace("%0A", "");
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = last.chars().filter(|c| !c.is_control() && !turns_text(*c) && !RESERVED.contains(c)).collect();
    let kept = kept.trim_matches(|c: char| c == '.' || c.is_whitespace());
    // The end is kept, because it has the extension.
    let excess = kept.chars().count().saturating_sub(120);
    let kept: String = kept.chars().skip(excess).collect();
    if kept.is_empty() { "file".to_owned() } else { kept }
}

/// Characters that change the writing direction: a name with them could hide its real extension.
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
        for text in ["grüße\r\n\tan alle", "BMW 320d, 2014", "MZ is a town", "GIF89a, %PDF-1.7 and RIFF", "hi <script>"]
        {
            assert_eq!(FileKind::detect(text.as_bytes(), "a.txt"), Some(FileKind::Txt), "{text}");
        }
        assert_eq!(FileKind::detect(b"<!DOCTYPE html>", "a.txt"), None);
        assert_eq!(FileKind::detect(b"a\0b", "a.txt"), None);
        assert_eq!(FileKind::detect(b"plain", "a.html"), None);
        assert_eq!(FileKind::detect(b"plain", "plain"), None, "without a name it could be anything");
    }

    #[test]
    fn an_image_is_what_it_is_whichever_image_it_is_called() {
        let heic = |brands: &str| [b"\0\0\0\x18ftyp".as_slice(), brands.as_bytes()].concat();
        let webp = b"RIFF\x24\0\0\0WEBPVP8 ".as_slice();
        for (content, kind) in [
            (PNG, FileKind::Png),
            (webp, FileKind::WebP),
            (&heic("heic\0\0\0\0mif1heic"), FileKind::Heic),
            (&heic("mif1\0\0\0\0mif1heic"), FileKind::Heic),
        ] {
            assert_eq!(FileKind::detect(content, "IMG_1.jpg"), Some(kind));
            assert_eq!(FileKind::detect(content, "IMG_1.exe"), None);
            assert_eq!(FileKind::detect(content, "IMG_1.pdf"), None);
        }
        assert_eq!(FileKind::detect(&heic("avif\0\0\0\0mif1avif"), "a.jpg"), None);
        assert_eq!(FileKind::detect(&heic("isom\0\0\0\0isomheic"), "a.jpg"), None, "a film");
        for (name, renamed) in
            [("IMG_1.jpg", "IMG_1.heic"), ("a.b.PNG", "a.b.heic"), ("IMG_1.HEIC", "IMG_1.HEIC"), ("photo", "photo")]
        {
            assert_eq!(FileKind::Heic.rename(name), renamed);
        }
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
