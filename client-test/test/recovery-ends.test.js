'use strict';

// When connection state recovery is off, over, or gone with the server: the client is told so.

const assert = require('node:assert/strict');
const { testWithOwnServer } = require('../lib/own-server');
const { LineClient } = require('../lib/line');
const { USERS } = require('../lib/users');

const test = (name, env, body) =>
  testWithOwnServer(name, { env }, async (server, scene) => {
    await server.start();
    const conversationId = await scene.conversation();
    const seller = await scene.connect('seller');
    const customer = await LineClient.open(server, USERS.customer);
    scene.clients.push(customer);
    await scene.say(seller, conversationId, 'known');
    await customer.waitFor('chat:new_message');
    await body({ server, scene, seller, customer, conversationId });
  });

test('RECOVERY_WINDOW=0 gives no pid and no offsets', { RECOVERY_WINDOW: '0' }, async ({ customer }) => {
  assert.equal(customer.pid, undefined);
  assert.deepEqual(customer.offsets.flat(), []);
});

test('who is away for longer than RECOVERY_WINDOW starts anew', { RECOVERY_WINDOW: '1' }, async ({ scene, customer, seller, conversationId }) => {
  const pid = customer.pid;
  await customer.cut();
  await scene.say(seller, conversationId, 'missed');
  // The time itself is what is tested.
  await new Promise((resolve) => setTimeout(resolve, 1500));
  assert.equal(await customer.comeBack(), false);
  assert.notEqual(customer.pid, pid);
  await scene.barrier(seller, customer, conversationId);
  assert.equal(customer.count('chat:new_message', (m) => m.message_text === 'missed'), 0);
});

test('after a restart of the server a client is told that it starts anew, and can come back from then on', {}, async ({ server, scene, customer, seller, conversationId }) => {
  const pid = customer.pid;
  customer.isDown = true;
  await server.kill();
  await customer.waitFor('disconnect');
  await server.start();
  await seller.waitForMany('connect', 2);
  await scene.say(seller, conversationId, 'missed');
  assert.equal(await customer.comeBack(), false);
  assert.notEqual(customer.pid, pid);
  // Its offset is still one of the server's earlier life.
  await customer.cut();
  await scene.say(seller, conversationId, 'later');
  assert.equal(await customer.comeBack(), true);
  await customer.waitFor('chat:new_message', (m) => m.message_text === 'later');
});
