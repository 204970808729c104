'use strict';

// POST /upload: which files are allowed or refused, and under which names they are kept.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { suite } = require('../lib/suite');
const { assertFields } = require('../lib/shapes');
const { failure } = require('../lib/message-actions');
const { ALLOWED, DOCX_OTHERS, REFUSED, PNG } = require('../lib/files');
const { PATH, FORM, form, upload, uploaded, assertAllFailed, download, filesIn, stored } = require('../lib/upload');

const { test, server } = suite();

for (const [kind, file] of Object.entries(ALLOWED)) {
  test(`${kind}: the file is stored and described, and the same bytes come back`, async (scene) => {
    const before = stored(server).length;
    const [got] = await uploaded(scene, 'customer', [file]);
    assertFields(got, { fileName: file.name, fileType: file.type, fileSize: file.content.length });
    assert.ok(Math.abs(Date.parse(got.uploadedAt) - Date.now()) < 60_000, got.uploadedAt);
    assert.equal(stored(server).length, before + 1);
    const answer = await download(scene, got.fileUrl);
    assert.equal(answer.status, 200);
    assert.ok(answer.content.equals(file.content));
  });

  test(`${kind}: the extension may be in capitals, and the browser's type does not matter`, async (scene) => {
    for (const type of ['application/octet-stream', undefined, 'text/html', 'nonsense']) {
      const [got] = await uploaded(scene, 'customer', [{ ...file, name: file.name.toUpperCase(), type }]);
      assert.equal(got.fileType, file.type);
    }
  });
}

for (const [name, content] of Object.entries(DOCX_OTHERS)) {
  test(`docx ${name}: allowed`, async (scene) => {
    const [got] = await uploaded(scene, 'customer', [{ ...ALLOWED.docx, content }]);
    assert.equal(got.fileType, ALLOWED.docx.type);
  });
}

test('a jpeg named .jpeg: allowed', async (scene) => {
  const [got] = await uploaded(scene, 'customer', [{ ...ALLOWED.jpeg, name: 'photo.jpeg' }]);
  assert.equal(got.fileType, 'image/jpeg');
});

for (const [name, content] of Object.entries({
  'one letter': Buffer.from('a'),
  'a byte order mark': Buffer.from('\ufeffnotes'),
  'Windows line breaks': Buffer.from('a\r\nb\r\n'),
  'a text that speaks of <b> and &lt;': Buffer.from('Is <b> bold? 1 < 2 & 3 > 2'),
})) {
  test(`txt with ${name}: allowed`, async (scene) => {
    const [got] = await uploaded(scene, 'customer', [{ ...ALLOWED.txt, content }]);
    assert.deepEqual([got.fileType, got.fileSize], ['text/plain', content.length]);
  });
}

for (const [name, file] of Object.entries(REFUSED)) {
  test(`refused: ${name}: file_type_not_allowed, nothing stored`, async (scene) => {
    const before = stored(server);
    assertAllFailed(await upload(scene, 'customer', [file]), ['file_type_not_allowed']);
    assert.deepEqual(stored(server), before);
  });
}

test('an empty file: an error or an empty file, and no harm', async (scene) => {
  const answer = await upload(scene, 'customer', [{ name: 'empty.txt', type: 'text/plain', content: '' }]);
  assert.ok(answer.status < 500, answer.text);
  assert.equal(typeof answer.body?.success, 'boolean');
});

test('ten files at once, in their order', async (scene) => {
  const before = stored(server).length;
  const files = Array.from({ length: 10 }, (_, i) => ({ ...Object.values(ALLOWED)[i % 8], name: `${i}-${Object.values(ALLOWED)[i % 8].name}` }));
  const got = await uploaded(scene, 'customer', files);
  assert.deepEqual(got.map((f) => f.fileName), files.map((f) => f.name));
  assert.equal(new Set(got.map((f) => f.filePath)).size, 10);
  assert.equal(stored(server).length, before + 10);
});

test('good and bad files together: the good ones are stored, the bad ones are named', async (scene) => {
  const before = stored(server).length;
  const answer = await upload(scene, 'customer', [ALLOWED.png, REFUSED['an .exe named .png'], ALLOWED.pdf, REFUSED['HTML named .txt']]);
  assert.ok(answer.status < 300, answer.text);
  assert.equal(answer.body.success, true);
  assert.deepEqual(answer.body.data.uploaded.map((f) => f.fileName), ['lamp.png', 'invoice.pdf']);
  assert.deepEqual(answer.body.data.failed.map((f) => [f.fileName, f.code]), [['lamp.png', 'file_type_not_allowed'], ['notes.txt', 'file_type_not_allowed']]);
  for (const one of answer.body.data.failed) assert.equal(typeof one.error, 'string');
  assert.equal(stored(server).length, before + 2);
});

test('the same file twice is two files', async (scene) => {
  const [one, two] = await uploaded(scene, 'customer', [ALLOWED.png, ALLOWED.png]);
  assert.notEqual(one.filePath, two.filePath);
  assert.notEqual(one.fileUrl, two.fileUrl);
});

for (const [name, parts] of [
  ['no part at all', []],
  ['a text field alone', [{ field: 'note', content: 'hello' }]],
  ['files in another field', [{ ...ALLOWED.png, field: 'photos' }]],
]) {
  test(`${name}: 400 no_files`, async (scene) => {
    const before = stored(server);
    failure(await upload(scene, 'customer', parts), 400, 'no_files');
    assert.deepEqual(stored(server), before);
  });
}

