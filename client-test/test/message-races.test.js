'use strict';

// Every event about a message carries its version, and no older version comes after a newer one.

const assert = require('node:assert/strict');
const { suite } = require('../lib/suite');
const { NO_LIMITS } = require('../lib/no-limits');
const { assertReactions, staged } = require('../lib/message-actions');
const { until } = require('../lib/limits');

const { test } = suite({ env: NO_LIMITS });
const onStage = staged(test);

const ROUNDS = Number(process.env.SOUK_RACE_ROUNDS || 400);
const TOLD = ['chat:new_message', 'chat:new_reply', 'chat:message_edited', 'chat:message_deleted', 'chat:reaction_added', 'chat:reaction_removed'];

const idOf = (event) => event.data?.message_id ?? event.data?.id;

/** What a client was told about one message, in the order in which it came. */
const toldOf = (client, id) => client.events.filter((e) => TOLD.includes(e.event) && idOf(e) === id);

function assertNothingOlder(client, id) {
  const versions = toldOf(client, id).map((e) => e.data.version ?? 0);
  assert.deepEqual(versions, [...versions].sort((a, b) => a - b), `versions of ${id}`);
}

/** Nothing is told about a message after its deletion, least of all its text. */
function assertDeletionIsFinal(client, id) {
  const events = toldOf(client, id);
  const at = events.findIndex((e) => e.event === 'chat:message_deleted');
  assert.ok(at >= 0, 'the deletion was not told');
  assert.deepEqual(events.slice(at + 1).map((e) => [e.event, e.data.message_text]), []);
}

onStage(`a simultaneous edit and deletion for everyone, ${ROUNDS} rounds: no event comes after the deletion`, async (stage) => {
  const { conversationId } = stage;
  const ids = [];
  for (let i = 0; i < ROUNDS; i++) {
    const message = await stage.say(stage.customer, `secret ${i}`);
    ids.push(message.id);
    await Promise.all([
      stage.customer.ask('chat:edit_message', { messageId: message.id, newText: `secret, edited ${i}`, conversationId }),
      stage.done(stage.customerTab, 'chat:delete_message', { messageId: message.id, deletionType: 'for_everyone', conversationId }),
    ]);
  }
  for (const client of [stage.customer, stage.customerTab, stage.seller, stage.sellerTab]) {
    await client.waitFor('chat:message_deleted', (m) => m.message_id === ids.at(-1));
    await stage.settle(client);
    for (const id of ids) {
      assertDeletionIsFinal(client, id);
      assertNothingOlder(client, id);
    }
  }
});

onStage(`two users react at the same time, ${ROUNDS} rounds: the last event has the stored reactions`, async (stage) => {
  const ids = [];
  for (let i = 0; i < ROUNDS; i++) {
    const message = await stage.say(stage.customer, `lamp ${i}`);
    ids.push(message.id);
    await Promise.all(
      [stage.customer, stage.customerTab, stage.seller, stage.sellerTab].map((client, n) =>
        stage.done(client, 'chat:add_reaction', { messageId: message.id, reaction: n < 2 ? '👍' : '🎉' }),
      ),
    );
  }
  await stage.settle(stage.customer);
  await stage.settle(stage.seller);
  for (const id of ids) {
    for (const client of [stage.customer, stage.sellerTab]) {
      assertNothingOlder(client, id);
      const last = toldOf(client, id).at(-1).data;
      assertReactions(last.reactions, ['👍', '🎉'].map((reaction, n) => ({ reaction, count: 1, user_ids: [n ? '00000000-0000-4000-8000-000000000002' : '00000000-0000-4000-8000-000000000001'] })));
    }
  }
});

onStage(`a reply while its quoted message is deleted, ${ROUNDS} rounds: the quote does not show the deleted text`, async (stage) => {
  const { conversationId } = stage;
  for (let i = 0; i < ROUNDS; i++) {
    const quoted = await stage.say(stage.customer, `secret ${i}`);
    await Promise.all([
      stage.seller.ask('chat:send_reply', { conversationId, message: `re ${i}`, replyToMessageId: quoted.id, tempId: `t${i}` }),
      stage.done(stage.customerTab, 'chat:delete_message', { messageId: quoted.id, deletionType: 'for_everyone', conversationId }),
    ]);
  }
  await stage.settle(stage.customer);
  await stage.settle(stage.seller);
  const gone = new Set();
  for (const { event, data } of stage.customer.events) {
    if (event === 'chat:message_deleted') gone.add(data.message_id);
    if (event === 'chat:new_reply' && gone.has(data.reply_to_message_id)) assert.equal(data.reply_to?.message_text || '', '', 'the text came back in a quote');
  }
  assert.equal(gone.size, ROUNDS);
});

