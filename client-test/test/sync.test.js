'use strict';

// Catching up after a gap: chat:sync, GET /sync, and chat:join with lastSeq.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { assertFailure, assertMessage, time } = require('../lib/shapes');
const { assertTombstone, failure } = require('../lib/message-actions');
const { testWithOwnServer } = require('../lib/own-server');
const { external } = require('../lib/postgres');
const { NOBODY } = require('../lib/users');

const { test } = suite();

const seqs = (messages) => messages.map((m) => m.seq);
const upTo = (n, from = 1) => Array.from({ length: n - from + 1 }, (_, i) => from + i);

/** A conversation with so many messages of the customer, which the seller may have missed. */
async function talk(scene, n) {
  const conversationId = await scene.conversation();
  const customer = await scene.connect('customer');
  const messages = await Promise.all(Array.from({ length: n }, (_, i) => scene.say(customer, conversationId, `text ${i + 1}`)));
  return { conversationId, customer, seller: await scene.connect('seller'), messages };
}

async function sync(client, payload) {
  const answer = await client.ask('chat:sync', payload);
  assert.equal(answer.success, true, JSON.stringify(answer));
  return answer.data;
}

/** What a client misses of one conversation that it knows up to `lastSeq`. */
async function missed(client, conversationId, lastSeq, limit) {
  const data = await sync(client, { conversations: { [conversationId]: lastSeq }, limit });
  assertSync(data);
  return data.conversations[conversationId];
}

function assertSync(data) {
  assert.deepEqual([typeof data.has_more, typeof data.reset], ['boolean', 'boolean'], JSON.stringify(data).slice(0, 300));
  assert.ok(time(data.server_time), data.server_time);
  Object.values(data.conversations).forEach(assertMissed);
}

function assertMissed(one) {
  if (one.success === false) return assertFailure(one);
  assert.ok(Number.isInteger(one.last_seq) && Number.isInteger(one.unread_count));
  assert.deepEqual([typeof one.has_more, typeof one.reset], ['boolean', 'boolean']);
  for (const message of [...one.messages, ...one.changes]) assertMessage(message);
  assert.deepEqual(seqs(one.messages), seqs(one.messages).sort((a, b) => a - b), 'oldest first');
  for (const hidden of one.deleted_for_me) assert.deepEqual(Object.keys(hidden).sort(), ['message_id', 'seq']);
  for (const read of one.reads) {
    for (const field of ['user_id', 'last_read_seq', 'read_at', 'last_delivered_seq', 'delivered_at']) assert.ok(field in read, field);
  }
  assert.equal(one.reads.length, 2, 'of every participant');
}

test('sync returns the messages after lastSeq, oldest first', async (scene) => {
  const { conversationId, seller, messages } = await talk(scene, 5);
  const one = await missed(seller, conversationId, 2);
  assert.deepEqual(one.messages.map((m) => [m.seq, m.id, m.message_text]), messages.slice(2).map((m) => [m.seq, m.id, m.message_text]));
  assert.deepEqual([one.last_seq, one.has_more, one.reset, one.unread_count], [5, false, false, 5]);
});

test('lastSeq 0 returns every message; the newest lastSeq returns none', async (scene) => {
  const { conversationId, seller } = await talk(scene, 3);
  assert.deepEqual(seqs((await missed(seller, conversationId, 0)).messages), [1, 2, 3]);
  const nothing = await missed(seller, conversationId, 3);
  assert.deepEqual([nothing.messages, nothing.has_more, nothing.reset, nothing.last_seq], [[], false, false, 3]);
});

test('an empty conversation with lastSeq 0 has nothing to catch up', async (scene) => {
  const { conversationId, seller } = await talk(scene, 0);
  const one = await missed(seller, conversationId, 0);
  assert.deepEqual([one.messages, one.last_seq, one.has_more, one.reset], [[], 0, false, false]);
});

test('a gap larger than the limit comes in pages: has_more until all is there', async (scene) => {
  const { conversationId, seller } = await talk(scene, 10);
  const got = [];
  for (let more = true, pages = 0; more; pages++) {
    assert.ok(pages < 4, 'it does not end');
    const data = await sync(seller, { conversations: { [conversationId]: got.at(-1) ?? 0 }, limit: 4 });
    const one = data.conversations[conversationId];
    assert.ok(one.messages.length <= 4);
    assert.equal(data.has_more, one.has_more, 'the whole says so too');
    got.push(...seqs(one.messages));
    more = one.has_more;
  }
  assert.deepEqual(got, upTo(10));
});

