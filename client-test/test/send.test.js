'use strict';

// chat:send_message: what the sender is told.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { assertMessage, assertMessageEvent, assertFailure } = require('../lib/shapes');
const { NOBODY } = require('../lib/users');

const { test } = suite();

const ATTACHMENT = {
  name: 'lamp.png',
  type: 'image/png',
  size: 1234,
  url: 'https://files.example/lamp.png',
  path: 'chat/lamp.png',
};

async function ready(scene) {
  const conversationId = await scene.conversation();
  return { conversationId, customer: await scene.connect('customer') };
}

test('success: chat:message_sent with the whole message, the tempId and the sender', async (scene) => {
  const { conversationId, customer } = await ready(scene);
  customer.emit('chat:send_message', { conversationId, message: 'Hello!', tempId: 'temp_1', clientTimestamp: Date.now() });
  const sent = await customer.waitFor('chat:message_sent');
  assertMessageEvent(sent, USERS.customer);
  assert.equal(sent.tempId, 'temp_1');
  assert.equal(sent.conversation_id, conversationId);
  assert.equal(sent.message_text, 'Hello!');
  assert.equal(sent.message_type, 'text');
  assert.equal(sent.seq, 1);
  assert.deepEqual(sent.read_by, [USERS.customer.id]);
  assert.deepEqual(sent.attachments, []);
  assert.deepEqual(sent.reactions, []);
  assert.equal(sent.reply_to, null);
  assert.equal(sent.is_edited, false);
  assert.equal(sent.is_deleted, false);
});

test('success with an acknowledgement: it has the message, and chat:message_sent comes as well', async (scene) => {
  const { conversationId, customer } = await ready(scene);
  const answer = await customer.ask('chat:send_message', { conversationId, message: 'Hello!', tempId: 'temp_1' });
  assert.equal(answer.success, true);
  assertMessage(answer.data);
  const sent = await customer.waitFor('chat:message_sent');
  assert.equal(sent.id, answer.data.id);
  assert.equal(answer.data.tempId, 'temp_1');
});

test('when chat:message_sent arrives the message is stored', async (scene) => {
  const { conversationId, customer } = await ready(scene);
  customer.emit('chat:send_message', { conversationId, message: 'kept', tempId: 't' });
  const sent = await customer.waitFor('chat:message_sent');
  const [stored] = await scene.messages('seller', conversationId);
  assert.equal(stored.id, sent.id);
  assert.equal(stored.message_text, 'kept');
  assert.equal(stored.created_at, sent.created_at);
});

test("the client's clock is not stored", async (scene) => {
  const { conversationId, customer } = await ready(scene);
  const message = await scene.say(customer, conversationId, 'x', { clientTimestamp: '1999-01-01T00:00:00.000Z' });
  assert.ok(Math.abs(Date.parse(message.created_at) - Date.now()) < 60_000, message.created_at);
});

test('the conversation shows the last message and its time', async (scene) => {
  const { conversationId, customer } = await ready(scene);
  await scene.say(customer, conversationId, 'first');
  const message = await scene.say(customer, conversationId, 'second');
  const listed = (await scene.data('seller', 'GET', '/api/chat/conversations')).find((c) => c.id === conversationId);
  assert.equal(listed.last_message_text, 'second');
  assert.equal(listed.last_message_at, message.created_at);
  assert.equal(listed.last_seq, 2);
});

for (const [name, text] of Object.entries({
  'markup': '<script>alert(1)</script> & "quotes" \'single\' `back` \\ %s',
  'many scripts and emoji': 'سوق 市場 рынок 👩‍👩‍👧 e\u0301 \u202e',
  'line breaks': 'one\ntwo\r\nthree\ttab',
  'something that looks like SQL': "'); DROP TABLE messages; --",
})) {
  test(`a text comes back unchanged: ${name}`, async (scene) => {
    const { conversationId, customer } = await ready(scene);
    assert.equal((await scene.say(customer, conversationId, text)).message_text, text);
    assert.equal((await scene.messages('seller', conversationId))[0].message_text, text);
  });
}

test('a NUL in the text, which Postgres cannot store, does no harm', async (scene) => {
  const { conversationId, customer } = await ready(scene);
  const answer = await customer.ask('chat:send_message', { conversationId, message: 'a\u0000b' });
  if (answer.success) assert.equal(answer.data.message_text, 'ab');
  else assert.notEqual(answer.code, 'internal', 'an error of ours, not of the database');
  await scene.say(customer, conversationId, 'after it');
});

for (const [name, unit] of [['letters', 'a'], ['emoji, which take four bytes each', '😀']]) {
  test(`5,000 characters are accepted: ${name}`, async (scene) => {
    const { conversationId, customer } = await ready(scene);
    const text = unit.repeat(5000);
    assert.equal((await scene.say(customer, conversationId, text)).message_text, text);
  });
}

