'use strict';

// The ways in which a Socket.IO client may connect and reconnect.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { Client } = require('../lib/client');
const { tokenFor } = require('../lib/jwt');
const { within } = require('../lib/limits');

const { test } = suite();

const name = (client) => client.socket.io.engine.transport.name;

/** A message there and one back. */
async function talk(scene, customer, seller) {
  const conversationId = await scene.conversation();
  await scene.barrier(customer, seller, conversationId);
  await scene.barrier(seller, customer, conversationId);
}

test('polling only', async (scene) => {
  const [customer, seller] = [await scene.connect('customer', { transports: ['polling'] }), await scene.connect('seller')];
  await talk(scene, customer, seller);
  assert.equal(name(customer), 'polling');
});

test('websocket only', async (scene) => {
  const [customer, seller] = [await scene.connect('customer', { transports: ['websocket'] }), await scene.connect('seller')];
  await talk(scene, customer, seller);
  assert.equal(name(customer), 'websocket');
});

test('polling first, then the upgrade to websocket', async (scene) => {
  const customer = scene.open('customer');
  const engine = customer.socket.io.engine;
  assert.equal(engine.transport.name, 'polling');
  const upgraded = new Promise((resolve) => engine.once('upgrade', resolve));
  await customer.connected();
  await within(upgraded, 'the upgrade');
  assert.equal(name(customer), 'websocket');
  await talk(scene, customer, await scene.connect('seller'));
});

test('no message is lost, doubled or out of order while the transport changes', async (scene) => {
  const conversationId = await scene.conversation();
  const seller = await scene.connect('seller');
  const customer = await scene.connect('customer');
  const texts = Array.from({ length: 60 }, (_, i) => `${i}`);
  // As the connect event comes the upgrade is still under way.
  for (const message of texts) customer.emit('chat:send_message', { conversationId, message });
  for (const client of [seller, customer]) {
    const seen = await client.waitForMany('chat:new_message', texts.length);
    assert.deepEqual(seen.map((m) => m.message_text), texts);
  }
});

test('a message of the permitted size passes polling and websocket', async (scene) => {
  const conversationId = await scene.conversation();
  const message = 'ä'.repeat(5000);
  for (const transport of ['polling', 'websocket']) {
    const client = await scene.connect('customer', { transports: [transport] });
    assert.equal((await scene.say(client, conversationId, message)).message_text, message);
  }
});

test('after a lost connection the client reconnects by itself, and gets messages without joining again', async (scene) => {
  const conversationId = await scene.conversation();
  const [customer, seller] = [await scene.connect('customer'), await scene.connect('seller')];
  await seller.ask('chat:join', { conversationId });
  seller.socket.io.engine.close();
  await seller.waitFor('disconnect');
  await seller.connected();
  await scene.barrier(customer, seller, conversationId);
});

test('a client can fetch the missed messages with after', async (scene) => {
  const conversationId = await scene.conversation();
  const [customer, seller] = [await scene.connect('customer'), await scene.connect('seller', { reconnection: false })];
  const last = await scene.say(customer, conversationId, 'seen');
  await seller.waitFor('chat:new_message');
  seller.socket.io.engine.close();
  await seller.waitFor('disconnect');
  await scene.say(customer, conversationId, 'missed');
  seller.socket.connect();
  await seller.connected();
  const { data } = await seller.ask('chat:get_messages', { conversationId, after: last.seq });
  assert.deepEqual(data.messages.map((m) => m.message_text), ['missed']);
});

test('messages emitted while disconnected are sent on the next connection, in order', async (scene) => {
  const conversationId = await scene.conversation();
  const [customer, seller] = [await scene.connect('customer'), await scene.connect('seller')];
  // The client closes only once a running upgrade is over, and drops what is emitted until then.
  customer.socket.io.engine.close();
  await customer.waitFor('disconnect');
  for (let i = 0; i < 10; i++) customer.emit('chat:send_message', { conversationId, message: `${i}`, tempId: `${i}` });
  const seen = await seller.waitForMany('chat:new_message', 10);
  assert.deepEqual(seen.map((m) => m.message_text), [...'0123456789']);
});

test('a client may disconnect and connect again', async (scene) => {
  const client = await scene.connect('customer', { transports: ['websocket'] });
  client.socket.disconnect();
  client.socket.connect();
  await client.connected();
  assert.equal((await client.ask('chat:get_conversations')).success, true);
});

test('another namespace is refused', async (scene) => {
  const client = new Client(`${scene.server.url}/admin`, { auth: { token: tokenFor(USERS.admin) }, reconnection: false });
  scene.clients.push(client);
  assert.match((await client.refused()).message, /namespace/i);
});

test('the handshake announces a ping interval of 25 s and the upgrade', async (scene) => {
  const answer = await scene.rest(null, 'GET', '/socket.io/?EIO=4&transport=polling');
  const open = JSON.parse(answer.text.slice(1));
  assert.equal(open.pingInterval, 25_000);
  assert.deepEqual(open.upgrades, ['websocket']);
  assert.ok(open.maxPayload >= 1_000_000, 'room for a long message with attachments');
});
