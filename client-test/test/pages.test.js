'use strict';

// Pages of a conversation of 300 messages with reactions, replies, edits and deletions, and what they cost.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { testWithOwnServer } = require('../lib/own-server');
const { assertMessage } = require('../lib/shapes');
const { assertReactions, assertQuote, assertTombstone } = require('../lib/message-actions');
const { until } = require('../lib/limits');

const { test } = suite();

const TOTAL = 300;
const { customer, seller } = USERS;

// What is special about a number; the rest are plain.
const isReply = (n) => n > 1 && n % 3 === 0;
const quotedBy = (n) => (n % 2 ? 1 : n - 1);
const isLiked = (n) => n % 5 === 0;
const isEdited = (n) => n % 10 === 7;
const isDeleted = (n) => n % 25 === 1 && n > 1;
const text = (n) => (isEdited(n) ? `no ${n}, corrected` : `no ${n}`);

const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

let filled;

/** Made once: the tests only read. */
async function conversation(scene) {
  filled ??= (async () => {
    const conversationId = await scene.conversation();
    const [mine, theirs] = [await scene.connect('customer'), await scene.connect('seller')];
    const done = async (client, event, payload) => {
      const answer = await client.ask(event, { conversationId, ...payload });
      assert.equal(answer.success, true, JSON.stringify(answer));
      return answer.data;
    };
    const ids = [undefined];
    for (let n = 1; n <= TOTAL; n++) {
      const reply = isReply(n) ? { replyToMessageId: ids[quotedBy(n)] } : {};
      ids[n] = (await done(n % 2 ? mine : theirs, isReply(n) ? 'chat:send_reply' : 'chat:send_message', { message: `no ${n}`, tempId: `temp_${n}`, ...reply })).id;
    }
    // What happens to one message has its order; the messages are independent.
    await Promise.all(range(1, TOTAL).map(async (n) => {
      const sender = n % 2 ? mine : theirs;
      if (isLiked(n)) {
        for (const client of [mine, theirs]) await done(client, 'chat:add_reaction', { messageId: ids[n], reaction: '👍' });
        await done(mine, 'chat:add_reaction', { messageId: ids[n], reaction: '🎉' });
      }
      if (isEdited(n)) await done(sender, 'chat:edit_message', { messageId: ids[n], newText: text(n) });
      if (isDeleted(n)) await done(sender, 'chat:delete_message', { messageId: ids[n], deletionType: 'for_everyone' });
    }));
    return { conversationId, ids };
  })();
  return filled;
}

function assertAsWritten(message, n, ids) {
  assertMessage(message);
  const sender = n % 2 ? customer : seller;
  assert.deepEqual([message.seq, message.id, message.sender_id], [n, ids[n], sender.id]);
  if (isDeleted(n)) return assertTombstone(message, sender.id);
  assert.equal(message.message_text, text(n));
  assert.deepEqual([message.is_edited, message.edit_count], [isEdited(n), isEdited(n) ? 1 : 0]);
  const liked = [{ reaction: '👍', count: 2, user_ids: [customer.id, seller.id] }, { reaction: '🎉', count: 1, user_ids: [customer.id] }];
  assertReactions(message.reactions, isLiked(n) ? liked : []);
  if (!isReply(n)) return assert.equal(message.reply_to, null);
  const q = quotedBy(n);
  assert.equal(message.reply_to_message_id, ids[q]);
  if (isDeleted(q)) return assert.deepEqual([message.reply_to.id, message.reply_to.message_text, message.reply_to.is_deleted], [ids[q], '', true]);
  return assertQuote(message.reply_to, { id: ids[q], message_text: text(q), sender_id: (q % 2 ? customer : seller).id, created_at: message.reply_to.created_at });
}

for (const [name, query, expected] of [
  ['the first page: the newest 50, oldest of them first', {}, range(251, 300)],
  ['the second page by offset', { offset: 50 }, range(201, 250)],
  ['a page before a number', { before: 101, limit: 100 }, range(1, 100)],
  ['what came after a number', { after: 290 }, range(291, 300)],
  ['200 at once', { limit: 200 }, range(101, 300)],
]) {
  test(`${name}: has reactions, replies, edits and deletions at the right messages`, async (scene) => {
    const { conversationId, ids } = await conversation(scene);
    for (const who of ['customer', 'seller']) {
      const messages = await scene.messages(who, conversationId, `?${new URLSearchParams(query)}`);
      assert.deepEqual(messages.map((m) => m.seq), expected);
      messages.forEach((message, i) => assertAsWritten(message, expected[i], ids));
    }
    const client = await scene.connect('seller');
    const page = (await client.ask('chat:get_messages', { conversationId, ...query })).data;
    assert.deepEqual(page.messages, await scene.messages('seller', conversationId, `?${new URLSearchParams(query)}`), 'socket and REST say the same');
  });
}

test('paging back reaches every message once', async (scene) => {
  const { conversationId, ids } = await conversation(scene);
  const seen = [];
  for (let before; ; before = seen[0].seq) {
    const page = await scene.messages('customer', conversationId, before ? `?before=${before}` : '');
    if (page.length === 0) break;
    seen.unshift(...page);
  }
  assert.deepEqual(seen.map((m) => m.id), ids.slice(1));
});

/** The statements that the server sent to the database while `act` ran, but for what it does by itself or around each. */
async function statements(server, act) {
  const from = server.log.length;
  await act();
  // Its log comes through a pipe, so a moment later.
  const lines = () => server.log.slice(from).split('\n').filter((line) => line.includes('db.statement='));
  await until(() => lines().length > 0, 'the statements are in the log');
  await new Promise((resolve) => setTimeout(resolve, 200));
  return lines().filter((line) => {
    const isTransaction = /summary="(BEGIN|COMMIT|ROLLBACK|SET)/.test(line);
    const isPresence = /chat_servers|chat_server_users|user_online_status/.test(line);
    // Every REST call looks up its caller.
    const isCaller = /FROM users\s+WHERE id = \$1/.test(line.replaceAll('\\n', ' '));
    return !isTransaction && !isPresence && !isCaller;
  });
}

// The statements are in the log at this level. It is a long log, so this server writes it for this test alone.
testWithOwnServer('a page costs at most 3 statements, whatever its size', { env: { RUST_LOG: 'info,sqlx::query=trace' } }, async (server, scene) => {
  await server.start();
  const conversationId = await scene.conversation();
  const client = await scene.connect('customer');
  const first = await scene.say(client, conversationId, 'no 1');
  for (let n = 2; n <= 60; n++) {
    const answer = await client.ask('chat:send_reply', { conversationId, message: `no ${n}`, replyToMessageId: first.id });
    await client.ask('chat:add_reaction', { messageId: answer.data.id, reaction: '👍' });
  }
  for (const limit of [1, 20, 60]) {
    const page = await statements(server, () => scene.messages('customer', conversationId, `?limit=${limit}`));
    assert.ok(page.length >= 1 && page.length <= 3, `limit ${limit}: ${page.length} statements\n${page.join('\n')}`);
  }
});
