'use strict';

// A user is shown offline only after PRESENCE_GRACE: nobody is told when a page is reloaded.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { testWithOwnServer } = require('../lib/own-server');
const { assertFields } = require('../lib/shapes');
const { until } = require('../lib/limits');

const GRACE = 2;
const { test } = suite({ env: { PRESENCE_GRACE: String(GRACE) } });

const of = (who, isOnline) => (s) => s.userId === USERS[who].id && s.is_online === isOnline;
const anyOf = (who) => (s) => s.userId === USERS[who].id;

/** The seller, and two of the seller's contacts, all online. */
async function meeting(scene) {
  await scene.conversation('seller', 'customer');
  await scene.conversation('seller', 'admin');
  const seller = await scene.connect('seller');
  const [customer, admin] = [await scene.connect('customer'), await scene.connect('admin')];
  for (const who of ['customer', 'admin']) await seller.waitFor('chat:user_status', of(who, true));
  return { seller, customer, admin };
}

test('the contacts are not told when a page is reloaded', async (scene) => {
  const { seller, customer, admin } = await meeting(scene);
  customer.close();
  admin.close();
  await scene.connect('customer');
  // The admin left after the customer did: what there was to say of the customer has been said by then.
  await seller.waitFor('chat:user_status', of('admin', false));
  assert.deepEqual(seller.all('chat:user_status', anyOf('customer')).map((s) => s.is_online), [true]);
  assert.equal((await scene.status('seller', 'customer')).is_online, true);
});

test('offline is told after the grace, with the time at which the last socket went', async (scene) => {
  const { seller, customer } = await meeting(scene);
  const [closed, at] = [Date.now(), performance.now()];
  customer.close();
  const told = await seller.waitForEntry('chat:user_status', of('customer', false));
  const waited = told.at - at;
  assert.ok(waited >= GRACE * 1000 - 50 && waited < GRACE * 1000 + 3000, `told after ${waited} ms`);
  const seen = Date.parse(told.data.last_seen_at) - closed;
  assert.ok(Math.abs(seen) < 1000, `last seen ${seen} ms after the socket was closed`);
  assertFields(await scene.status('seller', 'customer'), { is_online: false, last_seen_at: told.data.last_seen_at });
});

test('during the grace period the user is online in answers', async (scene) => {
  const { seller, customer } = await meeting(scene);
  const tab = await scene.connect('customer');
  customer.close();
  tab.close();
  assert.equal((await scene.status('seller', 'customer')).is_online, true);
  await seller.waitFor('chat:user_status', of('customer', false));
  assert.equal(seller.count('chat:user_status', of('customer', false)), 1);
});

testWithOwnServer('a server that stops does not wait for the grace', { env: { PRESENCE_GRACE: '600' } }, async (server, scene) => {
  await server.start();
  const id = await scene.conversation('seller', 'customer');
  const [seller, customer] = [await scene.connect('seller'), await scene.connect('customer')];
  await seller.waitFor('chat:user_status', of('customer', true));
  await seller.ask('chat:join', { conversationId: id });
  await customer.ask('chat:join', { conversationId: id });
  const closed = Date.now();
  customer.close();
  // The server knows that the socket is gone.
  await seller.waitFor('chat:user_left');
  seller.close();
  await server.stop();
  await server.start();
  const status = await until(async () => {
    const answer = await scene.status('seller', 'customer');
    return !answer.is_online && answer;
  }, 'the customer is offline');
  const seen = Date.parse(status.last_seen_at) - closed;
  assert.ok(Math.abs(seen) < 1000, `last seen ${seen} ms after the socket was closed`);
});
