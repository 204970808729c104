'use strict';

// A reaction is one emoji of the Unicode tables, with or without U+FE0F; at most 20 different ones per message and 5 per user.

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { suite, USERS } = require('../lib/suite');
const { external } = require('../lib/postgres');
const { assertFailure } = require('../lib/shapes');
const { failure, assertReactions, staged } = require('../lib/message-actions');

const { test, server } = suite();
const onStage = staged(test);

const { customer, seller } = USERS;
const add = (client, message, reaction) => client.ask('chat:add_reaction', { messageId: message.id, reaction });
const by = (reaction, ...users) => ({ reaction, count: users.length, user_ids: users.map((u) => u.id) });

for (const [name, reaction] of [
  ['an emoji and a combining mark', '👍\u0301'],
  ['an emoji and nine combining marks', `👍${'\u0301'.repeat(9)}`],
  ['an emoji and a variation selector of another kind', '👍\ufe01'],
  ['an emoji and a joiner without a second', '👍\u200d'],
  ['a symbol that is no emoji', '→'],
  ['a sign of punctuation', '‽'],
  ['a mathematical sign', '∑'],
]) {
  onStage(`refused as a reaction: ${name}`, async (stage) => {
    const message = await stage.say(stage.customer, 'a lamp');
    assertFailure(await add(stage.seller, message, reaction), 'invalid_reaction', 'Failed to add reaction');
    assertReactions((await stage.message('seller', message.id)).reactions, []);
  });
}

onStage('an emoji with and without U+FE0F is one reaction: counted together, and removed by either form', async (stage) => {
  const message = await stage.say(stage.customer, 'a lamp');
  await add(stage.customer, message, '❤');
  const { data } = await add(stage.seller, message, '❤️');
  assertReactions(data.reactions, [by('❤', customer, seller)]);
  const again = await add(stage.customer, message, '❤️');
  assertReactions(again.data.reactions, [by('❤', customer, seller)]);
  await stage.done(stage.customer, 'chat:remove_reaction', { messageId: message.id, reaction: '❤️' });
  assertReactions((await stage.message('seller', message.id)).reactions, [by('❤', seller)]);
});

onStage('a sixth reaction of one user is refused, by socket and by REST, until one is removed', async (stage, scene) => {
  const message = await stage.say(stage.customer, 'a lamp');
  for (const reaction of ['👍', '🎉', '😀', '🔥', '👀']) assert.equal((await add(stage.seller, message, reaction)).success, true);
  assertFailure(await add(stage.seller, message, '🚀'), 'too_many_reactions', 'Failed to add reaction');
  failure(await scene.rest('seller', 'POST', `/api/chat/messages/${message.id}/reactions`, { reaction: '🚀' }), 400, 'too_many_reactions');
  // One that is there already is no sixth.
  assert.equal((await add(stage.seller, message, '👍')).success, true);
  await stage.done(stage.seller, 'chat:remove_reaction', { messageId: message.id, reaction: '👍' });
  assert.equal((await add(stage.seller, message, '🚀')).success, true);
});

if (external) {
  const MANY = ['😀', '😃', '😄', '😁', '😆', '😅', '🤣', '😂', '🙂', '🙃', '😉', '😊', '😇', '🥰', '😍', '🤩', '😘', '😗', '😚', '😙'];
  const store = (message, reaction, user) =>
    server.database.sql(`INSERT INTO message_reactions (message_id, user_id, reaction) VALUES ('${message.id}', '${user.id}', '${reaction}')`);

  onStage('a twenty-first different reaction to a message is refused; adding an existing one is not', async (stage) => {
    const message = await stage.say(stage.customer, 'a lamp');
    for (let i = 0; i < MANY.length; i += 5) {
      const user = { id: randomUUID(), email: `${randomUUID()}@souk.example`, role: 'customer', displayName: 'Someone' };
      server.database.addUser(user);
      MANY.slice(i, i + 5).forEach((reaction) => store(message, reaction, user));
    }
    assertFailure(await add(stage.seller, message, '🚀'), 'too_many_reactions', 'Failed to add reaction');
    const { data } = await add(stage.seller, message, MANY[0]);
    assert.equal(data.reactions.find((r) => r.reaction === MANY[0]).count, 2);
  });

  onStage('stored before the rule: both forms of one emoji count as one, and removing either removes both', async (stage) => {
    const message = await stage.say(stage.customer, 'a lamp');
    for (const reaction of ['❤', '❤️']) store(message, reaction, seller);
    const [stored, ...more] = (await stage.message('customer', message.id)).reactions;
    assert.deepEqual([stored.count, stored.user_ids, more], [1, [seller.id], []]);
    await stage.done(stage.seller, 'chat:remove_reaction', { messageId: message.id, reaction: '❤️' });
    assertReactions((await stage.message('customer', message.id)).reactions, []);
  });

  onStage('stored before the rule: a reaction that is not an emoji can still be removed', async (stage, scene) => {
    const message = await stage.say(stage.customer, 'a lamp');
    for (const reaction of ['👍\u0301', 'ok']) store(message, reaction, seller);
    await stage.done(stage.seller, 'chat:remove_reaction', { messageId: message.id, reaction: '👍\u0301' });
    await scene.data('seller', 'DELETE', `/api/chat/messages/${message.id}/reactions/ok`);
    assertReactions((await stage.message('customer', message.id)).reactions, []);
  });

  onStage('stored before the rule: of hundreds of reactions to one message only a bounded number is sent', async (stage) => {
    const message = await stage.say(stage.customer, 'a lamp');
    server.database.sql(`INSERT INTO message_reactions (message_id, user_id, reaction)
      SELECT '${message.id}', '${seller.id}', '👍' || chr(768 + n) FROM generate_series(0, 199) n`);
    const stored = await stage.message('customer', message.id);
    assert.ok(stored.reactions.length <= 100, `${stored.reactions.length} reactions`);
  });
}
