'use strict';

// Limits at the entrance: connections, handshakes, bad tokens, bodies that never end.

const { describe } = require('node:test');
const assert = require('node:assert/strict');
const net = require('node:net');
const { suite, USERS } = require('../lib/suite');
const { NO_LIMITS } = require('../lib/no-limits');
const { assertLimitedHttp, waited } = require('../lib/patience');
const { request } = require('../lib/rest');
const { tokenFor } = require('../lib/jwt');
const { until, within } = require('../lib/limits');
const { FORM, head, stored } = require('../lib/upload');

/** Tests on a server of their own, which runs while they do. */
const server = (env, tests) => describe(JSON.stringify(env), () => tests(suite({ env: { ...NO_LIMITS, ...env } }).test));

// The tests come from this machine, which is a trusted proxy: they say for whom.
const from = (address) => ({ 'x-forwarded-for': address });
const socketFrom = (scene, who, address, options = {}) => scene.open(who, { transports: ['polling'], extraHeaders: from(address), ...options });
const handshake = (scene, address, transport = 'polling') =>
  request(`${scene.server.url}/socket.io/?EIO=4&transport=${transport}`, { headers: from(address) });

async function fill(scene, address, n, transport = 'polling') {
  const clients = Array.from({ length: n }, () => socketFrom(scene, 'customer', address, { transports: [transport] }));
  for (const client of clients) await client.connected();
  return clients;
}

server({ MAX_CONNECTIONS_PER_IP: '3' }, (test) => {
  test('the sockets of one address are limited: 429 too_many_connections', async (scene) => {
    await fill(scene, '10.0.0.1', 3);
    assertLimitedHttp(await handshake(scene, '10.0.0.1'), 429, 'too_many_connections', 'Too many connections');
    // A WebSocket handshake is an ordinary request until it is let in.
    assert.equal((await handshake(scene, '10.0.0.1', 'websocket')).status, 429);
  });

  test('another address has its own limit', async (scene) => {
    await fill(scene, '10.0.0.1', 3);
    await fill(scene, '10.0.0.2', 3);
    await fill(scene, '2001:db8::1', 1);
  });

  test('entries that a client adds to X-Forwarded-For do not count', async (scene) => {
    await fill(scene, '10.0.0.1', 3);
    for (const made of ['10.9.9.9, 10.0.0.1', 'junk, 10.0.0.1', '10.9.9.9,10.8.8.8, 10.0.0.1, 127.0.0.1']) {
      assert.equal((await handshake(scene, made)).status, 429, made);
    }
    assert.equal((await handshake(scene, '10.0.0.1, 10.9.9.9')).status, 200, 'the last one is who it is');
  });

  test('a refused socket.io-client connects by itself when there is room', async (scene) => {
    const [first] = await fill(scene, '10.0.0.1', 3);
    const late = socketFrom(scene, 'seller', '10.0.0.1');
    await late.waitFor('connect_error');
    assert.equal(late.socket.active, true, 'it goes on trying');
    first.close();
    await late.waitFor('connect');
    assert.equal((await late.ask('chat:get_conversations')).success, true);
  });

  test('of many simultaneous clients, all without room connect later by themselves', async (scene) => {
    const clients = Array.from({ length: 9 }, (_, i) => socketFrom(scene, i % 2 ? 'seller' : 'customer', '10.0.0.1'));
    const waiting = new Set(clients);
    // Each leaves as soon as it was in, so that there is room for the next.
    await Promise.all(clients.map(async (client) => {
      await client.waitFor('connect').catch((error) => {
        throw new Error(`${error.message}; it goes on trying: ${client.socket.active}; errors: ${client.all('connect_error').map((e) => e.message)}`);
      });
      waiting.delete(client);
      client.close();
    }));
    assert.equal(waiting.size, 0);
  });

  test('an accepted socket goes on polling and upgrading', async (scene) => {
    await fill(scene, '10.0.0.1', 2);
    const last = socketFrom(scene, 'seller', '10.0.0.1', { transports: ['polling', 'websocket'] });
    const upgraded = new Promise((resolve) => last.socket.io.engine.once('upgrade', resolve));
    await last.connected();
    await within(upgraded, 'the upgrade');
    assert.equal((await last.ask('chat:get_conversations')).success, true);
  });

  test('REST is not affected by the limit on sockets', async (scene) => {
    await fill(scene, '10.0.0.1', 3);
    assert.equal((await scene.rest('customer', 'GET', '/api/chat/conversations', undefined, { headers: from('10.0.0.1') })).status, 200);
  });
});

