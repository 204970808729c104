'use strict';

// Every message gets the next number of its conversation, and every client gets the messages in that order.

const assert = require('node:assert/strict');
const { suite } = require('../lib/suite');

const { test } = suite();

const oneTo = (n) => Array.from({ length: n }, (_, i) => i + 1);

test('100 messages back to back: stored and delivered in the order in which they were sent', async (scene) => {
  const conversationId = await scene.conversation();
  const sender = await scene.connect('customer');
  const seller = await scene.connect('seller');
  for (let i = 1; i <= 100; i++) sender.emit('chat:send_message', { conversationId, message: `no ${i}`, tempId: `t${i}` });

  const expected = oneTo(100).map((i) => [i, `no ${i}`]);
  const seen = (list) => list.map((m) => [m.seq, m.message_text]);
  assert.deepEqual(seen(await sender.waitForMany('chat:message_sent', 100)), expected);
  assert.deepEqual(seen(await seller.waitForMany('chat:new_message', 100)), expected);
  assert.deepEqual(seen(await scene.messages('seller', conversationId, '?limit=200')), expected);
});

test('20 sockets write into one conversation at once: all get the same order, without gap or repetition', async (scene) => {
  const conversationId = await scene.conversation();
  const clients = await Promise.all(oneTo(20).map((i) => scene.connect(i % 2 ? 'customer' : 'seller')));
  await Promise.all(clients.map((client) => client.ask('chat:join', { conversationId })));

  const each = 10;
  for (let i = 1; i <= each; i++) {
    clients.forEach((client, n) => client.emit('chat:send_message', { conversationId, message: `${n} says ${i}` }));
  }
  const total = clients.length * each;
  const views = await Promise.all(clients.map((client) => client.waitForMany('chat:new_message', total)));

  assert.deepEqual(views[0].map((m) => m.seq), oneTo(total));
  const ids = views[0].map((m) => m.id);
  for (const view of views) assert.deepEqual(view.map((m) => m.id), ids);
  clients.forEach((_, n) => {
    const own = views[0].filter((m) => m.message_text.startsWith(`${n} says `)).map((m) => m.message_text);
    assert.deepEqual(own, oneTo(each).map((i) => `${n} says ${i}`), `the messages of socket ${n} in their order`);
  });
});

test('the events of one socket are handled in the order of sending', async (scene) => {
  const conversationId = await scene.conversation();
  const client = await scene.connect('customer');
  const order = [];
  const note = (name) => () => order.push(name);
  client.emit('chat:join', { conversationId }, note('join'));
  client.emit('chat:send_message', { conversationId, message: 'one' }, note('send'));
  client.emit('chat:get_messages', { conversationId }, note('get'));
  client.emit('chat:leave', { conversationId }, note('leave'));
  await client.ask('chat:get_conversations');
  assert.deepEqual(order, ['join', 'send', 'get', 'leave']);
  const { messages } = await client.waitFor('chat:messages');
  assert.deepEqual(messages.map((m) => m.message_text), ['one'], 'it sees its own message');
});

test('each conversation has its own numbers', async (scene) => {
  const [first, second] = [await scene.conversation(), await scene.conversation()];
  const client = await scene.connect('customer');
  const sent = [];
  for (const conversationId of [first, second, first, second, second]) sent.push(await scene.say(client, conversationId));
  assert.deepEqual(sent.map((m) => m.seq), [1, 1, 2, 2, 3]);
});
