'use strict';

// chat:typing: the others in the room are told, and it always ends.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { assertFields } = require('../lib/shapes');
const { NOBODY } = require('../lib/users');

const { test } = suite();

/** Both in the room. */
async function inside(scene) {
  const conversationId = await scene.conversation();
  const [customer, seller] = await Promise.all([scene.connect('customer'), scene.connect('seller')]);
  for (const client of [customer, seller]) await client.ask('chat:join', { conversationId });
  return { conversationId, customer, seller };
}

const starts = (t) => t.isTyping === true;
const ends = (t) => t.isTyping === false;

test('the others in the room are told who types, and when it ends', async (scene) => {
  const { conversationId, customer, seller } = await inside(scene);
  for (const isTyping of [true, false]) {
    customer.emit('chat:typing', { conversationId, isTyping });
    assertFields(await seller.waitFor('chat:user_typing'), {
      userId: USERS.customer.id,
      displayName: USERS.customer.displayName,
      isTyping,
      conversationId,
    });
  }
});

test('the user who types is never told', async (scene) => {
  const { conversationId, customer, seller } = await inside(scene);
  customer.emit('chat:typing', { conversationId, isTyping: true });
  await seller.waitFor('chat:user_typing', starts);
  customer.emit('chat:typing', { conversationId, isTyping: false });
  await seller.waitFor('chat:user_typing', ends);
  await scene.expectNothing(seller, customer, conversationId, 'chat:user_typing');
});

test('a socket outside the room is told nothing', async (scene) => {
  const { conversationId, customer, seller } = await inside(scene);
  const tab = await scene.connect('seller');
  customer.emit('chat:typing', { conversationId, isTyping: true });
  await seller.waitFor('chat:user_typing', starts);
  await scene.expectNothing(customer, tab, conversationId, 'chat:user_typing');
});

test('typing can be acknowledged', async (scene) => {
  const { conversationId, customer, seller } = await inside(scene);
  assert.equal((await customer.ask('chat:typing', { conversationId, isTyping: true })).success, true);
  await seller.waitFor('chat:user_typing', starts);
});

test('a message ends typing', async (scene) => {
  const { conversationId, customer, seller } = await inside(scene);
  customer.emit('chat:typing', { conversationId, isTyping: true });
  await seller.waitFor('chat:user_typing', starts);
  await scene.say(customer, conversationId);
  await seller.waitFor('chat:user_typing', ends);
  await scene.barrier(customer, seller, conversationId);
  assert.equal(seller.count('chat:user_typing', ends), 1);
});

test('leaving ends typing', async (scene) => {
  const { conversationId, customer, seller } = await inside(scene);
  customer.emit('chat:typing', { conversationId, isTyping: true });
  await seller.waitFor('chat:user_typing', starts);
  customer.emit('chat:leave', { conversationId });
  const ended = await seller.waitFor('chat:user_typing', ends);
  assert.equal(ended.userId, USERS.customer.id);
  assert.equal(ended.conversationId, conversationId);
});

test('a disconnect ends typing', async (scene) => {
  const { conversationId, customer, seller } = await inside(scene);
  customer.emit('chat:typing', { conversationId, isTyping: true });
  await seller.waitFor('chat:user_typing', starts);
  customer.close();
  assert.equal((await seller.waitFor('chat:user_typing', ends)).userId, USERS.customer.id);
});

test('a lost connection ends typing', async (scene) => {
  const { conversationId, customer, seller } = await inside(scene);
  customer.socket.io.reconnection(false);
  customer.emit('chat:typing', { conversationId, isTyping: true });
  await seller.waitFor('chat:user_typing', starts);
  customer.socket.io.engine.close();
  assert.equal((await seller.waitFor('chat:user_typing', ends)).userId, USERS.customer.id);
});

test('a disconnect ends typing also if the socket never entered the room', async (scene) => {
  const { conversationId, seller } = await inside(scene);
  const tab = await scene.connect('customer');
  tab.emit('chat:typing', { conversationId, isTyping: true });
  await seller.waitFor('chat:user_typing', starts);
  const closed = performance.now();
  tab.close();
  const ended = await seller.waitForEntry('chat:user_typing', ends);
  assert.equal(ended.data.conversationId, conversationId);
  // By itself it would end 10 s after it began.
  assert.ok(ended.at - closed < 5000, `${ended.at - closed} ms after the tab was closed`);
});

test('closing another tab does not end typing', async (scene) => {
  const { conversationId, customer, seller } = await inside(scene);
  const tab = await scene.connect('customer');
  await tab.ask('chat:typing', { conversationId, isTyping: true });
  await customer.ask('chat:typing', { conversationId, isTyping: true });
  await seller.waitForMany('chat:user_typing', 2, starts);
  await tab.ask('chat:join', { conversationId });
  tab.close();
  await seller.waitFor('chat:user_left');
  await scene.barrier(seller, customer, conversationId);
  assert.equal(seller.count('chat:user_typing', ends), 0);
});

test('typing ends by itself 10 seconds after the last true', async (scene) => {
  const { conversationId, customer, seller } = await inside(scene);
  const wait = async (matches) => (await seller.waitForEntry('chat:user_typing', matches, 20_000)).at;
  const type = () => customer.emit('chat:typing', { conversationId, isTyping: true });
  type();
  await wait(starts);
  // The typist goes on after a while: this is what the test does, not how it waits.
  const last = await new Promise((resolve) => setTimeout(() => (type(), resolve(performance.now())), 3000));
  const seconds = ((await wait(ends)) - last) / 1000;
  assert.ok(seconds > 9 && seconds < 13, `after ${seconds} s`);
  await scene.barrier(customer, seller, conversationId);
  assert.equal(seller.count('chat:user_typing', ends), 1);
});

test('nobody is told of an end without a beginning', async (scene) => {
  const { conversationId, customer, seller } = await inside(scene);
  await scene.say(customer, conversationId);
  await customer.ask('chat:leave', { conversationId });
  customer.close();
  await seller.waitFor('chat:user_left');
  assert.equal(seller.count('chat:user_typing'), 0);
});

test('two users who type at the same time are told of each other', async (scene) => {
  const { conversationId, customer, seller } = await inside(scene);
  customer.emit('chat:typing', { conversationId, isTyping: true });
  seller.emit('chat:typing', { conversationId, isTyping: true });
  assert.equal((await seller.waitFor('chat:user_typing', starts)).userId, USERS.customer.id);
  assert.equal((await customer.waitFor('chat:user_typing', starts)).userId, USERS.seller.id);
});

test('typing of a user who is not a member is dropped; only an acknowledgement says so', async (scene) => {
  const { conversationId, customer } = await inside(scene);
  const admin = await scene.connect('admin');
  admin.emit('chat:typing', { conversationId, isTyping: true });
  const answer = await admin.ask('chat:typing', { conversationId, isTyping: true });
  assert.equal(answer.success, false);
  assert.equal(answer.code, 'not_authorized');
  await scene.expectNothing(admin, customer, await scene.conversation('customer', 'admin'), 'chat:user_typing');
  assert.equal(admin.count('chat:error'), 0);
});

test('typing in an unknown conversation is dropped', async (scene) => {
  const client = await scene.connect('customer');
  client.emit('chat:typing', { conversationId: NOBODY, isTyping: true });
  assert.equal((await client.ask('chat:typing', { conversationId: NOBODY, isTyping: true })).success, false);
});
