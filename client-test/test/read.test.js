'use strict';

// chat:mark_read, and the counts of unread messages.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { assertFailure, time } = require('../lib/shapes');
const { NOBODY } = require('../lib/users');

const { test } = suite();

const about = (conversationId) => (data) => data.conversationId === conversationId;

/** The seller has sent three messages; the customer, connected, has read none. */
async function threeUnread(scene) {
  const conversationId = await scene.conversation();
  const [customer, seller] = await Promise.all([scene.connect('customer'), scene.connect('seller')]);
  for (let i = 1; i <= 3; i++) await scene.say(seller, conversationId, `no ${i}`);
  return { conversationId, customer, seller };
}

const unread = async (scene, who) => (await scene.data(who, 'GET', '/api/chat/unread-count')).count;
const listed = async (scene, who, conversationId) =>
  (await scene.data(who, 'GET', '/api/chat/conversations')).find((c) => c.id === conversationId);

test('the other member is told, once for all messages', async (scene) => {
  const { conversationId, customer, seller } = await threeUnread(scene);
  customer.emit('chat:mark_read', { conversationId });
  const read = await seller.waitFor('chat:messages_read', about(conversationId));
  assert.equal(read.userId, USERS.customer.id);
  assert.equal(read.conversationId, conversationId);
  assert.equal(read.last_read_seq, 3);
  assert.ok(time(read.read_at), read.read_at);
  await scene.barrier(customer, seller, conversationId);
  assert.equal(seller.count('chat:messages_read'), 1);
});

test('every socket of the other member is told once, in the room or not', async (scene) => {
  const { conversationId, customer, seller } = await threeUnread(scene);
  const tab = await scene.connect('seller');
  await tab.ask('chat:join', { conversationId });
  customer.emit('chat:mark_read', { conversationId });
  for (const client of [seller, tab]) {
    await client.waitFor('chat:messages_read', about(conversationId));
    await scene.barrier(customer, client, conversationId);
    assert.equal(client.count('chat:messages_read', about(conversationId)), 1);
  }
});

test("the caller's other sockets are told once; the calling socket is not told", async (scene) => {
  const { conversationId, customer, seller } = await threeUnread(scene);
  const tab = await scene.connect('customer');
  customer.emit('chat:mark_read', { conversationId });
  assert.equal((await tab.waitFor('chat:messages_read')).userId, USERS.customer.id);
  for (const client of [customer, tab]) await scene.barrier(seller, client, conversationId);
  assert.equal(tab.count('chat:messages_read'), 1);
  assert.equal(customer.count('chat:messages_read'), 0);
});

test('mark_read can be acknowledged', async (scene) => {
  const { conversationId, customer, seller } = await threeUnread(scene);
  assert.equal((await customer.ask('chat:mark_read', { conversationId })).success, true);
  await seller.waitFor('chat:messages_read', about(conversationId));
});

test('if nothing changed, nobody is told', async (scene) => {
  const { conversationId, customer, seller } = await threeUnread(scene);
  await customer.ask('chat:mark_read', { conversationId });
  await seller.waitFor('chat:messages_read');
  const answer = await customer.ask('chat:mark_read', { conversationId });
  assert.equal(answer.success, true);
  await scene.barrier(customer, seller, conversationId);
  assert.equal(seller.count('chat:messages_read'), 1);
});

test('if there are only own messages, nothing becomes read and nobody is told', async (scene) => {
  const { conversationId, customer, seller } = await threeUnread(scene);
  await seller.ask('chat:mark_read', { conversationId });
  await scene.expectNothing(seller, customer, conversationId, 'chat:messages_read');
});

test('the messages show that they were read: read_by, status, read_at', async (scene) => {
  const { conversationId, customer, seller } = await threeUnread(scene);
  await customer.ask('chat:mark_read', { conversationId });
  await scene.say(seller, conversationId, 'one more');
  const messages = await scene.messages('seller', conversationId);
  for (const message of messages.slice(0, 3)) {
    assert.deepEqual([...message.read_by].sort(), [USERS.customer.id, USERS.seller.id]);
    assert.equal(message.status, 'read');
    assert.ok(time(message.read_at));
  }
  assert.deepEqual(messages[3].read_by, [USERS.seller.id]);
  assert.notEqual(messages[3].status, 'read');
});