test('one conversation returns 200 messages by default', async (scene) => {
  const { conversationId, seller } = await talk(scene, 203);
  const one = await missed(seller, conversationId, 1);
  assert.deepEqual([seqs(one.messages), one.has_more], [upTo(201, 2), true]);
});

test('several conversations at once, each from its own lastSeq', async (scene) => {
  const [a, b] = [await talk(scene, 3), await talk(scene, 2)];
  const data = await sync(a.seller, { conversations: { [a.conversationId]: 2, [b.conversationId]: 0 } });
  assert.deepEqual(seqs(data.conversations[a.conversationId].messages), [3]);
  assert.deepEqual(seqs(data.conversations[b.conversationId].messages), [1, 2]);
  assert.deepEqual([data.has_more, data.reset], [false, false]);
});

test('a lastSeq beyond the newest message: reset, and the newest page', async (scene) => {
  const { conversationId, seller } = await talk(scene, 4);
  const one = await missed(seller, conversationId, 99);
  assert.deepEqual([one.reset, seqs(one.messages), one.last_seq], [true, [1, 2, 3, 4], 4]);
});

test('a gap of more than 5,000: reset, and the newest page', async (scene) => {
  const { conversationId, customer, seller } = await talk(scene, 0);
  const all = [];
  for (let i = 0; i <= 5000; i++) {
    all.push(scene.say(customer, conversationId, 'x'));
    if (all.length % 64 === 0) await Promise.all(all.slice(-64));
  }
  await Promise.all(all);
  const one = await missed(seller, conversationId, 0);
  assert.deepEqual([one.reset, one.messages.at(-1).seq, one.last_seq], [true, 5001, 5001]);
  assert.deepEqual(seqs(one.messages), upTo(5001, one.messages[0].seq));
  const near = await missed(seller, conversationId, 1);
  assert.deepEqual([near.reset, near.messages[0].seq, near.has_more], [false, 2, true]);
});

test('an edit of a known message is among the changes', async (scene) => {
  const { conversationId, customer, seller, messages } = await talk(scene, 3);
  await customer.ask('chat:edit_message', { messageId: messages[0].id, newText: 'changed' });
  const one = await missed(seller, conversationId, 3);
  const change = one.changes.find((m) => m.id === messages[0].id);
  assert.deepEqual([change.message_text, change.is_edited, change.edit_count, change.seq], ['changed', true, 1, 1]);
  assert.deepEqual(one.messages, []);
});

test('a message deleted for everyone is among the changes, without its text', async (scene) => {
  const { conversationId, customer, seller, messages } = await talk(scene, 3);
  await customer.ask('chat:delete_message', { messageId: messages[1].id, deletionType: 'for_everyone' });
  const one = await missed(seller, conversationId, 3);
  assertTombstone(one.changes.find((m) => m.id === messages[1].id), USERS.customer.id);
  assert.doesNotMatch(JSON.stringify(one), /text 2/);
  assert.deepEqual(one.deleted_for_me, []);
});

test('a reaction to a known message, and its removal, are among the changes', async (scene) => {
  const { conversationId, customer, seller, messages } = await talk(scene, 2);
  const messageId = messages[0].id;
  for (const [event, expected] of [['chat:add_reaction', [{ reaction: '👍', count: 1, user_ids: [USERS.customer.id] }]], ['chat:remove_reaction', []]]) {
    await customer.ask(event, { messageId, reaction: '👍' });
    const change = (await missed(seller, conversationId, 2)).changes.find((m) => m.id === messageId);
    assert.deepEqual(change.reactions, expected, event);
  }
});

test('a new message comes once, in its newest state, and not among the changes', async (scene) => {
  const { conversationId, customer, seller, messages } = await talk(scene, 3);
  await customer.ask('chat:edit_message', { messageId: messages[2].id, newText: 'changed' });
  const one = await missed(seller, conversationId, 2);
  assert.deepEqual(one.messages.map((m) => m.message_text), ['changed']);
  assert.deepEqual(one.changes.filter((m) => m.seq > 2), []);
});

test('a new message that I deleted for_me is listed in deleted_for_me, only for me', async (scene) => {
  const { conversationId, customer, seller, messages } = await talk(scene, 4);
  await seller.ask('chat:delete_message', { messageId: messages[2].id, deletionType: 'for_me' });
  const one = await missed(seller, conversationId, 1);
  assert.deepEqual(seqs(one.messages), [2, 4]);
  assert.deepEqual(one.deleted_for_me, [{ message_id: messages[2].id, seq: 3 }]);
  const theirs = await missed(customer, conversationId, 1);
  assert.deepEqual([seqs(theirs.messages), theirs.deleted_for_me], [[2, 3, 4], []]);
});

