'use strict';

// The React app: it connects by polling, upgrades, loses its server, and reconnects by itself
// without joining anything. Every message reaches it once.

const assert = require('node:assert/strict');
const { testWithOwnServer } = require('../lib/own-server');
const { until } = require('../lib/limits');
const { assertReactions } = require('../lib/message-actions');
const { USERS } = require('../lib/users');

// As the app connects; the delays are the library's own.
const APP = {
  transports: ['polling', 'websocket'],
  reconnection: true,
  reconnectionAttempts: 5,
  reconnectionDelay: 1000,
  reconnectionDelayMax: 5000,
};

const transport = (client) => client.socket.io.engine.transport.name;

async function openApp(scene, who) {
  const client = scene.open(who, APP);
  client.transports = [];
  await client.connected();
  assert.equal(client.socket.io.opts.transports[0], 'polling');
  await until(() => transport(client) === 'websocket', `${who} has upgraded`);
  return client;
}

/** What the app does when a conversation is opened from its list. */
async function openConversation(client, conversationId) {
  client.emit('chat:join', { conversationId });
  await client.waitFor('chat:joined');
  client.emit('chat:get_messages', { conversationId });
  await client.waitFor('chat:messages');
  client.emit('chat:mark_read', { conversationId });
}

const texts = (client, event, prefix) => client.all(event, (m) => m.message_text.startsWith(prefix)).map((m) => m.message_text);

for (const signal of ['SIGTERM', 'SIGKILL']) {
  testWithOwnServer(`the server restarts under the app (${signal}): it comes back and gets everything new once`, {}, async (server, scene) => {
    await server.start();
    const conversationId = await scene.conversation();
    const [customer, seller] = [await openApp(scene, 'customer'), await openApp(scene, 'seller')];
    // A second tab of the seller that has the list open, and no conversation.
    const tab = await openApp(scene, 'seller');
    const everyone = [customer, seller, tab];
    await openConversation(customer, conversationId);
    await openConversation(seller, conversationId);
    const first = await scene.say(customer, conversationId, 'before 1', { tempId: 'temp_1' });
    for (const client of [seller, tab]) await client.waitFor('chat:new_message', (m) => m.id === first.id);

    await server.stop(signal);
    for (const client of everyone) await client.waitFor('disconnect');
    await server.start();
    for (const client of everyone) await client.waitFor('connect', undefined, 40_000);
    for (const client of everyone) await until(() => transport(client) === 'websocket', 'upgraded again');

    // Nobody joins. The customer writes, the seller answers, each with what the app has for it.
    const sent = [];
    for (let i = 0; i < 10; i++) sent.push(await scene.say(customer, conversationId, `after ${i}`, { tempId: `temp_a${i}` }));
    const ask = async (client, event, payload) => {
      const answer = await client.ask(event, { conversationId, ...payload });
      assert.equal(answer.success, true, `${event}: ${JSON.stringify(answer)}`);
      return answer.data;
    };
    for (let i = 0; i < 5; i++) await ask(seller, 'chat:send_reply', { message: `answer ${i}`, replyToMessageId: sent[i].id, tempId: `temp_r${i}` });
    await ask(customer, 'chat:edit_message', { messageId: sent[0].id, newText: 'after, edited' });
    await ask(seller, 'chat:add_reaction', { messageId: sent[1].id, reaction: '👍' });
    await ask(customer, 'chat:delete_message', { messageId: sent[2].id, deletionType: 'for_everyone' });
    const aside = await scene.conversation();
    for (const client of [seller, tab]) await scene.barrier(customer, client, aside);
    for (const client of [customer]) await scene.barrier(seller, client, aside);

    const after = Array.from({ length: 10 }, (_, i) => `after ${i}`);
    const answers = Array.from({ length: 5 }, (_, i) => `answer ${i}`);
    for (const client of [seller, tab]) assert.deepEqual(texts(client, 'chat:new_message', 'after '), after, 'each once, in order');
    assert.deepEqual(texts(customer, 'chat:message_sent', 'after '), after);
    assert.deepEqual(texts(customer, 'chat:new_message', 'after '), []);
    assert.deepEqual(texts(customer, 'chat:new_reply', 'answer '), answers, 'each once, in order');
    assert.deepEqual(texts(seller, 'chat:reply_sent', 'answer '), answers);
    assert.deepEqual(texts(tab, 'chat:new_reply', 'answer '), [], "a tab of the sender outside the room would count it as unread");
    for (const client of everyone) {
      for (const event of ['chat:message_edited', 'chat:reaction_added', 'chat:message_deleted']) assert.equal(client.count(event), 1, event);
      assert.equal(client.count('chat:error'), 0);
    }

    // What was there before the restart still is, with all that happened since.
    const messages = await scene.messages('seller', conversationId);
    assert.deepEqual(messages.map((m) => m.seq), Array.from({ length: 16 }, (_, i) => i + 1));
    assert.equal(messages[0].id, first.id);
    assert.deepEqual([messages[1].message_text, messages[3].is_deleted], ['after, edited', true]);
    assertReactions(messages[2].reactions, [{ reaction: '👍', count: 1, user_ids: [USERS.seller.id] }]);
  });
}

