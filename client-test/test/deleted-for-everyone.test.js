'use strict';

// A message deleted for everyone: no later answer of any kind has its text or attachments.

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { suite, USERS } = require('../lib/suite');
const { assertFields } = require('../lib/shapes');
const { failure, staged } = require('../lib/message-actions');

const { test } = suite();
const onStage = staged(test);

const SECRET = 'the word that must go';
const OLD_SECRET = 'the word before the edit';
const FILE = { name: 'must-go.png', type: 'image/png', size: 1, url: 'https://files.example/must-go.png', path: 'must-go' };
const LEAK = /must go|must-go|before the edit/;

/** A message with a past: edited, quoted, reacted to, with an attachment; then deleted for everyone. */
async function deleted(stage, scene) {
  const { conversationId } = stage;
  const clientMessageId = randomUUID();
  const message = await stage.say(stage.customer, OLD_SECRET, { attachments: [FILE], clientMessageId });
  await stage.done(stage.customer, 'chat:edit_message', { messageId: message.id, newText: SECRET });
  await stage.done(stage.seller, 'chat:add_reaction', { messageId: message.id, reaction: '👀' });
  const reply = await stage.done(stage.seller, 'chat:send_reply', {
    conversationId, message: 'really?', replyToMessageId: message.id, tempId: 'temp_1',
  });
  const last = await stage.say(stage.customer, OLD_SECRET);
  await stage.done(stage.customer, 'chat:edit_message', { messageId: last.id, newText: SECRET });
  for (const one of [message, last]) {
    await stage.done(stage.customer, 'chat:delete_message', { messageId: one.id, deletionType: 'for_everyone', conversationId });
  }
  return { conversationId, message, reply, last, clientMessageId };
}

onStage('no list, details, history, quote or preview shows the text', async (stage, scene) => {
  const { conversationId, message, reply, last } = await deleted(stage, scene);
  for (const who of ['customer', 'seller']) {
    for (const path of [
      `/conversations/${conversationId}/messages`,
      '/conversations',
      ...[message, reply, last].flatMap((m) => ['details', 'history', 'reactions'].map((what) => `/messages/${m.id}/${what}`)),
    ]) {
      const answer = await scene.rest(who, 'GET', `/api/chat${path}`);
      assert.ok(answer.status < 500, answer.text);
      assert.doesNotMatch(answer.text, LEAK, `GET ${path} as ${who}`);
    }
    for (const [event, payload] of [['chat:get_messages', { conversationId }], ['chat:get_conversations', {}]]) {
      assert.doesNotMatch(JSON.stringify(await stage.done(stage[who], event, payload)), LEAK, event);
    }
  }
});

onStage('a retry of the send does not bring the text back', async (stage, scene) => {
  const { conversationId, message, clientMessageId } = await deleted(stage, scene);
  const retries = [
    await stage.customer.ask('chat:send_message', { conversationId, message: OLD_SECRET, attachments: [FILE], clientMessageId }),
    (await scene.rest('customer', 'POST', `/api/chat/conversations/${conversationId}/messages`, { message: OLD_SECRET, clientMessageId })).body,
  ];
  for (const answer of retries) {
    assert.doesNotMatch(JSON.stringify(answer), LEAK);
    if (answer.success) assert.equal(answer.data.id, message.id);
  }
  assert.doesNotMatch(JSON.stringify(await stage.messages('seller')), LEAK);
});

onStage('the quote in a reply says that it is deleted, and the reply stays', async (stage, scene) => {
  const { message, reply } = await deleted(stage, scene);
  const stored = await stage.message('seller', reply.id);
  assert.equal(stored.message_text, 'really?');
  assert.equal(stored.reply_to_message_id, message.id);
  assertFields(stored.reply_to, { id: message.id, message_text: '', sender_id: USERS.customer.id, is_deleted: true });
});

onStage('events after the deletion have nothing of the text', async (stage, scene) => {
  const { conversationId, reply } = await deleted(stage, scene);
  await stage.settle();
  const from = Object.values(stage.sockets()).map((client) => [client, client.events.length]);
  // Each of these tells the reply with its quote.
  await stage.done(stage.seller, 'chat:edit_message', { messageId: reply.id, newText: 'really!' });
  await stage.done(stage.customer, 'chat:send_reply', { conversationId, message: 'yes', replyToMessageId: reply.id, tempId: 't' });
  await stage.settle();
  for (const [client, seen] of from) assert.doesNotMatch(JSON.stringify(client.events.slice(seen)), LEAK);
});

onStage('the message can no longer be edited, reacted to or quoted', async (stage, scene) => {
  const { conversationId, message } = await deleted(stage, scene);
  const gone = { messageId: message.id, conversationId };
  const reacting = (action, text) => ({ action, message: text, code: 'message_not_found' });
  await stage.refused(stage.customer, 'chat:edit_message', { ...gone, newText: 'back' },
    { action: 'edit_message', message: 'Message not found', code: 'message_not_found' });
  await stage.refused(stage.seller, 'chat:add_reaction', { ...gone, reaction: '👍' }, reacting('add_reaction', 'Failed to add reaction'));
  await stage.refused(stage.seller, 'chat:remove_reaction', { ...gone, reaction: '👀' }, reacting('remove_reaction', 'Failed to remove reaction'));
  stage.seller.emit('chat:send_reply', { conversationId, message: 'x', replyToMessageId: message.id, tempId: 'temp_2' });
  assertFields(await stage.seller.waitFor('chat:message_failed'), {
    tempId: 'temp_2', conversationId, message: 'Message to reply to not found', code: 'reply_not_found',
  });
});

onStage('over REST the message can no longer be edited, reacted to or quoted either', async (stage, scene) => {
  const { conversationId, message } = await deleted(stage, scene);
  const at = `/api/chat/messages/${message.id}`;
  failure(await scene.rest('customer', 'PUT', at, { message: 'back' }), 404, 'message_not_found', 'Message not found');
  failure(await scene.rest('seller', 'POST', `${at}/reactions`, { reaction: '👍' }), 404, 'message_not_found', 'Message not found');
  failure(await scene.rest('seller', 'DELETE', `${at}/reactions/${encodeURIComponent('👀')}`), 404, 'message_not_found', 'Message not found');
  const reply = { message: 'x', replyToMessageId: message.id };
  failure(await scene.rest('seller', 'POST', `/api/chat/conversations/${conversationId}/messages/reply`, reply), 404, 'reply_not_found', 'Message to reply to not found');
  const again = await scene.rest('customer', 'DELETE', at, { deletionType: 'for_everyone' });
  assert.deepEqual([again.status, again.body.success], [200, true]);
});

onStage('a user who is not a member learns nothing by asking about the message', async (stage, scene) => {
  const { message } = await deleted(stage, scene);
  for (const what of ['details', 'history', 'reactions']) {
    const answer = await scene.rest('admin', 'GET', `/api/chat/messages/${message.id}/${what}`);
    assert.equal(answer.status, 403, answer.text);
    assert.doesNotMatch(answer.text, LEAK);
  }
});