test('a known message that I deleted for_me on another device is listed in deleted_for_me', async (scene) => {
  const { conversationId, seller, messages } = await talk(scene, 3);
  await seller.ask('chat:delete_message', { messageId: messages[0].id, deletionType: 'for_me' });
  const one = await missed(await scene.connect('seller'), conversationId, 3);
  assert.deepEqual(one.deleted_for_me, [{ message_id: messages[0].id, seq: 1 }]);
  assert.deepEqual(one.changes.filter((m) => m.id === messages[0].id), []);
});

test('pages continue past messages that I deleted for_me', async (scene) => {
  const { conversationId, seller, messages } = await talk(scene, 8);
  for (const m of messages.slice(2, 6)) await seller.ask('chat:delete_message', { messageId: m.id, deletionType: 'for_me' });
  const got = [];
  let from = 0;
  for (let more = true, pages = 0; more; pages++) {
    assert.ok(pages < 8, 'it does not end');
    const one = await missed(seller, conversationId, from, 2);
    got.push(...seqs(one.messages));
    // As the contract has it: on from the last message; where a page shows none, from the last hole.
    from = Math.max(from, one.up_to ?? 0, ...seqs(one.messages), ...(one.messages.length ? [] : seqs(one.deleted_for_me)));
    more = one.has_more;
  }
  assert.deepEqual(got, [1, 2, 7, 8]);
});

test('reads says how far each member has read', async (scene) => {
  const { conversationId, customer, seller } = await talk(scene, 3);
  await seller.ask('chat:mark_read', { conversationId });
  await scene.say(customer, conversationId, 'one more');
  const one = await missed(customer, conversationId, 3);
  const of = (who) => one.reads.find((r) => r.user_id === USERS[who].id);
  assert.equal(of('seller').last_read_seq, 3);
  assert.ok(time(of('seller').read_at));
  assert.ok(of('customer'));
  assert.equal((await missed(seller, conversationId, 3)).unread_count, 1);
});

test('since: returns what changed after the server_time of an earlier answer', async (scene) => {
  const { conversationId, customer, seller, messages } = await talk(scene, 3);
  const { server_time: since } = await sync(seller, { conversations: { [conversationId]: 0 } });
  await scene.say(customer, conversationId, 'missed');
  await customer.ask('chat:edit_message', { messageId: messages[0].id, newText: 'changed' });
  await seller.ask('chat:delete_message', { messageId: messages[1].id, deletionType: 'for_me' });
  const data = await sync(seller, { since });
  assertSync(data);
  const one = data.conversations[conversationId];
  const told = [...one.messages, ...one.changes];
  assert.ok(told.some((m) => m.message_text === 'missed'));
  assert.ok(told.some((m) => m.id === messages[0].id && m.message_text === 'changed'));
  assert.ok(one.deleted_for_me.some((m) => m.message_id === messages[1].id));
  assert.ok(Date.parse(data.server_time) >= Date.parse(since));
});

test('since: a conversation that began in the meantime comes from its first message', async (scene) => {
  const { conversationId: known, seller } = await talk(scene, 1);
  const { server_time: since } = await sync(seller, { conversations: { [known]: 1 } });
  const { conversationId } = await talk(scene, 2);
  assert.deepEqual(seqs((await sync(seller, { since })).conversations[conversationId].messages), [1, 2]);
});

test('since: a conversation that was only read in the meantime counts as changed', async (scene) => {
  const { conversationId, customer, seller } = await talk(scene, 2);
  const { server_time: since } = await sync(customer, { conversations: { [conversationId]: 2 } });
  await seller.ask('chat:mark_read', { conversationId });
  const one = (await sync(customer, { since })).conversations[conversationId];
  assert.equal(one.reads.find((r) => r.user_id === USERS.seller.id).last_read_seq, 2);
});

test('since: returns nothing for a time in the future, and nothing of other users', async (scene) => {
  const { conversationId, seller } = await talk(scene, 2);
  assert.deepEqual((await sync(seller, { since: '2100-01-01T00:00:00Z' })).conversations, {});
  const admin = await scene.connect('admin');
  const data = await sync(admin, { since: new Date(Date.now() - 60_000).toISOString() });
  assert.equal(conversationId in data.conversations, false);
});

