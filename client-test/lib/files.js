'use strict';

// The smallest valid files of each type, made here byte by byte, and some that are not what they claim to be.

const crcTable = Array.from({ length: 256 }, (_, n) => {
  for (let i = 0; i < 8; i++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = crcTable[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** Little-endian fields: pairs of width and value. */
function fields(...pairs) {
  return Buffer.concat(
    pairs.map(([width, value]) => {
      const bytes = Buffer.alloc(width);
      bytes.writeUIntLE(value, 0, width);
      return bytes;
    }),
  );
}

/**
 * A ZIP of stored entries. `streamed` writes it as a program does that does not know the sizes yet:
 * zeros in the header, the sizes behind the data.
 */
function zip(entries, { streamed = false } = {}) {
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const [name, content] of entries) {
    const [path, data] = [Buffer.from(name), Buffer.from(content)];
    const sums = [[4, crc32(data)], [4, data.length], [4, data.length]];
    const common = [[2, 20], [2, streamed ? 8 : 0], [2, 0], [2, 0], [2, 0x21]];
    const local = fields([4, 0x04034b50], ...common, ...(streamed ? [[4, 0], [4, 0], [4, 0]] : sums), [2, path.length], [2, 0]);
    const after = streamed ? fields([4, 0x08074b50], ...sums) : Buffer.alloc(0);
    directory.push(fields([4, 0x02014b50], [2, 20], ...common, ...sums, [2, path.length], [2, 0], [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]), path);
    parts.push(local, path, data, after);
    offset += local.length + path.length + data.length + after.length;
  }
  const central = Buffer.concat(directory);
  const end = fields([4, 0x06054b50], [2, 0], [2, 0], [2, entries.length], [2, entries.length], [4, central.length], [4, offset], [2, 0]);
  return Buffer.concat([...parts, central, end]);
}

const CONTENT_TYPES = ['[Content_Types].xml', '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'];
const RELS = ['_rels/.rels', '<?xml version="1.0"?><Relationships/>'];
const DOCUMENT = ['word/document.xml', '<?xml version="1.0"?><w:document><w:body><w:p/></w:body></w:document>'];

const FREE = 0xffffffff;
const END = 0xfffffffe;

/** A compound file (OLE) with one stream: what .doc, .xls and .msi are. */
function compound(streamName, classId, firstBytes) {
  const sector = 512;
  const stream = Buffer.alloc(4096);
  firstBytes.copy(stream);
  const header = Buffer.alloc(sector, 0xff);
  Buffer.concat([
    Buffer.from('d0cf11e0a1b11ae1', 'hex'), Buffer.alloc(16),
    fields([2, 0x3e], [2, 3], [2, 0xfffe], [2, 9], [2, 6], [6, 0], [4, 0], [4, 1], [4, 1], [4, 0], [4, 4096], [4, END], [4, 0], [4, END], [4, 0], [4, 0]),
  ]).copy(header);
  const table = Buffer.alloc(sector, 0xff);
  fields([4, 0xfffffffd], [4, END], ...[3, 4, 5, 6, 7, 8, 9].map((n) => [4, n]), [4, END]).copy(table);
  const entry = (name, type, { child = FREE, clsid = Buffer.alloc(16), start = END, size = 0 } = {}) => {
    const text = Buffer.alloc(64);
    text.write(name, 'utf16le');
    const length = name ? (name.length + 1) * 2 : 0;
    return Buffer.concat([text, fields([2, length], [1, type], [1, 1], [4, FREE], [4, FREE], [4, child]), clsid, Buffer.alloc(20), fields([4, start], [4, size], [4, 0])]);
  };
  const directory = Buffer.concat([
    entry('Root Entry', 5, { child: 1, clsid: Buffer.from(classId, 'hex') }),
    entry(streamName, 2, { start: 2, size: stream.length }),
    entry('', 0), entry('', 0),
  ]);
  return Buffer.concat([header, table, directory, stream]);
}

const latin = (text) => Buffer.from(text, 'latin1');
const body = latin('not much of a picture, but enough to be told by its first bytes');

const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');
const JPEG = Buffer.concat([latin('\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00'), body, latin('\xff\xd9')]);
const GIF = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64');
const WEBP = Buffer.concat([latin('RIFF\x24\x00\x00\x00WEBPVP8 \x18\x00\x00\x00'), body]);
const PDF = latin('%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n');
const DOC = compound('WordDocument', '0609020000000000c000000000000046', Buffer.from('eca5c100', 'hex'));
const XLS = compound('Workbook', '2008020000000000c000000000000046', Buffer.from('09081000', 'hex'));
const DOCX = zip([CONTENT_TYPES, RELS, DOCUMENT]);

/** Allowed: name, MIME type, bytes. The DOCX three are what Word, LibreOffice and Google Docs write. */
const ALLOWED = {
  jpeg: { name: 'photo.jpg', type: 'image/jpeg', content: JPEG },
  png: { name: 'lamp.png', type: 'image/png', content: PNG },
  gif: { name: 'lamp.gif', type: 'image/gif', content: GIF },
  webp: { name: 'lamp.webp', type: 'image/webp', content: WEBP },
  pdf: { name: 'invoice.pdf', type: 'application/pdf', content: PDF },
  doc: { name: 'letter.doc', type: 'application/msword', content: DOC },
  docx: { name: 'letter.docx', type: 'application/vnd.openxmlformats-officedocument.wordprocessingml.document', content: DOCX },
  txt: { name: 'notes.txt', type: 'text/plain', content: Buffer.from('Two lamps, please.\nسوق 市場 👍\n') },
};
const DOCX_OTHERS = {
  'as LibreOffice writes it': zip([RELS, ['docProps/core.xml', '<a/>'], ['docProps/app.xml', '<a/>'], ['word/_rels/document.xml.rels', '<a/>'], DOCUMENT, CONTENT_TYPES]),
  'as Google Docs writes it': zip([['word/numbering.xml', '<a/>'], ['word/settings.xml', '<a/>'], DOCUMENT, RELS, CONTENT_TYPES], { streamed: true }),
};

const EXE = Buffer.concat([latin('MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00'), Buffer.alloc(44), latin('\x40\x00\x00\x00PE\x00\x00L\x01'), Buffer.alloc(200)]);
const HTML = Buffer.from('<!DOCTYPE html><html><body><script>alert(document.domain)</script></body></html>');
const SVG = Buffer.from('<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>');

/** Not allowed, under names that say otherwise or the truth. */
const REFUSED = {
  'an .exe named .png': { name: 'lamp.png', type: 'image/png', content: EXE },
  'an .exe named .txt': { name: 'notes.txt', type: 'text/plain', content: EXE },
  'an .exe': { name: 'setup.exe', type: 'application/x-msdownload', content: EXE },
  'an ELF program named .pdf': { name: 'invoice.pdf', type: 'application/pdf', content: Buffer.concat([latin('\x7fELF\x02\x01\x01'), Buffer.alloc(200)]) },
  'HTML named .txt': { name: 'notes.txt', type: 'text/plain', content: HTML },
  'HTML named .txt, after white space and a comment': { name: 'notes.txt', type: 'text/plain', content: Buffer.concat([latin('\n\n <!-- notes -->\n'), HTML]) },
  'HTML named .png': { name: 'lamp.png', type: 'image/png', content: HTML },
  HTML: { name: 'page.html', type: 'text/html', content: HTML },
  'an SVG': { name: 'lamp.svg', type: 'image/svg+xml', content: SVG },
  'an SVG named .png': { name: 'lamp.png', type: 'image/png', content: SVG },
  'an SVG named .txt': { name: 'lamp.txt', type: 'text/plain', content: SVG },
  'text named .html': { name: 'notes.html', type: 'text/html', content: ALLOWED.txt.content },
  'a script': { name: 'run.js', type: 'text/javascript', content: Buffer.from('alert(1)') },
  'a ZIP': { name: 'all.zip', type: 'application/zip', content: zip([['a.txt', 'a']]) },
  'a ZIP named .docx': { name: 'letter.docx', type: ALLOWED.docx.type, content: zip([['a.txt', 'a'], ['b.txt', 'b'], ['c.txt', 'c'], ['d.txt', 'd']]) },
  'an Excel sheet named .docx': { name: 'letter.docx', type: ALLOWED.docx.type, content: zip([CONTENT_TYPES, RELS, ['xl/workbook.xml', '<a/>']]) },
  'an old Excel sheet named .doc': { name: 'letter.doc', type: 'application/msword', content: XLS },
  'random bytes named .png': { name: 'lamp.png', type: 'image/png', content: Buffer.from(Array.from({ length: 300 }, (_, i) => (i * 167 + 13) % 256)) },
  'random bytes named .txt': { name: 'notes.txt', type: 'text/plain', content: Buffer.from(Array.from({ length: 300 }, (_, i) => (i * 167 + 13) % 256)) },
  'text named .png': { name: 'lamp.png', type: 'image/png', content: ALLOWED.txt.content },
};

module.exports = { ALLOWED, DOCX_OTHERS, REFUSED, PNG, PDF, HTML, zip };
