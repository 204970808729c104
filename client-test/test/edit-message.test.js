'use strict';

// chat:edit_message: what it changes, what it does not change, who is told. action-refusals.test.js has the refusals.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { assertMessageEvent, assertMessage, assertFailure, time } = require('../lib/shapes');
const { ATTACHMENT, assertEdit, assertReactions, staged } = require('../lib/message-actions');
const { EVERYONE } = require('../lib/stage');

const { test } = suite();
const onStage = staged(test);

const edit = (stage, message, newText, client = stage.customer) =>
  stage.done(client, 'chat:edit_message', { messageId: message.id, newText, conversationId: stage.conversationId });

const history = (scene, message) => scene.data('seller', 'GET', `/api/chat/messages/${message.id}/history`);

onStage('everyone in the conversation gets chat:message_edited, in the room or not, once', async (stage) => {
  const message = await stage.say(stage.customer, 'teh lamp');
  stage.customer.emit('chat:edit_message', { messageId: message.id, newText: 'the lamp', conversationId: stage.conversationId });
  await stage.customer.waitFor('chat:message_edited');
  await stage.told(stage.customer, 'chat:message_edited', EVERYONE);
  for (const client of [stage.customer, stage.customerTab, stage.seller, stage.sellerTab]) {
    const [edited] = client.all('chat:message_edited');
    assertMessageEvent(edited, USERS.customer);
    assert.equal(edited.id, message.id);
    assert.equal(edited.conversation_id, stage.conversationId);
    assert.equal(edited.message_text, 'the lamp');
    assert.deepEqual([edited.is_edited, edited.edit_count, edited.is_deleted], [true, 1, false]);
    assert.ok(time(edited.edited_at), edited.edited_at);
    assert.equal(edited.last_edited_at, edited.edited_at);
    assert.equal('tempId' in edited, false);
  }
});

onStage('the acknowledgement has the message, and the lists of both agree with it', async (stage) => {
  const message = await stage.say(stage.customer, 'before');
  const edited = await edit(stage, message, 'after');
  assertMessage(edited);
  for (const who of ['customer', 'seller']) {
    const stored = await stage.message(who, message.id);
    assert.deepEqual(
      [stored.message_text, stored.is_edited, stored.edit_count, stored.edited_at],
      ['after', true, 1, edited.edited_at],
    );
  }
});

onStage('an edit changes only the text: number, times, attachments, reactions, quote and read state stay', async (stage, scene) => {
  const quoted = await stage.say(stage.seller, 'which one?');
  const answer = await stage.done(stage.customer, 'chat:send_reply', {
    conversationId: stage.conversationId, message: 'this', replyToMessageId: quoted.id, attachments: [ATTACHMENT], tempId: 't',
  });
  await stage.done(stage.seller, 'chat:add_reaction', { messageId: answer.id, reaction: '👍', conversationId: stage.conversationId });
  await scene.rest('seller', 'POST', `/api/chat/conversations/${stage.conversationId}/read`);
  const before = await stage.message('customer', answer.id);
  await edit(stage, answer, 'this one');
  const after = await stage.message('customer', answer.id);
  for (const field of ['id', 'seq', 'sender_id', 'created_at', 'attachments', 'message_type', 'reply_to', 'reply_to_message_id', 'status', 'client_message_id']) {
    assert.deepEqual(after[field], before[field], field);
  }
  assert.deepEqual([...after.read_by].sort(), [...before.read_by].sort());
  assertReactions(after.reactions, [{ reaction: '👍', count: 1, user_ids: [USERS.seller.id] }]);
  assert.equal((await scene.data('seller', 'GET', '/api/chat/conversations')).find((c) => c.id === stage.conversationId).unread_count, 0);
});

onStage('each edit is counted, and the history has the earlier texts, newest first', async (stage, scene) => {
  const message = await stage.say(stage.customer, 'one');
  await edit(stage, message, 'two');
  const third = await edit(stage, message, 'three');
  assert.equal(third.edit_count, 2);
  const edits = await history(scene, message);
  assert.equal(edits.length, 2);
  for (const [i, old_text] of ['two', 'one'].entries()) {
    assertEdit(edits[i], { message_id: message.id, old_text, edited_by: USERS.customer.id });
  }
  assert.ok(edits[0].edited_at >= edits[1].edited_at);
});