server({ MAX_CONNECTIONS_PER_IP: '2', TRUSTED_PROXIES: '192.0.2.0/24' }, (test) => {
  test('X-Forwarded-For from an untrusted address is ignored', async (scene) => {
    // By WebSocket: each is one connection, and those of one address are counted too.
    await fill(scene, '10.0.0.1', 1, 'websocket');
    await fill(scene, '10.0.0.2', 1, 'websocket');
    assert.equal((await handshake(scene, '10.0.0.3')).status, 429, 'all of them come from this machine');
  });
});

server({ MAX_CONNECTIONS: '3' }, (test) => {
  test('the sockets of the server are limited: 503 too_many_connections', async (scene) => {
    const [first] = [...(await fill(scene, '10.0.0.1', 2, 'websocket')), ...(await fill(scene, '10.0.0.2', 1, 'websocket'))];
    assertLimitedHttp(await handshake(scene, '10.0.0.3'), 503, 'too_many_connections', 'Too many connections');
    const late = socketFrom(scene, 'seller', '10.0.0.3', { transports: ['websocket'] });
    await late.waitFor('connect_error');
    first.close();
    await late.waitFor('connect');
  });
});

server({ MAX_CONNECTIONS_PER_USER: '2' }, (test) => {
  for (const transport of ['polling', 'websocket']) {
    test(`the sockets of one user are limited, from all addresses together: connect_error Too many connections (${transport})`, async (scene) => {
      const first = await scene.connect('customer');
      await scene.connect('customer', { extraHeaders: from('10.0.0.7') });
      const third = scene.open('customer', { transports: [transport], reconnection: false });
      assert.equal((await third.refused()).message, 'Too many connections');
      // The others are as they were, and another user has room.
      assert.equal((await first.ask('chat:get_conversations')).success, true);
      await scene.connect('seller');
      first.close();
      for (let error; ; ) {
        const again = scene.open('customer', { transports: [transport], reconnection: false });
        const { event, data } = await again.waitForEntry(['connect', 'connect_error']);
        if (event === 'connect') break;
        assert.equal(data.message, 'Too many connections', error);
      }
    });
  }
});

server({ MAX_HANDSHAKES_PER_SECOND: '5' }, (test) => {
  test('handshakes per second are limited: 503 too_many_handshakes; after retry_after_ms there is room', async (scene) => {
    let refusal;
    for (let i = 0; i < 20 && refusal?.status !== 503; i++) {
      refusal = (await Promise.all(Array.from({ length: 20 }, (_, j) => handshake(scene, `10.1.${i}.${j}`)))).find((answer) => answer.status === 503);
    }
    assertLimitedHttp(refusal, 503, 'too_many_handshakes', 'Too many handshakes');
    await waited(refusal.body);
    assert.equal((await handshake(scene, '10.1.99.1')).status, 200);
  });

  test('twenty simultaneous clients all connect after a while, by themselves', async (scene) => {
    const clients = Array.from({ length: 20 }, (_, i) => socketFrom(scene, 'customer', `10.2.0.${i}`));
    for (const client of clients) await client.waitFor('connect', undefined, 60_000);
    assert.ok(clients.some((client) => client.count('connect_error') > 0), 'none was refused: the test shows nothing');
  });
});

