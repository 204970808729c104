'use strict';

// Connection state recovery: a client whose line broke comes back and gets what it missed. socket.io-client does this by itself
// since 4.6.

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { suite, USERS } = require('../lib/suite');
const { external } = require('../lib/postgres');
const { LineClient } = require('../lib/line');
const { until } = require('../lib/limits');

const SHOP = 'https://shop.example';
const { test, server } = suite({ env: { FRONTEND_URL: SHOP } });

/** A customer behind a line, in a conversation with a seller who stays. `told` waits for all that the seller caused. */
async function stage(scene, options) {
  const conversationId = await scene.conversation();
  const seller = await scene.connect('seller');
  const customer = await line(scene, 'customer', options);
  return { conversationId, seller, customer, say: (text, extra) => scene.say(seller, conversationId, text, extra) };
}

async function line(scene, who, options) {
  const client = await LineClient.open(scene.server, typeof who === 'string' ? USERS[who] : who, options);
  scene.clients.push(client);
  if (typeof who === 'string') scene.present.add(who);
  return client;
}

const texts = (client) => client.all('chat:new_message').map((m) => m.message_text);
const offset = (client) => client.offsets.findLast((more) => more.length > 0)[0];

async function done(client, event, payload) {
  const answer = await client.ask(event, payload);
  assert.equal(answer.success, true, `${event}: ${JSON.stringify(answer)}`);
  return answer.data;
}

test('a client that asks for recovery, or is a page in a browser, gets a pid and offsets; any other gets neither', async (scene) => {
  const { customer, say } = await stage(scene);
  const page = await line(scene, 'customer', { auth: { recovery: undefined }, origin: SHOP });
  const plain = await line(scene, 'customer', { auth: { recovery: undefined } });
  const own = await line(scene, 'customer', { auth: { recovery: undefined }, origin: 'own' });
  await say('hello');
  for (const client of [customer, page, plain, own]) await client.waitFor('chat:new_message');
  for (const client of [customer, page]) {
    assert.equal(typeof client.pid, 'string');
    assert.match(offset(client), /^m[0-9a-f.]+$/);
  }
  assert.equal(offset(customer), offset(page), 'the same for all receivers');
  for (const client of [plain, own]) {
    assert.equal(client.pid, undefined);
    assert.deepEqual(client.offsets.flat(), [], 'no further argument');
  }
});

test('missed events come in order and once, before anything newer', async (scene) => {
  const { conversationId, customer, seller, say } = await stage(scene);
  const before = await say('before');
  const own = await done(customer, 'chat:send_message', { conversationId, message: 'own', tempId: 't1' });
  await customer.waitFor('chat:message_sent');
  await customer.waitFor('chat:new_message');
  await customer.cut();
  const missed = await say('missed');
  await done(seller, 'chat:edit_message', { messageId: before.id, newText: 'edited' });
  await done(seller, 'chat:add_reaction', { messageId: own.id, reaction: '👍' });
  await done(seller, 'chat:remove_reaction', { messageId: own.id, reaction: '👍' });
  await done(seller, 'chat:delete_message', { messageId: missed.id, deletionType: 'for_everyone' });
  await done(seller, 'chat:send_reply', { conversationId, message: 'reply', replyToMessageId: own.id, tempId: 'r' });
  await done(seller, 'chat:mark_read', { conversationId });
  assert.equal(await customer.comeBack(), true);
  await scene.barrier(seller, customer, conversationId);
  const told = customer.sinceConnect().filter((e) => e.event !== 'chat:message_delivered');
  assert.deepEqual(told.map((e) => e.event), [
    'chat:new_message', 'chat:message_edited', 'chat:reaction_added', 'chat:reaction_removed', 'chat:message_deleted', 'chat:new_reply',
    'chat:messages_read', 'chat:new_message',
  ]);
  const [shell, edited, added, , deleted, reply, read] = told.map((e) => e.data);
  assert.deepEqual([shell.id, shell.seq, shell.message_text, shell.is_deleted], [missed.id, missed.seq, '', true], 'deleted text is not told');
  assert.deepEqual([edited.message_text, edited.senderName], ['edited', USERS.seller.displayName]);
  assert.deepEqual([added.message_id, added.user_id], [own.id, USERS.seller.id]);
  assert.equal(deleted.deletion_type, 'for_everyone');
  assert.deepEqual([reply.message_text, reply.reply_to.message_text, reply.senderRole], ['reply', 'own', 'seller']);
  assert.deepEqual([read.userId, read.conversationId], [USERS.seller.id, conversationId]);
});

