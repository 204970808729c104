'use strict';

// chat:add_reaction and chat:remove_reaction. action-refusals.test.js has the refusals.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { assertFailure } = require('../lib/shapes');
const { assertReactions, staged } = require('../lib/message-actions');
const { EVERYONE } = require('../lib/stage');

const { test } = suite();
const onStage = staged(test);

const { customer, seller } = USERS;
const by = (reaction, ...users) => ({ reaction, count: users.length, user_ids: users.map((u) => u.id) });

const react = (stage, verb, client, message, reaction) =>
  stage.done(client, `chat:${verb}_reaction`, { messageId: message.id, reaction, conversationId: stage.conversationId });

function assertReactionEvent(event, stage, message, user, reactions) {
  assert.deepEqual([event.message_id, event.conversation_id, event.user_id], [message.id, stage.conversationId, user.id]);
  assertReactions(event.reactions, reactions);
}

for (const [verb, past] of [['add', 'added'], ['remove', 'removed']]) {
  onStage(`${verb}: everyone in the conversation is told once, the caller too`, async (stage) => {
    const message = await stage.say(stage.customer, 'a lamp');
    if (verb === 'remove') await react(stage, 'add', stage.seller, message, '👍');
    stage.seller.emit(`chat:${verb}_reaction`, { messageId: message.id, reaction: '👍', conversationId: stage.conversationId });
    await stage.seller.waitFor(`chat:reaction_${past}`);
    await stage.told(stage.seller, `chat:reaction_${past}`, EVERYONE);
    const expected = verb === 'add' ? [by('👍', seller)] : [];
    for (const client of [stage.customer, stage.customerTab, stage.seller, stage.sellerTab]) {
      assertReactionEvent(client.all(`chat:reaction_${past}`)[0], stage, message, seller, expected);
    }
  });

  onStage(`${verb}: the acknowledgement has the same as the event`, async (stage) => {
    const message = await stage.say(stage.customer, 'a lamp');
    if (verb === 'remove') await react(stage, 'add', stage.seller, message, '👍');
    const data = await react(stage, verb, stage.seller, message, '👍');
    assertReactionEvent(data, stage, message, seller, verb === 'add' ? [by('👍', seller)] : []);
    assert.deepEqual(data, await stage.seller.waitFor(`chat:reaction_${past}`));
  });
}

onStage('several users and several reactions: each reaction has its count and its users', async (stage) => {
  const message = await stage.say(stage.customer, 'a lamp');
  await react(stage, 'add', stage.customer, message, '👍');
  await react(stage, 'add', stage.seller, message, '👍');
  const { reactions } = await react(stage, 'add', stage.seller, message, '🎉');
  const expected = [by('👍', customer, seller), by('🎉', seller)];
  assertReactions(reactions, expected);
  for (const who of ['customer', 'seller']) {
    assertReactions((await stage.message(who, message.id)).reactions, expected);
    const page = await stage.done(stage[who], 'chat:get_messages', { conversationId: stage.conversationId });
    assertReactions(page.messages[0].reactions, expected);
  }
});

onStage('adding the same reaction again is a success without change and without event', async (stage) => {
  const message = await stage.say(stage.customer, 'a lamp');
  await react(stage, 'add', stage.seller, message, '👍');
  const { reactions } = await react(stage, 'add', stage.sellerTab, message, '👍');
  assertReactions(reactions, [by('👍', seller)]);
  await stage.told(stage.sellerTab, 'chat:reaction_added', EVERYONE);
});

onStage('removing a reaction that does not exist is a success without event, and removes none of others', async (stage) => {
  const message = await stage.say(stage.customer, 'a lamp');
  await react(stage, 'add', stage.seller, message, '👍');
  for (const reaction of ['👍', '🎉']) {
    const { reactions } = await react(stage, 'remove', stage.customer, message, reaction);
    assertReactions(reactions, [by('👍', seller)]);
  }
  await stage.settle();
  assert.equal(stage.seller.count('chat:reaction_removed'), 0);
});

onStage('removing one leaves the others', async (stage) => {
  const message = await stage.say(stage.customer, 'a lamp');
  for (const reaction of ['👍', '🎉']) for (const client of [stage.customer, stage.seller]) await react(stage, 'add', client, message, reaction);
  const { reactions } = await react(stage, 'remove', stage.customer, message, '👍');
  assertReactions(reactions, [by('👍', seller), by('🎉', customer, seller)]);
});

onStage('all tabs of both users react at once: one reaction and one event per user', async (stage) => {
  const message = await stage.say(stage.customer, 'a lamp');
  const tabs = [stage.customer, stage.customerTab, stage.seller, stage.sellerTab];
  await Promise.all(tabs.flatMap((client) => [1, 2, 3].map(() => react(stage, 'add', client, message, '❤️'))));
  assertReactions((await stage.message('seller', message.id)).reactions, [by('❤️', customer, seller)]);
  for (const client of tabs) await stage.settle(client);
  assert.equal(stage.sellerTab.count('chat:reaction_added'), 2);
});

