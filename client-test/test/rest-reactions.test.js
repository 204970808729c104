'use strict';

// Reactions and replies over REST.

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { suite, USERS } = require('../lib/suite');
const { assertMessage, assertFields } = require('../lib/shapes');
const { ATTACHMENT, failure, assertReactions, assertQuote } = require('../lib/message-actions');
const { NOBODY } = require('../lib/users');

const { test } = suite();

const { customer, seller } = USERS;
const by = (reaction, ...users) => ({ reaction, count: users.length, user_ids: users.map((u) => u.id) });

async function written(scene, message = 'the lamp') {
  const conversationId = await scene.conversation();
  return scene.data('customer', 'POST', `/api/chat/conversations/${conversationId}/messages`, { message });
}

const reactionsOf = (message, reaction) => `/api/chat/messages/${message.id}/reactions${reaction ? `/${encodeURIComponent(reaction)}` : ''}`;
const add = (scene, who, message, reaction) => scene.data(who, 'POST', reactionsOf(message), { reaction });

test('POST reactions: the reactions of the message, one entry per emoji', async (scene) => {
  const message = await written(scene);
  assertReactions(await add(scene, 'seller', message, '👍'), [by('👍', seller)]);
  assertReactions(await add(scene, 'customer', message, '👍'), [by('👍', customer, seller)]);
  assertReactions(await add(scene, 'customer', message, '❤️'), [by('👍', customer, seller), by('❤️', customer)]);
});

test('POST reactions: the same reaction again is a success without change', async (scene) => {
  const message = await written(scene);
  for (let i = 0; i < 2; i++) assertReactions(await add(scene, 'seller', message, '👍'), [by('👍', seller)]);
});

test('POST reactions: twenty simultaneous calls add one reaction', async (scene) => {
  const message = await written(scene);
  await Promise.all(Array.from({ length: 20 }, () => add(scene, 'seller', message, '👍')));
  assertReactions(await scene.data('customer', 'GET', reactionsOf(message)), [by('👍', seller)]);
});

for (const body of [{}, { reaction: '' }, { reaction: null }]) {
  test(`POST reactions with ${JSON.stringify(body)}: 400 Reaction is required`, async (scene) => {
    const answer = await scene.rest('seller', 'POST', reactionsOf(await written(scene)), body);
    failure(answer, 400, 'reaction_required', 'Reaction is required');
  });
}

for (const reaction of ['ok', '👍👍', '👍'.repeat(11), '<script>', 'a'.repeat(5000)]) {
  test(`POST reactions with ${reaction.slice(0, 30)}: 400 invalid_reaction`, async (scene) => {
    failure(await scene.rest('seller', 'POST', reactionsOf(await written(scene)), { reaction }), 400, 'invalid_reaction');
  });
}

test('GET reactions: none at first, then the added ones, for both members', async (scene) => {
  const message = await written(scene);
  assert.deepEqual(await scene.data('seller', 'GET', reactionsOf(message)), []);
  await add(scene, 'seller', message, '👍');
  for (const who of ['customer', 'seller']) {
    const answer = await scene.rest(who, 'GET', reactionsOf(message));
    assert.equal(answer.status, 200);
    assertReactions(answer.body.data, [by('👍', seller)]);
  }
});

test('DELETE reactions/:reaction: answers the remaining reactions', async (scene) => {
  const message = await written(scene);
  for (const reaction of ['👍', '❤️', '👩‍👩‍👧‍👦']) await add(scene, 'seller', message, reaction);
  await add(scene, 'customer', message, '👍');
  const remove = (reaction) => scene.data('seller', 'DELETE', reactionsOf(message, reaction));
  assertReactions(await remove('👍'), [by('👍', customer), by('❤️', seller), by('👩‍👩‍👧‍👦', seller)]);
  assertReactions(await remove('❤️'), [by('👍', customer), by('👩‍👩‍👧‍👦', seller)]);
  assertReactions(await remove('👩‍👩‍👧‍👦'), [by('👍', customer)]);
});

