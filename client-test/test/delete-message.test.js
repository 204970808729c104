'use strict';

// chat:delete_message: for_me and for_everyone. action-refusals.test.js has the refusals.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { assertFields } = require('../lib/shapes');
const { assertTombstone, staged } = require('../lib/message-actions');
const { EVERYONE, CUSTOMER_ONLY, SELLER_ONLY } = require('../lib/stage');

const { test } = suite();
const onStage = staged(test);

const remove = (stage, client, message, deletionType) =>
  stage.done(client, 'chat:delete_message', { messageId: message.id, deletionType, conversationId: stage.conversationId });

const ids = (messages) => messages.map((m) => m.id);
const unread = async (scene, who) => (await scene.data(who, 'GET', '/api/chat/unread-count')).count;
const listed = async (scene, who, id) => (await scene.data(who, 'GET', '/api/chat/conversations')).find((c) => c.id === id);

for (const deletionType of ['for_me', undefined]) {
  onStage(`${deletionType ?? 'no deletionType'}: the caller's own sockets are told, nobody else`, async (stage) => {
    const message = await stage.say(stage.customer, 'mine');
    const expected = { message_id: message.id, conversation_id: stage.conversationId, deletion_type: 'for_me' };
    assertFields(await remove(stage, stage.customer, message, deletionType), expected);
    for (const client of [stage.customer, stage.customerTab]) assertFields(await client.waitFor('chat:message_deleted'), expected);
    await stage.told(stage.customer, 'chat:message_deleted', CUSTOMER_ONLY);
  });
}

onStage('for_me: only the caller stops seeing it, by socket and by REST', async (stage) => {
  const [first, second, third] = [await stage.say(stage.customer, 'a'), await stage.say(stage.customer, 'b'), await stage.say(stage.seller, 'c')];
  await remove(stage, stage.customer, second);
  for (const [who, expected] of [['customer', [first, third]], ['seller', [first, second, third]]]) {
    assert.deepEqual(ids(await stage.messages(who)), ids(expected), who);
    const page = await stage.done(stage[who], 'chat:get_messages', { conversationId: stage.conversationId });
    assert.deepEqual(ids(page.messages), ids(expected), who);
  }
  const kept = await stage.message('seller', second.id);
  assertFields(kept, { message_text: 'b', is_deleted: false, deleted_at: null, deletion_type: null, deleted_by: null });
});

onStage("for_me: each member may delete another member's message for themselves", async (stage) => {
  const message = await stage.say(stage.customer, 'from the customer');
  await remove(stage, stage.seller, message, 'for_me');
  await stage.told(stage.seller, 'chat:message_deleted', SELLER_ONLY);
  assert.deepEqual(ids(await stage.messages('seller')), []);
  assert.deepEqual(ids(await stage.messages('customer')), [message.id]);
  await remove(stage, stage.customer, message, 'for_me');
  assert.deepEqual(ids(await stage.messages('customer')), []);
});

onStage('for_me: a page is still full, and the other messages keep their numbers', async (stage) => {
  const all = [];
  for (let i = 1; i <= 10; i++) all.push(await stage.say(stage.seller, `no ${i}`));
  for (const message of all.slice(7)) await remove(stage, stage.customer, message);
  const seqs = async (query) => (await stage.messages('customer', query)).map((m) => m.seq);
  assert.deepEqual(await seqs('?limit=5'), [3, 4, 5, 6, 7]);
  assert.deepEqual(await seqs('?limit=5&offset=5'), [1, 2]);
  assert.deepEqual(await seqs('?after=5'), [6, 7]);
  assert.equal((await stage.say(stage.seller, 'next')).seq, 11);
});

onStage('for_me: an unread message no longer counts as unread, only for the caller', async (stage, scene) => {
  const message = await scene.data('customer', 'POST', `/api/chat/conversations/${stage.conversationId}/messages`, { message: 'unread' });
  const before = await unread(scene, 'seller');
  const others = await unread(scene, 'customer');
  await remove(stage, stage.sellerTab, message);
  assert.equal(await unread(scene, 'seller'), before - 1);
  assert.equal((await listed(scene, 'seller', stage.conversationId)).unread_count, 0);
  assert.equal(await unread(scene, 'customer'), others);
  await stage.say(stage.customer, 'another');
  assert.equal((await listed(scene, 'seller', stage.conversationId)).unread_count, 1);
  await stage.done(stage.seller, 'chat:mark_read', { conversationId: stage.conversationId });
  assert.equal((await listed(scene, 'seller', stage.conversationId)).unread_count, 0);
});

onStage('for_me: a second time does no harm', async (stage) => {
  const message = await stage.say(stage.customer, 'x');
  await remove(stage, stage.customer, message);
  const answer = await stage.customer.ask('chat:delete_message', { messageId: message.id });
  assert.notEqual(answer.code, 'internal', JSON.stringify(answer));
  assert.deepEqual(ids(await stage.messages('seller')), [message.id]);
});

onStage('for_everyone: all sockets of the conversation are told, once', async (stage) => {
  const message = await stage.say(stage.customer, 'regretted');
  const expected = { message_id: message.id, conversation_id: stage.conversationId, deletion_type: 'for_everyone' };
  assertFields(await remove(stage, stage.customer, message, 'for_everyone'), expected);
  for (const client of [stage.customer, stage.customerTab, stage.seller, stage.sellerTab]) {
    const event = await client.waitFor('chat:message_deleted');
    assertFields(event, expected);
    assert.doesNotMatch(JSON.stringify(event), /regretted/);
  }
  await stage.told(stage.customer, 'chat:message_deleted', EVERYONE);
});