test('text fields next to the files are ignored', async (scene) => {
  const answer = await upload(scene, 'customer', [{ field: 'conversationId', content: 'x' }, ALLOWED.png, { field: 'note', content: 'y'.repeat(10_000) }]);
  assert.equal(answer.body.data?.uploaded.length, 1, answer.text);
});

for (const [name, body, type] of [
  ['JSON', '{"files":[]}', 'application/json'],
  ['no content type', form([ALLOWED.png]), null],
  ['no boundary', form([ALLOWED.png]), 'multipart/form-data'],
  ['another boundary', form([ALLOWED.png]), 'multipart/form-data; boundary=other'],
  ['an empty body', '', FORM],
  ['a body that ends in the middle of a file', form([ALLOWED.png]).subarray(0, 200), FORM],
  ['a body without the last boundary', form([ALLOWED.png]).subarray(0, -8), FORM],
  ['garbage', Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 31) % 256)), FORM],
  ['a part without an end to its head', Buffer.from(`--${FORM.split('=')[1]}\r\nContent-Disposition: form-data; name="files"; filename="${'x'.repeat(100_000)}`), FORM],
]) {
  test(`not a form: ${name}: an error of the client in JSON, nothing stored`, async (scene) => {
    const before = stored(server);
    const answer = await scene.rest('customer', 'POST', PATH, body, { headers: { 'content-type': type } });
    assert.ok(answer.status >= 400 && answer.status < 500, `${answer.status} ${answer.text}`);
    assert.deepEqual([answer.body?.success, typeof answer.body?.message, typeof answer.body?.code], [false, 'string', 'string'], answer.text);
    assert.deepEqual(stored(server), before);
  });
}

test('without a token: 401, and the body is not read', async (scene) => {
  const before = stored(server);
  const answer = await upload(scene, null, [ALLOWED.png]);
  assert.equal(answer.status, 401);
  assert.deepEqual(stored(server), before);
});

const NAMES = [
  '../../../../tmp/evil.txt',
  '..\\..\\evil.txt',
  '/etc/passwd.txt',
  'C:\\Windows\\evil.txt',
  '....//....//evil.txt',
  '..%2f..%2fevil.txt',
  'line\r\nSet-Cookie: a=b.txt',
  'bell\u0007 and escape\u001b[31m.txt',
  'del\u007f\u0080\u009f.txt',
  'quote".txt',
  "quote';rm -rf.txt",
  'right-to-left \u202etxt.exe.txt',
  'zero\u200bwidth\ufeff.txt',
  '.txt',
  '...txt',
  ' .txt ',
  '-rf.txt',
  'con.txt',
  'a;b=c.txt',
  '<script>.txt',
  `${'long'.repeat(100)}.txt`,
  `${'سوق'.repeat(100)}.txt`,
];

for (const name of NAMES) {
  test(`the name ${JSON.stringify(name.slice(0, 40))} is made harmless`, async (scene) => {
    const outside = () => filesIn(server.directory).filter((f) => !f.startsWith(path.join('data', 'uploads')) && !f.startsWith(path.join('data', 'postgres')));
    const before = { outside: outside(), inside: stored(server).length };
    const answer = await upload(scene, 'customer', [{ ...ALLOWED.txt, name }]);
    assert.deepEqual(outside(), before.outside);
    assert.equal(fs.existsSync('/tmp/evil.txt'), false);
    // A name that no form may have, or that leaves nothing usable, may be refused instead.
    if (answer.status >= 400) {
      failure(answer, 400, answer.body.code);
      assert.notEqual(answer.body.code, undefined);
      return assert.equal(stored(server).length, before.inside);
    }

    const [file] = answer.body.data.uploaded;
    assert.equal(stored(server).length, before.inside + 1);
    for (const text of [file.fileName, file.filePath, decodeURIComponent(file.fileUrl)]) {
      assert.doesNotMatch(text, /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/, 'control characters');
      assert.doesNotMatch(text, /(^|[/\\])\.\.([/\\]|$)/, 'a way up');
    }
    assert.doesNotMatch(file.fileName, /[/\\]/);
    assert.ok(file.fileName.trim().length > 0 && [...file.fileName].length <= 255, file.fileName);
    assert.ok(Buffer.byteLength(file.fileName) <= 1024);
    for (const one of stored(server)) assert.match(one, /^[\x20-\x7e]+$/, 'names on disk are plain');

    const served = await download(scene, file.fileUrl);
    assert.equal(served.status, 200);
    assert.equal(served.headers['set-cookie'], undefined);
    assert.ok(served.content.equals(ALLOWED.txt.content));
  });
}

for (const name of ['سوق.txt', 'été à Paris.txt', '市場 2.txt', 'two.dots.txt', "it's (1) [final].txt"]) {
  test(`an honest name is kept: ${name}`, async (scene) => {
    const [file] = await uploaded(scene, 'customer', [{ ...ALLOWED.txt, name }]);
    assert.equal(file.fileName, name);
  });
}

test('a PNG with another allowed extension is stored as a PNG or refused', async (scene) => {
  const answer = await upload(scene, 'customer', [{ name: 'photo.jpg', type: 'image/jpeg', content: PNG }]);
  assert.ok(answer.status < 500, answer.text);
  if (answer.status < 300) assert.equal(answer.body.data.uploaded[0].fileType, 'image/png');
});
