'use strict';

// A message that a user deleted "for me" is hidden from that user everywhere: in the preview of the list, in the quote of a
// later reply, in the event of a later edit. All others still see it.

const assert = require('node:assert/strict');
const { suite } = require('../lib/suite');

const { test } = suite();

/** The seller says something, and the customer deletes it for themselves. */
async function hidden(scene) {
  const conversationId = await scene.conversation();
  const [customer, seller] = await Promise.all([scene.connect('customer'), scene.connect('seller')]);
  await scene.say(seller, conversationId, 'before');
  const message = await scene.say(seller, conversationId, 'SECRET');
  const answer = await customer.ask('chat:delete_message', { messageId: message.id, deletionType: 'for_me', conversationId });
  assert.equal(answer.success, true);
  return { conversationId, customer, seller, message };
}

const listed = async (scene, who, conversationId) =>
  (await scene.data(who, 'GET', '/api/chat/conversations')).find((c) => c.id === conversationId);

test('the preview of the list is the newest message that the user still sees', async (scene) => {
  const { conversationId } = await hidden(scene);
  assert.equal((await listed(scene, 'customer', conversationId)).last_message_text, 'before');
  assert.equal((await listed(scene, 'seller', conversationId)).last_message_text, 'SECRET');
});

test('a reply that quotes the message reaches the user without the quoted text', async (scene) => {
  const { conversationId, customer, seller, message } = await hidden(scene);
  const reply = { conversationId, message: 'well?', replyToMessageId: message.id, tempId: 'temp_1' };
  const tab = await scene.connect('seller');
  await tab.ask('chat:join', { conversationId });
  assert.equal((await seller.ask('chat:send_reply', reply)).data.reply_to.message_text, 'SECRET');
  const blank = await customer.waitFor('chat:new_reply');
  assert.equal(blank.message_text, 'well?');
  assert.equal(blank.reply_to.message_text, '');
  assert.equal((await tab.waitFor('chat:new_reply')).reply_to.message_text, 'SECRET');
});

test('the user does not get its edits; the others do', async (scene) => {
  const { conversationId, customer, seller, message } = await hidden(scene);
  await seller.ask('chat:edit_message', { messageId: message.id, newText: 'SECRET 2', conversationId });
  assert.equal((await seller.waitFor('chat:message_edited')).message_text, 'SECRET 2');
  await scene.barrier(seller, customer, conversationId);
  assert.equal(customer.count('chat:message_edited'), 0);
});

test('when the user who hid the quoted message edits the reply, the others keep the quote', async (scene) => {
  const { conversationId, customer, seller, message } = await hidden(scene);
  const other = await scene.say(seller, conversationId, 'OTHER');
  const reply = { conversationId, message: 'yes', replyToMessageId: other.id, tempId: 'temp_1' };
  const sent = (await customer.ask('chat:send_reply', reply)).data;
  await customer.ask('chat:delete_message', { messageId: other.id, deletionType: 'for_me', conversationId });
  await customer.ask('chat:edit_message', { messageId: sent.id, newText: 'yes!', conversationId });
  const edited = await seller.waitFor('chat:message_edited');
  assert.equal(edited.reply_to.message_text, 'OTHER');
  assert.equal(edited.reply_to.is_deleted, false);
  assert.equal((await customer.waitFor('chat:message_edited')).reply_to.message_text, '');
  assert.ok(message.id);
});
