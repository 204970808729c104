'use strict';

// A client that does not know whether its message arrived sends it again: the message must be stored once.

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { suite } = require('../lib/suite');

const { test } = suite();

async function ready(scene) {
  const conversationId = await scene.conversation();
  return { conversationId, sender: await scene.connect('customer'), seller: await scene.connect('seller') };
}

test('sending the same clientMessageId again returns the stored message', async (scene) => {
  const { conversationId, sender } = await ready(scene);
  const clientMessageId = randomUUID();
  const first = await scene.say(sender, conversationId, 'once', { clientMessageId });
  assert.equal(first.client_message_id, clientMessageId);
  const second = await scene.say(sender, conversationId, 'once', { clientMessageId });
  assert.deepEqual([second.id, second.seq, second.message_text], [first.id, 1, 'once']);
  assert.equal((await scene.messages('customer', conversationId)).length, 1);
});

test('the retry is answered with chat:message_sent, and nobody is told twice', async (scene) => {
  const { conversationId, sender, seller } = await ready(scene);
  const payload = { conversationId, message: 'once', clientMessageId: randomUUID(), tempId: 'temp_1' };
  sender.emit('chat:send_message', payload);
  sender.emit('chat:send_message', payload);
  const sent = await sender.waitForMany('chat:message_sent', 2);
  assert.equal(sent[0].id, sent[1].id);
  assert.equal(sent[1].tempId, 'temp_1');
  await scene.barrier(sender, seller, conversationId);
  // Delivery marks come after the messages they are about; this one closes the row.
  const [last] = seller.all('chat:new_message').slice(-1);
  await seller.waitFor('chat:message_delivered', (d) => d.message_id === last.id);
  assert.equal(seller.count('chat:new_message', (m) => m.message_text === 'once'), 1);
  assert.equal(seller.count('chat:message_delivered', (d) => d.message_id === sent[0].id), 1);
});

test('the retry may come from another socket, as after a reconnect', async (scene) => {
  const { conversationId, sender, seller } = await ready(scene);
  const clientMessageId = randomUUID();
  const first = await scene.say(sender, conversationId, 'once', { clientMessageId });
  sender.close();
  const again = await scene.connect('customer');
  assert.equal((await scene.say(again, conversationId, 'once', { clientMessageId })).id, first.id);
  await scene.barrier(again, seller, conversationId);
  assert.equal(seller.count('chat:new_message', (m) => m.message_text === 'once'), 1);
});

test('the retry may come over REST', async (scene) => {
  const { conversationId, sender } = await ready(scene);
  const clientMessageId = randomUUID();
  const first = await scene.say(sender, conversationId, 'once', { clientMessageId });
  const again = await scene.data('customer', 'POST', `/api/chat/conversations/${conversationId}/messages`, {
    message: 'once',
    clientMessageId,
  });
  assert.equal(again.id, first.id);
});

test('twenty simultaneous sends with one clientMessageId make one message', async (scene) => {
  const { conversationId, sender } = await ready(scene);
  const tab = await scene.connect('customer');
  const clientMessageId = randomUUID();
  const all = Array.from({ length: 20 }, (_, i) => scene.say(i % 2 ? sender : tab, conversationId, 'once', { clientMessageId }));
  const ids = new Set((await Promise.all(all)).map((m) => m.id));
  assert.equal(ids.size, 1);
  assert.equal((await scene.messages('customer', conversationId)).length, 1);
  assert.equal((await scene.say(sender, conversationId)).seq, 2, 'no number was lost to the repetitions');
});

test('the same clientMessageId of another user is another message', async (scene) => {
  const { conversationId, sender, seller } = await ready(scene);
  const clientMessageId = randomUUID();
  const mine = await scene.say(sender, conversationId, 'mine', { clientMessageId });
  const theirs = await scene.say(seller, conversationId, 'theirs', { clientMessageId });
  assert.notEqual(mine.id, theirs.id);
  assert.equal(theirs.message_text, 'theirs');
});

test('the same clientMessageId in another conversation is another message', async (scene) => {
  const { conversationId, sender } = await ready(scene);
  const clientMessageId = randomUUID();
  const other = await scene.conversation();
  const one = await scene.say(sender, conversationId, 'x', { clientMessageId });
  const two = await scene.say(sender, other, 'x', { clientMessageId });
  assert.notEqual(one.id, two.id);
  assert.equal(two.conversation_id, other);
});

test('the same tempId and text again is the same message, and nobody is told twice', async (scene) => {
  const { conversationId, sender, seller } = await ready(scene);
  const first = await scene.say(sender, conversationId, 'once', { tempId: 'temp_7' });
  const second = await scene.say(sender, conversationId, 'once', { tempId: 'temp_7' });
  assert.equal(second.id, first.id);
  await scene.barrier(sender, seller, conversationId);
  assert.equal(seller.count('chat:new_message', (m) => m.message_text === 'once'), 1);
});

test('the same tempId with another text is another message', async (scene) => {
  const { conversationId, sender } = await ready(scene);
  const first = await scene.say(sender, conversationId, 'one', { tempId: 'temp_7' });
  const second = await scene.say(sender, conversationId, 'two', { tempId: 'temp_7' });
  assert.notEqual(second.id, first.id);
  assert.equal(second.message_text, 'two');
});

test('the same tempId and text of another user, or in another conversation, is another message', async (scene) => {
  const { conversationId, sender, seller } = await ready(scene);
  const other = await scene.conversation();
  const ids = [
    await scene.say(sender, conversationId, 'x', { tempId: 'temp_7' }),
    await scene.say(seller, conversationId, 'x', { tempId: 'temp_7' }),
    await scene.say(sender, other, 'x', { tempId: 'temp_7' }),
  ].map((m) => m.id);
  assert.equal(new Set(ids).size, 3);
});

test('the same text again without any id makes two messages', async (scene) => {
  const { conversationId, sender } = await ready(scene);
  const first = await scene.say(sender, conversationId, 'ok');
  const second = await scene.say(sender, conversationId, 'ok');
  assert.notEqual(second.id, first.id);
});

test('a client_message_id that is not a text does no harm', async (scene) => {
  const { conversationId, sender } = await ready(scene);
  for (const clientMessageId of [5, {}, [], true, 'x'.repeat(100_000), '']) {
    const answer = await sender.ask('chat:send_message', { conversationId, message: 'x', clientMessageId });
    assert.equal(typeof answer.success, 'boolean');
    assert.notEqual(answer.code, 'internal', JSON.stringify(answer));
  }
  assert.equal((await scene.say(sender, conversationId, 'x', { clientMessageId: null })).client_message_id, null);
});
