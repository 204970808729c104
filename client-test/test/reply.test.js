'use strict';

// chat:send_reply: what the sender is told, who else is told, and how it is stored.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { assertMessageEvent, assertFields } = require('../lib/shapes');
const { ATTACHMENT, assertReactions, assertQuote, staged } = require('../lib/message-actions');

const { test } = suite();
const onStage = staged(test);

const isReply = (text) => (m) => m.message_text === text;

async function reply(stage, client, quoted, message = 'the reply', extra = { tempId: 'temp_1' }) {
  const { conversationId } = stage;
  return stage.done(client, 'chat:send_reply', { conversationId, message, replyToMessageId: quoted.id, clientTimestamp: Date.now(), ...extra });
}

/** The quoted message in full, as the reply's own event carries it. */
function assertQuotedInFull(reply, quoted) {
  assert.equal(reply.reply_to_message_id, quoted.id);
  for (const field of Object.keys(quoted)) {
    // Whom it reached and who read it goes on while the test runs.
    if (['status', 'read_by', 'delivered_to', 'delivered_at', 'read_at', 'tempId', 'senderName', 'senderRole'].includes(field)) continue;
    assert.ok(field in reply.reply_to, `reply_to.${field} is missing`);
    if (!['reactions', 'reply_to', 'updated_at'].includes(field)) assert.deepEqual(reply.reply_to[field], quoted[field], `reply_to.${field}`);
  }
}

onStage('chat:reply_sent: the whole message, the tempId, and the quoted one in full with its reactions', async (stage) => {
  const quoted = await stage.say(stage.seller, 'which one?', { attachments: [ATTACHMENT] });
  await stage.done(stage.customer, 'chat:add_reaction', { messageId: quoted.id, reaction: '👍' });
  stage.customer.emit('chat:send_reply', {
    conversationId: stage.conversationId, message: 'the blue one', replyToMessageId: quoted.id, tempId: 'temp_1', clientTimestamp: '1999-01-01T00:00:00Z',
  });
  const sent = await stage.customer.waitFor('chat:reply_sent');
  assertMessageEvent(sent, USERS.customer);
  assertFields(sent, { tempId: 'temp_1', conversation_id: stage.conversationId, message_text: 'the blue one', seq: 2, edit_history: [], reactions: [], is_edited: false });
  assertQuotedInFull(sent, quoted);
  assertReactions(sent.reply_to.reactions, [{ reaction: '👍', count: 1, user_ids: [USERS.customer.id] }]);
  assert.ok(Math.abs(Date.parse(sent.created_at) - Date.now()) < 60_000, "the client's clock is not stored");
});

onStage('the acknowledgement is the same as chat:reply_sent', async (stage) => {
  const quoted = await stage.say(stage.seller, 'which one?');
  const data = await reply(stage, stage.customer, quoted);
  assert.deepEqual(data, await stage.customer.waitFor('chat:reply_sent'));
});

onStage('the others get chat:new_reply once, in the room or not; nobody gets chat:new_message', async (stage, scene) => {
  const quoted = await stage.say(stage.seller, 'which one?');
  const ownInRoom = await scene.connect('customer');
  await ownInRoom.ask('chat:join', { conversationId: stage.conversationId });
  const sent = await reply(stage, stage.customer, quoted);
  await ownInRoom.waitFor('chat:new_reply');
  await stage.settle();
  await scene.barrier(stage.seller, ownInRoom, stage.aside);
  assert.deepEqual(stage.counts('chat:new_reply'), { customer: 0, customerTab: 0, seller: 1, sellerTab: 1, stranger: 0 });
  assert.equal(ownInRoom.count('chat:new_reply'), 1);
  assert.deepEqual(stage.counts('chat:reply_sent'), { customer: 1, customerTab: 0, seller: 0, sellerTab: 0, stranger: 0 });
  for (const client of [...Object.values(stage.sockets()), ownInRoom]) {
    assert.equal(client.count('chat:new_message', (m) => m.id === sent.id), 0);
    assert.equal(client.count('chat:message_sent', (m) => m.id === sent.id), 0);
  }
});

