'use strict';

// Faults of other Engine.IO servers that the one in engine/ must not have.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const { createRequire } = require('node:module');
const { suite, USERS } = require('../lib/suite');
const { NO_LIMITS } = require('../lib/no-limits');
const { RawSocket } = require('../lib/raw');
const { request } = require('../lib/rest');
const { tokenFor } = require('../lib/jwt');
const { until, within } = require('../lib/limits');

const fromSocketIo = createRequire(require.resolve('socket.io-client'));
const WebSocket = createRequire(fromSocketIo.resolve('engine.io-client'))('ws');

const { test, server } = suite({ env: { ...NO_LIMITS, REQUEST_TIMEOUT: '5' } });

const KILOBYTES = 1024;

/** What the server's process holds in memory, in bytes. */
const memory = () => Number(fs.readFileSync(`/proc/${server.child.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]) * KILOBYTES;

const url = (sid, transport = 'polling') => `${server.url}/socket.io/?EIO=4&transport=${transport}${sid ? `&sid=${sid}` : ''}`;
const post = (sid, body) => request(url(sid), { method: 'POST', body, headers: { 'content-type': 'text/plain;charset=UTF-8' } });
const poll = (sid) => request(url(sid));

/** A connected polling session. */
async function session(scene, who = 'customer') {
  const { sid } = JSON.parse((await poll()).text.slice(1));
  scene.clients.push({ close: () => post(sid, '1').catch(() => {}) });
  await post(sid, `40${JSON.stringify({ token: tokenFor(USERS[who]) })}`);
  assert.match((await poll(sid)).text, /^40\{/);
  return sid;
}

/** Polls until a text comes. */
async function polled(sid, text) {
  for (;;) {
    const answer = await poll(sid);
    assert.equal(answer.status, 200, answer.text);
    if (answer.text.includes(text)) return answer.text;
  }
}

/** A WebSocket that asks to take over a session. */
async function probe(scene, sid) {
  const ws = new WebSocket(url(sid, 'websocket').replace(/^http/, 'ws'));
  scene.clients.push({ close: () => ws.terminate() });
  ws.on('error', () => {});
  await within(new Promise((resolve) => ws.once('open', resolve)), 'the WebSocket to open');
  return ws;
}

/** A proxy that lets a WebSocket's 101 through, and then does as it is told. */
async function proxy(scene, afterUpgrade) {
  const open = new Set();
  const listener = net.createServer((client) => {
    const onward = net.connect(server.port, '127.0.0.1');
    let upgraded = false;
    for (const socket of [client, onward]) {
      open.add(socket);
      socket.on('error', () => {}).on('close', () => (client.destroy(), onward.destroy()));
    }
    client.on('data', (bytes) => upgraded || onward.write(bytes));
    onward.on('data', (bytes) => {
      if (upgraded) return;
      client.write(bytes);
      if (bytes.includes('101 Switching')) {
        upgraded = true;
        afterUpgrade(client);
      }
    });
  });
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  scene.clients.push({ close: () => (listener.close(), open.forEach((socket) => socket.destroy())) });
  return `http://127.0.0.1:${listener.address().port}`;
}

async function acknowledgedThrough(scene, address) {
  const conversationId = await scene.conversation();
  const { io } = require('socket.io-client');
  const socket = io(address, { forceNew: true, auth: { token: tokenFor(USERS.customer) }, transports: ['polling', 'websocket'] });
  scene.clients.push({ close: () => socket.disconnect() });
  await within(new Promise((resolve) => socket.on('connect', resolve)), 'connect');
  let disconnects = 0;
  socket.on('disconnect', () => disconnects++);
  for (let i = 0; i < 10; i++) {
    const answer = await within(socket.emitWithAck('chat:send_message', { conversationId, message: `text ${i}` }), `message ${i} to be acknowledged`, 5000);
    assert.equal(answer.success, true);
  }
  assert.equal(disconnects, 0);
  // While the proxy is there: a session whose client cannot say that it goes is there until its pings are missed.
  socket.disconnect();
  await until(async () => !(await scene.status('customer', 'customer')).is_online, 'the customer is offline');
}

test('a proxy that closes after the 101: polling goes on', async (scene) => {
  await acknowledgedThrough(scene, await proxy(scene, (client) => client.destroy()));
});

test('a proxy that swallows every frame after the 101: polling goes on', async (scene) => {
  await acknowledgedThrough(scene, await proxy(scene, () => {}));
});

test('a poll is held while a probe is silent', async (scene) => {
  const sid = await session(scene);
  await probe(scene, sid);
  let polls = 0;
  const end = Date.now() + 1000;
  while (Date.now() < end) {
    const answer = await Promise.race([poll(sid), new Promise((resolve) => setTimeout(resolve, 1000))]);
    if (!answer) break;
    assert.equal(answer.status, 200);
    polls++;
  }
  assert.ok(polls <= 2, `${polls} polls in a second`);
});

test('a poll that overtakes the packet 5 of its own upgrade does not end the session', async (scene) => {
  for (let round = 0; round < 10; round++) {
    const sid = await session(scene);
    const ws = await probe(scene, sid);
    const frames = [];
    ws.on('message', (data) => frames.push(String(data)));
    ws.send('2probe');
    await until(() => frames.includes('3probe'), 'the answer to the probe');
    if (round % 2) ws.send('5');
    const overtaking = poll(sid);
    if (round % 2 === 0) ws.send('5');
    await overtaking;
    ws.send('421["chat:get_conversations"]');
    await until(() => frames.some((frame) => frame.startsWith('431[')), `an answer after the upgrade of round ${round}`, 3000);
    ws.close();
  }
});

test('a WebSocket may send at most 16 kB before its socket is connected', async (scene) => {
  const socket = new RawSocket(server.url);
  scene.clients.push(socket);
  await socket.frame('0{');
  socket.send(`40${JSON.stringify({ token: 'x'.repeat(20_000) })}`);
  await within(socket.closed, 'the socket to be closed', 3000);
});

test('a socket with a binary event that never completes is closed', async (scene) => {
  const sockets = [];
  for (let i = 0; i < 5; i++) {
    const socket = await scene.raw('customer');
    socket.send('451-["chat:send_message",{"_placeholder":true,"num":0}]');
    sockets.push(socket);
  }
  await within(Promise.all(sockets.map((socket) => socket.closed)), 'the sockets to be closed', 15_000);
});

test('a WebSocket that sent a large message and fell silent keeps little memory', async (scene) => {
  const sockets = await Promise.all(Array.from({ length: 40 }, () => scene.raw('customer')));
  const before = memory();
  for (const socket of sockets) {
    socket.send(`421["no:such_event","${'x'.repeat(1_000_000)}"]`);
    await socket.frame('431[');
  }
  await until(() => memory() - before < 15_000_000, `${Math.round((memory() - before) / 1e6)} MB more is given back`, 10_000);
});

test('payloads of many small packets do not slow down other sockets', async (scene) => {
  const sids = await Promise.all(Array.from({ length: 12 }, () => session(scene)));
  const flood = sids.map((sid) => post(sid, `${'3\x1e'.repeat(500_000)}3`).catch(() => {}));
  let worst = 0;
  let done = false;
  Promise.all(flood).then(() => (done = true));
  while (!done) {
    const begun = performance.now();
    await request(`${server.url}/api/chat/test`);
    worst = Math.max(worst, performance.now() - begun);
  }
  assert.ok(worst < 500, `${Math.round(worst)} ms`);
});

test('Base64 that ends with a line break, as the Java client writes it, is still binary data', async (scene) => {
  const sid = await session(scene);
  const placeholder = '{"_placeholder":true,"num":0}';
  const body = `451-["chat:send_message",{"tempId":"java","attachments":[${placeholder}]}]\x1eb${Buffer.from('bytes').toString('base64')}\n`;
  assert.equal((await post(sid, body)).status, 200);
  assert.match(await within(polled(sid, 'chat:message_failed'), 'the failure'), /"tempId":"java"/);
});

const CODES = [
  ['a transport that is none', '?EIO=4&transport=carrier-pigeon', 'GET', 0],
  ['a session that is none', '?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA', 'GET', 1],
  ['a handshake by POST', '?EIO=4&transport=polling', 'POST', 2],
  ['a protocol of before', '?EIO=3&transport=polling', 'GET', 5],
];
for (const [name, query, method, code] of CODES) {
  test(`the error code is a number: ${name}`, async () => {
    const answer = await request(`${server.url}/socket.io/${query}`, { method });
    assert.equal(answer.status, 400);
    assert.strictEqual(answer.body?.code, code, answer.text);
  });
}

test('an event name may contain an escape', async (scene) => {
  const socket = await scene.raw('customer');
  socket.send('421["chat:get\\u005fconversations"]');
  assert.match((await socket.frame('431[')) ?? 'the socket was closed', /"success":true/);
  socket.send('422["half \\ud83d"]');
  assert.match((await socket.frame('432[')) ?? 'the socket was closed', /unknown_event/);
});
