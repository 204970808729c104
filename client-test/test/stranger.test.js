'use strict';

// A user who is not a member of a conversation learns nothing of it and changes nothing in it.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');

const { test } = suite();

const mentions = (id) => (event) => JSON.stringify(event.data ?? null).includes(id);

/** Customer and seller talk; the admin, who knows both from elsewhere, is connected and no part of it. */
async function talk(scene) {
  const conversationId = await scene.conversation('customer', 'seller');
  const elsewhere = await scene.conversation('customer', 'admin');
  const [customer, seller, admin] = await Promise.all(['customer', 'seller', 'admin'].map((who) => scene.connect(who)));
  for (const client of [customer, seller]) await client.ask('chat:join', { conversationId });
  return { conversationId, elsewhere, customer, seller, admin };
}

/** Everything that a conversation can tell: typing, messages over both ways, reading, leaving. */
async function everything(scene, { conversationId, customer, seller }) {
  customer.emit('chat:typing', { conversationId, isTyping: true });
  await seller.waitFor('chat:user_typing');
  await scene.say(customer, conversationId, 'private');
  await scene.data('customer', 'POST', `/api/chat/conversations/${conversationId}/messages`, { message: 'private too' });
  await seller.ask('chat:mark_read', { conversationId });
  await customer.ask('chat:leave', { conversationId });
  await customer.ask('chat:join', { conversationId });
}

test('a stranger who only listens gets nothing', async (scene) => {
  const all = await talk(scene);
  await everything(scene, all);
  await scene.barrier(all.customer, all.admin, all.elsewhere);
  assert.deepEqual(all.admin.events.filter(mentions(all.conversationId)), []);
});

test('a stranger who tries every event gets only refusals', async (scene) => {
  const all = await talk(scene);
  const { conversationId, admin } = all;
  const payload = { conversationId, message: 'let me in', isTyping: true, tempId: 't' };
  for (const event of ['chat:join', 'chat:send_message', 'chat:typing', 'chat:mark_read', 'chat:get_messages']) {
    const answer = await admin.ask(event, payload);
    assert.equal(answer.success, false, event);
    assert.equal(answer.code, 'not_authorized', event);
    assert.equal(answer.data, undefined, event);
  }
  const refused = admin.events.length;
  await everything(scene, all);
  await scene.barrier(all.customer, admin, all.elsewhere);
  assert.deepEqual(admin.events.slice(refused).filter(mentions(conversationId)), []);
});

test('a stranger who tries every event changes nothing, and nobody notices', async (scene) => {
  const { conversationId, customer, seller, admin, elsewhere } = await talk(scene);
  await scene.say(customer, conversationId, 'private');
  await seller.waitFor('chat:new_message');
  const seen = { customer: customer.events.length, seller: seller.events.length };
  for (const event of ['chat:join', 'chat:send_message', 'chat:typing', 'chat:mark_read', 'chat:leave']) {
    await admin.ask(event, { conversationId, message: 'hello', isTyping: true });
  }
  admin.close();
  const again = await scene.connect('admin');
  await scene.barrier(again, customer, elsewhere);
  await scene.barrier(customer, seller, conversationId);
  const byAdmin = (event) => mentions(conversationId)(event) && mentions(USERS.admin.id)(event);
  assert.deepEqual(customer.events.slice(seen.customer).filter(byAdmin), []);
  assert.deepEqual(seller.events.slice(seen.seller).filter(byAdmin), []);
  const messages = await scene.messages('customer', conversationId);
  assert.equal(messages.length, 2, 'the message and the barrier');
  for (const message of messages) assert.equal(message.read_by.includes(USERS.admin.id), false);
});

test('a stranger gets nothing over REST', async (scene) => {
  const { conversationId, customer } = await talk(scene);
  const unread = () => scene.data('admin', 'GET', '/api/chat/unread-count');
  const before = await unread();
  await scene.say(customer, conversationId, 'a private word');
  const calls = [
    ['GET', `/conversations/${conversationId}/messages`],
    ['GET', `/conversations/${conversationId.toUpperCase()}/messages?limit=1`],
    ['POST', `/conversations/${conversationId}/messages`, { message: 'x' }],
    ['POST', `/conversations/${conversationId}/read`],
  ];
  for (const [method, path, body] of calls) {
    const answer = await scene.rest('admin', method, `/api/chat${path}`, body);
    assert.equal(answer.status, 403, path);
    assert.doesNotMatch(answer.text, /private/);
  }
  const list = await scene.rest('admin', 'GET', `/api/chat/conversations?before=${conversationId}`);
  assert.doesNotMatch(list.text, new RegExp(conversationId));
  assert.doesNotMatch(list.text, /private/);
  assert.deepEqual(await unread(), before);
});

test('opening a conversation of two others opens one of the caller\'s own instead', async (scene) => {
  const { conversationId } = await talk(scene);
  const mine = await scene.data('admin', 'POST', '/api/chat/conversations', {
    participantId: USERS.customer.id,
    participant_ids: [USERS.customer.id, USERS.seller.id],
    userId: USERS.seller.id,
    id: conversationId,
  });
  assert.notEqual(mine.id, conversationId);
  assert.deepEqual([...mine.participant_ids].sort(), [USERS.customer.id, USERS.admin.id].sort());
});

test('a client cannot choose the sender of a message', async (scene) => {
  const { conversationId, customer } = await talk(scene);
  const message = await scene.say(customer, conversationId, 'hello', {
    sender_id: USERS.seller.id,
    senderId: USERS.seller.id,
    userId: USERS.seller.id,
    seq: 1000,
    id: '00000000-0000-4000-8000-00000000abcd',
    message_type: 'system',
  });
  assert.deepEqual([message.sender_id, message.seq, message.message_type], [USERS.customer.id, 1, 'text']);
  assert.notEqual(message.id, '00000000-0000-4000-8000-00000000abcd');
});
