'use strict';

// Who gets chat:new_message and chat:message_delivered for one message: each exactly once.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { assertMessageEvent, time } = require('../lib/shapes');

const { test } = suite();

const TEXT = 'the one message';
const theMessage = (m) => m.message_text === TEXT;
const newMessages = (client) => client.count('chat:new_message', theMessage);

/** Sends TEXT, then makes sure that every other client got whatever it was going to get. */
async function sendAndSettle(scene, sender, conversationId, others, extra = {}) {
  sender.emit('chat:send_message', { conversationId, message: TEXT, ...extra });
  await sender.waitFor('chat:message_sent', theMessage);
  // The other participant's socket is a fitting sender of the barrier: its messages reach every
  // socket of the first, in the room or not, and come after TEXT in the same conversation.
  const sellers = others.filter((c) => c.who === 'seller');
  const customers = [sender, ...others.filter((c) => c.who === 'customer')];
  for (const seller of sellers) await scene.barrier(sender, seller, conversationId);
  if (sellers.length === 0) sellers.push(await connect(scene, 'seller'));
  for (const customer of customers) await scene.barrier(sellers[0], customer, conversationId);
}

async function connect(scene, who, join) {
  const client = await scene.connect(who);
  client.who = who;
  if (join) assert.equal((await client.ask('chat:join', { conversationId: join })).success, true);
  return client;
}

for (const inRoom of [true, false]) {
  const where = inRoom ? 'in the room' : 'not in the room';

  test(`the other member, ${where}, gets it once`, async (scene) => {
    const conversationId = await scene.conversation();
    const sender = await connect(scene, 'customer', conversationId);
    const seller = await connect(scene, 'seller', inRoom && conversationId);
    await sendAndSettle(scene, sender, conversationId, [seller]);
    assert.equal(newMessages(seller), 1);
    const [message] = seller.all('chat:new_message', theMessage);
    assertMessageEvent(message, USERS.customer);
    assert.equal(seller.count('chat:message_sent', theMessage), 0);
  });

  test(`the sending socket without a tempId, ${where}, gets it once`, async (scene) => {
    const conversationId = await scene.conversation();
    const sender = await connect(scene, 'customer', inRoom && conversationId);
    await sendAndSettle(scene, sender, conversationId, []);
    assert.equal(newMessages(sender), 1);
    assertMessageEvent(sender.all('chat:new_message', theMessage)[0], USERS.customer);
  });

  test(`the sending socket with a tempId, ${where}, does not get it`, async (scene) => {
    const conversationId = await scene.conversation();
    const sender = await connect(scene, 'customer', inRoom && conversationId);
    await sendAndSettle(scene, sender, conversationId, [], { tempId: 'temp_1' });
    assert.equal(newMessages(sender), 0);
    assert.equal(sender.count('chat:message_sent', theMessage), 1);
  });
}

for (const tempId of ['temp_1', undefined]) {
  const how = tempId ? 'with' : 'without';

  test(`the sender's other tab in the room gets it once when sent ${how} a tempId`, async (scene) => {
    const conversationId = await scene.conversation();
    const sender = await connect(scene, 'customer', conversationId);
    const tab = await connect(scene, 'customer', conversationId);
    await sendAndSettle(scene, sender, conversationId, [tab], { tempId });
    assert.equal(newMessages(tab), 1);
    assert.equal(tab.count('chat:message_sent', theMessage), 0, 'chat:message_sent is for the sending socket');
  });

  test(`the sender's other tab outside the room does not get it when sent ${how} a tempId`, async (scene) => {
    const conversationId = await scene.conversation();
    const sender = await connect(scene, 'customer', conversationId);
    const tab = await connect(scene, 'customer');
    await sendAndSettle(scene, sender, conversationId, [tab], { tempId });
    assert.equal(newMessages(tab), 0);
    assert.equal(tab.count('chat:message_sent', theMessage), 0);
  });
}

test('three tabs of the other member, some in the room, each get it once', async (scene) => {
  const conversationId = await scene.conversation();
  const sender = await connect(scene, 'customer', conversationId);
  const tabs = [
    await connect(scene, 'seller', conversationId),
    await connect(scene, 'seller', conversationId),
    await connect(scene, 'seller'),
  ];
  await sendAndSettle(scene, sender, conversationId, tabs);
  assert.deepEqual(tabs.map(newMessages), [1, 1, 1]);
});

test('only the sending socket gets the tempId', async (scene) => {
  const conversationId = await scene.conversation();
  const sender = await connect(scene, 'customer', conversationId);
  const seller = await connect(scene, 'seller', conversationId);
  await sendAndSettle(scene, sender, conversationId, [seller], { tempId: 'temp_1' });
  assert.equal('tempId' in seller.all('chat:new_message', theMessage)[0], false);
});

test('delivered: the sender and the member who is online are told', async (scene) => {
  const conversationId = await scene.conversation();
  const sender = await connect(scene, 'customer', conversationId);
  const tab = await connect(scene, 'customer');
  const seller = await connect(scene, 'seller');
  const message = await scene.say(sender, conversationId, TEXT, { tempId: 't' });
  const ofIt = (d) => d.message_id === message.id;
  for (const client of [sender, tab, seller]) {
    const delivered = await client.waitFor('chat:message_delivered', ofIt);
    assert.equal(delivered.conversation_id, conversationId);
    assert.ok(time(delivered.delivered_at), delivered.delivered_at);
  }
  await sendAndSettle(scene, sender, conversationId, [tab, seller]);
  assert.deepEqual([sender, tab, seller].map((c) => c.count('chat:message_delivered', ofIt)), [1, 1, 1]);
});

test('delivered: the stored message says so', async (scene) => {
  const conversationId = await scene.conversation();
  const sender = await connect(scene, 'customer', conversationId);
  await connect(scene, 'seller');
  const message = await scene.say(sender, conversationId, TEXT);
  await sender.waitFor('chat:message_delivered', (d) => d.message_id === message.id);
  const [stored] = await scene.messages('customer', conversationId);
  assert.equal(stored.status, 'delivered');
  assert.ok(stored.delivered_to.includes(USERS.seller.id));
  assert.ok(time(stored.delivered_at));
});

test('delivered: nobody is told while the other is offline', async (scene) => {
  const conversationId = await scene.conversation();
  const sender = await connect(scene, 'customer', conversationId);
  const message = await scene.say(sender, conversationId, TEXT);
  assert.equal(message.status, 'sent');
  await scene.expectNothing(sender, sender, conversationId, 'chat:message_delivered');
  assert.deepEqual(message.delivered_to, []);
  assert.equal((await scene.messages('customer', conversationId))[0].status, 'sent');
});