onStage('chat:new_reply is chat:reply_sent without the tempId', async (stage) => {
  const quoted = await stage.say(stage.seller, 'which one?');
  const { tempId, ...sent } = await reply(stage, stage.customer, quoted);
  assert.equal(tempId, 'temp_1');
  for (const client of [stage.seller, stage.sellerTab]) {
    const { status, delivered_to, delivered_at, ...told } = await client.waitFor('chat:new_reply');
    assert.equal('tempId' in told, false);
    assertFields(sent, told);
    assert.ok(['sent', 'delivered'].includes(status));
    assert.ok(Array.isArray(delivered_to) && delivered_at !== undefined);
  }
});

onStage('without a tempId the sending socket gets chat:new_reply too', async (stage) => {
  const quoted = await stage.say(stage.seller, 'which one?');
  await reply(stage, stage.customer, quoted, 'the reply', {});
  await stage.settle();
  assert.deepEqual(stage.counts('chat:new_reply'), { customer: 1, customerTab: 0, seller: 1, sellerTab: 1, stranger: 0 });
});

onStage('delivered: the sender and the member who is online are told', async (stage) => {
  const quoted = await stage.say(stage.seller, 'which one?');
  const sent = await reply(stage, stage.customer, quoted);
  const ofIt = (d) => d.message_id === sent.id;
  for (const client of [stage.customer, stage.customerTab, stage.seller, stage.sellerTab]) await client.waitFor('chat:message_delivered', ofIt);
  await stage.settle();
  assert.deepEqual(stage.counts('chat:message_delivered', ofIt), { customer: 1, customerTab: 1, seller: 1, sellerTab: 1, stranger: 0 });
});

onStage('lists carry the quoted message in short', async (stage) => {
  const quoted = await stage.say(stage.seller, 'which one?');
  const sent = await reply(stage, stage.customer, quoted);
  for (const who of ['customer', 'seller']) {
    for (const messages of [
      await stage.messages(who),
      (await stage.done(stage[who], 'chat:get_messages', { conversationId: stage.conversationId })).messages,
    ]) {
      const stored = messages.find((m) => m.id === sent.id);
      assert.equal(stored.reply_to_message_id, quoted.id);
      assertQuote(stored.reply_to, quoted);
      assert.equal(messages.find((m) => m.id === quoted.id).reply_to, null);
    }
  }
});

onStage('reply_to says who wrote the quoted message: in events, answers, lists and details', async (stage, scene) => {
  const quoted = await stage.say(stage.seller, 'which one?');
  const sent = await reply(stage, stage.customer, quoted);
  const told = await stage.seller.waitFor('chat:new_reply');
  await stage.done(stage.customer, 'chat:edit_message', { messageId: sent.id, newText: 'this one' });
  const edited = await stage.seller.waitFor('chat:message_edited');
  const page = await stage.done(stage.customer, 'chat:get_messages', { conversationId: stage.conversationId });
  const synced = await stage.done(stage.customer, 'chat:sync', { conversations: { [stage.conversationId]: 0 } });
  const details = await scene.data('seller', 'GET', `/api/chat/messages/${sent.id}/details`);
  const of = (messages) => messages.find((m) => m.id === sent.id);
  for (const [where, message] of Object.entries({
    sent, told, edited, details,
    listed: await stage.message('seller', sent.id),
    page: of(page.messages),
    synced: of(synced.conversations[stage.conversationId].messages),
  })) {
    assert.equal(message.reply_to.sender_name, USERS.seller.displayName, where);
  }
});

onStage('the quote shows the current text', async (stage) => {
  const quoted = await stage.say(stage.seller, 'wich one?');
  const sent = await reply(stage, stage.customer, quoted);
  await stage.done(stage.seller, 'chat:edit_message', { messageId: quoted.id, newText: 'which one?' });
  assert.equal((await stage.message('customer', sent.id)).reply_to.message_text, 'which one?');
});

