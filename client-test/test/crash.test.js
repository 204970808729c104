'use strict';

// Acknowledged messages survive every way in which the server can end, and clients reconnect by themselves.

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { testWithOwnServer } = require('../lib/own-server');
const { until, within } = require('../lib/limits');
const { USERS } = require('../lib/users');

const test = (name, body) => testWithOwnServer(name, {}, body);

/**
 * Several sockets send without pause, eight messages in flight each. Resolves once `enough` are
 * acknowledged, with the sending still under way: `{ acknowledged, attempted }`, both by clientMessageId.
 */
async function burst(scene, conversationId, enough) {
  const acknowledged = new Map();
  const attempted = new Map();
  const clients = await Promise.all(
    ['customer', 'customer', 'seller', 'seller'].map((who) => scene.connect(who, { reconnection: false, transports: ['websocket'] })),
  );
  const reached = new Promise((resolve) => {
    const send = (client) => {
      if (!client.socket.connected) return;
      const clientMessageId = randomUUID();
      const payload = { conversationId, message: `text ${attempted.size}`, clientMessageId };
      attempted.set(clientMessageId, { client, payload });
      client.emit('chat:send_message', payload, (answer) => {
        if (answer.success) acknowledged.set(clientMessageId, answer.data);
        if (acknowledged.size === enough) resolve();
        send(client);
      });
    };
    for (const client of clients) for (let i = 0; i < 8; i++) send(client);
  });
  await within(reached, `${enough} acknowledgements`, 60_000);
  return { acknowledged, attempted, clients };
}

async function everyMessage(scene, conversationId) {
  const all = [];
  for (let before; ; before = all[0].seq) {
    const page = await scene.messages('customer', conversationId, `?limit=200${before ? `&before=${before}` : ''}`);
    if (page.length === 0) return all;
    all.unshift(...page);
  }
}

function assertKept(stored, acknowledged) {
  assert.deepEqual(stored.map((m) => m.seq), stored.map((_, i) => i + 1), 'numbers without a gap');
  const byId = new Map(stored.map((m) => [m.id, m]));
  for (const message of acknowledged.values()) {
    const kept = byId.get(message.id);
    assert.ok(kept, `message ${message.seq} was acknowledged and is gone`);
    assert.deepEqual([kept.seq, kept.message_text], [message.seq, message.message_text]);
  }
}

for (const signal of ['SIGKILL', 'SIGTERM']) {
  test(`${signal} in the middle of a burst: every acknowledged message is there after the restart`, async (server, scene) => {
    await server.start();
    const conversationId = await scene.conversation();
    const { acknowledged, attempted, clients } = await burst(scene, conversationId, 300);
    await server.stop(signal);
    await Promise.all(clients.map((client) => client.waitFor('disconnect')));
    await server.start();

    const stored = await everyMessage(scene, conversationId);
    assertKept(stored, acknowledged);

    // What got no answer is sent again by its client, and is then there exactly once.
    const customer = await scene.connect('customer');
    const seller = await scene.connect('seller');
    for (const [id, { client, payload }] of attempted) {
      if (acknowledged.has(id)) continue;
      await scene.say(clients.indexOf(client) < 2 ? customer : seller, conversationId, payload.message, payload);
    }
    const after = await everyMessage(scene, conversationId);
    assertKept(after, acknowledged);
    assert.equal(after.length, attempted.size);
    assert.equal(new Set(after.map((m) => m.client_message_id)).size, attempted.size);
  });
}

test('SIGTERM: clients see transport close and reconnect to the restarted server', async (server, scene) => {
  await server.start();
  const conversationId = await scene.conversation();
  const customer = await scene.connect('customer');
  const seller = await scene.connect('seller', { transports: ['websocket'] });
  const polling = await scene.connect('seller', { transports: ['polling'] });
  const { code } = await server.stop('SIGTERM');
  assert.equal(code, 0);
  assert.equal(await customer.waitFor('disconnect'), 'transport close');
  assert.equal(await seller.waitFor('disconnect'), 'transport close');
  assert.match(await polling.waitFor('disconnect'), /^transport (close|error)$/);
  await server.start();
  for (const client of [customer, seller, polling]) await client.connected();
  await scene.barrier(customer, seller, conversationId);
  await scene.barrier(seller, customer, conversationId);
});

test('kill -9: clients reconnect to the restarted server', async (server, scene) => {
  await server.start();
  const conversationId = await scene.conversation();
  const [customer, seller] = [await scene.connect('customer'), await scene.connect('seller')];
  await server.kill();
  for (const client of [customer, seller]) await client.waitFor('disconnect');
  await server.start();
  for (const client of [customer, seller]) await client.connected();
  await scene.barrier(customer, seller, conversationId);
});

for (const signal of ['SIGKILL', 'SIGTERM']) {
  test(`${signal}: a user who does not come back does not stay online`, async (server, scene) => {
    await server.start();
    await scene.connect('customer', { reconnection: false });
    assert.equal((await scene.status('seller', 'customer')).is_online, true);
    await server.stop(signal);
    await server.start();
    await until(async () => !(await scene.status('seller', 'customer')).is_online, 'the customer is offline', 60_000);
  });
}

test('a second start on the same data keeps everything', async (server, scene) => {
  await server.start();
  const conversationId = await scene.conversation();
  const customer = await scene.connect('customer');
  const messages = [];
  for (const text of ['one', 'two', 'three']) messages.push(await scene.say(customer, conversationId, text));
  const before = {
    messages: await scene.messages('seller', conversationId),
    unread: await scene.data('seller', 'GET', '/api/chat/unread-count'),
  };
  assert.equal((await server.stop()).code, 0);
  await server.start();

  assert.deepEqual(await scene.messages('seller', conversationId), before.messages);
  assert.deepEqual(await scene.data('seller', 'GET', '/api/chat/unread-count'), before.unread);
  const again = await scene.data('customer', 'GET', '/api/chat/conversations');
  assert.equal(again.filter((c) => c.id === conversationId).length, 1);
  await customer.connected();
  assert.equal((await scene.say(customer, conversationId, 'four')).seq, 4);
  assert.equal(messages.at(-1).sender_id, USERS.customer.id);
});
