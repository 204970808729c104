'use strict';

// Limits of POST /upload: ten files of 10 MB each; an upload that breaks off leaves nothing.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const http = require('node:http');
const { suite, USERS } = require('../lib/suite');
const { testWithOwnServer } = require('../lib/own-server');
const { failure } = require('../lib/message-actions');
const { tokenFor } = require('../lib/jwt');
const { until } = require('../lib/limits');
const { ALLOWED, REFUSED } = require('../lib/files');
const { PATH, FORM, LIMIT, TAIL, head, upload, uploaded, assertAllFailed, stream, large, stored } = require('../lib/upload');

const { test, server } = suite();

test('eleven files: 400 too_many_files, nothing stored', async (scene) => {
  const before = stored(server);
  failure(await upload(scene, 'customer', Array(11).fill(ALLOWED.png)), 400, 'too_many_files');
  assert.deepEqual(stored(server), before);
});

test('a hundred files: 400 too_many_files, nothing stored', async (scene) => {
  const before = stored(server);
  failure(await upload(scene, 'customer', Array(100).fill(ALLOWED.txt)), 400, 'too_many_files');
  assert.deepEqual(stored(server), before);
});

test('ten refused files and one more: 400, nothing stored', async (scene) => {
  const before = stored(server);
  const answer = await upload(scene, 'customer', [...Array(10).fill(REFUSED['an .exe named .png']), ALLOWED.png]);
  failure(answer, 400, 'too_many_files');
  assert.deepEqual(stored(server), before);
});

test('eleven files of 10 MB: the client gets the error, nothing is stored', async (scene) => {
  const before = stored(server);
  const answer = await stream(scene, 'customer', large(11, LIMIT));
  failure(answer, 400, 'too_many_files');
  assert.deepEqual(stored(server), before);
});

test('a file of exactly 10 MB is accepted', async (scene) => {
  const answer = await stream(scene, 'customer', large(1, LIMIT));
  assert.ok(answer.status < 300, answer.text);
  assert.equal(answer.body.data.uploaded[0].fileSize, LIMIT);
});

for (const [name, size] of [['one byte more', LIMIT + 1], ['12 MB', 12 * 1024 * 1024]]) {
  test(`${name}: file_too_large in JSON, the connection is not cut, nothing is stored`, async (scene) => {
    const before = stored(server);
    assertAllFailed(await stream(scene, 'customer', large(1, size)), ['file_too_large']);
    assert.deepEqual(stored(server), before);
  });
}

test('one file too large among good ones: the good ones are stored, the answer names the large one', async (scene) => {
  const before = stored(server).length;
  function* pieces() {
    yield Buffer.concat([head(ALLOWED.pdf), ALLOWED.pdf.content, Buffer.from('\r\n')]);
    for (const piece of large(1, LIMIT + 1)) if (piece !== TAIL) yield piece;
    yield Buffer.concat([head(ALLOWED.png), ALLOWED.png.content, Buffer.from('\r\n'), TAIL]);
  }
  const answer = await stream(scene, 'customer', pieces());
  assert.ok(answer.status < 300, answer.text);
  assert.deepEqual(answer.body.data.uploaded.map((f) => f.fileName), ['invoice.pdf', 'lamp.png']);
  assert.deepEqual(answer.body.data.failed.map((f) => [f.fileName, f.code]), [['large-0.png', 'file_too_large']]);
  assert.equal(stored(server).length, before + 2);
});

testWithOwnServer('a form larger than all the files it may have: 413, whatever it is made of', { env: { MAX_UPLOAD_BYTES: '1000', MAX_UPLOAD_FILES: '1' } }, async (small, scene) => {
  await small.start();
  const pieces = [head({ field: 'other' }), ...Array(48).fill(Buffer.alloc(64 * 1024, 0x5a)), Buffer.from('\r\n'), TAIL];
  failure(await stream(scene, 'customer', pieces), 413, 'payload_too_large');
});

