'use strict';

// A change over REST causes the same events as the same change by socket.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { assertMessageEvent } = require('../lib/shapes');

const { test } = suite();

const TEXT = 'over REST';
const theMessage = (m) => m.message_text === TEXT;
const post = (scene, conversationId, extra = {}) =>
  scene.data('customer', 'POST', `/api/chat/conversations/${conversationId}/messages`, { message: TEXT, ...extra });

for (const tempId of [undefined, 'temp_1']) {
  const how = tempId ? 'with' : 'without';

  test(`a message sent ${how} a tempId: every socket that it concerns gets it once`, async (scene) => {
    const conversationId = await scene.conversation();
    const [inRoom, outside] = [await scene.connect('seller'), await scene.connect('seller')];
    const [ownInRoom, ownOutside] = [await scene.connect('customer'), await scene.connect('customer')];
    for (const client of [inRoom, ownInRoom]) await client.ask('chat:join', { conversationId });
    const message = await post(scene, conversationId, { tempId });

    for (const client of [inRoom, outside, ownInRoom]) {
      const event = await client.waitFor('chat:new_message', theMessage);
      assertMessageEvent(event, USERS.customer);
      assert.equal(event.id, message.id);
    }
    for (const client of [ownInRoom, ownOutside]) await scene.barrier(inRoom, client, conversationId);
    for (const client of [inRoom, outside]) await scene.barrier(ownInRoom, client, conversationId);
    const counts = [inRoom, outside, ownInRoom, ownOutside].map((c) => c.count('chat:new_message', theMessage));
    assert.deepEqual(counts, [1, 1, 1, 0], 'a tab of the sender outside the room would count it as unread');
    assert.equal(ownInRoom.count('chat:message_sent', theMessage), 0, 'no socket sent it');
  });
}

test('a message: the sender and the member online are told that it was delivered', async (scene) => {
  const conversationId = await scene.conversation();
  const [customer, seller] = [await scene.connect('customer'), await scene.connect('seller')];
  const message = await post(scene, conversationId);
  for (const client of [customer, seller]) {
    const delivered = await client.waitFor('chat:message_delivered');
    assert.deepEqual([delivered.message_id, delivered.conversation_id], [message.id, conversationId]);
  }
});

test('a message ends the typing of its sender', async (scene) => {
  const conversationId = await scene.conversation();
  const [customer, seller] = [await scene.connect('customer'), await scene.connect('seller')];
  await seller.ask('chat:join', { conversationId });
  customer.emit('chat:typing', { conversationId, isTyping: true });
  await seller.waitFor('chat:user_typing', (t) => t.isTyping);
  await post(scene, conversationId);
  await seller.waitFor('chat:user_typing', (t) => !t.isTyping);
});

test('a refused message reaches nobody', async (scene) => {
  const conversationId = await scene.conversation();
  const [customer, seller] = [await scene.connect('customer'), await scene.connect('seller')];
  await seller.ask('chat:join', { conversationId });
  const answer = await scene.rest('admin', 'POST', `/api/chat/conversations/${conversationId}/messages`, { message: TEXT });
  assert.equal(answer.status, 403);
  await scene.expectNothing(customer, seller, conversationId, 'chat:new_message', theMessage);
});

test('marking read: the other member and the caller\'s sockets are told once', async (scene) => {
  const conversationId = await scene.conversation();
  const [customer, seller] = [await scene.connect('customer'), await scene.connect('seller')];
  await post(scene, conversationId);
  const read = () => scene.rest('seller', 'POST', `/api/chat/conversations/${conversationId}/read`);
  assert.equal((await read()).body.count, 1);
  for (const client of [customer, seller]) {
    const event = await client.waitFor('chat:messages_read');
    assert.deepEqual([event.userId, event.conversationId, event.last_read_seq], [USERS.seller.id, conversationId, 1]);
  }
  assert.equal((await read()).body.count, 0);
  await scene.barrier(seller, customer, conversationId);
  await scene.barrier(customer, seller, conversationId);
  assert.equal(customer.count('chat:messages_read'), 1);
  assert.equal(seller.count('chat:messages_read'), 1);
});
