'use strict';

// Every call about one message, uploads and finding users: without a token, by a stranger, for unknown ids, and with garbage.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { assertReactions, failure } = require('../lib/message-actions');
const { NOBODY } = require('../lib/users');

const { test } = suite();

const ON_MESSAGE = [
  ['PUT', '', { message: 'changed' }],
  ['DELETE', '', { deletionType: 'for_everyone' }],
  ['DELETE', '', { deletionType: 'for_me' }],
  ['POST', '/reactions', { reaction: '👍' }],
  ['DELETE', `/reactions/${encodeURIComponent('🎉')}`, undefined],
  ['GET', '/reactions', undefined],
  ['GET', '/history', undefined],
  ['GET', '/details', undefined],
];

const REPLY = ['POST', (id) => `/api/chat/conversations/${id}/messages/reply`];

async function written(scene) {
  const conversationId = await scene.conversation();
  const message = await scene.data('customer', 'POST', `/api/chat/conversations/${conversationId}/messages`, { message: 'private words' });
  await scene.data('seller', 'POST', `/api/chat/messages/${message.id}/reactions`, { reaction: '🎉' });
  return message;
}

for (const [method, what, body] of ON_MESSAGE) {
  const call = `${method} /messages/:id${decodeURIComponent(what)}${body?.deletionType ? ` ${body.deletionType}` : ''}`;

  test(`${call}: not a member: 403 Not authorized to access this conversation`, async (scene) => {
    const message = await written(scene);
    for (const who of ['admin', 'manager']) {
      const answer = await scene.rest(who, method, `/api/chat/messages/${message.id}${what}`, body);
      failure(answer, 403, 'not_authorized', 'Not authorized to access this conversation');
      assert.doesNotMatch(answer.text, /private words/);
    }
    const [stored] = await scene.messages('seller', message.conversation_id);
    assert.deepEqual([stored.message_text, stored.is_edited, stored.is_deleted], ['private words', false, false]);
    assertReactions(stored.reactions, [{ reaction: '🎉', count: 1, user_ids: [USERS.seller.id] }]);
  });

  for (const id of [NOBODY, 'nope', '42', '%00', "'%20OR%201=1", 'x'.repeat(3000)]) {
    test(`${call}: ${id.slice(0, 40)}: 404 Message not found`, async (scene) => {
      failure(await scene.rest('customer', method, `/api/chat/messages/${id}${what}`, body), 404, 'message_not_found', 'Message not found');
    });
  }

  test(`${call}: an id in capitals means the same message`, async (scene) => {
    const message = await written(scene);
    const answer = await scene.rest('customer', method, `/api/chat/messages/${message.id.toUpperCase()}${what}`, body);
    assert.ok(answer.status < 300, answer.text);
  });
}

test('POST reply: not a member: 403', async (scene) => {
  const message = await written(scene);
  const answer = await scene.rest('admin', 'POST', REPLY[1](message.conversation_id), { message: 'x', replyToMessageId: message.id });
  assert.equal(answer.status, 403, answer.text);
  assert.equal(answer.body.code, 'not_authorized');
  assert.doesNotMatch(answer.text, /private words/);
  assert.equal((await scene.messages('seller', message.conversation_id)).length, 1);
});

test('POST reply: unknown and malformed conversation: 404 Conversation not found', async (scene) => {
  const message = await written(scene);
  for (const id of [NOBODY, 'nope']) {
    const answer = await scene.rest('customer', 'POST', REPLY[1](id), { message: 'x', replyToMessageId: message.id });
    failure(answer, 404, 'conversation_not_found', 'Conversation not found');
  }
});

const CALLS = [
  ...ON_MESSAGE.map(([method, what]) => [method, `/api/chat/messages/${NOBODY}${what}`]),
  ['POST', REPLY[1](NOBODY)],
  ['GET', '/api/chat/users/search'],
  ['GET', '/api/chat/users/available'],
  ['GET', '/api/chat/support-user'],
  ['POST', '/api/chat/upload'],
];

for (const [method, path] of CALLS) {
  test(`${method} ${decodeURIComponent(path)} without a token: 401`, async (scene) => {
    const answer = await scene.rest(null, method, path, method === 'GET' ? undefined : {});
    assert.equal(answer.status, 401);
    assert.deepEqual([answer.body.error, answer.body.message], ['Unauthorized', 'No token provided']);
  });
}

const BODIES = ['', '{', 'null', '[]', '42', '"x"', '{"message":{"a":1},"reaction":[],"deletionType":{},"replyToMessageId":[],"attachments":5}', `${'['.repeat(50_000)}`, '{"message":"\\u0000","reaction":"\\u0000"}', Buffer.from([0xff, 0xfe, 0x00])];

for (const [method, path] of [
  ['PUT', (m) => `/api/chat/messages/${m.id}`],
  ['POST', (m) => `/api/chat/messages/${m.id}/reactions`],
  ['POST', (m) => REPLY[1](m.conversation_id)],
]) {
  test(`${method} ${path({ id: ':id', conversation_id: ':id' })} with meaningless bodies: 400 in JSON`, async (scene) => {
    const message = await written(scene);
    for (const body of BODIES) {
      const answer = await scene.rest('customer', method, path(message), body);
      assert.equal(answer.status, 400, `${String(body).slice(0, 60)} → ${answer.status} ${answer.text.slice(0, 200)}`);
      assert.deepEqual([answer.body?.success, typeof answer.body?.message, typeof answer.body?.code], [false, 'string', 'string']);
    }
    assert.equal((await scene.messages('customer', message.conversation_id))[0].message_text, 'private words');
  });
}

test('DELETE with meaningless bodies never deletes for everyone and never gets a 5xx', async (scene) => {
  for (const body of BODIES) {
    const message = await written(scene);
    const answer = await scene.rest('customer', 'DELETE', `/api/chat/messages/${message.id}`, body);
    assert.ok(answer.status < 500, answer.text);
    assert.equal(typeof answer.body?.success, 'boolean');
    assert.equal((await scene.messages('seller', message.conversation_id))[0].message_text, 'private words');
  }
});

test('DELETE reactions with meaningless reactions in the path: no 5xx, always JSON', async (scene) => {
  const message = await written(scene);
  for (const part of ['%00', '%ff', '..%2f..', 'x'.repeat(5000), '%20', 'ok', '%F0%9F%91']) {
    const answer = await scene.rest('seller', 'DELETE', `/api/chat/messages/${message.id}/reactions/${part}`);
    assert.ok(answer.status < 500, `${part}: ${answer.status} ${answer.text}`);
    assert.equal(typeof answer.body, 'object', `${part}: ${answer.text}`);
  }
  assert.equal((await scene.messages('seller', message.conversation_id))[0].reactions.length, 1);
});

test('an error reveals nothing of the server\'s internals', async (scene) => {
  const message = await written(scene);
  for (const [method, what, body] of ON_MESSAGE) {
    const answer = await scene.rest('customer', method, `/api/chat/messages/${encodeURIComponent("' OR 1=1 --")}${what}`, body);
    assert.doesNotMatch(answer.text, /sql|postgres|serde|axum|panick|src\/|\.rs/i);
  }
  const answer = await scene.rest('customer', 'POST', `/api/chat/messages/${message.id}/reactions`, { reaction: "'; DROP TABLE message_reactions" });
  assert.doesNotMatch(answer.text, /sql|postgres|DROP/i);
});