onStage(`a deletion by another tab right after sending, ${ROUNDS} rounds: the new message never comes after its deletion`, async (stage, scene) => {
  const { conversationId } = stage;
  const quoted = await stage.say(stage.seller, 'which one?');
  for (let i = 0; i < ROUNDS; i++) {
    stage.customer.emit('chat:send_reply', { conversationId, message: `secret ${i}`, replyToMessageId: quoted.id, tempId: `t${i}` });
    const stored = await until(async () => (await scene.messages('customer', conversationId, '?limit=1')).find((m) => m.message_text === `secret ${i}`), 'it is stored');
    await stage.done(stage.customerTab, 'chat:delete_message', { messageId: stored.id, deletionType: 'for_everyone', conversationId });
  }
  await stage.settle(stage.customer);
  for (const client of [stage.seller, stage.sellerTab]) {
    const gone = new Set();
    for (const { event, data } of client.events) {
      if (event === 'chat:message_deleted') gone.add(data.message_id);
      if (event === 'chat:new_reply' && gone.has(data.id)) assert.equal(data.message_text, '', 'the text came after the deletion');
    }
    assert.equal(gone.size, ROUNDS);
  }
});

onStage(`pages and lists read while their newest message is deleted, ${ROUNDS} rounds: none that comes after the deletion has its text`, async (stage) => {
  const { conversationId } = stage;
  for (let i = 0; i < ROUNDS; i++) {
    const message = await stage.say(stage.customer, `secret ${i}`);
    const deleted = stage.done(stage.customerTab, 'chat:delete_message', { messageId: message.id, deletionType: 'for_everyone', conversationId });
    const read = Array.from({ length: 4 }, (_, n) => (n % 2 ? stage.seller.ask('chat:get_messages', { conversationId, limit: 3 }) : stage.seller.ask('chat:get_conversations', { limit: 5 })));
    await Promise.all([deleted, ...read]);
  }
  await stage.settle(stage.customer);
  let gone = 0;
  for (const { event, data } of stage.seller.events) {
    if (event === 'chat:message_deleted') gone++;
    const texts = event === 'chat:messages' ? data.messages.map((m) => m.message_text) : event === 'chat:conversations' ? data.map((c) => c.last_message_text) : [];
    // Messages come and go one after the other: what is there after the deletion of number i is newer than that.
    for (const text of texts.filter((t) => /^secret /.test(t))) assert.ok(Number(text.slice(7)) >= gone, `${event}: "${text}" after ${gone} deletions`);
  }
  assert.equal(gone, ROUNDS);
});

onStage('events and lists carry the version, which every edit, reaction and deletion raises', async (stage) => {
  const { conversationId } = stage;
  const message = await stage.say(stage.customer, 'teh lamp');
  const payload = { messageId: message.id, conversationId };
  await stage.done(stage.customer, 'chat:edit_message', { ...payload, newText: 'the lamp' });
  await stage.done(stage.customer, 'chat:add_reaction', { ...payload, reaction: '👍' });
  await stage.done(stage.customer, 'chat:remove_reaction', { ...payload, reaction: '👍' });
  const listed = await stage.message('seller', message.id);
  await stage.done(stage.customer, 'chat:delete_message', { ...payload, deletionType: 'for_everyone' });
  await stage.settle(stage.customer);
  const versions = toldOf(stage.seller, message.id).filter((e) => e.event !== 'chat:new_message').map((e) => e.data.version);
  assert.equal(versions.length, 4);
  for (const [i, version] of versions.entries()) assert.ok(Number.isInteger(version) && version > (versions[i - 1] ?? 0), `${versions}`);
  assert.equal(listed.version, versions[2]);
});
