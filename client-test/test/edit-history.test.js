'use strict';

// The number of edits of a message and the size of its history in events and answers are bounded.

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { suite } = require('../lib/suite');
const { failure, staged } = require('../lib/message-actions');

const EDITS = 45;
const { test } = suite({ env: { MAX_EDITS_PER_MESSAGE: String(EDITS) } });
const onStage = staged(test);

async function edited(stage, times, text = (n) => `text ${n}`) {
  const message = await stage.say(stage.customer, text(0));
  for (let n = 1; n <= times; n++) await stage.done(stage.customer, 'chat:edit_message', { messageId: message.id, newText: text(n) });
  return message;
}

const texts = (edits) => edits.map((e) => e.old_text);
const newest = (from, count) => Array.from({ length: count }, (_, i) => `text ${from - i}`);

onStage('details have the newest 20 earlier texts and say how many there are', async (stage, scene) => {
  const message = await edited(stage, 30);
  const details = await scene.data('seller', 'GET', `/api/chat/messages/${message.id}/details`);
  assert.deepEqual(texts(details.edit_history), newest(29, 20));
  assert.deepEqual([details.edit_history_count, details.edit_count], [30, 30]);
});

onStage('a reply carries the newest 20 earlier texts of its quoted message, in its events and in its details', async (stage, scene) => {
  const { conversationId } = stage;
  const message = await edited(stage, 30);
  const reply = await stage.done(stage.seller, 'chat:send_reply', { conversationId, message: 're', replyToMessageId: message.id, tempId: 't' });
  const told = await stage.customer.waitFor('chat:new_reply', (m) => m.id === reply.id);
  const details = await scene.data('customer', 'GET', `/api/chat/messages/${reply.id}/details`);
  for (const { reply_to } of [reply, told, details]) {
    assert.deepEqual(texts(reply_to.edit_history), newest(29, 20));
    assert.equal(reply_to.edit_history_count, 30);
  }
});

// 15 kB, as long as a text may be.
const long = (n) => `${String(n).padStart(4, '0')}${'€'.repeat(4996)}`;
const bytes = (value) => Buffer.byteLength(JSON.stringify(value));

onStage('a reply to a message with long earlier texts stays below 60 kB', async (stage) => {
  const { conversationId } = stage;
  const message = await edited(stage, 25, long);
  const reply = await stage.done(stage.seller, 'chat:send_reply', { conversationId, message: 're', replyToMessageId: message.id, tempId: 't' });
  const told = await stage.customer.waitFor('chat:new_reply', (m) => m.id === reply.id);
  for (const { reply_to } of [reply, told]) {
    assert.deepEqual([texts(reply_to.edit_history), reply_to.edit_history_count], [[long(24)], 25]);
  }
  assert.ok(bytes(told) < 60_000, `${bytes(told)} bytes`);
});

onStage('an answer with long earlier texts stays below 300 kB, and the pages of the history have all of them', async (stage, scene) => {
  const message = await edited(stage, 25, long);
  const details = await scene.data('seller', 'GET', `/api/chat/messages/${message.id}/details`);
  assert.ok(bytes(details) < 150_000, `${bytes(details)} bytes`);
  assert.deepEqual(texts(details.edit_history), texts(details.edit_history).map((_, i) => long(24 - i)));
  const all = [];
  let before;
  do {
    const answer = await scene.rest('seller', 'GET', `/api/chat/messages/${message.id}/history?limit=25${before ? `&before=${before}` : ''}`);
    assert.equal(answer.status, 200, answer.text);
    assert.ok(bytes(answer.body) < 300_000, `${bytes(answer.body)} bytes`);
    all.push(...answer.body.data);
    before = answer.body.next;
  } while (before);
  assert.deepEqual(texts(all), Array.from({ length: 25 }, (_, i) => long(24 - i)));
});

onStage('the history is paged: each text once, newest first, with the count and where the next page begins', async (stage, scene) => {
  const message = await edited(stage, 30);
  const pages = [];
  let before;
  do {
    const answer = await scene.rest('seller', 'GET', `/api/chat/messages/${message.id}/history?limit=8${before ? `&before=${before}` : ''}`);
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.body.count, 30);
    pages.push(answer.body.data);
    before = answer.body.next;
  } while (before);
  assert.deepEqual(pages.map((p) => p.length), [8, 8, 8, 6]);
  assert.deepEqual(texts(pages.flat()), newest(29, 30));
});

onStage('a page of history after an entry of another message: 400', async (stage, scene) => {
  const [message, other] = [await edited(stage, 2), await edited(stage, 1)];
  const [entry] = await scene.data('seller', 'GET', `/api/chat/messages/${other.id}/history`);
  for (const before of [entry.id, randomUUID(), 'yesterday']) {
    failure(await scene.rest('seller', 'GET', `/api/chat/messages/${message.id}/history?before=${before}`), 400, 'invalid_payload');
  }
});

onStage('edits of one message are limited; its text stays, and another message may be edited', async (stage, scene) => {
  const message = await edited(stage, EDITS);
  await stage.refused(
    stage.customer,
    'chat:edit_message',
    { messageId: message.id, newText: 'once more', conversationId: stage.conversationId },
    { action: 'edit_message', message: 'Message was edited too often', code: 'too_many_edits' },
    'chat:message_edited',
  );
  failure(await scene.rest('customer', 'PUT', `/api/chat/messages/${message.id}`, { message: 'once more' }), 400, 'too_many_edits');
  assert.equal((await stage.message('seller', message.id)).message_text, `text ${EDITS}`);
  await edited(stage, 1);
});

onStage('a user who may not edit a message does not learn how often it was edited', async (stage, scene) => {
  const message = await edited(stage, EDITS);
  failure(await scene.rest('admin', 'PUT', `/api/chat/messages/${message.id}`, { message: 'x' }), 403, 'not_authorized');
  failure(await scene.rest('seller', 'PUT', `/api/chat/messages/${message.id}`, { message: 'x' }), 403, 'not_message_sender');
});