onStage('a reply may answer a reply, or a message of its own sender', async (stage) => {
  const first = await stage.say(stage.customer, 'one');
  const second = await reply(stage, stage.customer, first, 'two');
  const third = await reply(stage, stage.seller, second, 'three');
  assert.equal((await stage.message('customer', second.id)).reply_to.id, first.id);
  assert.equal((await stage.message('customer', third.id)).reply_to.message_text, 'two');
});

onStage('attachments alone are a reply', async (stage) => {
  const quoted = await stage.say(stage.seller, 'which one?');
  const sent = await reply(stage, stage.customer, quoted, '', { attachments: [ATTACHMENT], tempId: 't' });
  assert.deepEqual([sent.message_text, sent.attachments, sent.message_type], ['', [ATTACHMENT], 'image']);
});

onStage('a reply counts as unread, and is the preview', async (stage, scene) => {
  const quoted = await stage.say(stage.seller, 'which one?');
  const sent = await reply(stage, stage.customer, quoted, 'the blue one');
  const conversation = (await scene.data('seller', 'GET', '/api/chat/conversations')).find((c) => c.id === stage.conversationId);
  assertFields(conversation, { unread_count: 1, last_message_text: 'the blue one', last_message_at: sent.created_at, last_seq: 2 });
});

onStage('a reply puts the socket into the room without telling anyone, and ends typing', async (stage) => {
  const { conversationId } = stage;
  const quoted = await stage.say(stage.seller, 'which one?');
  stage.customerTab.emit('chat:typing', { conversationId, isTyping: true });
  await stage.seller.waitFor('chat:user_typing', (t) => t.isTyping);
  await reply(stage, stage.customerTab, quoted);
  await stage.seller.waitFor('chat:user_typing', (t) => !t.isTyping);
  stage.seller.emit('chat:typing', { conversationId, isTyping: true });
  await stage.customerTab.waitFor('chat:user_typing', (t) => t.conversationId === conversationId);
  await stage.settle();
  assert.equal(stage.seller.count('chat:user_joined'), 0);
  assert.equal(stage.customerTab.count('chat:joined'), 0);
});

onStage('messages and replies of one socket, sent without waiting, come in the order of sending', async (stage) => {
  const { conversationId } = stage;
  const quoted = await stage.say(stage.seller, 'start');
  const texts = Array.from({ length: 60 }, (_, i) => `no ${i}`);
  texts.forEach((message, i) => {
    const reply = i % 3 === 1;
    stage.customer.emit(reply ? 'chat:send_reply' : 'chat:send_message', {
      conversationId, message, tempId: `temp_${i}`, ...(reply ? { replyToMessageId: quoted.id } : {}),
    });
  });
  await stage.seller.waitFor('chat:new_message', isReply('no 59'));
  const heard = stage.seller.events.filter((e) => ['chat:new_message', 'chat:new_reply'].includes(e.event) && e.data.id !== quoted.id && /^no /.test(e.data.message_text));
  assert.deepEqual(heard.map((e) => e.data.message_text), texts);
  assert.deepEqual(heard.map((e) => e.data.seq), texts.map((_, i) => i + 2));
  for (const { event, data } of heard) assert.equal(event === 'chat:new_reply', data.reply_to_message_id === quoted.id);
});

onStage('two users reply to each other at once: numbers without a gap, and everyone gets them in that order', async (stage) => {
  const quoted = await stage.say(stage.seller, 'start');
  await Promise.all(
    Array.from({ length: 20 }, (_, i) => [stage.customer, stage.seller].map((client) => reply(stage, client, quoted, `no ${i}`))).flat(),
  );
  assert.deepEqual((await stage.messages()).map((m) => m.seq), Array.from({ length: 41 }, (_, i) => i + 1));
  const seqs = stage.sellerTab.all('chat:new_reply').map((m) => m.seq);
  assert.deepEqual(seqs, [...seqs].sort((a, b) => a - b));
});
