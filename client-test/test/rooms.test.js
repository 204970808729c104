'use strict';

// chat:join and chat:leave.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { assertFailure } = require('../lib/shapes');
const { NOBODY } = require('../lib/users');

const { test } = suite();

async function two(scene) {
  const conversationId = await scene.conversation();
  const [customer, seller] = await Promise.all([scene.connect('customer'), scene.connect('seller')]);
  return { conversationId, customer, seller };
}

async function twoInside(scene) {
  const all = await two(scene);
  await all.customer.ask('chat:join', { conversationId: all.conversationId });
  await all.seller.ask('chat:join', { conversationId: all.conversationId });
  return all;
}

const about = (conversationId) => (data) => data.conversationId === conversationId;

test('join: chat:joined comes back', async (scene) => {
  const { conversationId, customer } = await two(scene);
  customer.emit('chat:join', { conversationId });
  assert.equal((await customer.waitFor('chat:joined')).conversationId, conversationId);
});

test('join with an acknowledgement: success, and chat:joined as well', async (scene) => {
  const { conversationId, customer } = await two(scene);
  const answer = await customer.ask('chat:join', { conversationId });
  assert.equal(answer.success, true);
  assert.equal(answer.data.conversationId, conversationId);
  await customer.waitFor('chat:joined', about(conversationId));
});

test('join: the sockets in the room get one chat:user_joined with the name; the new one gets none', async (scene) => {
  const { conversationId, customer, seller } = await two(scene);
  await customer.ask('chat:join', { conversationId });
  seller.emit('chat:join', { conversationId });
  const joined = await customer.waitFor('chat:user_joined');
  assert.equal(joined.userId, USERS.seller.id);
  assert.equal(joined.displayName, USERS.seller.displayName);
  assert.equal(joined.conversationId, conversationId);
  await scene.barrier(seller, customer, conversationId);
  assert.equal(customer.count('chat:user_joined'), 1);
  await scene.barrier(customer, seller, conversationId);
  assert.equal(seller.count('chat:user_joined'), 0);
});

test('join: a socket outside the room is told nothing', async (scene) => {
  const { conversationId, customer, seller } = await two(scene);
  seller.emit('chat:join', { conversationId });
  await scene.expectNothing(seller, customer, conversationId, 'chat:user_joined');
});

test('join: a second time is answered like the first', async (scene) => {
  const { conversationId, customer } = await two(scene);
  for (let i = 0; i < 2; i++) {
    customer.emit('chat:join', { conversationId });
    await customer.waitFor('chat:joined', about(conversationId));
  }
});

test('join: the unread messages become read, and the other member is told', async (scene) => {
  const { conversationId, customer, seller } = await two(scene);
  const message = await scene.say(seller, conversationId);
  customer.emit('chat:join', { conversationId });
  const read = await seller.waitFor('chat:messages_read', about(conversationId));
  assert.equal(read.userId, USERS.customer.id);
  assert.equal(read.last_read_seq, message.seq);
  const [stored] = await scene.messages('seller', conversationId);
  assert.ok(stored.read_by.includes(USERS.customer.id));
  assert.equal(stored.status, 'read');
});

test('join: if nothing was unread, nobody is told', async (scene) => {
  const { conversationId, customer, seller } = await two(scene);
  customer.emit('chat:join', { conversationId });
  await scene.expectNothing(customer, seller, conversationId, 'chat:messages_read', about(conversationId));
});

const REFUSALS = [
  ['an unknown conversation', { conversationId: NOBODY }, 'Conversation not found', 'conversation_not_found'],
  ['a malformed id', { conversationId: 'not-a-uuid' }, 'Conversation not found', 'conversation_not_found'],
  ['no id', {}, 'Conversation not found', 'conversation_not_found'],
];

for (const [name, payload, message, code] of REFUSALS) {
  test(`join: ${name}: ${message}`, async (scene) => {
    const client = await scene.connect('customer');
    client.emit('chat:join', payload);
    const error = await client.waitFor('chat:error');
    assert.equal(error.message, message);
    assert.equal(error.code, code);
    assertFailure(await client.ask('chat:join', payload), code, message);
    assert.equal(client.count('chat:joined'), 0);
  });
}

