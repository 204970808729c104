'use strict';

// A client that sends a message until it is acknowledged, as socket.io-client does with `retries` and `ackTimeout`. Whatever breaks
// in between, the message is stored and delivered once and in order.

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { Client } = require('../lib/client');
const { suite, USERS } = require('../lib/suite');
const { testWithOwnServer } = require('../lib/own-server');
const { LeakyLine } = require('../lib/leaky');
const { tokenFor } = require('../lib/jwt');
const { within, until } = require('../lib/limits');
const { waited } = require('../lib/patience');
const { request } = require('../lib/rest');

const { test } = suite();
const testWithRestarts = (name, body) => testWithOwnServer(name, {}, body);

const ACKNOWLEDGED = '"success":true';

/** A customer on a line of their own, who does not give up. */
async function persistent(scene, options = {}) {
  const line = await LeakyLine.to(scene.server);
  const auth = { token: tokenFor(USERS.customer) };
  const client = new Client(line.url, { auth, transports: ['websocket'], retries: 100, ackTimeout: 3000, ...options });
  // Not one of the scene's people: a polling session whose line broke is there until its pings are missed.
  scene.clients.push(client, line);
  await client.connected();
  return { client, line };
}

/** Sends until it is acknowledged, and again when there was no room for it: the stored message. */
async function send(client, payload, event = 'chat:send_message') {
  for (;;) {
    const acknowledged = new Promise((resolve, reject) => {
      client.socket.emit(event, payload, (error, answer) => (error ? reject(error) : resolve(answer)));
    });
    const answer = await within(acknowledged, 'the acknowledgement', 60_000);
    if (answer.success) return answer.data;
    // A server that is stopping takes nothing new.
    assert.equal(answer.code, 'busy', JSON.stringify(answer));
    await waited(answer);
  }
}

const draft = (conversationId, message = `text ${randomUUID()}`) => ({ conversationId, message, clientMessageId: randomUUID() });

/** There is exactly this, in this order, and who listened was told of each once. */
async function assertOnce(scene, conversationId, texts, listener) {
  const stored = await scene.messages('seller', conversationId, '?limit=200');
  assert.deepEqual(stored.map((m) => [m.seq, m.message_text]), texts.map((text, i) => [i + 1, text]));
  if (!listener) return;
  await listener.waitFor('chat:new_message', (m) => m.message_text === texts.at(-1));
  assert.deepEqual(listener.all('chat:new_message', (m) => m.conversation_id === conversationId).map((m) => m.message_text), texts);
}

for (const transport of ['websocket', 'polling']) {
  test(`the line breaks before the acknowledgement: one message, and the acknowledgement comes in the end (${transport})`, async (scene) => {
    const conversationId = await scene.conversation();
    const seller = await scene.connect('seller');
    const { client, line } = await persistent(scene, { transports: [transport] });
    const payload = draft(conversationId);
    const broken = line.breakBefore(ACKNOWLEDGED);
    const sending = send(client, payload);
    await broken;
    const message = await sending;
    assert.deepEqual([message.message_text, message.seq, message.client_message_id], [payload.message, 1, payload.clientMessageId]);
    await assertOnce(scene, conversationId, [payload.message], seller);
  });
}

test('the line breaks before the message arrives: it is sent again', async (scene) => {
  const conversationId = await scene.conversation();
  const { client, line } = await persistent(scene);
  const payload = draft(conversationId, 'x'.repeat(3000));
  const broken = line.breakBeforeSending(2000);
  const sending = send(client, payload);
  await broken;
  await sending;
  await assertOnce(scene, conversationId, [payload.message]);
});

test('the line breaks before each of many acknowledgements: each message is stored once, in order', async (scene) => {
  const conversationId = await scene.conversation();
  const seller = await scene.connect('seller');
  const { client, line } = await persistent(scene);
  const drafts = Array.from({ length: 10 }, (_, i) => draft(conversationId, `text ${i}`));
  for (const payload of drafts) {
    const broken = line.breakBefore(ACKNOWLEDGED);
    const sending = send(client, payload);
    await broken;
    await sending;
  }
  await assertOnce(scene, conversationId, drafts.map((d) => d.message), seller);
});