onStage('ten edits from two tabs at once: none is lost from the history', async (stage, scene) => {
  const message = await stage.say(stage.customer, 'start');
  const texts = Array.from({ length: 10 }, (_, i) => `edit ${i}`);
  await Promise.all(texts.map((text, i) => edit(stage, message, text, i % 2 ? stage.customer : stage.customerTab)));
  const stored = await stage.message('customer', message.id);
  const edits = await history(scene, message);
  assert.equal(stored.edit_count, 10);
  assert.deepEqual([...edits.map((e) => e.old_text), stored.message_text].sort(), [...texts, 'start'].sort());
});

onStage('the preview of the conversation follows the newest message only', async (stage, scene) => {
  const preview = async () => {
    const conversation = (await scene.data('seller', 'GET', '/api/chat/conversations')).find((c) => c.id === stage.conversationId);
    return [conversation.last_message_text, conversation.last_message_at];
  };
  const first = await stage.say(stage.customer, 'first');
  const second = await stage.say(stage.customer, 'second');
  await edit(stage, second, 'second, corrected');
  assert.deepEqual(await preview(), ['second, corrected', second.created_at]);
  await edit(stage, first, 'first, corrected');
  assert.deepEqual(await preview(), ['second, corrected', second.created_at]);
});

onStage('an edit makes nothing unread and delivers nothing again', async (stage, scene) => {
  const message = await stage.say(stage.customer, 'before');
  await stage.done(stage.seller, 'chat:mark_read', { conversationId: stage.conversationId });
  // Deliveries are told a moment after the message.
  for (const client of [stage.customer, stage.customerTab, stage.seller, stage.sellerTab]) {
    await client.waitFor('chat:message_delivered', (d) => d.message_id === message.id);
  }
  const delivered = stage.counts('chat:message_delivered', (d) => d.message_id === message.id);
  const count = () => scene.data('seller', 'GET', '/api/chat/unread-count');
  const before = await count();
  await edit(stage, message, 'after');
  assert.deepEqual(await count(), before);
  await stage.settle();
  assert.deepEqual(stage.counts('chat:message_delivered', (d) => d.message_id === message.id), delivered);
  assert.equal(stage.seller.count('chat:new_message', (m) => m.id === message.id), 1);
});

for (const [name, text] of Object.entries({
  markup: '<img src=x onerror=alert(1)> & "quotes" \'single\'',
  'many scripts': 'سوق 市場 👩‍👩‍👧 \u202e',
  'something like SQL': "'); DROP TABLE message_edits; --",
  '5,000 characters': '😀'.repeat(5000),
})) {
  onStage(`the text comes back unchanged: ${name}`, async (stage) => {
    const message = await stage.say(stage.customer, 'x');
    assert.equal((await edit(stage, message, text)).message_text, text);
    assert.equal((await stage.message('seller', message.id)).message_text, text);
  });
}

for (const [name, newText, code] of [
  ['no text', undefined, 'message_required'],
  ['an empty text', '', 'message_required'],
  ['white space', ' \n\t', 'message_required'],
  ['a number', 7, 'message_required'],
  ['an object', { text: 'x' }, 'message_required'],
  ['5,001 characters', 'a'.repeat(5001), 'message_too_long'],
]) {
  onStage(`refused: ${name}`, async (stage) => {
    const message = await stage.say(stage.customer, 'stays');
    const payload = { messageId: message.id, newText, conversationId: stage.conversationId };
    stage.customer.emit('chat:edit_message', payload);
    const error = await stage.customer.waitFor('chat:error');
    assert.deepEqual([error.action, error.code, typeof error.message], ['edit_message', code, 'string']);
    assertFailure(await stage.customer.ask('chat:edit_message', payload), code);
    const stored = await stage.message('customer', message.id);
    assert.deepEqual([stored.message_text, stored.is_edited, stored.edit_count], ['stays', false, 0]);
    assert.equal(stage.seller.count('chat:message_edited'), 0);
  });
}

onStage('a NUL, which Postgres cannot store, is refused as the client\'s error', async (stage) => {
  const message = await stage.say(stage.customer, 'stays');
  const answer = await stage.customer.ask('chat:edit_message', { messageId: message.id, newText: 'a\u0000b' });
  if (!answer.success) assert.notEqual(answer.code, 'internal');
});

onStage('the events of one socket are handled in the order of sending', async (stage) => {
  const message = await stage.say(stage.customer, 'zero');
  for (let i = 1; i <= 20; i++) stage.customer.emit('chat:edit_message', { messageId: message.id, newText: `no ${i}` });
  const edits = await stage.seller.waitForMany('chat:message_edited', 20);
  assert.deepEqual(edits.map((m) => m.message_text), Array.from({ length: 20 }, (_, i) => `no ${i + 1}`));
  assert.deepEqual(edits.map((m) => m.edit_count), Array.from({ length: 20 }, (_, i) => i + 1));
});