onStage('for_everyone: the message stays in its place, without its text and attachments', async (stage) => {
  await stage.say(stage.customer, 'before');
  const attachments = [{ name: 'secret.png', type: 'image/png', size: 1, url: 'https://files.example/secret.png', path: 'secret' }];
  const message = await stage.say(stage.customer, 'secret text', { attachments });
  await stage.say(stage.customer, 'after');
  await remove(stage, stage.customer, message, 'for_everyone');
  for (const who of ['customer', 'seller']) {
    const messages = await stage.messages(who);
    assert.deepEqual(messages.map((m) => m.seq), [1, 2, 3]);
    assertTombstone(messages[1], USERS.customer.id);
    const page = await stage.done(stage[who], 'chat:get_messages', { conversationId: stage.conversationId });
    assertTombstone(page.messages[1], USERS.customer.id);
  }
});

onStage('for_everyone: a second time is a success without a second event', async (stage) => {
  const message = await stage.say(stage.customer, 'x');
  await remove(stage, stage.customer, message, 'for_everyone');
  const before = await stage.message('seller', message.id);
  await remove(stage, stage.customer, message, 'for_everyone');
  await stage.told(stage.customer, 'chat:message_deleted', EVERYONE);
  assert.equal((await stage.message('seller', message.id)).deleted_at, before.deleted_at);
});

onStage('for_everyone: an unread message no longer counts as unread, and later ones still do', async (stage, scene) => {
  const [first, second] = [await stage.say(stage.customer, 'a'), await stage.say(stage.customer, 'b')];
  const count = async () => (await listed(scene, 'seller', stage.conversationId)).unread_count;
  assert.equal(await count(), 2);
  await remove(stage, stage.customer, second, 'for_everyone');
  assert.equal(await count(), 1);
  await remove(stage, stage.customer, first, 'for_everyone');
  assert.equal(await count(), 0);
  await stage.say(stage.customer, 'c');
  assert.equal(await count(), 1);
  await stage.done(stage.seller, 'chat:mark_read', { conversationId: stage.conversationId });
  assert.equal(await count(), 0);
});

onStage('for_everyone after reading: the unread count stays 0', async (stage, scene) => {
  const message = await stage.say(stage.customer, 'a');
  await stage.done(stage.seller, 'chat:mark_read', { conversationId: stage.conversationId });
  await remove(stage, stage.customer, message, 'for_everyone');
  assert.equal((await listed(scene, 'seller', stage.conversationId)).unread_count, 0);
  await stage.say(stage.customer, 'b');
  assert.equal((await listed(scene, 'seller', stage.conversationId)).unread_count, 1);
});

onStage('both kinds of deletion at once: an unread message is subtracted once', async (stage, scene) => {
  const [first] = [await stage.say(stage.customer, 'a'), await stage.say(stage.customer, 'b')];
  await remove(stage, stage.sellerTab, first, 'for_me');
  await remove(stage, stage.customer, first, 'for_everyone');
  assert.equal((await listed(scene, 'seller', stage.conversationId)).unread_count, 1);
  assert.deepEqual((await stage.messages('seller')).map((m) => m.message_text), ['b'], 'who deleted it for oneself sees no trace');
});

onStage("for_everyone: another user's message is refused", async (stage) => {
  const message = await stage.say(stage.customer, 'mine');
  await stage.refused(
    stage.seller,
    'chat:delete_message',
    { messageId: message.id, deletionType: 'for_everyone', conversationId: stage.conversationId },
    { action: 'delete_message', message: 'Only message sender can delete for everyone', code: 'not_message_sender' },
    'chat:message_deleted',
  );
  for (const who of ['customer', 'seller']) assert.equal((await stage.message(who, message.id)).message_text, 'mine');
});

for (const deletionType of ['for_all', 'FOR_EVERYONE', 'for everyone']) {
  onStage(`refused: deletionType ${JSON.stringify(deletionType)}`, async (stage) => {
    const message = await stage.say(stage.customer, 'stays');
    await stage.refused(
      stage.customer,
      'chat:delete_message',
      { messageId: message.id, deletionType, conversationId: stage.conversationId },
      { action: 'delete_message', message: 'Invalid deletion type', code: 'invalid_payload' },
      'chat:message_deleted',
    );
    for (const who of ['customer', 'seller']) assert.equal((await stage.message(who, message.id)).message_text, 'stays');
  });
}

onStage('a deletionType that is not a text never deletes for everyone', async (stage) => {
  for (const deletionType of [5, true, {}, ['for_everyone'], null]) {
    const message = await stage.say(stage.customer, 'stays');
    await stage.customer.ask('chat:delete_message', { messageId: message.id, deletionType });
    assert.equal((await stage.message('seller', message.id)).message_text, 'stays');
  }
});

onStage('deleted for everyone by two tabs at once: one event', async (stage) => {
  const message = await stage.say(stage.customer, 'x');
  await Promise.all([stage.customer, stage.customerTab].map((client) => remove(stage, client, message, 'for_everyone')));
  await stage.settle(stage.customerTab);
  await stage.told(stage.customer, 'chat:message_deleted', EVERYONE);
});

onStage('a deletion and an edit at once: the text is gone in either order', async (stage) => {
  for (let i = 0; i < 10; i++) {
    const message = await stage.say(stage.customer, `secret ${i}`);
    await Promise.all([
      stage.customer.ask('chat:edit_message', { messageId: message.id, newText: `secret, edited ${i}` }),
      remove(stage, stage.customerTab, message, 'for_everyone'),
    ]);
    assertTombstone(await stage.message('seller', message.id), USERS.customer.id);
  }
});