testWithOwnServer('messages sent while the app was away come when it asks, and its badge counts them', {}, async (server, scene) => {
  await server.start();
  const conversationId = await scene.conversation();
  const seller = await openApp(scene, 'seller');
  await openConversation(seller, conversationId);
  await server.stop();
  await seller.waitFor('disconnect');
  await server.start();
  // The customer is quicker than the seller's reconnection may be, by REST.
  const path = `/api/chat/conversations/${conversationId}/messages`;
  const written = [];
  for (let i = 0; i < 3; i++) written.push(await scene.data('customer', 'POST', path, { message: `away ${i}` }));
  await seller.waitFor('connect', undefined, 40_000);
  seller.emit('chat:get_messages', { conversationId });
  const page = await seller.waitFor('chat:messages');
  assert.deepEqual(page.messages.map((m) => m.id), written.map((m) => m.id));
  assert.equal((await scene.data('seller', 'GET', '/api/chat/unread-count')).count, 3);
  for (const message of written) assert.ok(seller.count('chat:new_message', (m) => m.id === message.id) <= 1);
});

testWithOwnServer('in a conversation opened from the user search and never joined, typing, messages and reads work', {}, async (server, scene) => {
  await server.start();
  const [customer, seller] = [await openApp(scene, 'customer'), await openApp(scene, 'seller')];
  const [found] = await scene.data('customer', 'GET', '/api/chat/users/search?search=Sami');
  const { id: conversationId } = await scene.data('customer', 'POST', '/api/chat/conversations', { participantId: found.id });
  customer.emit('chat:get_messages', { conversationId });
  await customer.waitFor('chat:messages');
  customer.emit('chat:mark_read', { conversationId });
  const hello = await scene.say(customer, conversationId, 'hello', { tempId: 'temp_1' });
  await seller.waitFor('chat:new_message', (m) => m.id === hello.id);
  await openConversation(seller, conversationId);
  assert.equal((await customer.waitFor('chat:messages_read')).userId, USERS.seller.id);
  seller.emit('chat:typing', { conversationId, isTyping: true });
  await customer.waitFor('chat:user_typing', (t) => t.conversationId === conversationId);
  seller.emit('chat:send_reply', { conversationId, message: 'hi', replyToMessageId: hello.id, tempId: 'temp_2' });
  assert.equal((await customer.waitFor('chat:new_reply')).reply_to.id, hello.id);
  await scene.barrier(seller, customer, await scene.conversation());
  assert.deepEqual([customer.count('chat:new_reply'), customer.count('chat:new_message', (m) => m.conversation_id === conversationId)], [1, 0]);
});
