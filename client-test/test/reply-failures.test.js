'use strict';

// Failures of chat:send_reply, among them the File objects that the app sends as attachments.

const assert = require('node:assert/strict');
const { suite } = require('../lib/suite');
const { assertFailure } = require('../lib/shapes');
const { ATTACHMENT, staged } = require('../lib/message-actions');
const { NOBODY } = require('../lib/users');

const { test } = suite();
const onStage = staged(test);

const TOLD = ['chat:message_failed', 'chat:error', 'chat:new_reply', 'chat:reply_sent', 'chat:new_message'];

/** The reply must fail for its sender, be stored nowhere and be heard by nobody. */
async function assertFails(stage, client, payload, message, codes) {
  const stored = (await stage.messages()).length;
  await stage.settle();
  const heard = Object.entries(stage.sockets()).map(([name, one]) => [name, one, TOLD.map((event) => one.count(event))]);
  client.emit('chat:send_reply', { ...payload, tempId: 'temp_9' });
  const failed = await client.waitFor('chat:message_failed', (f) => f.tempId === 'temp_9');
  assert.ok([codes].flat().includes(failed.code), failed.code);
  assert.equal(typeof failed.message, 'string');
  if (message) assert.equal(failed.message, message);
  if (typeof payload.conversationId === 'string') assert.equal(failed.conversationId, payload.conversationId);
  assertFailure(await client.ask('chat:send_reply', { ...payload, tempId: 'temp_10' }), failed.code, failed.message);
  assert.equal(client.count('chat:error'), 0, 'with a tempId there is no chat:error');
  assert.equal(client.count('chat:reply_sent'), 0);
  await stage.settle(client);
  assert.equal((await stage.messages()).length, stored, 'nothing was stored');
  for (const [name, other, before] of heard) {
    if (other === client) continue;
    // The barriers are messages too, so only what a reply could cause is compared.
    assert.deepEqual(TOLD.slice(0, 4).map((event) => other.count(event)), before.slice(0, 4), name);
  }
}

const FAILURES = [
  ['no text', { message: undefined }, 'Message content is required', 'message_required'],
  ['white space', { message: ' \n' }, 'Message content is required', 'message_required'],
  ['a number as text', { message: 5 }, 'Message content is required', 'message_required'],
  ['5,001 characters', { message: 'a'.repeat(5001) }, 'Message is too long', 'message_too_long'],
  ['eleven attachments', { attachments: Array(11).fill(ATTACHMENT) }, undefined, 'too_many_attachments'],
  ['an attachment that is a string', { attachments: ['lamp.png'] }, undefined, 'invalid_attachment'],
  ['an unknown conversation', { conversationId: NOBODY }, 'Conversation not found', 'conversation_not_found'],
  ['a malformed conversation id', { conversationId: 'nope' }, 'Conversation not found', 'conversation_not_found'],
  ['no conversation id', { conversationId: undefined }, 'Conversation not found', 'conversation_not_found'],
  ['an unknown quoted message', { replyToMessageId: NOBODY }, 'Message to reply to not found', 'reply_not_found'],
  ['a malformed quoted message', { replyToMessageId: 'nope' }, 'Message to reply to not found', 'reply_not_found'],
  ['no quoted message', { replyToMessageId: undefined }, undefined, ['reply_id_required', 'reply_not_found']],
  ['a number as quoted message', { replyToMessageId: 5 }, undefined, ['reply_id_required', 'reply_not_found']],
];

for (const [name, change, message, codes] of FAILURES) {
  onStage(`failure: ${name}`, async (stage) => {
    const quoted = await stage.say(stage.seller, 'which one?');
    const payload = { conversationId: stage.conversationId, message: 'x', replyToMessageId: quoted.id, ...change };
    await assertFails(stage, stage.customer, payload, message, codes);
  });
}

onStage('failure without a tempId: chat:error too', async (stage) => {
  const payload = { conversationId: stage.conversationId, message: 'x', replyToMessageId: NOBODY };
  stage.customer.emit('chat:send_reply', payload);
  for (const event of ['chat:message_failed', 'chat:error']) {
    const told = await stage.customer.waitFor(event);
    assert.deepEqual([told.message, told.code], ['Message to reply to not found', 'reply_not_found']);
  }
});

onStage('failure: not a participant: Not authorized', async (stage) => {
  const quoted = await stage.say(stage.seller, 'which one?');
  const payload = { conversationId: stage.conversationId, message: 'let me in', replyToMessageId: quoted.id };
  await assertFails(stage, stage.stranger, payload, 'Not authorized', 'not_authorized');
});

onStage('failure: a message of another conversation, though one takes part in both', async (stage, scene) => {
  const elsewhere = await scene.conversation();
  const foreign = await scene.say(stage.seller, elsewhere, 'from elsewhere');
  const payload = { conversationId: stage.conversationId, message: 'x', replyToMessageId: foreign.id };
  await assertFails(stage, stage.customer, payload, 'Message to reply to not found', 'reply_not_found');
});

