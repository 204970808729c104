'use strict';

// If either of two users blocked the other, nothing is delivered between them. Older messages stay readable.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { external } = require('../lib/postgres');
const { assertFailure } = require('../lib/shapes');
const { failure } = require('../lib/message-actions');
const { NOBODY } = require('../lib/users');
const { until } = require('../lib/limits');

const { test, server } = suite();

const MESSAGE = 'You cannot talk to this user';
const id = (who) => USERS[who].id;
const block = (scene, who, whom) => scene.data(who, 'POST', `/api/chat/users/${id(whom)}/block`);
const unblock = (scene, who, whom) => scene.data(who, 'DELETE', `/api/chat/users/${id(whom)}/block`);
const blockedBy = (scene, who) => scene.rest(who, 'GET', '/api/chat/users/blocked');

/** A test after which nobody is blocked: the four people are everybody's. */
function clean(name, options, body) {
  if (!body) [options, body] = [{}, options];
  test(name, options, async (scene) => {
    try {
      await body(scene);
    } finally {
      for (const [who, whom] of [['customer', 'seller'], ['seller', 'customer']]) await unblock(scene, who, whom);
    }
  });
}

/** The same test for both directions: whoever of the two blocked, the customer is the one who then tries. */
function bothWays(name, body) {
  clean(`${name} (by the user who was blocked)`, (scene) => body(scene, () => block(scene, 'seller', 'customer')));
  clean(`${name} (by the user who blocked)`, (scene) => body(scene, () => block(scene, 'customer', 'seller')));
}

/** A conversation with a past, both in its room, and an admin who talks to each of them elsewhere. */
async function talk(scene) {
  const conversationId = await scene.conversation();
  const [customer, seller, admin] = await Promise.all(['customer', 'seller', 'admin'].map((who) => scene.connect(who)));
  const outside = { customer: await scene.conversation('customer', 'admin'), seller: await scene.conversation('seller', 'admin') };
  for (const client of [customer, seller]) await client.ask('chat:join', { conversationId });
  const mine = await scene.say(customer, conversationId, 'by the customer');
  const theirs = await scene.say(seller, conversationId, 'by the seller');
  await customer.ask('chat:add_reaction', { messageId: theirs.id, reaction: '👍' });
  // Marked by a statement of its own, and told when that is through: it may come after what settling sends.
  const delivered = (client, message) => client.waitFor('chat:message_delivered', (d) => d.message_id === message.id);
  await Promise.all([customer, seller].flatMap((client) => [mine, theirs].map((message) => delivered(client, message))));
  const s = { conversationId, customer, seller, admin, outside, mine, theirs, scene };
  await settle(s);
  return s;
}

/** What the customer caused has arrived at the seller, though nothing may pass between them to show it. */
async function settle({ scene, customer, seller, admin, outside }) {
  await customer.ask('chat:get_conversations');
  for (const [client, where] of [[customer, outside.customer], [seller, outside.seller]]) await scene.barrier(admin, client, where);
}

/** The seller is told nothing by what the customer does. */
async function unheard(s, body, event = /^chat:/) {
  await settle(s);
  const before = s.seller.events.length;
  await body();
  await settle(s);
  const of = (e) => e.data?.conversation_id ?? e.data?.conversationId;
  const told = s.seller.events.slice(before).filter((e) => event.test(e.event) && of(e) !== s.outside.seller && (of(e) === s.conversationId || e.data?.userId === id('customer')));
  assert.deepEqual(told, [], 'the seller was told');
}

clean('blocking and unblocking answer with the new state, also when repeated', async (scene) => {
  for (let i = 0; i < 2; i++) assert.deepEqual(await block(scene, 'customer', 'seller'), { user_id: id('seller'), blocked: true });
  for (let i = 0; i < 2; i++) assert.deepEqual(await unblock(scene, 'customer', 'seller'), { user_id: id('seller'), blocked: false });
});

clean('a user cannot block themselves: 400 invalid_user', async (scene) => {
  for (const method of ['POST', 'DELETE']) {
    const answer = await scene.rest('customer', method, `/api/chat/users/${id('customer')}/block`);
    if (method === 'POST') failure(answer, 400, 'invalid_user');
    else assert.ok(answer.status < 500, answer.text);
  }
});