test('a reply is stored once in the same way', async (scene) => {
  const conversationId = await scene.conversation();
  const seller = await scene.connect('seller');
  const quoted = await scene.say(seller, conversationId, 'question');
  const { client, line } = await persistent(scene);
  const payload = { ...draft(conversationId, 'answer'), replyToMessageId: quoted.id, tempId: 't' };
  const broken = line.breakBefore(ACKNOWLEDGED);
  const sending = send(client, payload, 'chat:send_reply');
  await broken;
  await sending;
  await assertOnce(scene, conversationId, ['question', 'answer']);
  const { message_text: last } = await send(client, draft(conversationId));
  await seller.waitFor('chat:new_message', (m) => m.message_text === last);
  assert.equal(seller.count('chat:new_reply'), 1);
});

test('retries after a timeout make one message, and each attempt is answered with it', async (scene) => {
  const conversationId = await scene.conversation();
  const seller = await scene.connect('seller');
  const { client } = await persistent(scene, { ackTimeout: 150 });
  const payload = draft(conversationId);
  let attempts = 0;
  client.socket.onAnyOutgoing(() => attempts++);
  scene.server.child.kill('SIGSTOP');
  const sending = send(client, payload);
  await until(() => attempts >= 4, 'four attempts').finally(() => scene.server.child.kill('SIGCONT'));
  const message = await sending;
  assert.equal(message.client_message_id, payload.clientMessageId);
  await assertOnce(scene, conversationId, [payload.message], seller);
});

test('over REST: the answer is lost, the same request again gives the same message', async (scene) => {
  const conversationId = await scene.conversation();
  const line = await LeakyLine.to(scene.server);
  scene.clients.push(line);
  const { message, clientMessageId } = draft(conversationId);
  const post = () => request(`${line.url}/api/chat/conversations/${conversationId}/messages`, { method: 'POST', token: tokenFor(USERS.customer), body: { message, clientMessageId } });
  const broken = line.breakBefore(ACKNOWLEDGED);
  await assert.rejects(post());
  await broken;
  const again = await post();
  assert.equal(again.status, 201, again.text);
  await assertOnce(scene, conversationId, [message]);
});

testWithRestarts('kill -9 between the commit and the acknowledgement, and a restart: one message', async (server, scene) => {
  await server.start();
  const conversationId = await scene.conversation();
  const { client, line } = await persistent(scene);
  const payload = draft(conversationId);
  // It is acknowledged after it is committed: here the acknowledgement exists, and nobody ever sees it.
  const broken = line.breakBefore(ACKNOWLEDGED);
  const sending = send(client, payload);
  await broken;
  await server.kill();
  await server.start();
  const message = await sending;
  assert.equal(message.client_message_id, payload.clientMessageId);
  await assertOnce(scene, conversationId, [payload.message]);
});

testWithRestarts('kill -9 before the message arrived, and a restart: one message', async (server, scene) => {
  await server.start();
  const conversationId = await scene.conversation();
  const { client, line } = await persistent(scene);
  const payload = draft(conversationId, 'x'.repeat(3000));
  const broken = line.breakBeforeSending(2000);
  const sending = send(client, payload);
  await broken;
  await server.kill();
  await server.start();
  await sending;
  await assertOnce(scene, conversationId, [payload.message]);
});

for (const signal of ['SIGKILL', 'SIGTERM']) {
  testWithRestarts(`${signal} in the middle of many sends, and a restart: each is there once`, async (server, scene) => {
    await server.start();
    const conversationId = await scene.conversation();
    const { client } = await persistent(scene);
    const drafts = Array.from({ length: 60 }, (_, i) => draft(conversationId, `text ${i}`));
    const sending = drafts.map((payload) => send(client, payload));
    await sending[15];
    await server.stop(signal);
    await server.start();
    await Promise.all(sending);
    const stored = await scene.messages('seller', conversationId, '?limit=200');
    assert.deepEqual(stored.map((m) => m.seq), drafts.map((_, i) => i + 1));
    assert.deepEqual(stored.map((m) => m.message_text).sort(), drafts.map((d) => d.message).sort());
    // What was refused because the server was stopping is sent later; nothing else changes places.
    if (signal === 'SIGKILL') assert.deepEqual(stored.map((m) => m.message_text), drafts.map((d) => d.message));
    // And who was not there meanwhile catches up with all of it.
    const seller = await scene.connect('seller');
    const { data } = await seller.ask('chat:sync', { conversations: { [conversationId]: 0 } });
    assert.deepEqual(data.conversations[conversationId].messages.map((m) => m.id), stored.map((m) => m.id));
  });
}