for (const [name, payload, message, code] of [
  ['an unknown conversation', { conversationId: NOBODY }, 'Conversation not found', 'conversation_not_found'],
  ['a malformed id', { conversationId: 'x' }, 'Conversation not found', 'conversation_not_found'],
  ['no id', {}, 'Conversation not found', 'conversation_not_found'],
]) {
  test(`${name}: chat:error`, async (scene) => {
    const client = await scene.connect('customer');
    client.emit('chat:mark_read', payload);
    const error = await client.waitFor('chat:error');
    assert.deepEqual([error.message, error.code], [message, code]);
    assertFailure(await client.ask('chat:mark_read', payload), code, message);
  });
}

test("other users' conversation: chat:error, and nothing becomes read", async (scene) => {
  const { conversationId, seller } = await threeUnread(scene);
  const admin = await scene.connect('admin');
  admin.emit('chat:mark_read', { conversationId });
  const error = await admin.waitFor('chat:error');
  assert.deepEqual([error.message, error.code], ['Not authorized', 'not_authorized']);
  assertFailure(await admin.ask('chat:mark_read', { conversationId }), 'not_authorized', 'Not authorized');
  await scene.expectNothing(admin, seller, await scene.conversation('seller', 'admin'), 'chat:messages_read');
  assert.equal((await listed(scene, 'customer', conversationId)).unread_count, 3);
});

test('unread counts: of a conversation and of all together', async (scene) => {
  // The others' leftovers of earlier tests are taken off.
  const before = { customer: await unread(scene, 'customer'), seller: await unread(scene, 'seller') };
  const { conversationId, customer, seller } = await threeUnread(scene);
  const second = await scene.conversation();
  await scene.say(seller, second);
  await scene.say(customer, second);
  assert.equal((await listed(scene, 'customer', conversationId)).unread_count, 3);
  // Sending does not read what the other wrote.
  assert.equal((await listed(scene, 'customer', second)).unread_count, 1);
  assert.equal((await listed(scene, 'seller', second)).unread_count, 1);
  assert.equal((await unread(scene, 'customer')) - before.customer, 4);
  assert.equal((await unread(scene, 'seller')) - before.seller, 1);

  await customer.ask('chat:mark_read', { conversationId });
  assert.equal((await listed(scene, 'customer', conversationId)).unread_count, 0);
  assert.equal((await unread(scene, 'customer')) - before.customer, 1);
  assert.equal((await unread(scene, 'seller')) - before.seller, 1, 'of no concern to the seller');
});

test('a message that arrives after reading is unread again', async (scene) => {
  const { conversationId, customer, seller } = await threeUnread(scene);
  await customer.ask('chat:mark_read', { conversationId });
  await scene.say(seller, conversationId);
  assert.equal((await listed(scene, 'customer', conversationId)).unread_count, 1);
});

test('both read each other: each is told of the other', async (scene) => {
  const { conversationId, customer, seller } = await threeUnread(scene);
  await scene.say(customer, conversationId);
  await Promise.all([customer, seller].map((client) => client.ask('chat:mark_read', { conversationId })));
  assert.equal((await seller.waitFor('chat:messages_read')).userId, USERS.customer.id);
  assert.equal((await customer.waitFor('chat:messages_read')).userId, USERS.seller.id);
});

test('POST /conversations/:id/read says in its data that it succeeded, and how many became read', async (scene) => {
  const { conversationId } = await threeUnread(scene);
  const read = () => scene.rest('customer', 'POST', `/api/chat/conversations/${conversationId}/read`);
  assert.deepEqual((await read()).body.data, { success: true, count: 3 });
  assert.deepEqual((await read()).body.data, { success: true, count: 0 });
});