clean('an unknown user cannot be blocked: 404 User not found', async (scene) => {
  for (const whom of [NOBODY, 'nonsense', '%00']) {
    failure(await scene.rest('customer', 'POST', `/api/chat/users/${whom}/block`), 404, 'user_not_found', 'User not found');
  }
});

clean('the list has the users that the caller blocked, and nobody else learns of it', async (scene) => {
  await block(scene, 'customer', 'seller');
  const { body } = await blockedBy(scene, 'customer');
  assert.deepEqual([body.success, body.count, body.data.length], [true, 1, 1]);
  assert.deepEqual([body.data[0].id, body.data[0].displayName, body.data[0].role], [id('seller'), USERS.seller.displayName, 'seller']);
  for (const who of ['seller', 'admin']) assert.deepEqual((await blockedBy(scene, who)).body.data, []);
  await unblock(scene, 'customer', 'seller');
  assert.deepEqual((await blockedBy(scene, 'customer')).body.data, []);
});

for (const [event, extra] of [['chat:send_message', {}], ['chat:send_reply', { reply: true }]]) {
  bothWays(`${event} fails: ${MESSAGE}`, async (scene, shut) => {
    const s = await talk(scene);
    await shut();
    const payload = { conversationId: s.conversationId, message: 'let me in', tempId: 't', ...(extra.reply && { replyToMessageId: s.theirs.id }) };
    await unheard(s, async () => {
      assertFailure(await s.customer.ask(event, payload), 'blocked', MESSAGE);
      const failed = await s.customer.waitFor('chat:message_failed');
      assert.deepEqual([failed.message, failed.code, failed.tempId], [MESSAGE, 'blocked', 't']);
    });
    assert.equal((await scene.messages('seller', s.conversationId)).length, 2);
  });
}

bothWays(`REST: sending, replying, editing and reacting fail: 403 ${MESSAGE}`, async (scene, shut) => {
  const s = await talk(scene);
  await shut();
  await unheard(s, async () => {
    for (const [method, path, body] of [
      ['POST', `/conversations/${s.conversationId}/messages`, { message: 'x' }],
      ['POST', `/conversations/${s.conversationId}/messages/reply`, { message: 'x', replyToMessageId: s.theirs.id }],
      ['PUT', `/messages/${s.mine.id}`, { message: 'x' }],
      ['POST', `/messages/${s.theirs.id}/reactions`, { reaction: '🎉' }],
    ]) {
      failure(await scene.rest('customer', method, `/api/chat${path}`, body), 403, 'blocked', MESSAGE);
    }
  });
  const [mine, theirs] = await scene.messages('seller', s.conversationId);
  assert.deepEqual([mine.message_text, theirs.reactions.length], ['by the customer', 1]);
});

bothWays(`opening a new conversation fails: 403 ${MESSAGE}`, async (scene, shut) => {
  const s = await talk(scene);
  await shut();
  await unheard(s, async () => {
    const body = { participantId: id('seller'), relatedEntityType: 'product', relatedEntityId: NOBODY };
    failure(await scene.rest('customer', 'POST', '/api/chat/conversations', body), 403, 'blocked', MESSAGE);
  });
});

bothWays('an existing conversation can be opened, and its messages stay readable', async (scene, shut) => {
  const s = await talk(scene);
  await shut();
  await unheard(s, async () => {
    const answer = await scene.rest('customer', 'POST', '/api/chat/conversations', { participantId: id('seller') });
    assert.equal(answer.status, 200);
  });
});

bothWays('editing fails', async (scene, shut) => {
  const s = await talk(scene);
  await shut();
  await unheard(s, async () => {
    const answer = await s.customer.ask('chat:edit_message', { messageId: s.mine.id, newText: 'changed', conversationId: s.conversationId });
    assertFailure(answer, 'blocked', MESSAGE);
    assert.equal((await s.customer.waitFor('chat:error')).action, 'edit_message');
  });
});

