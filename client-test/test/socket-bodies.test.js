'use strict';

// Limits on bodies posted to /socket.io/: their size before and after a socket is connected, their time, their bytes in flight.

const { describe } = require('node:test');
const assert = require('node:assert/strict');
const net = require('node:net');
const { suite, USERS } = require('../lib/suite');
const { NO_LIMITS } = require('../lib/no-limits');
const { request } = require('../lib/rest');
const { tokenFor } = require('../lib/jwt');
const { until, within } = require('../lib/limits');

/** Tests on a server of their own, which runs while they do. */
const server = (env, tests) => describe(JSON.stringify(env), () => tests(suite({ env: { ...NO_LIMITS, ...env } }).test));

const url = (scene, sid) => `${scene.server.url}/socket.io/?EIO=4&transport=polling${sid ? `&sid=${sid}` : ''}`;

/** A polling session, before anything was said in it. */
async function session(scene) {
  const { text } = await request(url(scene));
  const { sid } = JSON.parse(text.slice(1));
  scene.clients.push({ close: () => post(scene, sid, '1').catch(() => {}) });
  return sid;
}

const post = (scene, sid, body) => request(url(scene, sid), { method: 'POST', body, headers: { 'content-type': 'text/plain' } });

async function connected(scene, who) {
  const sid = await session(scene);
  await post(scene, sid, `40${JSON.stringify({ token: tokenFor(USERS[who]) })}`);
  assert.match((await request(url(scene, sid))).text, /^40\{/);
  return sid;
}

/** Announces a body and sends only its beginning: what comes back. */
function begin(scene, sid, length, sent) {
  const socket = net.connect(scene.server.port, '127.0.0.1');
  scene.clients.push({ close: () => socket.destroy() });
  let text = '';
  const answered = new Promise((resolve) => {
    socket.on('data', (data) => {
      text += data;
      if (text.includes('\r\n\r\n')) resolve(text);
    });
    socket.on('close', () => resolve(text)).on('error', () => resolve(text));
  });
  socket.write(`POST ${new URL(url(scene, sid)).pathname}?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: ${length}\r\n\r\n`);
  socket.write('4'.repeat(sent));
  return within(answered, 'an answer');
}

server({}, (test) => {
  test('before a session is connected a body has at most 16 kB: 413', async (scene) => {
    const sid = await session(scene);
    const answer = await begin(scene, sid, 16_385, 0);
    assert.match(answer, /^HTTP\/1\.1 413 /);
    assert.match(answer, /"code":"payload_too_large"/);
    assert.equal((await post(scene, sid, `40${JSON.stringify({ token: tokenFor(USERS.customer), more: 'x'.repeat(15_000) })}`)).status, 200);
    assert.match((await request(url(scene, sid))).text, /^40\{/, 'the session goes on');
  });

  test('a connected session may post 1 MiB, and no more: 413', async (scene) => {
    const sid = await connected(scene, 'customer');
    assert.match(await begin(scene, sid, (1 << 20) + 1, 0), /^HTTP\/1\.1 413 /);
    const ask = (fill) => `421["chat:get_conversations",{"fill":"${'x'.repeat(fill)}"}]`;
    assert.equal((await post(scene, sid, ask((1 << 20) - ask(0).length))).status, 200);
    assert.match((await request(url(scene, sid))).text, /^4[23]/);
  });

  test('a body ends with its session', async (scene) => {
    const sid = await connected(scene, 'customer');
    const answer = begin(scene, sid, 10_000, 9_999);
    // A second body at the same time ends the session.
    await until(async () => (await post(scene, sid, '6')).status === 400, 'the first body on its way');
    assert.match(await answer, /^HTTP\/1\.1 400 /);
  });

  test('a large first message of a connected client does not count as one before the connection', async (scene) => {
    for (let i = 0; i < 20; i++) {
      const client = scene.open('customer', { transports: ['polling'], reconnection: false });
      client.emit('chat:join', { conversationId: 'x'.repeat(100_000) });
      await client.waitFor('chat:error');
      client.close();
    }
  });
});

server({ REQUEST_TIMEOUT: '2' }, (test) => {
  test('a body that is not complete in time is answered: 408', async (scene) => {
    for (const sid of [await session(scene), await connected(scene, 'customer')]) {
      assert.match(await begin(scene, sid, 10_000, 9_999), /^HTTP\/1\.1 408 /);
    }
  });
});

for (const [env, status, code] of [
  [{ BODIES_BYTES_PER_USER: '30000' }, 429, 'rate_limited'],
  [{ BODIES_BYTES: '30000' }, 503, 'busy'],
]) {
  server(env, (test) => {
    test(`the bytes of bodies in flight are limited: ${status} ${code}`, async (scene) => {
      const sid = await connected(scene, 'customer');
      const body = (bytes) => `42${JSON.stringify(['no:such_event', 'x'.repeat(bytes)])}`;
      const rest = (bytes) => scene.rest('seller', 'POST', '/api/chat/conversations', { fill: 'x'.repeat(bytes) });
      for (const answer of [await post(scene, sid, body(40_000)), await rest(40_000)]) {
        assert.deepEqual([answer.status, answer.body?.code, answer.headers['retry-after']], [status, code, '1']);
      }
      for (let i = 0; i < 3; i++) {
        assert.equal((await post(scene, sid, body(20_000))).status, 200, 'what was read is free again');
        assert.equal((await rest(20_000)).body.code, 'participant_required');
      }
    });
  });
}