test('events that were sent again count as received: after a second cut only later ones come', async (scene) => {
  const { customer, say } = await stage(scene);
  await say('1');
  await customer.waitFor('chat:new_message');
  const pid = customer.pid;
  for (const round of [1, 2, 3]) {
    await customer.cut();
    await say(`missed ${round}`);
    assert.equal(await customer.comeBack(), true);
    await customer.waitFor('chat:new_message');
    await say(`live ${round}`);
    await customer.waitFor('chat:new_message');
    assert.equal(customer.pid, pid);
  }
  // Cut again before it heard of the replay: nothing is lost, whatever it got.
  await customer.cut();
  await say('last');
  customer.isDown = false;
  customer.socket.connect();
  customer.proxy.reset();
  await until(() => !customer.socket.active || customer.socket.connected, 'the client knows');
  if (!customer.socket.connected) assert.equal(await customer.comeBack(), true);
  await until(() => texts(customer).includes('last'), 'the last message is there');
  assert.deepEqual(texts(customer), ['1', 'missed 1', 'live 1', 'missed 2', 'live 2', 'missed 3', 'live 3', 'last']);
});

test('a client that never got an event gets everything that it missed', async (scene) => {
  const { customer, say } = await stage(scene);
  await customer.cut();
  await say('first');
  assert.equal(await customer.comeBack(), true);
  await customer.waitFor('chat:new_message', (m) => m.message_text === 'first');
});

test('the client is in its rooms again and gets what its user sent in another tab', async (scene) => {
  const { conversationId, customer, seller } = await stage(scene);
  const tab = await scene.connect('customer');
  await done(customer, 'chat:join', { conversationId });
  await done(seller, 'chat:join', { conversationId });
  await customer.waitFor('chat:user_joined');
  await customer.cut();
  await seller.waitFor('chat:user_left');
  await scene.say(tab, conversationId, 'from the tab', { tempId: 'x' });
  assert.equal(await customer.comeBack(), true);
  await seller.waitFor('chat:user_joined', (e) => e.userId === USERS.customer.id);
  await customer.waitFor('chat:new_message', (m) => m.message_text === 'from the tab');
  seller.emit('chat:typing', { conversationId, isTyping: true });
  await customer.waitFor('chat:user_typing');
  assert.equal(tab.count('chat:new_message'), 0, 'a tab that never was in the room is not');
});

test('the client still gets the answer to its own message', async (scene) => {
  const { conversationId, customer, seller } = await stage(scene);
  customer.proxy.stall();
  customer.emit('chat:send_message', { conversationId, message: 'lost answer', tempId: 7 });
  customer.proxy.resume();
  await seller.waitFor('chat:new_message', (m) => m.message_text === 'lost answer');
  await customer.cut();
  const had = customer.count('chat:message_sent');
  assert.equal(await customer.comeBack(), true);
  if (had === 0) {
    const sent = await customer.waitFor('chat:message_sent');
    assert.deepEqual([sent.tempId, sent.message_text], [7, 'lost answer']);
  }
  assert.equal(customer.count('chat:message_sent'), 1);
});