onStage("failure: a message of other people's conversation is not shown by quoting it", async (stage, scene) => {
  const theirs = await scene.data('admin', 'POST', `/api/chat/conversations/${await scene.conversation('admin', 'manager')}/messages`, { message: 'internal secret' });
  const payload = { conversationId: stage.conversationId, message: 'x', replyToMessageId: theirs.id };
  await assertFails(stage, stage.customer, payload, 'Message to reply to not found', 'reply_not_found');
  assert.doesNotMatch(JSON.stringify(stage.customer.events), /internal secret/);
});

const file = Buffer.from('\x89PNG\r\n\x1a\n and so on', 'latin1');
const FILES = {
  'a file': [file],
  'two files': [file, file],
  'a file among descriptions': [ATTACHMENT, file],
  'a file inside a description': [{ ...ATTACHMENT, data: file }],
  'a file where the name belongs': [{ ...ATTACHMENT, name: file }],
  'an empty file': [Buffer.alloc(0)],
  'a file of 100 kB': [Buffer.alloc(100_000, 1)],
  'a typed array': [new Uint8Array([1, 2, 3])],
};

for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
  for (const [name, attachments] of Object.entries(FILES)) {
    test(`binary where JSON belongs, over ${transports.join(' and ')}: ${name}: chat:message_failed`, async (scene) => {
      const conversationId = await scene.conversation();
      const client = await scene.connect('customer', { transports });
      const seller = await scene.connect('seller');
      const quoted = await scene.say(seller, conversationId, 'which one?');
      client.emit('chat:send_reply', { conversationId, message: 'see', replyToMessageId: quoted.id, attachments, tempId: 'temp_1', clientTimestamp: Date.now() });
      const failed = await client.waitFor('chat:message_failed');
      assert.equal(failed.tempId, 'temp_1');
      assert.equal(failed.conversationId, conversationId);
      assert.equal(failed.code, 'invalid_attachment');
      assert.equal(typeof failed.message, 'string');
      // The same socket goes on, and nothing came of it.
      await scene.say(client, conversationId, 'after it');
      assert.equal(seller.count('chat:new_reply'), 0);
      assert.deepEqual((await scene.messages('seller', conversationId)).map((m) => m.message_text), ['which one?', 'after it']);
      assert.equal(client.count('disconnect'), 0);
    });
  }
}

test('binary data in any other field is only an error, too', async (scene) => {
  const conversationId = await scene.conversation();
  const client = await scene.connect('customer');
  const quoted = await scene.say(client, conversationId, 'which one?');
  const whole = { conversationId, message: 'x', replyToMessageId: quoted.id, tempId: 't', clientTimestamp: 1, attachments: [] };
  for (const field of Object.keys(whole)) {
    const answer = await client.ask('chat:send_reply', { ...whole, [field]: file });
    assert.equal(typeof answer.success, 'boolean', field);
    assert.notEqual(answer.code, 'internal', field);
    if (['conversationId', 'message', 'replyToMessageId', 'attachments'].includes(field)) assert.equal(answer.success, false, field);
  }
});

for (const transports of [['websocket'], ['polling']]) {
  test(`a file of 600 kB, over ${transports}: the message fails, and the server goes on`, async (scene) => {
    const conversationId = await scene.conversation();
    const client = await scene.connect('customer', { transports });
    const seller = await scene.connect('seller');
    const quoted = await scene.say(seller, conversationId, 'which one?');
    client.emit('chat:send_reply', { conversationId, message: 'see', replyToMessageId: quoted.id, attachments: [Buffer.alloc(600_000, 1)], tempId: 'temp_1' });
    assert.equal((await client.waitFor('chat:message_failed')).code, 'invalid_attachment');
    await scene.isServing();
    assert.equal(seller.count('chat:new_reply'), 0);
    assert.equal((await scene.messages('seller', conversationId)).length, 1);
  });

  test(`a file larger than MAX_PAYLOAD_BYTES, over ${transports}: the socket is closed and comes back, and the server goes on`, async (scene) => {
    const conversationId = await scene.conversation();
    const client = await scene.connect('customer', { transports });
    const seller = await scene.connect('seller');
    const quoted = await scene.say(seller, conversationId, 'which one?');
    client.emit('chat:send_reply', { conversationId, message: 'see', replyToMessageId: quoted.id, attachments: [Buffer.alloc(6_000_000, 1)], tempId: 'temp_1' });
    assert.match(await client.waitFor('disconnect'), /^transport (close|error)$/);
    await client.waitForMany('connect', 2);
    await scene.isServing();
    assert.equal((await scene.messages('seller', conversationId)).length, 1);
  });
}
