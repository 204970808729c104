'use strict';

// Edits, deletions and reactions that are refused. The server does not trust the conversationId that a client sends with them.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { assertFailure } = require('../lib/shapes');
const { staged } = require('../lib/message-actions');
const { EVERYONE } = require('../lib/stage');
const { NOBODY } = require('../lib/users');

const { test } = suite();
const onStage = staged(test);

// Each event with what it says when it refuses; reactions have one text for every reason.
const EVENTS = [
  { event: 'chat:edit_message', outcome: 'chat:message_edited', action: 'edit_message', extra: { newText: 'changed' } },
  { event: 'chat:delete_message', outcome: 'chat:message_deleted', action: 'delete_message', extra: { deletionType: 'for_everyone' } },
  { event: 'chat:delete_message', outcome: 'chat:message_deleted', action: 'delete_message', extra: { deletionType: 'for_me' } },
  { event: 'chat:add_reaction', outcome: 'chat:reaction_added', action: 'add_reaction', extra: { reaction: '👍' }, text: 'Failed to add reaction' },
  { event: 'chat:remove_reaction', outcome: 'chat:reaction_removed', action: 'remove_reaction', extra: { reaction: '🎉' }, text: 'Failed to remove reaction' },
];

const nameOf = ({ event, extra }) => (extra.deletionType ? `${event} ${extra.deletionType}` : event);

/** A message of the customer with a reaction of the seller, and its look before. */
async function prepared(stage) {
  const message = await stage.say(stage.customer, 'untouched');
  await stage.done(stage.seller, 'chat:add_reaction', { messageId: message.id, reaction: '🎉' });
  return message;
}

async function assertUntouched(stage, message) {
  for (const who of ['customer', 'seller']) {
    const stored = await stage.message(who, message.id);
    assert.deepEqual([stored.message_text, stored.is_edited, stored.is_deleted], ['untouched', false, false]);
    assert.deepEqual(stored.reactions, [{ reaction: '🎉', count: 1, user_ids: [USERS.seller.id] }]);
  }
}

for (const one of EVENTS) {
  const { event, outcome, action, extra, text } = one;

  onStage(`${nameOf(one)}: not a member: refused, nothing changes, nobody is told`, async (stage) => {
    const message = await prepared(stage);
    await stage.refused(
      stage.stranger, event, { messageId: message.id, conversationId: stage.conversationId, ...extra },
      { action, message: text ?? 'Not authorized', code: 'not_authorized' }, outcome,
    );
    await assertUntouched(stage, message);
  });

  onStage(`${nameOf(one)}: a stranger who names a conversation of their own is still refused`, async (stage, scene) => {
    const message = await prepared(stage);
    const own = await scene.conversation('admin', 'manager');
    await stage.stranger.ask('chat:join', { conversationId: own });
    await stage.refused(
      stage.stranger, event, { messageId: message.id, conversationId: own, ...extra },
      { action, message: text ?? 'Not authorized', code: 'not_authorized' }, outcome,
    );
    await assertUntouched(stage, message);
  });

  onStage(`${nameOf(one)}: the message's own conversation is told, whichever one the client named`, async (stage, scene) => {
    const elsewhere = await scene.conversation('customer', 'admin');
    await stage.stranger.ask('chat:join', { conversationId: elsewhere });
    const names = [elsewhere, NOBODY, 'nonsense', undefined, null, 5, {}];
    for (const conversationId of names) {
      const message = await stage.say(stage.customer, 'x');
      await stage.done(stage.seller, 'chat:add_reaction', { messageId: message.id, reaction: '🎉' });
      const actor = action === 'remove_reaction' ? stage.seller : stage.customer;
      await stage.done(actor, event, { messageId: message.id, conversationId, ...extra });
      const ofIt = (e) => (e.message_id ?? e.id) === message.id;
      const told = await actor.waitFor(outcome, ofIt);
      assert.equal(told.conversation_id, stage.conversationId);
    }
    await stage.settle(stage.seller);
    await stage.settle(stage.customer);
    const seen = stage.counts(outcome, (e) => !(action === 'add_reaction' && e.user_id === USERS.seller.id));
    assert.equal(seen.stranger, 0, 'the conversation that the client named is told nothing');
    assert.equal(seen.customer, names.length);
    assert.equal(seen.sellerTab, extra.deletionType === 'for_me' ? 0 : names.length);
  });

  for (const [name, messageId] of [
    ['an unknown message', NOBODY],
    ['a malformed id', 'not-a-uuid'],
    ['no id', undefined],
    ['a number as id', 42],
    ['a list as id', [NOBODY]],
    ['binary as id', Buffer.from(NOBODY)],
    ['SQL as id', "' OR 1=1 --"],
  ]) {
    onStage(`${nameOf(one)}: ${name}: ${text ?? 'Message not found'}`, async (stage) => {
      await prepared(stage);
      await stage.refused(
        stage.customer, event, { messageId, conversationId: stage.conversationId, ...extra },
        { action, message: text ?? 'Message not found', code: 'message_not_found' },
      );
    });
  }

  onStage(`${nameOf(one)}: a missing payload, or one that is not an object, is refused`, async (stage) => {
    for (const args of [[], [null], ['text'], [5], [[]], [Buffer.from('x')], [{}]]) {
      const answer = await stage.customer.ask(event, ...args);
      assertFailure(answer, undefined, text);
      // Everything is missing; the message is looked at first.
      assert.equal(answer.code, 'message_not_found');
    }
    stage.customer.emit(event);
    assert.equal((await stage.customer.waitFor('chat:error')).action, action);
  });

  onStage(`${nameOf(one)}: an id in capitals means the same message`, async (stage) => {
    const message = await stage.say(stage.customer, 'x');
    const data = await stage.done(stage.customer, event, { messageId: message.id.toUpperCase(), ...extra });
    assert.equal(data.message_id ?? data.id, message.id);
  });
}

