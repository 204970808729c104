'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { tokenFor } = require('./jwt');
const { within } = require('./limits');
const { assertFields, time } = require('./shapes');
const { USERS } = require('./users');

const PATH = '/api/chat/upload';
const LIMIT = 10 * 1024 * 1024;
const BOUNDARY = '----SoukFormBoundary7MA4YWxkTrZu0gW';
const FORM = `multipart/form-data; boundary=${BOUNDARY}`;

// As browsers write a file name: quotes and line breaks are percent-encoded, the rest is UTF-8.
const asBrowsersDo = (name) => name.replaceAll('"', '%22').replaceAll('\r', '%0D').replaceAll('\n', '%0A');

/** The head of one part. Without `name` it is a text field. */
function head({ field = 'files', name, type }) {
  const file = name === undefined ? '' : `; filename="${asBrowsersDo(name)}"`;
  const kind = type ? `\r\nContent-Type: ${type}` : '';
  return Buffer.from(`--${BOUNDARY}\r\nContent-Disposition: form-data; name="${field}"${file}${kind}\r\n\r\n`);
}

const TAIL = Buffer.from(`--${BOUNDARY}--\r\n`);

/** A whole multipart body of parts `{ field?, name?, type?, content }`. */
function form(parts) {
  return Buffer.concat([...parts.flatMap((part) => [head(part), Buffer.from(part.content), Buffer.from('\r\n')]), TAIL]);
}

/** POST /upload by that person: the answer. */
function upload(scene, who, parts) {
  return scene.rest(who, 'POST', PATH, form(parts), { headers: { 'content-type': FORM } });
}

/** The same for uploads that must succeed entirely: the entries of `uploaded`. */
async function uploaded(scene, who, parts) {
  const answer = await upload(scene, who, parts);
  assert.ok(answer.status === 200 || answer.status === 201, `${answer.status} ${answer.text}`);
  assert.equal(answer.body.success, true);
  assert.deepEqual(answer.body.data.failed, []);
  assert.equal(answer.body.data.uploaded.length, parts.length);
  answer.body.data.uploaded.forEach(assertUploaded);
  return answer.body.data.uploaded;
}

function assertUploaded(file) {
  for (const field of ['fileName', 'fileType', 'filePath', 'fileUrl']) {
    assert.equal(typeof file[field], 'string', `${field}: ${JSON.stringify(file)}`);
    assert.ok(file[field].length > 0, field);
  }
  assert.ok(Number.isInteger(file.fileSize) && file.fileSize > 0, JSON.stringify(file));
  assert.ok(time(file.uploadedAt), file.uploadedAt);
  assert.match(file.fileUrl, /^(https?:\/\/[^/]+)?\/api\/chat\/files\//);
}

/** Every file failed: 400 with the first one's words, and each is listed. */
function assertAllFailed(answer, codes) {
  assert.equal(answer.status, 400, answer.text);
  assert.equal(answer.body.success, false);
  const failed = answer.body.data?.failed ?? answer.body.failed;
  assert.ok(Array.isArray(failed), answer.text);
  assert.deepEqual(failed.map((f) => f.code), codes);
  for (const one of failed) {
    assert.equal(typeof one.fileName, 'string');
    assert.equal(typeof one.error, 'string');
  }
  assertFields(answer.body, { code: codes[0], message: failed[0].error });
}

/**
 * A body that is sent piece by piece, as a large one is: `pieces` is an iterable of Buffers. Waits for
 * the line to take each. Resolves to the answer, which may come before everything was sent.
 */
function stream(scene, who, pieces, { length, url = PATH } = {}) {
  const token = tokenFor(USERS[who]);
  const headers = { authorization: `Bearer ${token}`, 'content-type': FORM };
  if (length !== undefined) headers['content-length'] = length;
  const answer = new Promise((resolve, reject) => {
    const req = http.request(scene.server.url + url, { method: 'POST', headers, agent: false }, (res) => {
      const chunks = [];
      res.on('data', (chunk) => chunks.push(chunk));
      res.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        resolve({ status: res.statusCode, text, body: JSON.parse(text) });
      });
      res.on('error', reject);
    });
    req.on('error', reject);
    (async () => {
      for await (const piece of pieces) {
        if (req.destroyed) return;
        if (!req.write(piece)) await new Promise((go) => { req.once('drain', go); req.once('close', go); });
      }
      req.end();
    })().catch(reject);
  });
  return within(answer, `POST ${url}`, 120_000);
}

/** The pieces of a form of `count` files of `size` bytes each, without ever holding one of them. */
function* large(count, size, start = PNG_START, name = (i) => `large-${i}.png`) {
  const piece = Buffer.alloc(64 * 1024, 0x5a);
  for (let i = 0; i < count; i++) {
    yield head({ name: name(i), type: 'image/png' });
    yield start;
    for (let left = size - start.length; left > 0; left -= piece.length) yield left < piece.length ? piece.subarray(0, left) : piece;
    yield Buffer.from('\r\n');
  }
  yield TAIL;
}

const PNG_START = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex');

/** GET of a fileUrl as a browser's <img> does it: no Authorization. Bytes, not text. */
function download(scene, fileUrl, { headers = {}, method = 'GET' } = {}) {
  const url = new URL(fileUrl, scene.server.url);
  const local = new URL(url.pathname + url.search, scene.server.url);
  const answer = new Promise((resolve, reject) => {
    const req = http.request(local, { method, headers, agent: false }, (res) => {
      const chunks = [];
      res.on('data', (chunk) => chunks.push(chunk));
      res.on('error', reject);
      res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, content: Buffer.concat(chunks) }));
    });
    req.on('error', reject);
    req.end();
  });
  return within(answer, `GET ${fileUrl}`);
}

/** Every file below a directory, by its path from there; none when it does not exist. */
function filesIn(directory, below = '') {
  let entries;
  try {
    entries = fs.readdirSync(path.join(directory, below), { withFileTypes: true });
  } catch (error) {
    // A folder may go while it is being looked at: what is broken off is taken back meanwhile.
    if (error.code === 'ENOENT') return [];
    throw error;
  }
  return entries
    .flatMap((entry) => (entry.isDirectory() ? filesIn(directory, path.join(below, entry.name)) : [path.join(below, entry.name)]))
    .sort();
}

/** What the server has stored of uploads. */
const stored = (server) => filesIn(path.join(server.dataDir, 'uploads'));

module.exports = { PATH, FORM, BOUNDARY, LIMIT, TAIL, head, form, upload, uploaded, assertAllFailed, stream, large, download, filesIn, stored };
