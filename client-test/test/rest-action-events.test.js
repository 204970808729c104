'use strict';

// A change of a message over REST causes the same events as the same change by socket.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { assertMessageEvent, assertFields } = require('../lib/shapes');
const { assertReactions, staged } = require('../lib/message-actions');
const { EVERYONE, CUSTOMER_ONLY, NOBODY_TOLD } = require('../lib/stage');

const { test } = suite();
const onStage = staged(test);

const IN_CONVERSATION = ['customer', 'customerTab', 'seller', 'sellerTab'];

onStage('PUT: chat:message_edited to everyone, once', async (stage, scene) => {
  const message = await stage.say(stage.customer, 'before');
  await scene.data('customer', 'PUT', `/api/chat/messages/${message.id}`, { message: 'after' });
  for (const name of IN_CONVERSATION) {
    const edited = await stage[name].waitFor('chat:message_edited');
    assertMessageEvent(edited, USERS.customer);
    assertFields(edited, { id: message.id, message_text: 'after', edit_count: 1 });
  }
  await stage.told(stage.customer, 'chat:message_edited', EVERYONE);
});

for (const [deletionType, expected] of [['for_me', CUSTOMER_ONLY], ['for_everyone', EVERYONE]]) {
  onStage(`DELETE ${deletionType}: chat:message_deleted to those it concerns, once`, async (stage, scene) => {
    const message = await stage.say(stage.customer, 'x');
    await scene.rest('customer', 'DELETE', `/api/chat/messages/${message.id}`, { deletionType });
    for (const name of IN_CONVERSATION.filter((n) => expected[n])) {
      assertFields(await stage[name].waitFor('chat:message_deleted'), {
        message_id: message.id, conversation_id: stage.conversationId, deletion_type: deletionType,
      });
    }
    await stage.told(stage.customer, 'chat:message_deleted', expected);
  });
}

onStage('POST and DELETE reactions: chat:reaction_added and chat:reaction_removed to everyone, once', async (stage, scene) => {
  const message = await stage.say(stage.customer, 'x');
  const path = `/api/chat/messages/${message.id}/reactions`;
  const thumb = { reaction: '👍', count: 1, user_ids: [USERS.seller.id] };
  // The second time of each changes nothing, so that nobody is told.
  for (let i = 0; i < 2; i++) await scene.data('seller', 'POST', path, { reaction: '👍' });
  for (let i = 0; i < 2; i++) await scene.data('seller', 'DELETE', `${path}/${encodeURIComponent('👍')}`);
  for (const [event, reactions] of [['chat:reaction_added', [thumb]], ['chat:reaction_removed', []]]) {
    for (const name of IN_CONVERSATION) {
      const told = await stage[name].waitFor(event);
      assertFields(told, { message_id: message.id, conversation_id: stage.conversationId, user_id: USERS.seller.id });
      assertReactions(told.reactions, reactions);
    }
    await stage.told(stage.seller, event, EVERYONE);
  }
});

onStage('POST reply: chat:new_reply to every socket of the others, and to the sender\'s tabs in the room', async (stage, scene) => {
  const quoted = await stage.say(stage.seller, 'which one?');
  const reply = await scene.data('customer', 'POST', `/api/chat/conversations/${stage.conversationId}/messages/reply`, {
    message: 'this one', replyToMessageId: quoted.id, tempId: 'temp_1',
  });
  for (const name of ['customer', 'seller', 'sellerTab']) {
    const told = await stage[name].waitFor('chat:new_reply');
    assertMessageEvent(told, USERS.customer);
    assertFields(told, { id: reply.id, message_text: 'this one', reply_to_message_id: quoted.id });
    assertFields(told.reply_to, { id: quoted.id, message_text: 'which one?', sender_id: USERS.seller.id });
    assert.equal('tempId' in told, false);
  }
  await stage.told(stage.customer, 'chat:new_reply', { ...EVERYONE, customerTab: 0 });
  assert.deepEqual(stage.counts('chat:new_message', (m) => m.id === reply.id), NOBODY_TOLD);
  assert.deepEqual(stage.counts('chat:reply_sent'), NOBODY_TOLD);
});

onStage('POST reply: delivery is told as for a reply by socket', async (stage, scene) => {
  const quoted = await stage.say(stage.seller, 'which one?');
  const reply = await scene.data('customer', 'POST', `/api/chat/conversations/${stage.conversationId}/messages/reply`, { message: 'x', replyToMessageId: quoted.id });
  for (const name of IN_CONVERSATION) await stage[name].waitFor('chat:message_delivered', (d) => d.message_id === reply.id);
});

onStage('nobody is told of a refusal or of a read', async (stage, scene) => {
  const message = await stage.say(stage.customer, 'x');
  const at = `/api/chat/messages/${message.id}`;
  const calls = [
    ['seller', 'PUT', at, { message: 'y' }, 403],
    ['admin', 'PUT', at, { message: 'y' }, 403],
    ['seller', 'DELETE', at, { deletionType: 'for_everyone' }, 403],
    ['admin', 'DELETE', at, { deletionType: 'for_me' }, 403],
    ['admin', 'POST', `${at}/reactions`, { reaction: '👍' }, 403],
    ['seller', 'POST', `${at}/reactions`, { reaction: 'ok' }, 400],
    ['admin', 'POST', `/api/chat/conversations/${stage.conversationId}/messages/reply`, { message: 'y', replyToMessageId: message.id }, 403],
    ['seller', 'GET', `${at}/details`, undefined, 200],
    ['seller', 'GET', `${at}/history`, undefined, 200],
    ['seller', 'GET', `${at}/reactions`, undefined, 200],
  ];
  for (const [who, method, path, body, status] of calls) {
    const answer = await scene.rest(who, method, path, body);
    assert.equal(answer.status, status, `${who} ${method} ${path}: ${answer.text}`);
  }
  await stage.settle(stage.seller);
  await stage.settle(stage.customer);
  for (const event of ['chat:message_edited', 'chat:message_deleted', 'chat:reaction_added', 'chat:new_reply', 'chat:error']) {
    assert.deepEqual(stage.counts(event), NOBODY_TOLD, event);
  }
});
