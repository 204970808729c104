'use strict';

// Limits on what uploads use: memory for the headers of a part, a user's bytes per day, and the disk.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { testWithOwnServer } = require('../lib/own-server');
const { failure } = require('../lib/message-actions');
const { ALLOWED } = require('../lib/files');
const { BOUNDARY, TAIL, upload, uploaded, stream, large, stored } = require('../lib/upload');

const MB = 1024 * 1024;
/** Most memory the server ever had, in bytes. */
const peak = (server) => Number(fs.readFileSync(`/proc/${server.child.pid}/status`, 'utf8').match(/VmHWM:\s+(\d+) kB/)[1]) * 1024;

/** A form whose only part's head goes on for `bytes`. */
function* endlessHead(bytes) {
  yield Buffer.from(`--${BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="`);
  const piece = Buffer.alloc(64 * 1024, 0x78);
  for (let sent = 0; sent < bytes; sent += piece.length) yield piece;
  yield Buffer.from('"\r\n\r\nx\r\n');
  yield TAIL;
}

testWithOwnServer('headers of a part that never end are refused before they take memory', {}, async (server, scene) => {
  await server.start();
  await uploaded(scene, 'customer', [ALLOWED.png]);
  const before = peak(server);
  const answers = await Promise.all(Array.from({ length: 6 }, () => stream(scene, 'customer', endlessHead(20 * MB))));
  for (const answer of answers) failure(answer, 400, 'part_head_too_long');
  assert.ok(peak(server) - before < 40 * MB, `${Math.round((peak(server) - before) / MB)} MB more`);
  assert.equal(stored(server).length, 1);
});

testWithOwnServer('a part with a long name and many headers is accepted', {}, async (server, scene) => {
  await server.start();
  const name = `${'سوق'.repeat(80)}.txt`;
  const [file] = await uploaded(scene, 'customer', [{ ...ALLOWED.txt, name }]);
  assert.ok(file.fileName.endsWith('.txt'));
});

testWithOwnServer('an upload over a user\'s daily bytes is refused completely until the day is over', { env: { MAX_UPLOAD_BYTES_PER_DAY: String(3 * MB) } }, async (server, scene) => {
  await server.start();
  const send = (who, count, size) => stream(scene, who, large(count, size));
  assert.equal((await send('customer', 2, MB)).status, 200);
  assert.equal(stored(server).length, 2);
  const answer = await send('customer', 2, 700_000);
  failure(answer, 429, 'upload_quota');
  assert.ok(answer.body.retry_after_ms > 0 && answer.body.retry_after_ms <= 86_400_000, answer.text);
  assert.equal(stored(server).length, 2, 'nothing of a refused request stays');
  // Nor does it count: there is room for one of the two.
  assert.equal((await send('customer', 1, 700_000)).status, 200);
  assert.equal((await send('seller', 2, MB)).status, 200, 'another user has their own share');
  await server.stop();
  await server.start();
  failure(await send('customer', 1, MB), 429, 'upload_quota');
});

testWithOwnServer('simultaneous uploads share the user\'s daily bytes', { env: { MAX_UPLOAD_BYTES_PER_DAY: String(3 * MB) } }, async (server, scene) => {
  await server.start();
  const answers = await Promise.all(Array.from({ length: 10 }, () => stream(scene, 'customer', large(1, MB))));
  assert.deepEqual(answers.map((a) => a.status).sort(), [200, 200, 200, ...Array(7).fill(429)]);
  assert.equal(stored(server).length, 3);
});

testWithOwnServer('with too little free disk space uploads are refused, and everything else goes on', { env: { MIN_FREE_DISK_BYTES: String(2 ** 60) } }, async (server, scene) => {
  await server.start();
  const answer = await upload(scene, 'customer', [ALLOWED.png]);
  failure(answer, 507, 'disk_full');
  assert.equal(answer.headers['retry-after'], '60');
  assert.deepEqual(stored(server), []);
  await scene.isServing();
});
