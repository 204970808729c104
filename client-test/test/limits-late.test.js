'use strict';

// Clients that are refused again and again get late refusals, or are accepted late. Bodies that are too long are refused before they
// are read. The bytes that wait for all sockets together are bounded too.

const { describe } = require('node:test');
const assert = require('node:assert/strict');
const net = require('node:net');
const { suite, USERS } = require('../lib/suite');
const { NO_LIMITS } = require('../lib/no-limits');
const { request } = require('../lib/rest');
const { tokenFor } = require('../lib/jwt');
const { within } = require('../lib/limits');
const { FORM } = require('../lib/upload');

/** Tests on a server of their own, which runs while they do. */
const server = (env, tests) => describe(JSON.stringify(env), () => tests(suite({ env: { ...NO_LIMITS, ...env } }).test));

const LATE_MS = 1900;
const AT_ONCE = 10;
const BAD = tokenFor(USERS.customer, {}, { secret: 'another-secret-0123456789-0123456789' });

/** What came back for a list, and after how many milliseconds. The tests come from a trusted proxy, and say for whom. */
async function list(scene, token, address) {
  const begun = performance.now();
  const { status } = await request(`${scene.server.url}/api/chat/conversations`, { token, headers: { 'x-forwarded-for': address } });
  return { status, ms: performance.now() - begun };
}

async function useUp(scene, address) {
  const answers = [];
  for (let i = 0; i < AT_ONCE; i++) answers.push(await list(scene, BAD, address));
  return answers;
}

server({ MAX_REFUSALS_PER_SECOND_PER_IP: '1' }, (test) => {
  test('an occasional refusal comes at once; refusals of a client that keeps asking come late', async (scene) => {
    for (const { status, ms } of await useUp(scene, '10.0.1.1')) assert.ok(status === 401 && ms < LATE_MS, `${status} after ${ms} ms`);
    const { status, ms } = await list(scene, BAD, '10.0.1.1');
    assert.ok(status === 401 && ms >= LATE_MS, `${status} after ${ms} ms`);
  });

  test('accepted requests are not delayed, and other addresses are not', async (scene) => {
    await useUp(scene, '10.0.1.2');
    const late = list(scene, BAD, '10.0.1.2');
    const [good, other] = await Promise.all([list(scene, tokenFor(USERS.customer), '10.0.1.2'), list(scene, BAD, '10.0.1.3')]);
    const { ms } = await late;
    assert.deepEqual([good.status, other.status], [200, 401]);
    assert.ok(ms >= LATE_MS && good.ms < ms && other.ms < ms, `${good.ms} ms, ${other.ms} ms; late: ${ms} ms`);
  });
});

server({ MAX_JOINS_PER_SECOND: '1' }, (test) => {
  const PAST_ALL_REFUSALS = 3000;

  /** Milliseconds until this user is in, with a socket that does not come back by itself. */
  async function letIn(scene, who) {
    const begun = performance.now();
    const client = scene.open(who, { transports: ['websocket'], reconnection: false });
    await client.waitFor('connect');
    return performance.now() - begun;
  }

  test('a user who keeps sending after refusals is disconnected and accepted late the next time; others are not', async (scene) => {
    const client = scene.open('customer', { transports: ['websocket'], reconnection: false });
    await client.waitFor('connect');
    for (let i = 0; i < PAST_ALL_REFUSALS; i++) client.socket.emit('chat:join', { conversationId: String(i) });
    await client.waitFor('disconnect', (reason) => reason === 'transport close' || reason === 'transport error');
    const [late, other] = await Promise.all([letIn(scene, 'customer'), letIn(scene, 'seller')]);
    assert.ok(late >= 2900 && other < late, `${late} ms; another user: ${other} ms`);
  });
});

server({}, (test) => {
  const HUGE = 500 << 20;
  for (const [path, type] of [['/api/chat/conversations', 'application/json'], ['/api/chat/upload', FORM]]) {
    test(`a body whose Content-Length is too large is refused before any of it has come: 413 (${path})`, async (scene) => {
      const socket = net.connect(scene.server.port, '127.0.0.1');
      scene.clients.push({ close: () => socket.destroy() });
      socket.write(`POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${tokenFor(USERS.customer)}\r\ncontent-type: ${type}\r\ncontent-length: ${HUGE}\r\n\r\n`);
      const answer = await within(new Promise((resolve) => socket.on('data', (data) => resolve(String(data)))), 'an answer');
      assert.match(answer, /^HTTP\/1\.1 413 /);
      assert.match(answer, /"code":"payload_too_large"/);
    });
  }
});

const MANY = { SOCKET_SEND_BUFFER: '100000', SOCKET_SEND_BUFFER_BYTES: String(64 << 20), SEND_BUFFERS_BYTES: String(1 << 20) };
server(MANY, (test) => {
  test('when too many bytes wait for all sockets, the socket with the most is disconnected and no other loses anything', async (scene) => {
    const conversationId = await scene.conversation();
    const customer = await scene.connect('customer');
    const [sleeper, awake] = [await scene.raw('seller'), await scene.connect('seller')];
    sleeper.ws._socket.pause();
    const text = 'x'.repeat(4000);
    let sent = 0;
    while (sent < 30_000 && !/disconnecting a socket that is too slow/.test(scene.server.log.slice(-20_000))) {
      await Promise.all(Array.from({ length: 20 }, () => scene.say(customer, conversationId, text)));
      sent += 20;
    }
    assert.ok(sent < 30_000, 'it was never cut');
    sleeper.ws._socket.resume();
    await within(sleeper.closed, 'the sleeper to be cut');
    const seqs = (await awake.waitForMany('chat:new_message', sent)).map((m) => m.seq);
    assert.deepEqual(seqs, Array.from({ length: sent }, (_, i) => i + 1));
    assert.equal(scene.server.log.match(/disconnecting a socket/g).length, 1, 'others were cut too');
  });
});
