'use strict';

// Finding users that the test adds to the database: run with TEST_DATABASE_URL.

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { suite, USERS } = require('../lib/suite');
const { external } = require('../lib/postgres');
const { failure } = require('../lib/message-actions');

if (external) tests();
else require('node:test').test('tests that need TEST_DATABASE_URL', { skip: true }, () => {});

function tests() {
  const { test, server } = suite();
  const sql = (text) => server.database.sql(text);

  function addUser(role, { displayName = `New ${role}`, status = 'active', email } = {}) {
    const id = randomUUID();
    const user = { id, email: email ?? `${id}@souk.example`, role, displayName, status };
    server.database.addUser(user);
    return user;
  }

  const search = async (scene, who, query) => {
    const answer = await scene.rest(who, 'GET', `/api/chat/users/search?${new URLSearchParams(query)}`);
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.body.count, answer.body.data.length);
    return answer.body.data;
  };

  test('only active users are found', async (scene) => {
    const mark = randomUUID();
    const active = addUser('seller', { displayName: mark });
    for (const status of ['inactive', 'suspended', 'banned']) addUser('seller', { displayName: mark, status });
    assert.deepEqual((await search(scene, 'customer', { search: mark })).map((u) => u.id), [active.id]);
    const available = (await scene.rest('customer', 'GET', '/api/chat/users/available')).body;
    const ids = available.data.sellers.map((u) => u.id);
    assert.ok(ids.includes(active.id));
    assert.equal(Number(sql(`SELECT count(*) FROM users WHERE id IN ('${ids.join("','")}') AND status <> 'active'`)), 0);
  });

  test('% and _ and \\ in the search are plain characters', async (scene) => {
    const mark = randomUUID().slice(0, 8);
    const percent = addUser('seller', { displayName: `${mark} 100% wool` });
    const underscore = addUser('seller', { displayName: `${mark} big_lamp` });
    const backslash = addUser('seller', { displayName: `${mark} back\\slash` });
    addUser('seller', { displayName: `${mark} bigxlamp 1000 wool` });
    for (const [text, user] of [['100%', percent], [`${mark} 100% w`, percent], ['g_l', underscore], ['k\\s', backslash]]) {
      const found = (await search(scene, 'customer', { search: text })).filter((u) => u.displayName.startsWith(mark));
      assert.deepEqual(found.map((u) => u.id), [user.id], text);
    }
  });

  test('without a display name, the part of the e-mail before the @ is shown and found', async (scene) => {
    const mark = `u${randomUUID().slice(0, 8)}`;
    const user = addUser('seller', { email: `${mark}@elsewhere.example` });
    for (const nothing of ['NULL', "''"]) {
      sql(`UPDATE users SET display_name = ${nothing} WHERE id = '${user.id}'`);
      const [found] = await search(scene, 'customer', { search: mark });
      assert.deepEqual([found.id, found.displayName, found.email], [user.id, mark, user.email]);
    }
  });

  test('a search finds 20 users by default and at most 100; available has at most 100', async (scene) => {
    const mark = randomUUID();
    for (let i = 0; i < 105; i++) addUser('seller', { displayName: `${mark} ${i}` });
    for (const [limit, expected] of [[undefined, 20], [5, 5], [100, 100], [1000, 100]]) {
      const query = { search: mark, ...(limit ? { limit } : {}) };
      assert.equal((await search(scene, 'customer', query)).length, expected, `limit ${limit}`);
    }
    const { data, totalCount } = (await scene.rest('customer', 'GET', '/api/chat/users/available')).body;
    const shown = Object.values(data).flat().length;
    assert.equal(totalCount, shown);
    assert.ok(shown <= 100, `${shown} users`);
    // However many sellers there are, the staff is among those shown.
    assert.ok(data.admins.length > 0 && data.managers.length > 0, 'the staff is crowded out');
  });

  const support = async (scene, who) => (await scene.data(who, 'GET', '/api/chat/support-user')).supportUserId;

  test('support: with nobody online, the staff member who has been here longest', async (scene) => {
    const veteran = addUser('manager', { displayName: 'Veteran' });
    sql(`UPDATE users SET created_at = '2001-01-01' WHERE id = '${veteran.id}'`);
    const caller = addUser('customer');
    assert.equal(await support(scene, caller), veteran.id);
    sql(`UPDATE users SET status = 'inactive' WHERE id = '${veteran.id}'`);
    assert.notEqual(await support(scene, caller), veteran.id);
  });

  test('support: of the staff online, the one with the fewest active conversations', async (scene) => {
    const [busy, idle] = [addUser('admin'), addUser('manager')];
    for (const staff of [busy, idle]) await scene.connect(staff);
    const talk = (staff) => scene.data(addUser('customer'), 'POST', '/api/chat/conversations', { participantId: staff.id });
    for (const staff of [busy, busy, idle]) await talk(staff);
    const caller = addUser('customer');
    assert.equal(await support(scene, caller), idle.id);
    for (let i = 0; i < 2; i++) await talk(idle);
    assert.equal(await support(scene, caller), busy.id);
    sql(`UPDATE conversations SET status = 'closed' WHERE participant_ids ? '${idle.id}'`);
    assert.equal(await support(scene, caller), idle.id, 'closed conversations do not count');
  });

  test('support: an open conversation decides who helps; a closed one does not', async (scene) => {
    const [own, other] = [addUser('manager'), addUser('admin')];
    await scene.connect(other);
    const caller = addUser('seller');
    const { id } = await scene.data(caller, 'POST', '/api/chat/conversations', { participantId: own.id });
    assert.equal(await support(scene, caller), own.id);
    sql(`UPDATE conversations SET status = 'closed' WHERE id = '${id}'`);
    assert.equal(await support(scene, caller), other.id);
  });

  test('support: an open conversation with a staff member who has left the shop does not decide', async (scene) => {
    const own = addUser('manager');
    const caller = addUser('customer');
    await scene.data(caller, 'POST', '/api/chat/conversations', { participantId: own.id });
    sql(`UPDATE users SET status = 'inactive' WHERE id = '${own.id}'`);
    assert.notEqual(await support(scene, caller), own.id);
  });

  test('support: no staff at all: 404 No support staff available at the moment', async (scene) => {
    sql(`UPDATE users SET status = 'away' WHERE role IN ('admin', 'manager') AND status = 'active'`);
    try {
      const answer = await scene.rest(addUser('customer'), 'GET', '/api/chat/support-user');
      failure(answer, 404, 'no_support_staff', 'No support staff available at the moment');
    } finally {
      sql(`UPDATE users SET status = 'active' WHERE status = 'away'`);
    }
    assert.ok(await support(scene, 'customer'));
  });

  test('a closed conversation takes no reply: Conversation is closed', async (scene) => {
    const conversationId = await scene.conversation();
    const customer = await scene.connect('customer');
    const quoted = await scene.say(customer, conversationId, 'x');
    sql(`UPDATE conversations SET status = 'closed' WHERE id = '${conversationId}'`);
    customer.emit('chat:send_reply', { conversationId, message: 'y', replyToMessageId: quoted.id, tempId: 't' });
    const failed = await customer.waitFor('chat:message_failed');
    assert.deepEqual([failed.message, failed.code, failed.tempId], ['Conversation is closed', 'conversation_closed', 't']);
  });

  test('the SQL objects agree with the API', async (scene) => {
    const conversationId = await scene.conversation();
    const [customer, seller] = [await scene.connect('customer'), await scene.connect('seller')];
    const message = await scene.say(customer, conversationId, 'one');
    await customer.ask('chat:edit_message', { messageId: message.id, newText: 'two' });
    await seller.ask('chat:add_reaction', { messageId: message.id, reaction: '👍' });
    assert.equal(sql(`SELECT count(*) FROM message_reactions WHERE message_id = '${message.id}' AND reaction = '👍' AND user_id = '${USERS.seller.id}'`), '1');
    assert.equal(sql(`SELECT old_text FROM message_edits WHERE message_id = '${message.id}'`), 'one');
    assert.equal(sql(`SELECT message_text FROM messages WHERE id = '${message.id}'`), 'two');
    const gone = await scene.say(customer, conversationId, 'three');
    await customer.ask('chat:delete_message', { messageId: gone.id, deletionType: 'for_everyone' });
    assert.equal(sql(`SELECT is_deleted FROM messages WHERE id = '${gone.id}'`), 't');
    const total = (await scene.data('seller', 'GET', '/api/chat/unread-count')).count;
    assert.equal(Number(sql(`SELECT get_unread_message_count('${USERS.seller.id}')`)), total);
    assert.equal(sql(`SELECT coalesce(sum(unread_count), 0) FROM unread_message_counts WHERE user_id = '${USERS.seller.id}'`), String(total));
  });
}
