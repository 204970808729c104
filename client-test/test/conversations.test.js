'use strict';

// chat:get_conversations and GET /conversations: the list, newest activity first.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { assertListedConversation, time } = require('../lib/shapes');
const { until } = require('../lib/limits');

const { test } = suite();

/** n new conversations with a message each; their ids, the last active first. */
async function active(scene, client, n) {
  const ids = [];
  for (let i = 0; i < n; i++) {
    const id = await scene.conversation();
    await scene.say(client, id, `in ${id}`);
    ids.unshift(id);
  }
  return ids;
}

const ids = (list) => list.map((c) => c.id);
const rest = (scene, who, query = '') => scene.data(who, 'GET', `/api/chat/conversations${query}`);

test('chat:conversations is an array of whole conversations with the other participants', async (scene) => {
  const client = await scene.connect('customer');
  const [id] = await active(scene, client, 1);
  client.emit('chat:get_conversations');
  const list = await client.waitFor('chat:conversations');
  assert.ok(Array.isArray(list));
  list.forEach(assertListedConversation);
  const listed = list.find((c) => c.id === id);
  assert.equal(listed.type, 'customer_seller');
  assert.deepEqual([...listed.participant_ids].sort(), [USERS.customer.id, USERS.seller.id]);
  assert.equal(listed.participantDetails.length, 1);
  const [other] = listed.participantDetails;
  assert.deepEqual(
    [other.id, other.displayName, other.email, other.role],
    [USERS.seller.id, USERS.seller.displayName, USERS.seller.email, 'seller'],
  );
});

test('with an acknowledgement: it has the same array', async (scene) => {
  const client = await scene.connect('customer');
  await active(scene, client, 1);
  const answer = await client.ask('chat:get_conversations');
  assert.equal(answer.success, true);
  assert.deepEqual(answer.data, await client.waitFor('chat:conversations'));
});

for (const payload of [null, {}, undefined]) {
  test(`the payload ${JSON.stringify(payload)} counts as none`, async (scene) => {
    const client = await scene.connect('customer');
    const [id] = await active(scene, client, 1);
    client.emit('chat:get_conversations', payload);
    assert.equal((await client.waitFor('chat:conversations'))[0].id, id);
  });
}

test('the newest activity comes first', async (scene) => {
  const client = await scene.connect('customer');
  const [c, b, a] = await active(scene, client, 3);
  client.emit('chat:get_conversations', { limit: 3 });
  assert.deepEqual(ids(await client.waitFor('chat:conversations')), [c, b, a]);
  await scene.say(client, a, 'up again');
  client.emit('chat:get_conversations', { limit: 3 });
  assert.deepEqual(ids(await client.waitFor('chat:conversations')), [a, c, b]);
});

test('limit and before (a conversation id) page through the list, each conversation once', async (scene) => {
  const client = await scene.connect('customer');
  const expected = await active(scene, client, 5);
  const seen = [];
  for (let before; seen.length < 5; before = seen.at(-1)) {
    const { data } = await client.ask('chat:get_conversations', { limit: 2, before });
    assert.equal(data.length, 2);
    assert.deepEqual(ids(await rest(scene, 'customer', `?limit=2${before ? `&before=${before}` : ''}`)), ids(data), 'REST says the same');
    seen.push(...ids(data));
  }
  assert.deepEqual(seen.slice(0, 5), expected);
});

test('next pages through the list, in the acknowledgement and by REST', async (scene) => {
  const client = await scene.connect('customer');
  const expected = await active(scene, client, 5);
  const seen = [];
  for (let before; seen.length < 5; ) {
    const { data, next } = await client.ask('chat:get_conversations', { limit: 2, before });
    const query = before ? `?limit=2&before=${encodeURIComponent(before)}` : '?limit=2';
    const { body } = await scene.rest('customer', 'GET', `/api/chat/conversations${query}`);
    assert.deepEqual([ids(body.data), body.next], [ids(data), next], 'REST says the same');
    assert.equal(typeof next, 'string');
    seen.push(...ids(data));
    before = next;
  }
  assert.deepEqual(seen.slice(0, 5), expected);
});

