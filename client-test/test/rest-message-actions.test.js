'use strict';

// PUT and DELETE /messages/:id, their history and details.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { assertMessage, assertFields, time } = require('../lib/shapes');
const { ATTACHMENT, failure, assertReactions, assertEdit, assertTombstone } = require('../lib/message-actions');

const { test } = suite();

const at = (message, what = '') => `/api/chat/messages/${message.id}${what}`;

/** A conversation with one message of the customer. */
async function written(scene, message = 'the lamp', extra = {}) {
  const conversationId = await scene.conversation();
  return scene.data('customer', 'POST', `/api/chat/conversations/${conversationId}/messages`, { message, ...extra });
}

const find = async (scene, who, message) => (await scene.messages(who, message.conversation_id)).find((m) => m.id === message.id);

test('PUT: 200 and the message with its new text', async (scene) => {
  const message = await written(scene);
  const answer = await scene.rest('customer', 'PUT', at(message), { message: 'the blue lamp' });
  assert.equal(answer.status, 200);
  assert.equal(answer.body.success, true);
  const edited = answer.body.data;
  assertMessage(edited);
  assertFields(edited, { id: message.id, message_text: 'the blue lamp', is_edited: true, edit_count: 1, seq: message.seq, created_at: message.created_at });
  assert.ok(time(edited.edited_at), edited.edited_at);
  assert.equal((await find(scene, 'seller', message)).message_text, 'the blue lamp');
});

test("PUT: another user's message: 403 You can only edit your own messages", async (scene) => {
  const message = await written(scene);
  failure(await scene.rest('seller', 'PUT', at(message), { message: 'x' }), 403, 'not_message_sender', 'You can only edit your own messages');
  assert.equal((await find(scene, 'customer', message)).message_text, 'the lamp');
});

for (const [name, body, code] of [
  ['no text', {}, 'message_required'],
  ['an empty text', { message: '' }, 'message_required'],
  ['white space', { message: ' \n' }, 'message_required'],
  ['null', { message: null }, 'message_required'],
  ['a number', { message: 5 }, 'message_required'],
  ['5,001 characters', { message: 'a'.repeat(5001) }, 'message_too_long'],
]) {
  test(`PUT with ${name}: 400`, async (scene) => {
    const message = await written(scene);
    failure(await scene.rest('customer', 'PUT', at(message), body), 400, code);
    assertFields(await find(scene, 'customer', message), { message_text: 'the lamp', is_edited: false, edit_count: 0 });
  });
}

test('PUT with a body that is not JSON: 400 invalid_json', async (scene) => {
  failure(await scene.rest('customer', 'PUT', at(await written(scene)), '{"message":'), 400, 'invalid_json');
});

for (const [name, body, type] of [
  ['no body', undefined, 'for_me'],
  ['an empty object', {}, 'for_me'],
  ['for_me', { deletionType: 'for_me' }, 'for_me'],
  ['for_everyone', { deletionType: 'for_everyone' }, 'for_everyone'],
]) {
  test(`DELETE with ${name}: 200 and { success, deletionType: ${type} }`, async (scene) => {
    const message = await written(scene);
    const answer = await scene.rest('customer', 'DELETE', at(message), body);
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual([answer.body.success, answer.body.deletionType, answer.body.data.deletionType], [true, type, type]);
    const [mine, theirs] = [await find(scene, 'customer', message), await find(scene, 'seller', message)];
    if (type === 'for_me') {
      assert.equal(mine, undefined);
      assertFields(theirs, { message_text: 'the lamp', is_deleted: false });
    } else {
      for (const one of [mine, theirs]) assertTombstone(one, USERS.customer.id);
    }
  });
}

test("DELETE: another user's message for everyone: 403; for_me: 200", async (scene) => {
  const message = await written(scene);
  const answer = await scene.rest('seller', 'DELETE', at(message), { deletionType: 'for_everyone' });
  failure(answer, 403, 'not_message_sender', 'You can only delete for everyone your own messages');
  assert.equal((await find(scene, 'customer', message)).message_text, 'the lamp');
  assert.equal((await scene.rest('seller', 'DELETE', at(message), { deletionType: 'for_me' })).status, 200);
  assert.equal(await find(scene, 'seller', message), undefined);
  assert.equal((await find(scene, 'customer', message)).message_text, 'the lamp');
});

