'use strict';

// Random requests: every answer is JSON in the envelope, and never a server error.

const assert = require('node:assert/strict');
const net = require('node:net');
const { suite } = require('../lib/suite');
const { Random, SEED, rounds } = require('../lib/fuzz');
const { randomRequest } = require('../lib/fuzz-request');
const { FuzzStage } = require('../lib/fuzz-stage');
const { request } = require('../lib/rest');
const { within } = require('../lib/limits');
const { NO_LIMITS } = require('../lib/no-limits');
const surface = require('../lib/surface');

const { test } = suite({ env: NO_LIMITS });

const AT_ONCE = 8;

/** Answers of HTTP itself, before any route: their bodies are nobody's business. */
const OF_HTTP = [400, 414, 431];

function judge(s, asked, answer) {
  const what = `${asked.method} ${asked.path.slice(0, 200)} ${show(asked.headers)} ${show(asked.body)} → ${answer.status} ${answer.text.slice(0, 300)}`;
  assert.ok(answer.status < 500 || (answer.status === 503 && answer.body?.code === 'busy'), what);
  if (answer.status === 503) assert.ok(answer.headers['retry-after'], what);
  s.assertSecret(answer.text, what);
  if (asked.method === 'HEAD' || asked.method === 'OPTIONS') return;
  if (answer.text === '' && OF_HTTP.includes(answer.status)) return;
  assert.match(answer.headers['content-type'] ?? '', /^application\/json/, what);
  // What is compressed on demand is not for this client to read.
  if (answer.headers['content-encoding']) return;
  assert.equal(typeof answer.body?.success, 'boolean', what);
  assert.equal(answer.body.success, answer.status < 400, what);
  if (!answer.body.success) s.assertRefusal(answer.body, what);
}

const show = (value) => {
  if (Buffer.isBuffer(value)) return value.toString('latin1').slice(0, 300);
  return String(JSON.stringify(value)).replace(/eyJ[\w.-]+/g, 'eyJ…').slice(0, 400);
};

test('every request gets an answer that follows the contract, and harms nobody else', async (scene, t) => {
  const s = await FuzzStage.set(scene, t);
  const r = new Random();
  const routes = surface.routes();
  const statuses = {};
  const one = async (asked) => {
    const answer = await request(scene.server.url + asked.path, asked).catch((error) => {
      // A body that nobody waits for may be cut off.
      if (['EPIPE', 'ECONNRESET'].includes(error.code) && asked.body !== undefined) return undefined;
      throw new Error(`${error.message}: ${asked.method} ${asked.path.slice(0, 300)} ${show(asked.headers)} ${show(asked.body)}`);
    });
    if (!answer) return;
    judge(s, asked, answer);
    statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
  };
  const n = rounds(1000);
  for (let i = 0; i < n; i += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, () => one(randomRequest(r, routes, s.ids, s.all))));
    if (i % (AT_ONCE * 10) === 0) await s.peace();
  }
  t.diagnostic(JSON.stringify(statuses));
  assert.ok(statuses[200] > 0 && statuses[400] > 0 && statuses[403] > 0 && statuses[404] > 0, 'it tries both sides of every check');
  await s.unharmed();
});

/** Sends bytes to the port and reads until the server hangs up, or has answered and is hung up on. */
function exchange(port, bytes) {
  const answered = new Promise((resolve) => {
    let text = '';
    const socket = net.connect(port, '127.0.0.1');
    socket.setEncoding('latin1');
    socket.on('data', (data) => (text += data));
    socket.on('error', () => resolve(text));
    socket.on('close', () => resolve(text));
    // Half closed: nothing more comes, and a server that waits for more has to notice.
    socket.end(bytes);
  });
  return within(answered, `an end of ${JSON.stringify(bytes.toString('latin1').slice(0, 300))}`);
}

test('bytes that are not quite HTTP end in a 4xx or a closed connection', async (scene, t) => {
  const s = await FuzzStage.set(scene, t);
  const r = new Random(SEED + 1);
  const routes = surface.routes();
  const n = rounds(400);
  for (let i = 0; i < n; i += AT_ONCE) {
    const all = Array.from({ length: AT_ONCE }, () => {
      const asked = randomRequest(r, routes, s.ids, s.all);
      const body = Buffer.isBuffer(asked.body) ? asked.body : Buffer.from(JSON.stringify(asked.body ?? ''));
      const lines = [`${asked.method} ${asked.path} HTTP/1.1`, 'host: x', ...Object.entries(asked.headers).map(([k, v]) => `${k}: ${v}`)];
      lines.push(r.pick([`content-length: ${body.length + r.pick([0, 0, -1, 1, 1000])}`, 'transfer-encoding: chunked', 'content-length: x', 'content-length: 1\r\ncontent-length: 2']));
      const text = Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), body]);
      for (let j = r.below(4); j > 0; j--) text[r.below(Math.min(text.length, 300))] = r.below(256);
      return exchange(scene.server.port, text.subarray(0, r.chance(0.9) ? text.length : r.below(text.length)));
    });
    for (const text of await Promise.all(all)) {
      assert.doesNotMatch(text, /^HTTP\/1\.[01] 5(?!03)/, text.slice(0, 500));
      s.assertSecret(text, 'raw');
    }
  }
  await s.unharmed();
});