test('a client is back before the server knows that its line is dead', async (scene) => {
  const { customer, say } = await stage(scene);
  await say('before');
  await customer.waitFor('chat:new_message');
  // Nobody is told: the server still takes the old line for good.
  customer.proxy.stall();
  await say('into the void');
  const old = [...customer.proxy.pairs];
  customer.socket.io.engine.close();
  customer.socket.io.engine.transport.ws?.terminate();
  await customer.waitFor('disconnect');
  customer.proxy.stalled = false;
  assert.equal(await customer.comeBack(), true);
  await customer.waitFor('chat:new_message', (m) => m.message_text === 'into the void');
  old.forEach((pair) => pair.reset());
  await say('after');
  await customer.waitFor('chat:new_message', (m) => m.message_text === 'after');
  assert.equal(customer.count('chat:new_message', (m) => m.message_text === 'into the void'), 1);
});

test('a user who is away is offline, and messages do not count as delivered to them', async (scene) => {
  const { conversationId, customer, seller, say } = await stage(scene);
  await customer.cut();
  await until(async () => !(await scene.status('seller', 'customer')).is_online, 'the customer is offline');
  const message = await say('while away');
  assert.equal(await customer.comeBack(), true);
  await until(async () => (await scene.status('seller', 'customer')).is_online, 'the customer is online');
  await scene.barrier(seller, customer, conversationId);
  assert.equal(seller.count('chat:message_delivered', (d) => d.message_id === message.id), 0);
});

test('two tabs each get what they missed', async (scene) => {
  const { customer, say } = await stage(scene);
  const tab = await line(scene, 'customer');
  assert.notEqual(tab.pid, customer.pid);
  await customer.cut();
  await say('one is away');
  await tab.waitFor('chat:new_message');
  await tab.cut();
  await say('both are away');
  assert.equal(await customer.comeBack(), true);
  await customer.waitForMany('chat:new_message', 2);
  await say('the other is away');
  assert.equal(await tab.comeBack(), true);
  await tab.waitForMany('chat:new_message', 3);
  await customer.waitForMany('chat:new_message', 3);
  const all = ['one is away', 'both are away', 'the other is away'];
  assert.deepEqual([texts(customer), texts(tab)], [all, all]);
});

test('recovery works by polling', async (scene) => {
  const { customer, say } = await stage(scene, { transports: ['polling'] });
  await say('before');
  await customer.waitFor('chat:new_message');
  await customer.cut();
  // By polling the server knows nothing of the cut.
  await say('missed');
  assert.equal(await customer.comeBack(), true);
  await say('live');
  await customer.waitForMany('chat:new_message', 3);
  assert.deepEqual(texts(customer), ['before', 'missed', 'live']);
});

test('recovery works with an upgrade in the middle of it', async (scene) => {
  const { customer, say } = await stage(scene, { transports: ['polling', 'websocket'] });
  await say('before');
  await customer.waitFor('chat:new_message');
  const expected = ['before'];
  for (let round = 0; round < 5; round++) {
    await customer.cut();
    for (let n = 0; n < 20; n++) expected.push((await say(`missed ${round}.${n}`)).message_text);
    const coming = customer.comeBack();
    const live = [];
    for (let n = 0; n < 10; n++) live.push(say(`live ${round}.${n}`));
    assert.equal(await coming, true);
    for (const message of await Promise.all(live)) expected.push(message.message_text);
    await until(() => customer.socket.io.engine.transport.name === 'websocket', 'the upgrade is done');
    await customer.waitForMany('chat:new_message', expected.length);
  }
  assert.deepEqual(texts(customer), expected);
});

test('a client that disconnected on purpose starts anew', async (scene) => {
  const { customer, seller, conversationId } = await stage(scene);
  const pid = customer.pid;
  customer.socket.disconnect();
  await until(async () => !(await scene.status('seller', 'customer')).is_online, 'the customer is gone');
  assert.equal(await customer.comeBack(), false);
  assert.notEqual(customer.pid, pid);
  await scene.barrier(seller, customer, conversationId);
  assert.equal(customer.count('chat:new_message'), 1);
});

test('a pid works once', async (scene) => {
  const { customer, say } = await stage(scene);
  await say('known');
  await customer.waitFor('chat:new_message');
  const pid = customer.pid;
  await customer.cut();
  const thief = await line(scene, 'customer', { auth: { pid } });
  assert.equal(thief.pid, pid);
  thief.socket.disconnect();
  await until(async () => !(await scene.status('seller', 'customer')).is_online, 'it is gone');
  assert.equal(await customer.comeBack(), false);
});

