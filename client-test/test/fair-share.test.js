'use strict';

// Limits on one user's requests in flight, their database connections, and the bytes of their unread answers.

const { describe } = require('node:test');
const assert = require('node:assert/strict');
const net = require('node:net');
const { suite, USERS } = require('../lib/suite');
const { external } = require('../lib/postgres');
const { NO_LIMITS } = require('../lib/no-limits');
const { assertLimitedHttp } = require('../lib/patience');
const { tokenFor } = require('../lib/jwt');
const { until, within } = require('../lib/limits');
const { hold } = require('../lib/hold');

/** Tests on a server of their own, which runs while they do. */
const server = (env, tests) => describe(JSON.stringify(env), () => tests(suite({ env: { ...NO_LIMITS, ...env } }).test));
const skip = external ? false : 'needs a PostgreSQL whose rows somebody else can lock (TEST_DATABASE_URL)';

const WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";

/** A conversation whose row somebody holds, and edits of its messages that wait for it, each of another one. */
async function stuck(scene, n) {
  const conversationId = await scene.conversation();
  const messages = [];
  for (let i = 0; i < n; i++) messages.push(await scene.data('customer', 'POST', `/api/chat/conversations/${conversationId}/messages`, { message: `text ${i}` }));
  const holder = hold(scene.server.database.url, `BEGIN; SELECT id FROM conversations WHERE id = '${conversationId}' FOR UPDATE`);
  scene.clients.push({ close: holder.release });
  await holder.ready;
  const edits = messages.map(({ id }, i) => scene.rest('customer', 'PUT', `/api/chat/messages/${id}`, { message: `edit ${i}` }));
  await until(() => Number(scene.server.database.sql(WAITING)) > 0, 'an edit waits for the lock');
  return { holder, edits };
}

server({ MAX_REQUESTS_PER_USER: '5' }, (test) => {
  test('requests that wait for the database count until they are answered', { skip }, async (scene) => {
    const { holder, edits } = await stuck(scene, 5);
    for (let i = 0; i < 3; i++) assertLimitedHttp(await scene.rest('customer', 'GET', '/api/chat/unread-count'), 429);
    assert.equal((await scene.rest('seller', 'GET', '/api/chat/unread-count')).status, 200, 'another user has their own');
    holder.release();
    assert.deepEqual((await Promise.all(edits)).map(({ status }) => status), [200, 200, 200, 200, 200]);
    assert.equal((await scene.rest('customer', 'GET', '/api/chat/unread-count')).status, 200);
  });
});

server({ DATABASE_MAX_CONNECTIONS: '10', DATABASE_ACQUIRE_TIMEOUT_MS: '2000' }, (test) => {
  test("one user's waiting requests leave connections for the other users", { skip }, async (scene) => {
    const other = await scene.conversation('seller', 'admin');
    const { holder, edits } = await stuck(scene, 40);
    for (let i = 0; i < 20; i++) {
      const answers = await Promise.all([
        scene.rest('seller', 'GET', '/api/chat/conversations'),
        scene.rest('admin', 'GET', `/api/chat/conversations/${other}/messages`),
        scene.rest('seller', 'POST', `/api/chat/conversations/${other}/messages`, { message: `free ${i}` }),
      ]);
      assert.deepEqual(answers.map(({ status }) => status), [200, 200, 201], JSON.stringify(answers.map(({ text }) => text)));
    }
    holder.release();
    for (const { status } of await Promise.all(edits)) assert.ok([200, 503].includes(status), String(status));
  });
});

/** A request whose answer is not read: its beginning is there, and nobody takes it. */
async function unread(scene, who, path) {
  const socket = net.connect(scene.server.port, '127.0.0.1');
  const closed = new Promise((resolve) => socket.on('close', resolve).on('error', resolve));
  scene.clients.push({ close: () => socket.destroy() });
  socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${tokenFor(USERS[who])}\r\n\r\n`);
  await within(new Promise((resolve) => socket.once('readable', resolve)), 'the answer to begin');
  return { socket, closed };
}

/** A page too large for what the system keeps for a client that does not read: megabytes. */
async function largePage(scene) {
  const conversationId = await scene.conversation();
  const customer = await scene.connect('customer');
  const text = 'x'.repeat(50_000);
  for (let i = 0; i < 10; i++) await Promise.all(Array.from({ length: 20 }, () => scene.say(customer, conversationId, text)));
  return `/api/chat/conversations/${conversationId}/messages?limit=200`;
}

const LARGE = { MAX_MESSAGE_CHARS: '50000', ANSWER_TIMEOUT: '2' };
const CLOSING = /closing a connection whose answer was not read in time/;

server(LARGE, (test) => {
  test('a connection whose answer is not read is closed; one whose answer is read stays', async (scene) => {
    const path = await largePage(scene);
    await unread(scene, 'customer', path);
    const read = scene.rest('customer', 'GET', path);
    await until(() => CLOSING.test(scene.server.log), 'it was closed');
    const answer = await read;
    assert.ok(answer.status === 200 && answer.text.length > 10_000_000, String(answer.text.length));
    assert.equal(scene.server.log.match(new RegExp(CLOSING, 'g')).length, 1);
  });
});

server({ ...LARGE, ANSWER_TIMEOUT: '60', ANSWERS_BYTES_PER_USER: '25000000' }, (test) => {
  test("one user's unread answers are limited; other users' answers are not", async (scene) => {
    const path = await largePage(scene);
    const first = [await unread(scene, 'customer', path), await unread(scene, 'customer', path)];
    await until(async () => {
      const answer = await scene.rest('customer', 'GET', path);
      if (answer.status !== 429) return false;
      assertLimitedHttp(answer, 429);
      return true;
    }, 'there is no room for a third');
    assert.equal((await scene.rest('customer', 'GET', '/api/chat/unread-count')).status, 200, 'small answers have room');
    assert.equal((await scene.rest('seller', 'GET', path)).status, 200);
    for (const { socket } of first) socket.destroy();
    await until(async () => (await scene.rest('customer', 'GET', path)).status === 200, 'there is room again');
  });
});

server({ ...LARGE, ANSWER_TIMEOUT: '60', ANSWERS_BYTES: '15000000' }, (test) => {
  test('unread answers of all users together are limited: busy', async (scene) => {
    const path = await largePage(scene);
    const first = await unread(scene, 'customer', path);
    await until(async () => {
      const answer = await scene.rest('seller', 'GET', path);
      return answer.status === 503 && answer.body.code === 'busy' && answer.headers['retry-after'] === '1';
    }, 'there is no room for a second');
    first.socket.destroy();
    await within(first.closed, 'the connection to close');
    await until(async () => (await scene.rest('seller', 'GET', path)).status === 200, 'there is room again');
  });
});