test('DELETE with an unknown deletionType: 400, and nothing is deleted', async (scene) => {
  const message = await written(scene);
  for (const deletionType of ['for_all', 'For_Everyone']) {
    failure(await scene.rest('customer', 'DELETE', at(message), { deletionType }), 400, 'invalid_payload');
  }
  for (const who of ['customer', 'seller']) assert.equal((await find(scene, who, message)).message_text, 'the lamp');
});

test('DELETE with a body that is not JSON deletes nothing', async (scene) => {
  const message = await written(scene);
  const answer = await scene.rest('customer', 'DELETE', at(message), '{"deletionType":"for_everyone"');
  failure(answer, 400, 'invalid_json');
  for (const who of ['customer', 'seller']) assert.equal((await find(scene, who, message)).message_text, 'the lamp');
});

test('GET history: empty before the first edit, then newest first, the same for both members', async (scene) => {
  const message = await written(scene, 'one');
  assert.deepEqual(await scene.data('seller', 'GET', at(message, '/history')), []);
  for (const text of ['two', 'three']) await scene.data('customer', 'PUT', at(message), { message: text });
  for (const who of ['customer', 'seller']) {
    const answer = await scene.rest(who, 'GET', at(message, '/history'));
    assert.equal(answer.status, 200);
    assert.equal(answer.body.data.length, 2);
    for (const [i, old_text] of ['two', 'one'].entries()) {
      assertEdit(answer.body.data[i], { message_id: message.id, old_text, edited_by: USERS.customer.id });
    }
  }
});

test('GET details: the message with its reactions, the quoted message and the history', async (scene) => {
  const quoted = await written(scene, 'which one?', { attachments: [ATTACHMENT] });
  const reply = await scene.data('seller', 'POST', `/api/chat/conversations/${quoted.conversation_id}/messages/reply`, {
    message: 'thsi one', replyToMessageId: quoted.id,
  });
  await scene.data('seller', 'PUT', at(reply), { message: 'this one' });
  await scene.data('customer', 'POST', at(reply, '/reactions'), { reaction: '👍' });
  for (const who of ['customer', 'seller']) {
    const answer = await scene.rest(who, 'GET', at(reply, '/details'));
    assert.equal(answer.status, 200);
    const details = answer.body.data;
    assertMessage(details);
    assertFields(details, { id: reply.id, message_text: 'this one', edit_count: 1, reply_to_message_id: quoted.id });
    assertReactions(details.reactions, [{ reaction: '👍', count: 1, user_ids: [USERS.customer.id] }]);
    assert.equal(details.edit_history.length, 1);
    assertEdit(details.edit_history[0], { message_id: reply.id, old_text: 'thsi one', edited_by: USERS.seller.id });
    assertFields(details.reply_to, {
      id: quoted.id, conversation_id: quoted.conversation_id, sender_id: USERS.customer.id, message_text: 'which one?',
      attachments: [ATTACHMENT], is_deleted: false, created_at: quoted.created_at, message_type: quoted.message_type, seq: quoted.seq,
    });
  }
});

test('GET details of a message that is no reply: reply_to null, empty lists', async (scene) => {
  const details = await scene.data('seller', 'GET', at(await written(scene), '/details'));
  assertMessage(details);
  assertFields(details, { reply_to: null, edit_history: [], reactions: [] });
});

test('GET details: a quoted message that was deleted for everyone shows only that it was deleted', async (scene) => {
  const quoted = await written(scene, 'secret');
  const reply = await scene.data('seller', 'POST', `/api/chat/conversations/${quoted.conversation_id}/messages/reply`, { message: 'oh', replyToMessageId: quoted.id });
  await scene.rest('customer', 'DELETE', at(quoted), { deletionType: 'for_everyone' });
  const answer = await scene.rest('seller', 'GET', at(reply, '/details'));
  assertFields(answer.body.data.reply_to, { id: quoted.id, message_text: '', is_deleted: true });
  assert.doesNotMatch(answer.text, /secret/);
});

test('deleted for_me: details and history are not found any more; the other member still finds them', async (scene) => {
  const message = await written(scene);
  await scene.rest('customer', 'DELETE', at(message));
  for (const what of ['/details', '/history', '/reactions']) {
    failure(await scene.rest('customer', 'GET', at(message, what)), 404, 'message_not_found', 'Message not found');
    assert.equal((await scene.rest('seller', 'GET', at(message, what))).status, 200);
  }
});
