'use strict';

// Small behaviours of Express 4 and of Node's Engine.IO that clients rely on.

const assert = require('node:assert/strict');
const zlib = require('node:zlib');
const { suite, USERS } = require('../lib/suite');
const { tokenFor } = require('../lib/jwt');

const { test } = suite({ env: { MAX_BODY_BYTES: '100000', RUST_LOG: 'trace' } });

test('paths: upper case and a slash at the end do not matter', async (scene) => {
  const conversationId = await scene.conversation();
  const paths = [
    '/API/Chat/Conversations', '/api/chat/conversations/', `/api/chat/CONVERSATIONS/${conversationId.toUpperCase()}/Messages/?limit=1`,
    '/api/chat/Unread-Count/', '/api/chat/Users/Available', '/API/CHAT/TEST', '/api/v1/health/', '/API/V1/Health',
  ];
  for (const path of paths) assert.equal((await scene.rest('customer', 'GET', path)).status, 200, path);
  assert.equal((await scene.rest('customer', 'GET', '/api/chat/conversations//')).status, 404, 'one slash, not two');
});

test('paths: a reaction keeps its case', async (scene) => {
  const conversationId = await scene.conversation();
  const { id } = await scene.data('customer', 'POST', `/api/chat/conversations/${conversationId}/messages`, { message: 'x' });
  await scene.data('customer', 'POST', `/api/chat/messages/${id}/reactions`, { reaction: '👍' });
  assert.equal((await scene.rest('customer', 'DELETE', `/API/chat/messages/${id}/Reactions/${encodeURIComponent('👍')}/`)).status, 200);
  assert.deepEqual(await scene.data('customer', 'GET', `/api/chat/messages/${id}/reactions`), []);
});

test('a byte order mark before the JSON is ignored', async (scene) => {
  const conversationId = await scene.conversation();
  const sent = await scene.data('customer', 'POST', `/api/chat/conversations/${conversationId}/messages`, '\ufeff{"message":"with a mark"}');
  assert.equal(sent.message_text, 'with a mark');
});

const packed = (scene, conversationId, how, body) =>
  scene.rest('customer', 'POST', `/api/chat/conversations/${conversationId}/messages`, body, { headers: { 'content-encoding': how, 'content-type': 'application/json' } });

for (const [how, pack] of [['gzip', zlib.gzipSync], ['deflate', zlib.deflateSync]]) {
  test(`a body may be compressed with ${how}`, async (scene) => {
    const conversationId = await scene.conversation();
    const answer = await packed(scene, conversationId, how, pack(JSON.stringify({ message: `packed with ${how}` })));
    assert.equal(answer.body?.data?.message_text, `packed with ${how}`, `${answer.status} ${answer.text}`);
  });
}

test('a compressed body has the same size limit as any other, after decompression', async (scene) => {
  const conversationId = await scene.conversation();
  const bomb = zlib.gzipSync(JSON.stringify({ message: ' '.repeat(50_000_000) }));
  assert.ok(bomb.length < 100_000);
  const answer = await packed(scene, conversationId, 'gzip', bomb);
  assert.deepEqual([answer.status, answer.body?.code], [413, 'payload_too_large']);
});

test('a body with broken or unknown compression is refused', async (scene) => {
  const conversationId = await scene.conversation();
  const broken = await packed(scene, conversationId, 'gzip', Buffer.from('{"message":"not packed"}'));
  assert.equal(broken.status, 400, broken.text);
  const unknown = await packed(scene, conversationId, 'rot13', Buffer.from('{"message":"x"}'));
  assert.deepEqual([unknown.status, unknown.body?.code], [415, 'unsupported_media_type']);
});

for (const transport of ['polling', 'websocket']) {
  test(`the token may come in the handshake's query, and is not logged (${transport})`, async (scene) => {
    const token = tokenFor(USERS.customer);
    const client = await scene.connect('customer', { auth: {}, query: { token }, transports: [transport] });
    assert.equal((await client.ask('chat:get_conversations')).success, true);
    assert.ok(!scene.server.log.includes(token.split('.')[2]), 'the log has it');
  });
}

test('a bad token in the query is refused as in auth, and auth takes precedence', async (scene) => {
  const bad = scene.open(null, { query: { token: 'nonsense' }, reconnection: false });
  assert.equal((await bad.refused()).message, 'Invalid or expired token');
  const none = scene.open(null, { query: { token: '' }, reconnection: false });
  assert.equal((await none.refused()).message, 'No token provided');
  await scene.connect('customer', { query: { token: 'nonsense' } });
});
