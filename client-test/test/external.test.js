'use strict';

// Behaviour that needs a database to which the test can write: run with TEST_DATABASE_URL.

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { suite, USERS } = require('../lib/suite');
const { external } = require('../lib/postgres');
const { tokenFor } = require('../lib/jwt');
const { assertFailure } = require('../lib/shapes');
const { until } = require('../lib/limits');

// Without an external database there is nothing to run, and no server to start for it.
if (external) tests();
else require('node:test').test('tests that need TEST_DATABASE_URL', { skip: true }, () => {});

function tests() {
  const { test, server } = suite();
  const sql = (text) => server.database.sql(text);

  function addUser(role, status = 'active') {
    const id = randomUUID();
    const user = { id, email: `${id}@souk.example`, role, displayName: `New ${role}`, status };
    server.database.addUser(user);
    return user;
  }

  const create = (scene, who, other) => scene.rest(who, 'POST', '/api/chat/conversations', { participantId: other.id });

  for (const status of ['inactive', 'suspended', 'banned']) {
    test(`a user with status ${status} is refused: Account not active`, async (scene) => {
      const token = tokenFor(addUser('customer', status));
      const client = scene.open(null, { auth: { token }, reconnection: false });
      assert.equal((await client.refused()).message, 'Account not active');
      const answer = await scene.rest(null, 'GET', '/api/chat/conversations', undefined, { headers: { authorization: `Bearer ${token}` } });
      assert.equal(answer.status, 403);
      assert.deepEqual([answer.body.error, answer.body.message], ['Forbidden', 'Account is not active']);
    });
  }

  for (const role of ['customer', 'seller']) {
    test(`a ${role} may not talk to a ${role}: 403`, async (scene) => {
      const answer = await create(scene, role, addUser(role));
      assert.equal(answer.status, 403, answer.text);
      assertFailure(answer.body, 'roles_may_not_talk');
    });
  }

  for (const role of ['admin', 'manager']) {
    test(`two users with role ${role} talk in an internal conversation`, async (scene) => {
      const answer = await create(scene, role, addUser(role));
      assert.equal(answer.body.data.type, 'internal');
    });
  }

  test('a closed conversation takes no message: Conversation is closed', async (scene) => {
    const conversationId = await scene.conversation();
    sql(`UPDATE conversations SET status = 'closed' WHERE id = '${conversationId}'`);
    const customer = await scene.connect('customer');
    customer.emit('chat:send_message', { conversationId, message: 'x', tempId: 't' });
    const failed = await customer.waitFor('chat:message_failed');
    assert.deepEqual([failed.message, failed.code, failed.tempId], ['Conversation is closed', 'conversation_closed', 't']);
    assert.equal((await customer.ask('chat:get_messages', { conversationId })).success, true, 'it can still be read');
  });

  test('paging with next reaches all conversations that were last active at the same time', async (scene) => {
    const staff = addUser('admin');
    for (let i = 0; i < 7; i++) await create(scene, staff, addUser('customer'));
    sql(`UPDATE conversations SET last_message_at = '2026-01-01 00:00:00.123456Z' WHERE participant_ids ? '${staff.id}'`);
    const seen = [];
    let before;
    do {
      const query = new URLSearchParams({ limit: 3, ...(before && { before }) });
      const { body } = await scene.rest(staff, 'GET', `/api/chat/conversations?${query}`);
      seen.push(...body.data.map((c) => c.id));
      before = body.next;
    } while (before && seen.length < 20);
    assert.equal(seen.length, 7);
    assert.equal(new Set(seen).size, 7);
  });

  test('an open socket takes over changes of its user in the database', async (scene) => {
    const user = addUser('admin');
    const answer = await create(scene, user, USERS.seller);
    const conversationId = answer.body.data.id;
    const [client, seller] = [await scene.connect(user), await scene.connect('seller')];
    await seller.ask('chat:join', { conversationId });
    const said = await scene.say(client, conversationId);
    assert.deepEqual([said.senderRole, said.senderName], ['admin', 'New admin']);
    sql(`UPDATE users SET role = 'manager', display_name = 'Demoted' WHERE id = '${user.id}'`);
    const limit = 60_000;
    const later = await until(async () => {
      const { senderRole, senderName } = await scene.say(client, conversationId);
      return senderRole !== 'admin' && { senderRole, senderName };
    }, 'the socket knows its new role', limit);
    assert.deepEqual(later, { senderRole: 'manager', senderName: 'Demoted' });
    client.emit('chat:typing', { conversationId, isTyping: true });
    assert.equal((await seller.waitFor('chat:user_typing')).displayName, 'Demoted');
    assert.equal(client.count('disconnect'), 0, 'it stays connected');
  });

  test('the same tempId and text is a repeat for ten minutes on the same socket, for one minute on another', async (scene) => {
    const conversationId = await scene.conversation();
    const sender = await scene.connect('customer');
    const say = (client) => scene.say(client, conversationId, 'ok', { tempId: '1' });
    const first = await say(sender);
    const reconnected = await scene.connect('customer');
    assert.equal((await say(reconnected)).id, first.id, 'at once it is the same message, wherever it comes from');
    sql(`UPDATE messages SET created_at = created_at - interval '2 minutes' WHERE id = '${first.id}'`);
    assert.equal((await say(sender)).id, first.id, 'the same socket asks again');
    const reloaded = await scene.connect('customer');
    assert.notEqual((await say(reloaded)).id, first.id, 'a page that counts from 1 again means another message');
  });

  test('the SQL objects agree with the API', async (scene) => {
    const conversationId = await scene.conversation();
    const seller = await scene.connect('seller');
    for (const text of ['a', 'b', 'c']) await scene.say(seller, conversationId, text);
    const { customer, admin } = USERS;

    const total = (await scene.data('customer', 'GET', '/api/chat/unread-count')).count;
    assert.equal(Number(sql(`SELECT get_unread_message_count('${customer.id}')`)), total);
    const count = () => sql(`SELECT unread_count FROM unread_message_counts WHERE conversation_id = '${conversationId}' AND user_id = '${customer.id}'`);
    assert.equal(count(), '3');
    assert.equal(sql(`SELECT is_conversation_participant('${conversationId}', '${customer.id}')`), 't');
    assert.equal(sql(`SELECT is_conversation_participant('${conversationId}', '${admin.id}')`), 'f');
    assert.equal(
      sql(`SELECT count(*) FROM conversation_participants WHERE conversation_id = '${conversationId}' AND type = 'customer_seller' AND status = 'active' AND user_id IN ('${customer.id}', '${USERS.seller.id}')`),
      '2',
    );

    assert.equal(sql(`SELECT mark_messages_as_read('${conversationId}', '${customer.id}')`), '3');
    assert.equal((await scene.data('customer', 'GET', '/api/chat/unread-count')).count, total - 3);
    assert.equal(count(), '0');
  });

  test('user_online_status says who is online, and since when somebody is offline', async (scene) => {
    const user = addUser('customer');
    const client = await scene.connect(user);
    await client.ask('chat:get_conversations');
    const online = () => sql(`SELECT is_online FROM user_online_status WHERE user_id = '${user.id}'`);
    assert.equal(online(), 't');
    client.close();
    await scene.leave();
    assert.equal(online(), 'f');
  });
}