test('a conversation of others fails by itself: Not authorized', async (scene) => {
  const { conversationId, seller } = await talk(scene, 1);
  const theirs = await scene.conversation('customer', 'admin');
  const data = await sync(seller, { conversations: { [conversationId]: 0, [theirs]: 0, [NOBODY]: 0, nonsense: 0 } });
  assert.deepEqual(seqs(data.conversations[conversationId].messages), [1]);
  assertFailure(data.conversations[theirs], 'not_authorized', 'Not authorized');
  assertFailure(data.conversations[NOBODY], 'conversation_not_found', 'Conversation not found');
  assertFailure(data.conversations.nonsense, 'conversation_not_found', 'Conversation not found');
});

for (const lastSeq of [-1, 1.5, 'x', '', true, [], {}, 1e30]) {
  test(`lastSeq ${JSON.stringify(lastSeq)} is refused: invalid_payload`, async (scene) => {
    const { conversationId, seller } = await talk(scene, 1);
    assertFailure(await seller.ask('chat:sync', { conversations: { [conversationId]: lastSeq } }), 'invalid_payload');
    assert.equal((await seller.waitFor('chat:error')).code, 'invalid_payload');
  });
}

for (const [name, payload] of Object.entries({
  'neither conversations nor since': {},
  'conversations that are a number': { conversations: 5 },
  'a since that is no time': { since: 'yesterday' },
  'a since that is a number': { since: 5 },
  'more than 100 conversations': { conversations: Object.fromEntries(upTo(101).map((i) => [`${NOBODY.slice(0, -3)}${String(i).padStart(3, '0')}`, 0])) },
})) {
  test(`${name}: invalid_payload`, async (scene) => {
    const seller = await scene.connect('seller');
    assertFailure(await seller.ask('chat:sync', payload), 'invalid_payload');
  });
}

test('without an acknowledgement the answer is chat:synced', async (scene) => {
  const { conversationId, seller } = await talk(scene, 2);
  seller.emit('chat:sync', { conversations: { [conversationId]: 1 } });
  const data = await seller.waitFor('chat:synced');
  assertSync(data);
  assert.deepEqual(seqs(data.conversations[conversationId].messages), [2]);
});

test('REST answers the same, by lastSeq and by since', async (scene) => {
  const { conversationId, seller } = await talk(scene, 3);
  const other = (await talk(scene, 1)).conversationId;
  for (const [payload, query] of [
    [{ conversations: { [conversationId]: 1, [other]: 0 } }, `conversations=${conversationId}:1,${other}:0`],
    [{ conversations: { [conversationId]: 1 }, limit: 1 }, `conversations=${conversationId}:1&limit=1`],
    [{ since: '2026-01-01T00:00:00Z' }, 'since=2026-01-01T00:00:00Z'],
  ]) {
    const { server_time: a, ...bySocket } = await sync(seller, payload);
    const { server_time: b, ...byRest } = await scene.data('seller', 'GET', `/api/chat/sync?${query}`);
    assert.deepEqual(byRest, bySocket, query);
    assert.ok(time(a) && time(b));
  }
});

test('REST: bad input is 400 invalid_payload', async (scene) => {
  const id = await scene.conversation();
  for (const query of ['', 'since=yesterday', `conversations=${id}`, `conversations=${id}:-1`, `conversations=${id}:x`, `conversations=${id}:1.5`]) {
    failure(await scene.rest('seller', 'GET', `/api/chat/sync?${query}`), 400, 'invalid_payload');
  }
});

testWithOwnServer('server_time is by the clock of the database', { skip: !external }, async (own, scene) => {
  await own.prepareDatabase();
  const name = new URL(own.database.url).pathname.slice(1);
  own.database.sql(`
    CREATE SCHEMA late;
    CREATE FUNCTION late.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$SELECT pg_catalog.clock_timestamp() - interval '10 minutes'$$;
    ALTER DATABASE "${name}" SET search_path = public, late, pg_catalog`);
  // A pooler would go on with connections that it opened before.
  own.database.sql('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()');
  await own.start();
  const since = new Date(Date.now() - 60_000).toISOString();
  const answer = await scene.data('customer', 'GET', `/api/chat/sync?since=${since}`);
  const behind = (Date.now() - Date.parse(answer.server_time)) / 1000;
  assert.ok(behind > 590 && behind < 660, `${behind} s behind`);
});