onStage('after racing reactions the last event has the stored state', async (stage) => {
  const message = await stage.say(stage.customer, 'a lamp');
  const emoji = ['👍', '🎉', '😀', '🔥', '👀'];
  await Promise.all(emoji.flatMap((reaction) => [stage.customer, stage.seller].map((client) => react(stage, 'add', client, message, reaction))));
  await stage.settle(stage.seller);
  await stage.settle(stage.customer);
  const stored = (await stage.message('seller', message.id)).reactions;
  assertReactions(stored, emoji.map((reaction) => by(reaction, customer, seller)));
  assertReactions(stage.sellerTab.all('chat:reaction_added').at(-1).reactions, stored);
});

onStage('a reaction makes nothing unread, changes no text and moves no conversation', async (stage, scene) => {
  const message = await stage.say(stage.customer, 'a lamp');
  await stage.done(stage.seller, 'chat:mark_read', { conversationId: stage.conversationId });
  const look = async () => (await scene.data('seller', 'GET', '/api/chat/conversations')).find((c) => c.id === stage.conversationId);
  const before = await look();
  await react(stage, 'add', stage.customer, message, '👍');
  const after = await look();
  for (const field of ['unread_count', 'last_seq', 'last_message_text', 'last_message_at']) assert.deepEqual(after[field], before[field], field);
  const stored = await stage.message('seller', message.id);
  assert.deepEqual([stored.is_edited, stored.edit_count, stored.message_text], [false, 0, 'a lamp']);
});

// One emoji is what a person sees as one, up to ten code points: skin tones, flags, families, keycaps.
for (const reaction of ['👍', '❤️', '❤', '👍🏽', '🇩🇪', '1️⃣', '👩‍👩‍👧‍👦', '🏴󠁧󠁢󠁥󠁮󠁧󠁿', '👩🏽‍❤️‍💋‍👨🏿', '☺️', '✅', '🫡']) {
  onStage(`${reaction} (${[...reaction].length} code points) is a reaction`, async (stage) => {
    const message = await stage.say(stage.customer, 'a lamp');
    const { reactions } = await react(stage, 'add', stage.seller, message, reaction);
    assertReactions(reactions, [by(reaction, seller)]);
    assertReactions((await react(stage, 'remove', stage.seller, message, reaction)).reactions, []);
  });
}

const SENSELESS = [
  ['none', undefined, 'reaction_required'],
  ['null', null, 'reaction_required'],
  ['an empty text', '', 'reaction_required'],
  ['a letter', 'a', 'invalid_reaction'],
  ['a word', 'like', 'invalid_reaction'],
  ['a digit', '7', 'invalid_reaction'],
  ['white space', ' ', 'invalid_reaction'],
  ['an emoji and a word', '👍ok', 'invalid_reaction'],
  ['two emoji', '👍🎉', 'invalid_reaction'],
  ['eleven emoji', '👍'.repeat(11), 'invalid_reaction'],
  ['markup', '<b>', 'invalid_reaction'],
  ['a NUL', '\u0000', 'invalid_reaction'],
  ['a lone joiner', '\u200d', 'invalid_reaction'],
  ['a number', 5, 'invalid_reaction'],
  ['an object', { emoji: '👍' }, 'invalid_reaction'],
  ['binary', Buffer.from('👍'), 'invalid_reaction'],
];

for (const [name, reaction, code] of SENSELESS) {
  onStage(`refused as a reaction: ${name}`, async (stage) => {
    const message = await stage.say(stage.customer, 'a lamp');
    const payload = { messageId: message.id, reaction, conversationId: stage.conversationId };
    stage.seller.emit('chat:add_reaction', payload);
    const error = await stage.seller.waitFor('chat:error');
    assert.deepEqual([error.message, error.action], ['Failed to add reaction', 'add_reaction']);
    assert.equal(error.code, code);
    assertFailure(await stage.seller.ask('chat:add_reaction', payload), code, 'Failed to add reaction');
    assertReactions((await stage.message('seller', message.id)).reactions, []);
    await stage.settle(stage.seller);
    assert.equal(stage.customer.count('chat:reaction_added'), 0);
  });
}

onStage('removing without a reaction in the payload: Failed to remove reaction', async (stage) => {
  const message = await stage.say(stage.customer, 'a lamp');
  await stage.refused(
    stage.seller,
    'chat:remove_reaction',
    { messageId: message.id, conversationId: stage.conversationId },
    { action: 'remove_reaction', message: 'Failed to remove reaction', code: 'reaction_required' },
    'chat:reaction_removed',
  );
});
