'use strict';

// POST /upload: the bytes of a file decide its type, whatever it resembles and however it is split into packets.

const assert = require('node:assert/strict');
const { suite } = require('../lib/suite');
const { ALLOWED, PNG, zip } = require('../lib/files');
const { TAIL, head, uploaded, stream, download } = require('../lib/upload');

const { test } = suite();

const utf16 = (text, big) => {
  const bytes = Buffer.from(`\ufeff${text}`, 'utf16le');
  return big ? bytes.swap16() : bytes;
};

for (const [name, content] of Object.entries({
  'a text that begins like a bitmap': Buffer.from('BMW 320d, 2014'),
  'a text that begins like a program': Buffer.from('MZ 5, Wien'),
  'a text that begins like an image': Buffer.from('GIF89a was a format'),
  'a script that is a text': Buffer.from('#!/bin/sh\necho hello\n'),
  'UTF-16 as Windows writes it': utf16('Zwei Lampen, bitte. سوق 👍\r\n', false),
  'UTF-16, the other byte first': utf16('Zwei Lampen, bitte. سوق 👍\r\n', true),
  'a trailing Ctrl-Z': Buffer.from('as DOS wrote it\r\n\x1a'),
  'a text that speaks of <script>': Buffer.from('How do I close a <script> tag?'),
})) {
  test(`.txt: ${name} is a text`, async (scene) => {
    const [got] = await uploaded(scene, 'customer', [{ ...ALLOWED.txt, content }]);
    assert.deepEqual([got.fileType, got.fileName], ['text/plain', ALLOWED.txt.name]);
    const served = await download(scene, got.fileUrl);
    assert.ok(served.content.equals(content));
    assert.match(served.headers['content-disposition'], /^attachment/);
    assert.equal(served.headers['x-content-type-options'], 'nosniff');
  });
}

/** One file, sent in pieces of `size` bytes: what became of it. */
async function inPieces(scene, file, size) {
  const body = Buffer.concat([head(file), file.content, Buffer.from('\r\n'), TAIL]);
  function* pieces() {
    for (let at = 0; at < body.length; at += size) yield body.subarray(at, at + size);
  }
  const { body: answer } = await stream(scene, 'customer', pieces());
  return answer.data.uploaded[0]?.fileType ?? answer.data.failed[0].code;
}

const THUMBNAIL_FIRST = zip([
  ['docProps/thumbnail.jpeg', Buffer.alloc(20_000, 0x5a)],
  ['[Content_Types].xml', '<Types/>'],
  ['_rels/.rels', '<Relationships/>'],
  ['word/document.xml', '<w:document/>'],
]);

for (const [name, file, verdict] of [
  ['a .docx whose thumbnail comes first', { ...ALLOWED.docx, content: THUMBNAIL_FIRST }, ALLOWED.docx.type],
  ['a .docx that is another ZIP', { ...ALLOWED.docx, content: zip([['a.bin', Buffer.alloc(20_000)], ['xl/a.xml', '<a/>']]) }, 'file_type_not_allowed'],
  ['a .txt with markup behind the first 8 kB', { ...ALLOWED.txt, content: Buffer.from(`${'x'.repeat(10_000)}<script>`) }, 'text/plain'],
  ['a .txt with a NUL at its end', { ...ALLOWED.txt, content: Buffer.from(`${'x'.repeat(30_000)}\0`) }, 'file_type_not_allowed'],
]) {
  test(`${name}: the same result however it is split`, async (scene) => {
    const verdicts = [];
    for (const size of [200, 4096, 1 << 20]) verdicts.push(await inPieces(scene, file, size));
    assert.deepEqual(verdicts, [verdict, verdict, verdict]);
  });
}

const HEIC = Buffer.concat([Buffer.from('\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic', 'latin1'), Buffer.alloc(200, 0x5a)]);

for (const [name, content, type, extension] of [
  ['HEIC', HEIC, 'image/heic', 'heic'],
  ['PNG', PNG, 'image/png', 'png'],
  ['WebP', ALLOWED.webp.content, 'image/webp', 'webp'],
]) {
  test(`${name} named .jpg gets its real type and name`, async (scene) => {
    const [got] = await uploaded(scene, 'customer', [{ name: 'IMG_0001.jpg', type: 'image/jpeg', content }]);
    assert.deepEqual([got.fileType, got.fileName], [type, `IMG_0001.${extension}`]);
    assert.match(got.filePath, new RegExp(`/IMG_0001\\.${extension}$`));
    const served = await download(scene, got.fileUrl);
    assert.equal(served.headers['content-type'], type);
    assert.ok(served.content.equals(content));
  });
}

test('a HEIC under its own name keeps it', async (scene) => {
  const [got] = await uploaded(scene, 'customer', [{ name: 'IMG_0002.HEIC', type: 'image/heic', content: HEIC }]);
  assert.deepEqual([got.fileType, got.fileName], ['image/heic', 'IMG_0002.HEIC']);
});