test("join: other users' conversation: Not authorized", async (scene) => {
  const conversationId = await scene.conversation();
  const admin = await scene.connect('admin');
  admin.emit('chat:join', { conversationId });
  const error = await admin.waitFor('chat:error');
  assert.equal(error.message, 'Not authorized');
  assert.equal(error.code, 'not_authorized');
  assertFailure(await admin.ask('chat:join', { conversationId }), 'not_authorized', 'Not authorized');
  assert.equal(admin.count('chat:joined'), 0);
});

test('an id in capitals is the same conversation, and comes back in lower case', async (scene) => {
  const { conversationId, customer } = await two(scene);
  customer.emit('chat:join', { conversationId: conversationId.toUpperCase() });
  assert.equal((await customer.waitFor('chat:joined')).conversationId, conversationId);
});

test('leave: the others in the room get one chat:user_left', async (scene) => {
  const { conversationId, customer, seller } = await twoInside(scene);
  customer.emit('chat:leave', { conversationId });
  const left = await seller.waitFor('chat:user_left');
  assert.equal(left.userId, USERS.customer.id);
  assert.equal(left.displayName, USERS.customer.displayName);
  assert.equal(left.conversationId, conversationId);
  // A message would put the customer back into the room, so another conversation carries the barrier.
  await scene.barrier(customer, seller, await scene.conversation());
  assert.equal(seller.count('chat:user_left'), 1);
});

test('leave: can be acknowledged', async (scene) => {
  const { conversationId, customer, seller } = await twoInside(scene);
  assert.equal((await customer.ask('chat:leave', { conversationId })).success, true);
  await seller.waitFor('chat:user_left', about(conversationId));
});

test('leave: a socket outside the room gets no typing of the others, but still their messages', async (scene) => {
  const { conversationId, customer, seller } = await twoInside(scene);
  await customer.ask('chat:leave', { conversationId });
  seller.emit('chat:typing', { conversationId, isTyping: true });
  await scene.expectNothing(seller, customer, conversationId, 'chat:user_typing');
});

test('leave: nobody is told when a socket outside the room leaves', async (scene) => {
  const { conversationId, customer, seller } = await two(scene);
  await seller.ask('chat:join', { conversationId });
  customer.emit('chat:leave', { conversationId });
  await scene.expectNothing(customer, seller, conversationId, 'chat:user_left');
  assert.equal(customer.count('chat:error'), 0);
});

test('leave: leaving twice is told once', async (scene) => {
  const { conversationId, customer, seller } = await twoInside(scene);
  customer.emit('chat:leave', { conversationId });
  customer.emit('chat:leave', { conversationId });
  await scene.barrier(customer, seller, conversationId);
  assert.equal(seller.count('chat:user_left'), 1);
});

test('leave: the socket may join again', async (scene) => {
  const { conversationId, customer, seller } = await twoInside(scene);
  await customer.ask('chat:leave', { conversationId });
  await customer.ask('chat:join', { conversationId });
  seller.emit('chat:typing', { conversationId, isTyping: true });
  await customer.waitFor('chat:user_typing', about(conversationId));
});

test('disconnect: the rooms it was in get chat:user_left', async (scene) => {
  const { conversationId, customer, seller } = await twoInside(scene);
  customer.close();
  const left = await seller.waitFor('chat:user_left', about(conversationId));
  assert.equal(left.userId, USERS.customer.id);
  assert.equal(left.displayName, USERS.customer.displayName);
});

test('sending a message puts the socket into the room without telling anyone', async (scene) => {
  const { conversationId, customer, seller } = await two(scene);
  await seller.ask('chat:join', { conversationId });
  await scene.say(customer, conversationId);
  seller.emit('chat:typing', { conversationId, isTyping: true });
  await customer.waitFor('chat:user_typing', about(conversationId));
  await scene.expectNothing(customer, seller, conversationId, 'chat:user_joined');
  assert.equal(customer.count('chat:joined'), 0);
});

test('chat:mark_read puts the socket into the room without telling anyone', async (scene) => {
  const { conversationId, customer, seller } = await two(scene);
  await seller.ask('chat:join', { conversationId });
  await customer.ask('chat:mark_read', { conversationId });
  seller.emit('chat:typing', { conversationId, isTyping: true });
  await customer.waitFor('chat:user_typing', about(conversationId));
  await scene.expectNothing(customer, seller, conversationId, 'chat:user_joined');
  assert.equal(customer.count('chat:joined'), 0);
});
