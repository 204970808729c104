'use strict';

// chat:get_messages and GET /conversations/:id/messages: pages begin at the newest message and are in ascending order inside.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { assertMessage, assertFailure, assertFields } = require('../lib/shapes');
const { NOBODY } = require('../lib/users');

const { test } = suite();

/** A conversation with n messages by the customer, numbered 1 … n in their text too. */
async function filled(scene, n) {
  const conversationId = await scene.conversation();
  const client = await scene.connect('customer');
  const texts = Array.from({ length: n }, (_, i) => `no ${i + 1}`);
  await Promise.all(texts.map((text) => scene.say(client, conversationId, text, { tempId: text })));
  return { conversationId, client };
}

const numbers = (messages) => messages.map((m) => m.seq);
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

test('chat:messages has the conversation id and whole messages', async (scene) => {
  const { conversationId, client } = await filled(scene, 3);
  client.emit('chat:get_messages', { conversationId });
  const answer = await client.waitFor('chat:messages');
  assert.equal(answer.conversationId, conversationId);
  assert.deepEqual(answer.messages.map((m) => m.message_text), ['no 1', 'no 2', 'no 3']);
  for (const message of answer.messages) {
    assertMessage(message);
    assert.equal(message.conversation_id, conversationId);
    assert.equal(message.sender_id, USERS.customer.id);
  }
});

test('with an acknowledgement: it has the same', async (scene) => {
  const { conversationId, client } = await filled(scene, 3);
  const answer = await client.ask('chat:get_messages', { conversationId });
  assert.equal(answer.success, true);
  assert.deepEqual(answer.data, await client.waitFor('chat:messages'));
});

test('an empty conversation has an empty page', async (scene) => {
  const { conversationId, client } = await filled(scene, 0);
  client.emit('chat:get_messages', { conversationId });
  assertFields(await client.waitFor('chat:messages'), { conversationId, messages: [] });
});

// Each page twice: as a socket and as a browser asks for it.
const PAGES = [
  ['50 by default, the newest', 60, {}, range(11, 60)],
  ['limit counts from the newest', 30, { limit: 5 }, range(26, 30)],
  ['offset skips from the newest', 30, { limit: 5, offset: 10 }, range(16, 20)],
  ['an offset into the oldest gives what is left', 30, { limit: 10, offset: 25 }, range(1, 5)],
  ['an offset beyond the oldest gives nothing', 30, { limit: 10, offset: 30 }, []],
  ['before a number: the newest older ones', 30, { before: 21, limit: 5 }, range(16, 20)],
  ['before the first: nothing', 30, { before: 1 }, []],
  ['after a number: all that came since', 30, { after: 25 }, range(26, 30)],
  ['after the last: nothing', 30, { after: 30 }, []],
  ['after and before: what is between', 30, { after: 10, before: 14 }, range(11, 13)],
  ['200 at most', 210, { limit: 1000 }, range(11, 210)],
];

for (const [name, total, query, expected] of PAGES) {
  test(`page: ${name}`, async (scene) => {
    const { conversationId, client } = await filled(scene, total);
    client.emit('chat:get_messages', { conversationId, ...query });
    assert.deepEqual(numbers((await client.waitFor('chat:messages')).messages), expected, 'socket');
    assert.deepEqual(numbers(await scene.messages('seller', conversationId, `?${new URLSearchParams(query)}`)), expected, 'REST');
  });
}

test('paging back with before reaches every message once', async (scene) => {
  const { conversationId, client } = await filled(scene, 47);
  const seen = [];
  for (let before; ; ) {
    const { messages } = (await client.ask('chat:get_messages', { conversationId, limit: 10, before })).data;
    if (messages.length === 0) break;
    seen.unshift(...numbers(messages));
    before = messages[0].seq;
  }
  assert.deepEqual(seen, range(1, 47));
});

for (const query of [{ limit: 0 }, { limit: -1 }, { limit: 'ten' }, { offset: -5 }, { limit: 1.5 }, { before: 'x' }, { limit: 1e308 }, { offset: 1e18 }, { after: {} }]) {
  test(`odd page parameters do no harm: ${JSON.stringify(query)}`, async (scene) => {
    const { conversationId, client } = await filled(scene, 2);
    const answer = await client.ask('chat:get_messages', { conversationId, ...query });
    assert.equal(typeof answer.success, 'boolean');
    assert.notEqual(answer.code, 'internal', JSON.stringify(answer));
    const rest = await scene.rest('customer', 'GET', `/api/chat/conversations/${conversationId}/messages?${new URLSearchParams(query)}`);
    assert.ok(rest.status < 500, rest.text);
    assert.equal(typeof rest.body.success, 'boolean');
  });
}

for (const [name, payload, message, code] of [
  ['an unknown conversation', { conversationId: NOBODY }, 'Conversation not found', 'conversation_not_found'],
  ['a malformed id', { conversationId: '42' }, 'Conversation not found', 'conversation_not_found'],
  ['no id', {}, 'Conversation not found', 'conversation_not_found'],
]) {
  test(`${name}: chat:error ${message}`, async (scene) => {
    const client = await scene.connect('customer');
    client.emit('chat:get_messages', payload);
    const error = await client.waitFor('chat:error');
    assert.deepEqual([error.message, error.code], [message, code]);
    assertFailure(await client.ask('chat:get_messages', payload), code, message);
    assert.equal(client.count('chat:messages'), 0);
  });
}

test("other users' conversation: chat:error Not authorized", async (scene) => {
  const { conversationId } = await filled(scene, 2);
  const admin = await scene.connect('admin');
  admin.emit('chat:get_messages', { conversationId });
  const error = await admin.waitFor('chat:error');
  assert.deepEqual([error.message, error.code], ['Not authorized', 'not_authorized']);
  assertFailure(await admin.ask('chat:get_messages', { conversationId }), 'not_authorized', 'Not authorized');
  assert.equal(admin.count('chat:messages'), 0);
});

test('fetching messages does not mark them read', async (scene) => {
  const { conversationId } = await filled(scene, 2);
  const seller = await scene.connect('seller');
  await seller.ask('chat:get_messages', { conversationId });
  const conversation = (await scene.data('seller', 'GET', '/api/chat/conversations')).find((c) => c.id === conversationId);
  assert.equal(conversation.unread_count, 2);
});