for (const [what, change] of Object.entries({
  'of another user': (auth, other) => ({ ...auth, pid: other.pid }),
  'that is forged': (auth) => ({ ...auth, pid: auth.pid.replace(/.$/, (c) => (c === '0' ? '1' : '0')) }),
  'that is none': (auth) => ({ ...auth, pid: 'x' }),
  'that is no text': (auth) => ({ ...auth, pid: { a: 1 } }),
  'with an offset that is none': (auth) => ({ ...auth, offset: 'chat:new_message' }),
})) {
  test(`a pid ${what} recovers nothing, and the client gets a new one`, async (scene) => {
    const { customer, seller, conversationId, say } = await stage(scene);
    const other = await line(scene, 'admin');
    await other.cut();
    await say('known');
    await customer.waitFor('chat:new_message');
    await customer.cut();
    await say('missed');
    const auth = change({ pid: customer.pid, offset: offset(customer) }, other);
    const pid = customer.pid;
    Object.assign(customer.socket.auth, auth);
    assert.equal(await customer.comeBack(), false);
    assert.ok(![pid, other.pid, auth.pid].includes(customer.pid), customer.pid);
    await scene.barrier(seller, customer, conversationId);
    assert.deepEqual(texts(customer).filter((text) => text === 'missed'), []);
  });
}

if (external) {
  const newUser = (role = 'customer') => {
    const id = randomUUID();
    const user = { id, email: `${id}@souk.example`, role, displayName: 'Someone' };
    server.database.addUser(user);
    return user;
  };

  test('a user who was suspended in the meantime is refused, and starts anew when active again', async (scene) => {
    const user = newUser();
    const conversationId = await scene.conversation(user, 'seller');
    const seller = await scene.connect('seller');
    const customer = await line(scene, user);
    await customer.cut();
    server.database.sql(`UPDATE users SET status = 'suspended' WHERE id = '${user.id}'`);
    await scene.say(seller, conversationId, 'missed');
    customer.isDown = false;
    customer.socket.connect();
    assert.equal((await customer.waitFor('connect_error')).message, 'Account not active');
    server.database.sql(`UPDATE users SET status = 'active' WHERE id = '${user.id}'`);
    assert.equal(await customer.comeBack(), false);
  });

  test('a user who was removed from a conversation in the meantime gets nothing of it', async (scene) => {
    const user = newUser();
    const [left, kept] = [await scene.conversation(user, 'seller'), await scene.conversation(user, 'seller')];
    const seller = await scene.connect('seller');
    const customer = await line(scene, user);
    await done(customer, 'chat:join', { conversationId: left });
    await customer.cut();
    await scene.say(seller, left, 'not for them');
    await scene.say(seller, kept, 'for them');
    server.database.sql(`UPDATE conversations SET participant_ids = participant_ids - '${user.id}' WHERE id = '${left}'`);
    assert.equal(await customer.comeBack(), true);
    await customer.waitFor('chat:new_message', (m) => m.message_text === 'for them');
    assert.deepEqual(texts(customer), ['for them']);
  });

  test('of a user who was blocked in the meantime only the messages from before the block come', async (scene) => {
    const user = newUser();
    const conversationId = await scene.conversation(user, 'seller');
    const seller = await scene.connect('seller');
    const customer = await line(scene, user);
    await scene.say(customer, conversationId, 'to be read');
    await customer.cut();
    await scene.say(seller, conversationId, 'before');
    await done(seller, 'chat:mark_read', { conversationId });
    assert.equal((await scene.rest(user, 'POST', `/api/chat/users/${USERS.seller.id}/block`)).status, 200);
    assert.equal(await customer.comeBack(), true);
    await customer.waitFor('chat:new_message', (m) => m.message_text === 'before');
    assert.equal(customer.count('chat:messages_read'), 0);
  });
}
