'use strict';

// MAX_STORED_BYTES_PER_USER. Stored bytes are summed up a moment later, so that sending does not wait for it.

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { suite } = require('../lib/suite');
const { assertFailure } = require('../lib/shapes');
const { failure } = require('../lib/message-actions');
const { until } = require('../lib/limits');

const { test, server } = suite({ env: { MAX_STORED_BYTES_PER_USER: '20000' } });

const TEXT = 'x'.repeat(4000);

/** Sends until it is refused: the refusal, and a message that was stored before. */
async function untilFull(scene, client, conversationId) {
  const { data: first } = await client.ask('chat:send_message', { conversationId, message: 'first' });
  const refusal = await until(async () => {
    const answer = await client.ask('chat:send_message', { conversationId, message: TEXT, tempId: randomUUID() });
    return answer.success ? undefined : answer;
  }, 'a message is refused');
  return { first, refusal };
}

test('a user at the limit cannot send messages, replies and edits; the others can', async (scene) => {
  const conversationId = await scene.conversation();
  const [customer, seller] = [await scene.connect('customer'), await scene.connect('seller')];
  const { first, refusal } = await untilFull(scene, customer, conversationId);
  assertFailure(refusal, 'storage_full', 'Your storage for messages is full');
  assert.equal((await customer.waitFor('chat:message_failed')).code, 'storage_full');
  const at = `/api/chat/conversations/${conversationId}/messages`;
  failure(await scene.rest('customer', 'POST', at, { message: 'x' }), 403, 'storage_full');
  failure(await scene.rest('customer', 'POST', `${at}/reply`, { message: 'x', replyToMessageId: first.id }), 403, 'storage_full');
  failure(await scene.rest('customer', 'PUT', `/api/chat/messages/${first.id}`, { message: 'x' }), 403, 'storage_full');
  assert.equal((await seller.ask('chat:send_message', { conversationId, message: 'y' })).success, true);
});

test('the sum survives a restart', async (scene) => {
  const conversationId = await scene.conversation('manager', 'admin');
  await untilFull(scene, await scene.connect('manager'), conversationId);
  await server.stop();
  await server.start();
  const refused = await until(async () => {
    const answer = await scene.rest('manager', 'POST', `/api/chat/conversations/${conversationId}/messages`, { message: 'x' });
    return answer.status === 403 && answer;
  }, 'it is refused again');
  failure(refused, 403, 'storage_full');
});