server({ MAX_HANDSHAKES_PER_SECOND_PER_IP: '2' }, (test) => {
  test('one address uses up its own handshakes and nobody else’s', async (scene) => {
    const answers = await Promise.all(Array.from({ length: 40 }, () => handshake(scene, '10.0.0.1')));
    const refused = answers.filter((answer) => answer.status !== 200);
    assert.ok(refused.length > 0, 'none was refused');
    for (const answer of refused) assertLimitedHttp(answer, answer.status, 'too_many_handshakes', 'Too many handshakes');
    assert.equal((await handshake(scene, '10.0.0.2')).status, 200);
  });
});

server({ MAX_BAD_TOKENS_PER_MINUTE: '5' }, (test) => {
  const BAD = tokenFor(USERS.customer, {}, { secret: 'another-secret-0123456789-0123456789' });
  const list = (scene, token, address) => request(`${scene.server.url}/api/chat/conversations`, { token, headers: from(address) });

  /** As many bad tokens from there as it takes. */
  async function exhaust(scene, address) {
    const answers = [];
    for (let i = 0; i < 30 && answers.at(-1)?.status !== 429; i++) answers.push(await list(scene, BAD, address));
    return answers;
  }

  test('repeated bad tokens from one address: 429 too_many_attempts', async (scene) => {
    const answers = await exhaust(scene, '10.0.0.1');
    const last = answers.pop();
    assertLimitedHttp(last, 429, 'too_many_attempts', last.body.message);
    assert.ok(answers.length >= 5, 'some are answered as ever');
    for (const answer of answers) assert.deepEqual([answer.status, answer.body.message], [401, 'Invalid token']);
  });

  test('good tokens from that address are accepted, and so are all tokens from other addresses', async (scene) => {
    await exhaust(scene, '10.0.0.2');
    assert.equal((await list(scene, tokenFor(USERS.customer), '10.0.0.2')).status, 200);
    assert.equal((await list(scene, BAD, '10.0.0.3')).status, 401);
    const client = socketFrom(scene, 'customer', '10.0.0.2');
    await client.connected();
  });

  test('an expired token does not count as a bad one', async (scene) => {
    const expired = tokenFor(USERS.customer, { exp: 1000 });
    for (let i = 0; i < 20; i++) assert.equal((await list(scene, expired, '10.0.0.4')).status, 401);
    assert.equal((await list(scene, BAD, '10.0.0.4')).status, 401);
  });

  test('then sockets with bad tokens are refused late with the same text; good tokens are not delayed', async (scene) => {
    const attempt = async (address, token) => {
      const begun = performance.now();
      const client = scene.open(null, { transports: ['websocket'], reconnection: false, auth: { token }, extraHeaders: from(address) });
      const { event, data } = await client.waitForEntry(['connect', 'connect_error']);
      return { event, message: data?.message, ms: performance.now() - begun };
    };
    const early = await attempt('10.0.0.6', BAD);
    await exhaust(scene, '10.0.0.5');
    const [late, good] = await Promise.all([attempt('10.0.0.5', BAD), attempt('10.0.0.5', tokenFor(USERS.customer))]);
    assert.equal(late.message, early.message);
    assert.equal(late.message, 'Invalid or expired token');
    assert.ok(late.ms >= 1000 && late.ms > early.ms, `${late.ms} ms after ${early.ms} ms`);
    assert.equal(good.event, 'connect');
    assert.ok(good.ms < late.ms, `${good.ms} ms`);
    scene.present.add('customer');
  });
});

/**
 * Sends the head of a request and a little of its body, and then nothing: `answered` has what comes back, `closed`
 * says that the server has hung up.
 */