test('an attachment alone is a message', async (scene) => {
  const { conversationId, customer } = await ready(scene);
  for (const message of ['', undefined]) {
    const answer = await customer.ask('chat:send_message', { conversationId, message, attachments: [ATTACHMENT] });
    assert.equal(answer.success, true, JSON.stringify(answer));
    assert.deepEqual(answer.data.attachments, [ATTACHMENT]);
    assert.equal(answer.data.message_text, '');
  }
  assert.deepEqual((await scene.messages('seller', conversationId))[0].attachments, [ATTACHMENT]);
});

test('ten attachments are accepted', async (scene) => {
  const { conversationId, customer } = await ready(scene);
  const attachments = Array.from({ length: 10 }, (_, i) => ({ ...ATTACHMENT, name: `${i}.png` }));
  assert.deepEqual((await scene.say(customer, conversationId, 'see', { attachments })).attachments, attachments);
});

const LONG = 'a'.repeat(5001);
const FAILURES = [
  ['no message', {}, 'Message content is required', 'message_required'],
  ['an empty message', { message: '' }, 'Message content is required', 'message_required'],
  ['white space', { message: ' \n\t ' }, 'Message content is required', 'message_required'],
  ['a number as message', { message: 5 }, 'Message content is required', 'message_required'],
  ['an object as message', { message: { text: 'x' } }, 'Message content is required', 'message_required'],
  ['an empty list of attachments and no text', { attachments: [] }, 'Message content is required', 'message_required'],
  ['5,001 characters', { message: LONG }, 'Message is too long', 'message_too_long'],
  ['eleven attachments', { message: 'x', attachments: Array(11).fill(ATTACHMENT) }, undefined, 'too_many_attachments'],
  ['an attachment that is a string', { message: 'x', attachments: ['lamp.png'] }, undefined, 'invalid_attachment'],
  ['an attachment that is binary', { message: 'x', attachments: [Buffer.from('file')] }, undefined, 'invalid_attachment'],
  ['an unknown conversation', { message: 'x', conversationId: NOBODY }, 'Conversation not found', 'conversation_not_found'],
  ['a malformed conversation id', { message: 'x', conversationId: 'nope' }, 'Conversation not found', 'conversation_not_found'],
  ['no conversation id', { message: 'x', conversationId: undefined }, 'Conversation not found', 'conversation_not_found'],
];

for (const [name, payload, message, code] of FAILURES) {
  test(`failure: ${name}: ${message ?? code}`, async (scene) => {
    const { conversationId, customer } = await ready(scene);
    const whole = { conversationId, ...payload };
    customer.emit('chat:send_message', { ...whole, tempId: 'temp_9' });
    const failed = await customer.waitFor('chat:message_failed');
    assert.equal(failed.tempId, 'temp_9');
    if ('conversationId' in payload === false) assert.equal(failed.conversationId, conversationId);
    assert.equal(failed.code, code);
    assert.equal(typeof failed.message, 'string');
    if (message) assert.equal(failed.message, message);
    assertFailure(await customer.ask('chat:send_message', { ...whole, tempId: 'temp_10' }), code, message);
    assert.equal((await scene.messages('customer', conversationId)).length, 0, 'nothing was stored');
    assert.equal(customer.count('chat:error'), 0, 'with a tempId there is no chat:error');
  });
}

test('failure without a tempId: chat:error too', async (scene) => {
  const { conversationId, customer } = await ready(scene);
  customer.emit('chat:send_message', { conversationId, message: '' });
  const failed = await customer.waitFor('chat:message_failed');
  assert.equal(failed.message, 'Message content is required');
  assert.equal(failed.conversationId, conversationId);
  const error = await customer.waitFor('chat:error');
  assert.equal(error.message, 'Message content is required');
  assert.equal(error.code, 'message_required');
});

test("failure: other users' conversation: Not authorized", async (scene) => {
  const conversationId = await scene.conversation();
  const admin = await scene.connect('admin');
  admin.emit('chat:send_message', { conversationId, message: 'let me in', tempId: 't' });
  const failed = await admin.waitFor('chat:message_failed');
  assert.equal(failed.message, 'Not authorized');
  assert.equal(failed.code, 'not_authorized');
  assertFailure(await admin.ask('chat:send_message', { conversationId, message: 'x' }), 'not_authorized', 'Not authorized');
  assert.equal((await scene.messages('customer', conversationId)).length, 0);
});

test('a failure reaches the sending socket only', async (scene) => {
  const { conversationId, customer } = await ready(scene);
  const tab = await scene.connect('customer');
  const seller = await scene.connect('seller');
  await tab.ask('chat:join', { conversationId });
  await customer.ask('chat:send_message', { conversationId, message: '' });
  await scene.barrier(customer, tab, conversationId);
  await scene.barrier(customer, seller, conversationId);
  for (const other of [tab, seller]) {
    assert.equal(other.count('chat:message_failed'), 0);
    assert.equal(other.count('chat:error'), 0);
  }
});