onStage("chat:edit_message: another user's message: Only message sender can edit the message", async (stage) => {
  const message = await prepared(stage);
  await stage.refused(
    stage.seller, 'chat:edit_message', { messageId: message.id, newText: 'changed', conversationId: stage.conversationId },
    { action: 'edit_message', message: 'Only message sender can edit the message', code: 'not_message_sender' }, 'chat:message_edited',
  );
  await assertUntouched(stage, message);
});

onStage("a user can remove only their own reaction", async (stage) => {
  const message = await prepared(stage);
  await stage.done(stage.customer, 'chat:remove_reaction', { messageId: message.id, reaction: '🎉', conversationId: stage.conversationId });
  await assertUntouched(stage, message);
});

onStage('an admin who is not a member is refused like any other user', async (stage, scene) => {
  const message = await prepared(stage);
  const manager = await scene.connect('manager');
  for (const { event, extra } of EVENTS) {
    for (const client of [stage.stranger, manager]) assertFailure(await client.ask(event, { messageId: message.id, ...extra }), 'not_authorized');
  }
  await assertUntouched(stage, message);
});

onStage('a refusal does not tell a stranger whether the message is deleted, edited, or whose it is', async (stage) => {
  const [kept, gone] = [await stage.say(stage.customer, 'a'), await stage.say(stage.customer, 'b')];
  await stage.done(stage.customer, 'chat:delete_message', { messageId: gone.id, deletionType: 'for_everyone' });
  for (const { event, extra } of EVENTS) {
    const [ofKept, ofGone] = [
      await stage.stranger.ask(event, { messageId: kept.id, ...extra }),
      await stage.stranger.ask(event, { messageId: gone.id, ...extra }),
    ];
    assert.deepEqual(ofGone, ofKept, event);
  }
});

onStage('the sender is told like everyone, in tabs outside the room too', async (stage) => {
  const message = await stage.say(stage.customer, 'x');
  await stage.done(stage.customerTab, 'chat:edit_message', { messageId: message.id, newText: 'y' });
  await stage.told(stage.customerTab, 'chat:message_edited', EVERYONE);
  await stage.done(stage.customerTab, 'chat:delete_message', { messageId: message.id, deletionType: 'for_everyone' });
  await stage.told(stage.customerTab, 'chat:message_deleted', EVERYONE);
});