test('next still finds the right place when the conversation that it names has been active again', async (scene) => {
  const client = await scene.connect('customer');
  const expected = await active(scene, client, 4);
  const { next } = await client.ask('chat:get_conversations', { limit: 2 });
  await scene.say(client, expected[1]);
  const { data } = await client.ask('chat:get_conversations', { limit: 2, before: next });
  assert.deepEqual(ids(data), expected.slice(2));
});

test('next is null on the last page', async (scene) => {
  const id = await scene.conversation('admin', 'seller');
  const client = await scene.connect('admin');
  const answer = await client.ask('chat:get_conversations', { limit: 50 });
  assert.deepEqual([ids(answer.data), answer.next], [[id], null]);
});

test('before with a time: the conversations that were last active earlier', async (scene) => {
  const client = await scene.connect('customer');
  const expected = await active(scene, client, 3);
  const [newest] = await rest(scene, 'customer', '?limit=1');
  const before = newest.last_message_at;
  const { data } = await client.ask('chat:get_conversations', { limit: 2, before });
  assert.deepEqual(ids(data), expected.slice(1));
  assert.deepEqual(ids(await rest(scene, 'customer', `?limit=2&before=${encodeURIComponent(before)}`)), expected.slice(1));
});

test('a page has 50 conversations by default', async (scene) => {
  const client = await scene.connect('customer');
  await Promise.all(Array.from({ length: 52 }, () => scene.conversation()));
  client.emit('chat:get_conversations');
  assert.equal((await client.waitFor('chat:conversations')).length, 50);
  assert.equal((await rest(scene, 'customer')).length, 50);
});

test('each user sees their own list and their own unread count', async (scene) => {
  const client = await scene.connect('customer');
  const [id] = await active(scene, client, 1);
  await scene.say(client, id);
  const mine = (await rest(scene, 'customer')).find((c) => c.id === id);
  const theirs = (await rest(scene, 'seller')).find((c) => c.id === id);
  assert.equal(mine.unread_count, 0);
  assert.equal(theirs.unread_count, 2);
  assert.equal(theirs.participantDetails[0].id, USERS.customer.id);
  assert.equal((await rest(scene, 'admin')).some((c) => c.id === id), false);
});

test('a user without conversations gets an empty array', async (scene) => {
  assert.deepEqual(await rest(scene, 'manager'), []);
  const client = await scene.connect('manager');
  client.emit('chat:get_conversations');
  assert.deepEqual(await client.waitFor('chat:conversations'), []);
});

test('isOnline says who is online; lastSeenAt says since when somebody is offline', async (scene) => {
  const id = await scene.conversation();
  const seller = async () => (await rest(scene, 'customer')).find((c) => c.id === id).participantDetails[0];
  assert.equal((await seller()).isOnline, false);
  const client = await scene.connect('seller');
  assert.equal((await seller()).isOnline, true);
  client.close();
  const after = await until(async () => {
    const other = await seller();
    return !other.isOnline && other;
  }, 'the seller is shown as offline');
  assert.ok(time(after.lastSeenAt), after.lastSeenAt);
});

for (const payload of [{ limit: 0 }, { limit: -3 }, { limit: 'many' }, { before: 'yesterday' }, { before: 5 }, { limit: 1e300 }, { before: '2026-01-02T03:04:05Z_x' }, { before: '_' }]) {
  test(`odd page parameters do no harm: ${JSON.stringify(payload)}`, async (scene) => {
    const client = await scene.connect('customer');
    const answer = await client.ask('chat:get_conversations', payload);
    assert.equal(typeof answer.success, 'boolean');
    if (!answer.success) assert.equal(answer.message, 'Failed to get conversations');
    const over = await scene.rest('customer', 'GET', `/api/chat/conversations?${new URLSearchParams(payload)}`);
    assert.ok(over.status < 500, over.text);
    assert.equal(typeof over.body.success, 'boolean');
  });
}
