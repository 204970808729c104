'use strict';

// If the server cannot know what a client already has, it says that nothing was recovered, and the client starts anew.

const assert = require('node:assert/strict');
const { testWithOwnServer } = require('../lib/own-server');
const { external } = require('../lib/postgres');
const { hold } = require('../lib/hold');
const { LineClient } = require('../lib/line');
const { until } = require('../lib/limits');
const { USERS } = require('../lib/users');

/** More events than a socket on hold may have. */
const ROOM = 40;
const TOO_MANY = ROOM + 10;

const test = (name, body) =>
  testWithOwnServer(name, { env: { SOCKET_SEND_BUFFER: String(ROOM), DATABASE_LOCK_TIMEOUT_MS: '4000' }, skip: !external }, async (server, scene) => {
    await server.start();
    const conversationId = await scene.conversation();
    const seller = await scene.connect('seller');
    const customer = await LineClient.open(server, USERS.customer);
    scene.clients.push(customer);
    await scene.say(seller, conversationId, 'known');
    await customer.waitFor('chat:new_message');
    // What is missed cannot be read as long as this is held; sending does without.
    const holder = hold(server.database.url, 'BEGIN; LOCK TABLE message_deletions IN ACCESS EXCLUSIVE MODE');
    const stage = { server, scene, seller, customer, conversationId, holder };
    try {
      await body(stage);
    } finally {
      holder.release();
    }
  });

/** Something waits for the lock. */
const waits = (server) =>
  until(() => server.database.sql(`SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'message_deletions'::regclass`) !== '0', 'somebody to wait for the lock');

/** A few at a time: the seller's own queue is as short. */
async function sayTooMuch({ scene, seller, conversationId }) {
  for (let n = 0; n < TOO_MANY; n += 5) {
    await Promise.all(Array.from({ length: 5 }, (_, i) => scene.say(seller, conversationId, `missed ${n + i}`)));
  }
}

test('a client that was disconnected because too much came while it caught up starts anew', async (stage) => {
  const { server, customer, conversationId, holder } = stage;
  const pid = customer.pid;
  await holder.ready;
  customer.emit('chat:sync', { conversations: { [conversationId]: 1 } });
  await waits(server);
  await sayTooMuch(stage);
  holder.release();
  await customer.waitFor('disconnect');
  assert.equal(await customer.comeBack(), false);
  assert.notEqual(customer.pid, pid);
});

test('a client that was disconnected because too much came while it came back starts anew', async (stage) => {
  const { server, scene, seller, customer, conversationId, holder } = stage;
  await customer.cut();
  await scene.say(seller, conversationId, 'missed');
  await holder.ready;
  customer.isDown = false;
  customer.socket.connect();
  await waits(server);
  await sayTooMuch(stage);
  const before = customer.count('disconnect');
  holder.release();
  await until(() => customer.count('disconnect') > before, 'it is cut once it is there');
  assert.equal(await customer.comeBack(), false);
});