bothWays('adding a reaction fails', async (scene, shut) => {
  const s = await talk(scene);
  await shut();
  await unheard(s, async () => {
    assertFailure(await s.customer.ask('chat:add_reaction', { messageId: s.theirs.id, reaction: '🎉' }), 'blocked');
    assert.deepEqual((await s.customer.waitFor('chat:error')).code, 'blocked');
  });
});

bothWays('typing is not delivered, not even right after it was', async (scene, shut) => {
  const s = await talk(scene);
  const typing = (isTyping) => s.customer.ask('chat:typing', { conversationId: s.conversationId, isTyping });
  await typing(true);
  await s.seller.waitFor('chat:user_typing');
  await typing(false);
  await shut();
  await unheard(s, () => typing(true));
});

bothWays('joining and leaving the room are not told', async (scene, shut) => {
  const s = await talk(scene);
  await shut();
  await unheard(s, async () => {
    assert.equal((await s.customer.ask('chat:leave', { conversationId: s.conversationId })).success, true);
    assert.equal((await s.customer.ask('chat:join', { conversationId: s.conversationId })).success, true);
    const tab = await scene.connect('customer');
    assert.equal((await tab.ask('chat:join', { conversationId: s.conversationId })).success, true);
    tab.close();
  });
});

bothWays('reading is not told', async (scene, shut) => {
  const s = await talk(scene);
  const unread = await scene.say(s.seller, s.conversationId, 'unread');
  await s.seller.waitFor('chat:message_delivered', (d) => d.message_id === unread.id);
  await shut();
  await unheard(s, async () => {
    assert.equal((await s.customer.ask('chat:mark_read', { conversationId: s.conversationId })).success, true);
    await scene.data('customer', 'POST', `/api/chat/conversations/${s.conversationId}/read`);
  });
});

bothWays('coming online and going offline are not told', async (scene, shut) => {
  const s = await talk(scene);
  await shut();
  await unheard(s, async () => {
    s.customer.close();
    await until(async () => !(await scene.status('customer', 'customer')).is_online, 'the customer is offline');
    s.customer = await scene.connect('customer');
    await s.customer.ask('chat:get_conversations');
  }, /^chat:user_status$/);
});

bothWays('each user is shown offline to the other, without a last_seen_at', async (scene, shut) => {
  const s = await talk(scene);
  await shut();
  for (const [who, whom] of [['customer', 'seller'], ['seller', 'customer']]) {
    assert.deepEqual(await scene.status(who, whom), { is_online: false });
    const [listed] = (await scene.data(who, 'GET', '/api/chat/conversations')).filter((c) => c.id === s.conversationId);
    assert.deepEqual([listed.participantDetails[0].isOnline, listed.participantDetails[0].lastSeenAt], [false, null]);
    const bySocket = (await s[who].ask('chat:get_conversations')).data.find((c) => c.id === s.conversationId);
    assert.equal(bySocket.participantDetails[0].isOnline, false);
  }
  // A third person sees what is.
  assert.equal((await scene.status('admin', 'customer')).is_online, true);
  assert.equal((await scene.status('admin', 'seller')).is_online, true);
});

bothWays('older messages stay readable', async (scene, shut) => {
  const s = await talk(scene);
  const before = await scene.messages('customer', s.conversationId);
  await shut();
  assert.deepEqual(await scene.messages('customer', s.conversationId), before);
  const { data } = await s.customer.ask('chat:get_messages', { conversationId: s.conversationId });
  assert.equal(data.messages.length, 2);
  for (const what of ['details', 'history', 'reactions']) await scene.data('customer', 'GET', `/api/chat/messages/${s.theirs.id}/${what}`);
});

bothWays("deleting a message and removing a reaction stay possible", async (scene, shut) => {
  const s = await talk(scene);
  await shut();
  assert.equal((await s.customer.ask('chat:remove_reaction', { messageId: s.theirs.id, reaction: '👍' })).success, true);
  assert.equal((await s.customer.ask('chat:delete_message', { messageId: s.mine.id, deletionType: 'for_everyone' })).success, true);
  assert.equal((await s.customer.ask('chat:delete_message', { messageId: s.theirs.id, deletionType: 'for_me' })).success, true);
  const [mine, theirs] = await scene.messages('seller', s.conversationId);
  assert.deepEqual([mine.is_deleted, theirs.reactions], [true, []]);
});