testWithOwnServer('a slow line: an upload that takes longer than a request may is not cut while it moves', { env: { REQUEST_TIMEOUT: '2' } }, async (slow, scene) => {
  await slow.start();
  async function* slowly() {
    const body = Buffer.concat([head(ALLOWED.pdf), ALLOWED.pdf.content, Buffer.from('\r\n'), TAIL]);
    for (let at = 0; at < body.length; at += 30) {
      yield body.subarray(at, at + 30);
      await new Promise((resolve) => setTimeout(resolve, 400));
    }
  }
  const answer = await stream(scene, 'customer', slowly());
  assert.ok(answer.status < 300, answer.text);
});

/** Starts an upload and hangs up in the middle. */
async function abort(scene, pieces) {
  const token = tokenFor(USERS.customer);
  const req = http.request(scene.server.url + PATH, {
    method: 'POST', agent: false, headers: { authorization: `Bearer ${token}`, 'content-type': FORM },
  });
  req.on('error', () => {});
  for (const piece of pieces) await new Promise((sent) => req.write(piece, sent));
  req.destroy();
}

function* someOf(count, size, part) {
  let left = Math.floor(count * size * part);
  for (const piece of large(count, size)) {
    if (left <= 0) return;
    left -= piece.length;
    yield piece;
  }
}

for (const [name, pieces] of [
  ['in the middle of its only file', () => someOf(1, LIMIT, 0.5)],
  ['in its second file, with the first complete', () => someOf(2, 2_000_000, 0.75)],
  ['after its last file, before the end of the form', () => [head(ALLOWED.png), ALLOWED.png.content, Buffer.from('\r\n')]],
  ['after a file that was refused', () => [head(REFUSED.HTML), REFUSED.HTML.content, Buffer.from('\r\n'), head(ALLOWED.png), ALLOWED.png.content]],
]) {
  test(`an upload that breaks off ${name} leaves nothing`, async (scene) => {
    const before = stored(server);
    await abort(scene, pieces());
    // What was on its way is taken back once the server notices; an upload after it shows that it goes on.
    await until(() => stored(server).length <= before.length, 'nothing is left of it');
    const [kept] = await uploaded(scene, 'customer', [ALLOWED.png]);
    await until(() => stored(server).length === before.length + 1, `only ${kept.filePath} is there`);
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(stored(server).length, before.length + 1);
  });
}

test('twenty uploads break off at once: nothing is left, and the next one works', async (scene) => {
  const before = stored(server).length;
  await Promise.all(Array.from({ length: 20 }, () => abort(scene, someOf(2, 1_000_000, 0.8))));
  await until(() => stored(server).length === before, 'nothing is left');
  await uploaded(scene, 'seller', [ALLOWED.png]);
  await scene.isServing();
});

const proc = (file) => `/proc/${server.child.pid}/${file}`;
const megabytes = (field) => Number(fs.readFileSync(proc('status'), 'utf8').match(new RegExp(`${field}:\\s+(\\d+) kB`))[1]) / 1024;

test('five users with ten files of 10 MB each at once: memory stays flat', { skip: process.platform !== 'linux' }, async (scene, t) => {
  // A first one warms up what grows only once; then the kernel's high-water mark begins anew.
  await stream(scene, 'customer', large(2, LIMIT));
  fs.writeFileSync(proc('clear_refs'), '5');
  const before = megabytes('VmRSS');
  const start = performance.now();
  const people = ['customer', 'seller', 'admin', 'manager', 'customer'];
  const answers = await Promise.all(people.map((who) => stream(scene, who, large(10, LIMIT))));
  const seconds = (performance.now() - start) / 1000;
  for (const answer of answers) {
    assert.ok(answer.status < 300, answer.text);
    assert.equal(answer.body.data.uploaded.length, 10);
  }
  const peak = megabytes('VmHWM');
  t.diagnostic(`500 MB in ${seconds.toFixed(1)} s; resident before ${before.toFixed(1)} MB, at most ${peak.toFixed(1)} MB`);
  assert.ok(peak - before < 100, `grew from ${before.toFixed(0)} to ${peak.toFixed(0)} MB`);
  await scene.isServing();
});
