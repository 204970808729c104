//! Checks of a file's content while it streams. The result depends on the bytes only, never on how they were split.

use super::{file::FileKind, file_text::TextCheck};

/// The number of bytes that decide a file's kind. The rest is checked while it is stored.
pub const HEAD_BYTES: usize = 8 << 10;

/// The name of the stream that every old Word file has, and no other old Office file, somewhere in its directory.
const WORD_STREAM: &[u8] = b"W\0o\0r\0d\0D\0o\0c\0u\0m\0e\0n\0t\0";
/// The folder that every new Word file has, and no other new Office file.
const WORD_FOLDER: &[u8] = b"word/";
/// The bytes that begin a ZIP entry, in front of the entry and in the directory at the end, and the distance from them to its
/// name.
const ZIP_HEADERS: [(&[u8], usize); 2] = [(b"PK\x03\x04", 30), (b"PK\x01\x02", 46)];
/// The check that the rest of a file must pass.
pub enum ContentCheck {
    /// Nothing: the first bytes are enough.
    Done,
    /// A byte sequence that files of this kind have somewhere.
    Mark(MarkSearch),
    /// Only text.
    Text(TextCheck),
}

impl ContentCheck {
    /// Makes the check for a file of this kind, which begins at its first byte.
    pub fn of(kind: FileKind, head: &[u8]) -> Self {
        match kind {
            FileKind::Doc => Self::Mark(MarkSearch::new(MarkSearch::find_word_stream)),
            FileKind::Docx => Self::Mark(MarkSearch::new(MarkSearch::find_word_folder)),
            FileKind::Txt => Self::Text(TextCheck::new(head)),
            _ => Self::Done,
        }
    }

    /// Takes the next bytes; false if the file cannot be of its kind.
    #[must_use]
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        match self {
            Self::Done => true,
            Self::Mark(search) => {
                search.push(bytes);
                true
            }
            Self::Text(text) => text.push(bytes),
        }
    }

    /// True if the whole file is of its kind.
    pub fn is_complete(&self) -> bool {
        match self {
            Self::Done => true,
            Self::Mark(search) => search.found,
            Self::Text(text) => text.is_complete(),
        }
    }
}

/// A search for a byte sequence that two parts of the file may share.
pub struct MarkSearch {
    find: fn(&[u8]) -> bool,
    tail: Vec<u8>,
    found: bool,
}

impl MarkSearch {
    /// The longest mark: a ZIP directory header and the name behind it.
    const OVERLAP: usize = ZIP_HEADERS[1].1 + WORD_FOLDER.len();

    fn new(find: fn(&[u8]) -> bool) -> Self {
        Self { find, tail: Vec::new(), found: false }
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.found {
            return;
        }
        self.tail.extend_from_slice(bytes);
        self.found = (self.find)(&self.tail);
        let seen = self.tail.len().saturating_sub(Self::OVERLAP);
        self.tail.drain(..seen);
    }

    fn find_word_stream(bytes: &[u8]) -> bool {
        bytes.windows(WORD_STREAM.len()).any(|w| w == WORD_STREAM)
    }

    fn find_word_folder(bytes: &[u8]) -> bool {
        bytes.windows(WORD_FOLDER.len()).enumerate().any(|(at, w)| {
            let behind = |(header, length): (&[u8], usize)| at >= length && bytes[at - length..].starts_with(header);
            w == WORD_FOLDER && ZIP_HEADERS.into_iter().any(behind)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::file_text::begins_as_text;

    fn judge(kind: FileKind, content: &[u8], cut: usize) -> bool {
        let mut check = ContentCheck::of(kind, &content[..content.len().min(HEAD_BYTES)]);
        content.chunks(cut).all(|part| check.push(part)) && check.is_complete()
    }

    fn utf16(text: &str, big: bool) -> Vec<u8> {
        let units = "\u{feff}".encode_utf16().chain(text.encode_utf16());
        units.flat_map(|u| if big { u.to_be_bytes() } else { u.to_le_bytes() }).collect()
    }

    #[test]
    fn texts_of_every_encoding_are_texts_however_they_are_cut() {
        let texts = [
            b"BMW 320d, 2014".to_vec(),
            "gr\u{fc}\u{df}e \u{1f44d}\r\n\tan alle".as_bytes().to_vec(),
            b"gr\xfc\xdfe in Windows' own letters".to_vec(),
            b"as DOS wrote it\r\n\x1a".to_vec(),
            b"a log \x1b[31min red\x1b[0m\x07".to_vec(),
            utf16("gr\u{fc}\u{df}e \u{1f44d}\r\n", false),
            utf16("gr\u{fc}\u{df}e \u{1f44d}\r\n\x1a", true),
        ];
        for text in texts {
            for cut in [1, 2, 3, 7, text.len()] {
                assert!(judge(FileKind::Txt, &text, cut), "{text:?} cut into {cut}");
            }
        }
    }

    #[test]
    fn bytes_that_cannot_be_a_text_are_none() {
        let half_a_pair = [utf16("a", false), vec![0x3d, 0xd8]].concat();
        let odd = [utf16("a", false), vec![0x41]].concat();
        for bytes in
            [b"a\0b".as_slice(), b"a\x1ab", b"\x01", b"\xff\xfea\0\0\0", b"\xff\xfe\0\xdca\0", &half_a_pair, &odd]
        {
            for cut in [1, 2, bytes.len()] {
                assert!(!judge(FileKind::Txt, bytes, cut), "{bytes:?} cut into {cut}");
            }
        }
    }

    #[test]
    fn a_text_that_begins_as_a_page_is_a_page_and_one_that_speaks_of_tags_is_a_text() {
        for page in
            ["<!DOCTYPE html>", " \n<SCRIPT>", "<!-- a --> <!-- b -->\n<svg xmlns=''>", "\u{feff}<?xml version='1'?>"]
        {
            assert!(!begins_as_text(page.as_bytes()), "{page}");
        }
        assert!(!begins_as_text(&utf16("<html>", true)));
        assert!(begins_as_text(b"How do I close a <script> tag? <b> & </b>"));
    }

    #[test]
    fn a_mark_is_found_wherever_it_is_cut() {
        let entry = |name: &str| [b"PK\x03\x04".as_slice(), &[0; 26], name.as_bytes(), &[b'x'; 9000]].concat();
        let docx = [entry("docProps/thumbnail.jpeg"), entry("word/document.xml")].concat();
        let sheet = [entry("docProps/word/"), entry("xl/workbook.xml")].concat();
        for cut in [1, 5, 100, 8192, docx.len()] {
            assert!(judge(FileKind::Docx, &docx, cut), "cut into {cut}");
            assert!(!judge(FileKind::Docx, &sheet, cut), "cut into {cut}");
        }
    }
}
