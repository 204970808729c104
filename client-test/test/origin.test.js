'use strict';

// Which web sites may talk to the server: CORS for REST, Origin for both socket transports.

const nodeTest = require('node:test');
const assert = require('node:assert/strict');
const { suite, Scene } = require('../lib/suite');
const { external } = require('../lib/postgres');
const { Server } = require('../lib/server');

const SHOP = 'https://shop.example';
const SECOND_SHOP = 'https://admin.shop.example';
const APPS = ['capacitor://localhost', 'ionic://localhost', 'tauri://localhost'];
const FRONTEND_URL = [SHOP, SECOND_SHOP, ...APPS, 'wss://live.example:443/'].join(', ');

const { test } = suite({ env: { FRONTEND_URL } });

const ALLOWED = [SHOP, SECOND_SHOP, 'wss://shop.example', 'https://live.example', ...APPS, ...[3000, 3001, 4173, 5173].map((port) => `http://localhost:${port}`)];
const REFUSED = ['https://evil.example', 'http://localhost:3002', 'http://shop.example', 'https://shop.example.evil.example', 'capacitor://shop.example', 'null'];

const rest = (scene, Origin) => scene.rest('customer', 'GET', '/api/chat/conversations', undefined, { headers: { Origin } });
const socket = (scene, Origin, transport, who = 'customer') =>
  scene.open(who, { transports: [transport], reconnection: false, extraHeaders: { Origin } });

for (const origin of ALLOWED) {
  test(`REST: ${origin} is allowed, with credentials`, async (scene) => {
    const answer = await rest(scene, origin);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['access-control-allow-origin'], origin);
    assert.equal(answer.headers['access-control-allow-credentials'], 'true');
    assert.match(answer.headers.vary ?? '', /origin/i);
  });
}

for (const origin of REFUSED) {
  test(`REST: ${origin} is refused, in JSON`, async (scene) => {
    const answer = await rest(scene, origin);
    assert.equal(answer.status, 403);
    assert.equal(answer.headers['access-control-allow-origin'], undefined);
    assert.equal(typeof answer.body?.message, 'string');
  });
}

test('REST: a request without an Origin (curl, mobile) is allowed', async (scene) => {
  assert.equal((await scene.rest('customer', 'GET', '/api/chat/conversations')).status, 200);
});

test('REST: a preflight of an allowed site is answered with what the app needs', async (scene) => {
  for (const method of ['GET', 'POST', 'PUT', 'DELETE']) {
    const answer = await scene.rest(null, 'OPTIONS', '/api/chat/conversations', undefined, {
      headers: {
        Origin: SHOP,
        'Access-Control-Request-Method': method,
        'Access-Control-Request-Headers': 'authorization,content-type',
      },
    });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['access-control-allow-origin'], SHOP);
    assert.equal(answer.headers['access-control-allow-credentials'], 'true');
    assert.ok(answer.headers['access-control-allow-methods'].includes(method));
    assert.match(answer.headers['access-control-allow-headers'], /authorization/i);
    assert.match(answer.headers['access-control-allow-headers'], /content-type/i);
  }
});

test('REST: a preflight of another site gives it nothing', async (scene) => {
  const answer = await scene.rest(null, 'OPTIONS', '/api/chat/conversations', undefined, {
    headers: { Origin: 'https://evil.example', 'Access-Control-Request-Method': 'POST' },
  });
  assert.equal(answer.headers['access-control-allow-origin'], undefined);
});

for (const transport of ['polling', 'websocket']) {
  for (const origin of ALLOWED) {
    test(`${transport}: ${origin} is allowed`, async (scene) => {
      await socket(scene, origin, transport).connected();
    });
  }
  for (const origin of REFUSED) {
    test(`${transport}: ${origin} is refused`, async (scene) => {
      await socket(scene, origin, transport).refused();
    });
  }
  test(`${transport}: a socket without an Origin (mobile) is accepted`, async (scene) => {
    await scene.connect('customer', { transports: [transport] });
  });
}

/** The server's own origin, as clients other than browsers send it; `host` is what the request asks for. */
const OWN = [
  ['http', undefined], ['ws', undefined],
  ['https', 'chat.example'], ['wss', 'chat.example'], ['wss', 'Chat.Example:443'], ['http', 'chat.example:80'],
];
for (const [scheme, host] of OWN) {
  test(`the server's own origin is allowed: ${scheme}, ${host ?? 'host and port'}`, async (scene) => {
    const headers = { Origin: `${scheme}://${host ?? new URL(scene.server.url).host}`, ...(host && { Host: host }) };
    const answer = await scene.rest('customer', 'GET', '/api/chat/conversations', undefined, { headers });
    assert.equal(answer.status, 200, answer.text);
    // The client that polls here sends a Host of its own.
    for (const transport of host ? ['websocket'] : ['polling', 'websocket']) {
      await scene.connect('customer', { transports: [transport], reconnection: false, extraHeaders: headers });
    }
  });
}

test("behind a trusted proxy the origin may be the host in X-Forwarded-Host", async (scene) => {
  const headers = { Origin: 'https://chat.example', 'X-Forwarded-Host': 'chat.example' };
  assert.equal((await scene.rest('customer', 'GET', '/api/chat/conversations', undefined, { headers })).status, 200);
});

test('a refused origin is logged once, with the setting to change', async (scene) => {
  const Origin = 'https://forgotten.example';
  for (let i = 0; i < 5; i++) assert.equal((await rest(scene, Origin)).status, 403);
  await socket(scene, Origin, 'websocket').refused();
  const lines = scene.server.log.split('\n').filter((line) => line.includes(Origin));
  assert.equal(lines.length, 1, lines.join('\n'));
  assert.match(lines[0], /WARN.*FRONTEND_URL/);
});

test('polling: the handshake answers an allowed site with its CORS headers', async (scene) => {
  const answer = await scene.rest(null, 'GET', '/socket.io/?EIO=4&transport=polling', undefined, { headers: { Origin: SHOP } });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['access-control-allow-origin'], SHOP);
  assert.equal(answer.headers['access-control-allow-credentials'], 'true');
});

test('polling: the handshake refuses another site before it opens a session', async (scene) => {
  const answer = await scene.rest(null, 'GET', '/socket.io/?EIO=4&transport=polling', undefined, {
    headers: { Origin: 'https://evil.example' },
  });
  assert.ok(answer.status >= 400 && answer.status < 500, String(answer.status));
  assert.doesNotMatch(answer.text, /"sid"/);
});

// In production the embedded database has no demo users who could come.
nodeTest.test('in production the localhost sites are refused, FRONTEND_URL alone counts', { skip: !external }, async () => {
  const server = new Server({ env: { FRONTEND_URL, NODE_ENV: 'production' } });
  const scene = new Scene(server);
  try {
    await server.start();
    assert.equal((await rest(scene, 'http://localhost:3000')).status, 403);
    assert.equal((await rest(scene, SHOP)).status, 200);
    await socket(scene, 'http://localhost:3000', 'websocket').refused();
    await socket(scene, SHOP, 'websocket').connected();
  } finally {
    await scene.leave();
    await server.dispose();
  }
});
