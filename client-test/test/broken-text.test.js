'use strict';

// Half of a surrogate pair in a text (a client cut an emoji in two), and payloads with one unreadable field: the other fields
// still count.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { tokenFor } = require('../lib/jwt');
const { request } = require('../lib/rest');

const { test } = suite();

const HALF = 'half an emoji \ud83d';
const READ = 'half an emoji \ufffd';

/** More levels than the server's parser goes down. */
function deep(levels = 500) {
  let value = 'core';
  for (let i = 0; i < levels; i++) value = [value];
  return value;
}

for (const event of ['chat:send_message', 'chat:send_reply']) {
  test(`${event}: half an emoji becomes U+FFFD, for everyone`, async (scene) => {
    const conversationId = await scene.conversation();
    const [customer, seller] = [await scene.connect('customer'), await scene.connect('seller')];
    const { id } = await scene.say(seller, conversationId);
    const reply = event === 'chat:send_reply' ? { replyToMessageId: id } : {};
    customer.emit(event, { conversationId, message: HALF, tempId: 'temp_1', ...reply });
    const sent = await customer.waitFor(event === 'chat:send_reply' ? 'chat:reply_sent' : 'chat:message_sent');
    assert.deepEqual({ text: sent.message_text, tempId: sent.tempId }, { text: READ, tempId: 'temp_1' });
    await seller.waitFor(event === 'chat:send_reply' ? 'chat:new_reply' : 'chat:new_message', (m) => m.message_text === READ);
  });
}

test('a whole emoji, and a backslash before a u, stay what they are', async (scene) => {
  const conversationId = await scene.conversation();
  const customer = await scene.connect('customer');
  for (const text of ['😀 \\ud83d', '\ud83d\ude00', '\\\\ud83d "\\"']) {
    assert.equal((await scene.say(customer, conversationId, `${text} \udc00`)).message_text, `${text} \ufffd`);
  }
});

test('an edit: half an emoji becomes U+FFFD', async (scene) => {
  const conversationId = await scene.conversation();
  const customer = await scene.connect('customer');
  const { id } = await scene.say(customer, conversationId);
  const answer = await customer.ask('chat:edit_message', { messageId: id, newText: HALF });
  assert.equal(answer.data?.message_text, READ, JSON.stringify(answer));
});

test('REST bodies: half an emoji becomes U+FFFD', async (scene) => {
  const conversationId = await scene.conversation();
  const sent = await scene.data('customer', 'POST', `/api/chat/conversations/${conversationId}/messages`, { message: HALF });
  assert.equal(sent.message_text, READ);
  const edited = await scene.data('customer', 'PUT', `/api/chat/messages/${sent.id}`, { message: `${HALF} again` });
  assert.equal(edited.message_text, `${READ} again`);
});

test('REST bodies: bytes that are not UTF-8 become U+FFFD', async (scene) => {
  const conversationId = await scene.conversation();
  const body = Buffer.concat([Buffer.from('{"message":"latin '), Buffer.from([0xe9]), Buffer.from('"}')]);
  const sent = await scene.data('customer', 'POST', `/api/chat/conversations/${conversationId}/messages`, body);
  assert.equal(sent.message_text, 'latin \ufffd');
});

for (const transport of ['polling', 'websocket']) {
  test(`the handshake's auth may contain half an emoji next to the token (${transport})`, async (scene) => {
    const auth = { token: tokenFor(USERS.customer), device: HALF };
    const client = await scene.connect('customer', { transports: [transport], auth });
    assert.equal((await client.ask('chat:get_conversations')).success, true);
  });
}

test('an acknowledgement or an event with half an emoji does not close the socket', async (scene) => {
  const raw = await scene.raw('customer');
  raw.send('437["\\ud83d"]');
  raw.send('421["no:such_event","\\ud83d"]');
  assert.match(await raw.frame('431['), /unknown_event/);
  assert.equal(raw.isClosed, false);
});

test('one unreadable field does not hide the others: the failure names the message', async (scene) => {
  const conversationId = await scene.conversation();
  const customer = await scene.connect('customer');
  for (const field of ['message', 'attachments', 'clientMessageId', 'unknown']) {
    const tempId = `temp_${field}`;
    customer.emit('chat:send_message', { message: 'text', [field]: deep(), conversationId, tempId });
    if (field === 'unknown') await customer.waitFor('chat:message_sent', (m) => m.tempId === tempId);
    else {
      const failure = await customer.waitFor('chat:message_failed');
      assert.deepEqual({ tempId: failure.tempId, conversationId: failure.conversationId }, { tempId, conversationId });
    }
  }
});

test('a failed edit names its message', async (scene) => {
  const conversationId = await scene.conversation();
  const customer = await scene.connect('customer');
  const { id } = await scene.say(customer, conversationId);
  customer.emit('chat:edit_message', { messageId: id, newText: deep() });
  const error = await customer.waitFor('chat:error');
  assert.deepEqual({ action: error.action, messageId: error.messageId, code: error.code }, { action: 'edit_message', messageId: id, code: 'message_required' });
});

for (const transport of ['polling', 'websocket']) {
  test(`a message with more than 10 files is answered, and its socket stays (${transport})`, async (scene) => {
    const conversationId = await scene.conversation();
    const client = await scene.connect('customer', { transports: [transport] });
    for (const n of [11, 100]) {
      const attachments = Array.from({ length: n }, () => Buffer.alloc(10_000));
      client.emit('chat:send_message', { conversationId, message: 'files', tempId: `temp_${n}`, attachments });
      const failure = await client.waitFor('chat:message_failed');
      assert.deepEqual({ tempId: failure.tempId, conversationId: failure.conversationId, code: failure.code }, { tempId: `temp_${n}`, conversationId, code: 'too_many_attachments' });
    }
    assert.equal(client.count('disconnect'), 0);
  });
}

test('REST: a body that is not JSON is still refused', async (scene) => {
  const answer = await request(`${scene.server.url}/api/chat/conversations`, { method: 'POST', token: tokenFor(USERS.customer), body: '{"a":"\\ud83d"' });
  assert.deepEqual([answer.status, answer.body.code], [400, 'invalid_json']);
});
