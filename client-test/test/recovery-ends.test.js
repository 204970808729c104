'use strict';

// Connection state recovery that is switched off or too late: the client is told so.

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

test('a client that is away for longer than RECOVERY_WINDOW starts anew', { RECOVERY_WINDOW: '1' }, async ({ scene, customer, seller, conversationId }) => {
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
