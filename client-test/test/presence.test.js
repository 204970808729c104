'use strict';

// Presence: a user is online while any socket of theirs is connected, and their contacts are told of changes.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { time, assertFields } = require('../lib/shapes');
const { until } = require('../lib/limits');
const { NOBODY } = require('../lib/users');

const { test } = suite();

const ofCustomer = (isOnline) => (s) => s.userId === USERS.customer.id && s.is_online === isOnline;
const online = ofCustomer(true);
const offline = ofCustomer(false);

test('the contacts are told once that a user came online', async (scene) => {
  const conversationId = await scene.conversation();
  const seller = await scene.connect('seller');
  const customer = await scene.connect('customer');
  const status = await seller.waitFor('chat:user_status', online);
  assert.ok('last_seen_at' in status);
  await scene.barrier(customer, seller, conversationId);
  assert.equal(seller.count('chat:user_status', online), 1);
});

test('the contacts are not told of a second tab', async (scene) => {
  const conversationId = await scene.conversation();
  const seller = await scene.connect('seller');
  await scene.connect('customer');
  await seller.waitFor('chat:user_status', online);
  const tab = await scene.connect('customer');
  await scene.barrier(tab, seller, conversationId);
  assert.equal(seller.count('chat:user_status', online), 1);
});

test('three tabs: the user goes offline with the last one, exactly once', async (scene) => {
  const conversationId = await scene.conversation();
  const seller = await scene.connect('seller');
  const tabs = [await scene.connect('customer'), await scene.connect('customer'), await scene.connect('customer')];
  await seller.waitFor('chat:user_status', online);

  for (const tab of tabs.splice(0, 2)) {
    tab.close();
    await scene.barrier(tabs.at(-1), seller, conversationId);
    assert.equal((await scene.status('seller', 'customer')).is_online, true);
    assert.equal(seller.count('chat:user_status', offline), 0);
  }

  const before = Date.now();
  tabs[0].close();
  const status = await seller.waitFor('chat:user_status', offline);
  assert.ok(time(status.last_seen_at), status.last_seen_at);
  assert.ok(Math.abs(Date.parse(status.last_seen_at) - before) < 60_000);
  const asked = await scene.status('seller', 'customer');
  assert.equal(asked.is_online, false);
  // Presence comes back with the next tab: by then a second "offline" would have come too.
  await scene.connect('customer');
  await seller.waitFor('chat:user_status', (s) => online(s) && seller.count('chat:user_status', online) === 2);
  assert.equal(seller.count('chat:user_status', offline), 1);
});

test('all tabs closed at once: offline exactly once', async (scene) => {
  await scene.conversation();
  const seller = await scene.connect('seller');
  const tabs = await Promise.all(Array.from({ length: 8 }, () => scene.connect('customer')));
  await seller.waitFor('chat:user_status', online);
  tabs.forEach((tab) => tab.close());
  await seller.waitFor('chat:user_status', offline);
  await scene.connect('customer');
  await seller.waitFor('chat:user_status', online);
  assert.equal(seller.count('chat:user_status', offline), 1);
  assert.equal(seller.count('chat:user_status', online), 2);
});

test('after sockets connect and disconnect quickly nobody stays online', async (scene) => {
  await scene.conversation();
  for (let i = 0; i < 20; i++) scene.open('customer', { transports: [i % 2 ? 'websocket' : 'polling'] });
  await Promise.all(scene.clients.map((client) => client.connected()));
  scene.clients.forEach((client) => client.close());
  await until(async () => !(await scene.status('seller', 'customer')).is_online, 'the customer is offline');
});

test('a lost connection counts as closed', async (scene) => {
  await scene.conversation();
  const seller = await scene.connect('seller');
  const customer = await scene.connect('customer', { reconnection: false });
  await seller.waitFor('chat:user_status', online);
  customer.socket.io.engine.close();
  await seller.waitFor('chat:user_status', offline);
});

test('a user without a shared conversation is told nothing', async (scene) => {
  await scene.conversation('customer', 'seller');
  const meeting = await scene.conversation('seller', 'manager');
  const seller = await scene.connect('seller');
  const manager = await scene.connect('manager');
  const customer = await scene.connect('customer');
  await seller.waitFor('chat:user_status', online);
  customer.close();
  await seller.waitFor('chat:user_status', offline);
  await scene.barrier(seller, manager, meeting);
  assert.equal(manager.count('chat:user_status', (s) => s.userId === USERS.customer.id), 0);
});

test('GET /users/:id/status of a user who is online', async (scene) => {
  const customer = await scene.connect('customer');
  await customer.ask('chat:get_conversations');
  const status = await scene.status('seller', 'customer');
  assertFields(status, { user_id: USERS.customer.id, is_online: true });
  for (const field of ['last_seen_at', 'socket_id', 'updated_at']) assert.ok(field in status, field);
});

test('GET /users/:id/status of a user who was online', async (scene) => {
  const customer = await scene.connect('customer');
  customer.close();
  const status = await until(async () => {
    const answer = await scene.status('seller', 'customer');
    return !answer.is_online && answer;
  }, 'the customer is offline');
  assert.equal(status.user_id, USERS.customer.id);
  assert.ok(time(status.last_seen_at), status.last_seen_at);
});

test('GET /users/:id/status of an unknown user: not online', async (scene) => {
  const status = await scene.data('customer', 'GET', `/api/chat/users/${NOBODY}/status`);
  assert.equal(status.is_online, false);
});