bothWays('other users are not affected', async (scene, shut) => {
  const s = await talk(scene);
  await shut();
  await settle(s);
  await scene.barrier(s.customer, s.admin, s.outside.customer);
  await scene.barrier(s.seller, s.admin, s.outside.seller);
  s.admin.emit('chat:typing', { conversationId: s.outside.customer, isTyping: true });
});

bothWays('unblocking restores everything', async (scene, shut) => {
  const s = await talk(scene);
  await shut();
  assertFailure(await s.customer.ask('chat:send_message', { conversationId: s.conversationId, message: 'x' }), 'blocked');
  for (const [who, whom] of [['customer', 'seller'], ['seller', 'customer']]) await unblock(scene, who, whom);
  const { conversationId } = s;
  await scene.barrier(s.customer, s.seller, conversationId);
  await scene.barrier(s.seller, s.customer, conversationId);
  s.customer.emit('chat:typing', { conversationId, isTyping: true });
  await s.seller.waitFor('chat:user_typing', (e) => e.isTyping);
  assert.equal((await s.customer.ask('chat:edit_message', { messageId: s.mine.id, newText: 'changed' })).success, true);
  assert.equal((await s.customer.ask('chat:add_reaction', { messageId: s.theirs.id, reaction: '🎉' })).success, true);
  assert.equal((await scene.status('seller', 'customer')).is_online, true);
  await s.customer.ask('chat:mark_read', { conversationId });
  await s.seller.waitFor('chat:messages_read');
  await scene.data('customer', 'POST', '/api/chat/conversations', { participantId: id('seller') });
});

clean('if both users blocked each other, one unblocking is not enough', async (scene) => {
  const s = await talk(scene);
  await block(scene, 'customer', 'seller');
  await block(scene, 'seller', 'customer');
  await unblock(scene, 'customer', 'seller');
  for (const client of [s.customer, s.seller]) {
    assertFailure(await client.ask('chat:send_message', { conversationId: s.conversationId, message: 'x' }), 'blocked');
  }
});

clean('a message that was stored before the block is still the same message when it is sent again', async (scene) => {
  const s = await talk(scene);
  const payload = { conversationId: s.conversationId, message: 'once', clientMessageId: 'c1' };
  const first = await scene.say(s.customer, s.conversationId, payload.message, payload);
  await s.seller.waitFor('chat:message_delivered', (d) => d.message_id === first.id);
  await settle(s);
  await block(scene, 'seller', 'customer');
  await unheard(s, async () => {
    const again = await s.customer.ask('chat:send_message', payload);
    // It was sent before: either answer is true, as long as there is one message.
    if (again.success) assert.equal(again.data.id, first.id);
    else assert.equal(again.code, 'blocked');
  });
});

clean('a conversation of three users goes on', { skip: !external && 'needs TEST_DATABASE_URL' }, async (scene) => {
  const s = await talk(scene);
  server.database.sql(`UPDATE conversations SET participant_ids = participant_ids || '["${id('manager')}"]' WHERE id = '${s.conversationId}'`);
  await block(scene, 'seller', 'customer');
  await scene.say(s.customer, s.conversationId, 'to both');
  await s.seller.waitFor('chat:new_message', (m) => m.message_text === 'to both');
});

clean('a blocked sender leaves no notification', { skip: !external && 'needs TEST_DATABASE_URL' }, async (scene) => {
  const conversationId = await scene.conversation();
  const customer = await scene.connect('customer');
  await block(scene, 'seller', 'customer');
  assertFailure(await customer.ask('chat:send_message', { conversationId, message: 'x' }), 'blocked');
  await unblock(scene, 'seller', 'customer');
  const message = await scene.say(customer, conversationId, 'let through');
  const told = () => server.database.sql(`SELECT string_agg(metadata->>'message_id', ',') FROM notifications WHERE metadata->>'conversation_id' = '${conversationId}'`);
  await until(() => told() !== '', 'the notification of the message that was let through');
  assert.equal(told(), message.id);
});