function trickle(scene, path, head = '', body = '{') {
  const begun = performance.now();
  const socket = net.connect(scene.server.port, '127.0.0.1');
  scene.clients.push({ close: () => socket.destroy() });
  socket.write(`POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${tokenFor(USERS.customer)}\r\n${head}content-length: 1000\r\n\r\n${body}`);
  socket.on('error', () => {});
  const answer = new Promise((resolve) => {
    let text = '';
    socket.on('data', (data) => {
      text += data;
      if (text.includes('}')) resolve({ text, ms: performance.now() - begun });
    });
    socket.on('close', () => resolve({ text, ms: performance.now() - begun }));
  });
  const end = new Promise((resolve) => socket.on('close', resolve));
  const first = new Promise((resolve) => socket.once('data', resolve));
  return {
    heard: () => within(first, 'a first word'),
    answered: within(answer, `an answer to ${path}`),
    closed: () => within(end, 'the server to hang up'),
  };
}

server({ REQUEST_TIMEOUT: '1', UPLOAD_TIMEOUT: '2' }, (test) => {
  test('a body that never ends is answered: 408', async (scene) => {
    const { text, ms } = await trickle(scene, '/api/chat/conversations').answered;
    assert.match(text, /^HTTP\/1\.1 408 /);
    assert.match(text, /"code":"request_timeout"/);
    assert.ok(ms >= 900, `${ms} ms`);
  });

  test('the connection of a body that never ends is closed', async (scene) => {
    await trickle(scene, '/api/chat/conversations').closed();
  });

  test('an upload that never ends is aborted, and nothing is stored', async (scene) => {
    const slow = trickle(scene, '/api/chat/upload', `content-type: ${FORM}\r\n`, `${head({ name: 'a.txt', type: 'text/plain' })}a`);
    assert.match((await slow.answered).text, /^HTTP\/1\.1 408 /);
    await slow.closed();
    assert.deepEqual(stored(scene.server), []);
  });

  test('many slow bodies do not delay other requests', async (scene) => {
    const slowOnes = Array.from({ length: 50 }, () => trickle(scene, '/api/chat/conversations').answered);
    await scene.isServing();
    for (const { text } of await Promise.all(slowOnes)) assert.match(text, /^HTTP\/1\.1 408 /);
  });
});

server({ MAX_REQUESTS_PER_USER: '2', REQUEST_TIMEOUT: '5', SHUTDOWN_TIMEOUT: '30' }, (test) => {
  const ask = (scene, who) => scene.rest(who, 'GET', '/api/chat/unread-count');

  test('the requests of one user in flight are limited; ended slow bodies free their places', async (scene) => {
    const slowOnes = Array.from({ length: 2 }, () => trickle(scene, '/api/chat/conversations', 'expect: 100-continue\r\n', ''));
    // It says that it goes on when it begins to read the body.
    for (const slow of slowOnes) await slow.heard();
    assertLimitedHttp(await ask(scene, 'customer'), 429);
    assert.equal((await ask(scene, 'seller')).status, 200);
    for (const slow of slowOnes) await slow.answered;
    await until(async () => (await ask(scene, 'customer')).status === 200, 'there is room again');
  });

  test("shutdown does not wait for slow bodies", async (scene) => {
    await trickle(scene, '/api/chat/conversations').answered;
    const begun = performance.now();
    await scene.server.stop();
    assert.ok(performance.now() - begun < 20_000, `${performance.now() - begun} ms`);
  });
});

server({ SOCKET_QUEUE: '3' }, (test) => {
  test('a socket that asks faster than it is answered gets busy with retry_after_ms, and every answer comes', async (scene) => {
    const client = await scene.connect('customer', { transports: ['websocket'] });
    const answers = await Promise.all(Array.from({ length: 200 }, () => client.ask('chat:get_conversations')));
    const refused = answers.filter((answer) => !answer.success);
    assert.ok(refused.length > 0, 'none was refused');
    for (const answer of refused) assert.deepEqual([answer.code, answer.message], ['busy', 'Server is busy']);
    assert.ok(refused.every((answer) => answer.retry_after_ms > 0), JSON.stringify(refused[0]));
    await waited(refused.at(-1));
    assert.equal((await client.ask('chat:get_conversations')).success, true);
  });
});
