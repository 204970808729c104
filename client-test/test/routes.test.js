'use strict';

// Open routes, unknown routes and broken bodies: the answer is always JSON.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { assertFailure, time } = require('../lib/shapes');

const { test } = suite();

const isJson = (answer) => {
  assert.match(answer.headers['content-type'] ?? '', /^application\/json/, answer.text);
  assert.ok(answer.body !== null && typeof answer.body === 'object', answer.text);
};

test('GET /: name, version, endpoints', async (scene) => {
  const answer = await scene.rest(null, 'GET', '/');
  assert.equal(answer.status, 200);
  isJson(answer);
  assert.equal(typeof answer.body.name, 'string');
  assert.match(answer.body.version, /^\d+\.\d+\.\d+/);
  assert.equal(typeof answer.body.endpoints, 'object');
});

test('GET /api/v1/health: healthy', async (scene) => {
  const answer = await scene.rest(null, 'GET', '/api/v1/health');
  assert.equal(answer.status, 200);
  isJson(answer);
  assert.equal(answer.body.status, 'healthy');
  assert.ok(time(answer.body.timestamp), answer.body.timestamp);
  assert.ok(answer.body.uptime >= 0 && typeof answer.body.uptime === 'number');
  assert.equal(answer.body.environment, 'development');
});

for (const file of ['socket.io.js', 'socket.io.js.map', 'socket.io.min.js', 'socket.io.esm.min.js', 'socket.io.msgpack.min.js']) {
  test(`GET /socket.io/${file}: 404 that says where to find the client script`, async (scene) => {
    const answer = await scene.rest(null, 'GET', `/socket.io/${file}?x=1`);
    assert.deepEqual([answer.status, answer.body?.code], [404, 'no_client_script'], answer.text);
    assert.match(answer.body.message, /socket\.io-client/);
  });
}

test('GET /api/chat/test: open to all', async (scene) => {
  const answer = await scene.rest(null, 'GET', '/api/chat/test');
  assert.equal(answer.status, 200);
  isJson(answer);
  assert.equal(answer.body.message, 'Chat routes are working');
  assert.ok(time(answer.body.timestamp), answer.body.timestamp);
});

for (const [method, path] of [
  ['GET', '/nowhere'],
  ['POST', '/nowhere'],
  ['GET', '/api/chat/nowhere'],
  ['GET', '/api/v1/nowhere'],
  ['DELETE', '/api/nowhere'],
  ['GET', '/api/chat/conversations/a/b/c/d'],
  ['GET', '/%00'],
  ['GET', '/../../etc/passwd'],
]) {
  test(`${method} ${path}: 404 in JSON`, async (scene) => {
    const answer = await scene.rest('customer', method, path);
    assert.equal(answer.status, 404);
    isJson(answer);
    assertFailure(answer.body, 'not_found');
  });
}

for (const [method, path] of [
  ['PUT', '/api/chat/conversations'],
  ['DELETE', '/api/chat/unread-count'],
  ['POST', '/api/v1/health'],
]) {
  test(`${method} ${path}: 405 in JSON`, async (scene) => {
    const answer = await scene.rest('customer', method, path);
    assert.equal(answer.status, 405);
    isJson(answer);
    assertFailure(answer.body, 'method_not_allowed');
  });
}

const create = (scene, body, headers) => scene.rest('customer', 'POST', '/api/chat/conversations', body, { headers });

for (const [name, body] of Object.entries({
  'half an object': '{"participantId":',
  'no JSON at all': 'hello',
  'a lone quote': '"',
  'NaN': '{"participantId":NaN}',
  'nothing': '',
  'nesting without end': '['.repeat(100_000),
})) {
  test(`a body of ${name}: 400 in JSON`, async (scene) => {
    const answer = await create(scene, body);
    assert.equal(answer.status, 400, answer.text);
    isJson(answer);
    assertFailure(answer.body);
    // An empty body may as well count as one that lacks the participant.
    if (body !== '') assert.equal(answer.body.code, 'invalid_json');
  });
}

test('bytes that are not UTF-8 are read as U+FFFD, as Express does', async (scene) => {
  const answer = await create(scene, Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]));
  assert.deepEqual([answer.status, answer.body?.code], [400, 'participant_required'], answer.text);
});

test('a body without a content type, or of another type, is answered in JSON', async (scene) => {
  for (const type of [null, 'text/plain', 'application/x-www-form-urlencoded']) {
    const answer = await create(scene, JSON.stringify({ participantId: USERS.seller.id }), { 'content-type': type ?? undefined });
    assert.ok(answer.status < 500, answer.text);
    isJson(answer);
    assert.equal(typeof answer.body.success, 'boolean');
  }
});

test('a body of 5 MiB: 413 in JSON', async (scene) => {
  const answer = await create(scene, JSON.stringify({ participantId: 'x'.repeat(5 * 1024 * 1024) }));
  assert.equal(answer.status, 413);
  isJson(answer);
  assertFailure(answer.body, 'payload_too_large');
});

test('a refused client gets the reason, however much of its body is still to be sent', async (scene) => {
  const body = Buffer.alloc(20 << 20, 'x');
  for (let i = 0; i < 10; i++) {
    const statuses = [
      await scene.rest('customer', 'POST', '/api/chat/conversations', body),
      await scene.rest(null, 'POST', '/api/chat/upload', body),
    ].map((answer) => answer.status);
    assert.deepEqual(statuses, [413, 401]);
  }
});

test('a body of 1 MB is read, and refused because of its content', async (scene) => {
  const answer = await create(scene, { participantId: 'x'.repeat(1_000_000) });
  assert.equal(answer.status, 400);
  assertFailure(answer.body, 'invalid_participant');
});

test('a malformed Authorization header: 401 in JSON', async (scene) => {
  for (const authorization of ['Bearer', 'Bearer ', 'bearer', 'Bearer a b c', '\u00ff\u00fe', ',']) {
    const answer = await scene.rest(null, 'GET', '/api/chat/conversations', undefined, { headers: { authorization } });
    assert.equal(answer.status, 401, authorization);
    isJson(answer);
    assert.equal(answer.body.error, 'Unauthorized');
  }
});

test('an error reveals nothing of the server\'s internals', async (scene) => {
  const answers = await Promise.all([
    scene.rest('customer', 'GET', `/api/chat/conversations/${encodeURIComponent("' OR 1=1 --")}/messages`),
    scene.rest('customer', 'GET', '/api/chat/users/not-a-user/status'),
    create(scene, { participantId: "'; DROP TABLE users; --" }),
  ]);
  for (const answer of answers) {
    assert.ok(answer.status < 500, answer.text);
    assert.doesNotMatch(answer.text, /sql|postgres|serde|axum|panick|src\/|\.rs|line \d+ column/i);
  }
});