test('DELETE reactions/:reaction that does not exist: a success without change', async (scene) => {
  const message = await written(scene);
  await add(scene, 'seller', message, '👍');
  for (const reaction of ['🎉', '👍']) {
    const answer = await scene.rest('customer', 'DELETE', reactionsOf(message, reaction));
    assert.equal(answer.status, 200, answer.text);
    assertReactions(answer.body.data, [by('👍', seller)]);
  }
});

const replyTo = (conversationId) => `/api/chat/conversations/${conversationId}/messages/reply`;

test('POST reply: 201 and the message with its quote', async (scene) => {
  const quoted = await written(scene, 'which one?');
  const answer = await scene.rest('seller', 'POST', replyTo(quoted.conversation_id), {
    message: 'this one', replyToMessageId: quoted.id, attachments: [ATTACHMENT],
  });
  assert.equal(answer.status, 201, answer.text);
  assert.equal(answer.body.success, true);
  assertMessage(answer.body.data);
  assertFields(answer.body.data, {
    conversation_id: quoted.conversation_id, sender_id: seller.id, message_text: 'this one', attachments: [ATTACHMENT],
    reply_to_message_id: quoted.id, seq: 2,
  });
  assertFields(answer.body.data.reply_to, { id: quoted.id, message_text: 'which one?', sender_id: customer.id, is_deleted: false });
  assertQuote((await scene.messages('customer', quoted.conversation_id))[1].reply_to, quoted);
});

for (const replyToMessageId of [undefined, null, '']) {
  test(`POST reply with replyToMessageId ${JSON.stringify(replyToMessageId)}: 400 Reply to message ID is required`, async (scene) => {
    const { conversation_id } = await written(scene);
    const answer = await scene.rest('seller', 'POST', replyTo(conversation_id), { message: 'x', replyToMessageId });
    failure(answer, 400, 'reply_id_required', 'Reply to message ID is required');
  });
}

for (const replyToMessageId of [NOBODY, 'nope']) {
  test(`POST reply to ${replyToMessageId}: 404 Message to reply to not found`, async (scene) => {
    const { conversation_id } = await written(scene);
    const answer = await scene.rest('seller', 'POST', replyTo(conversation_id), { message: 'x', replyToMessageId });
    failure(answer, 404, 'reply_not_found', 'Message to reply to not found');
  });
}

test('POST reply to a message of another conversation: 404', async (scene) => {
  const [here, there] = [await written(scene), await written(scene, 'elsewhere')];
  const answer = await scene.rest('seller', 'POST', replyTo(here.conversation_id), { message: 'x', replyToMessageId: there.id });
  failure(answer, 404, 'reply_not_found', 'Message to reply to not found');
  assert.doesNotMatch(answer.text, /elsewhere/);
  assert.equal((await scene.messages('seller', here.conversation_id)).length, 1);
});

for (const [name, body, code] of [
  ['no text', {}, 'message_required'],
  ['white space', { message: '  ' }, 'message_required'],
  ['5,001 characters', { message: 'a'.repeat(5001) }, 'message_too_long'],
  ['eleven attachments', { message: 'x', attachments: Array(11).fill(ATTACHMENT) }, 'too_many_attachments'],
  ['an attachment that is text', { message: 'x', attachments: ['lamp.png'] }, 'invalid_attachment'],
]) {
  test(`POST reply with ${name}: 400`, async (scene) => {
    const quoted = await written(scene);
    const answer = await scene.rest('seller', 'POST', replyTo(quoted.conversation_id), { replyToMessageId: quoted.id, ...body });
    failure(answer, 400, code, code === 'message_required' ? 'Message text is required' : undefined);
    assert.equal((await scene.messages('seller', quoted.conversation_id)).length, 1);
  });
}

test('POST reply twice with one clientMessageId: one message', async (scene) => {
  const quoted = await written(scene);
  const body = { message: 'once', replyToMessageId: quoted.id, clientMessageId: randomUUID() };
  const [first, second] = [
    await scene.data('seller', 'POST', replyTo(quoted.conversation_id), body),
    await scene.data('seller', 'POST', replyTo(quoted.conversation_id), body),
  ];
  assert.equal(second.id, first.id);
  assert.equal((await scene.messages('seller', quoted.conversation_id)).length, 2);
});
