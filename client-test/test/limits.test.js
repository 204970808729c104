'use strict';

// Rate limits of one user: an event or request over the limit is refused with a time after which there is room again.

const { describe } = require('node:test');
const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { suite, USERS } = require('../lib/suite');
const { NO_LIMITS } = require('../lib/no-limits');
const { assertLimited, assertLimitedHttp, patiently, waited } = require('../lib/patience');
const { tokenFor } = require('../lib/jwt');
const { FORM, form } = require('../lib/upload');

const LIMITS = {
  MAX_MESSAGES_PER_SECOND: '2',
  MAX_TYPING_PER_SECOND: '2',
  MAX_JOINS_PER_SECOND: '2',
  MAX_SEARCHES_PER_SECOND: '2',
  MAX_ACTIONS_PER_SECOND: '2',
  MAX_UPLOADS_PER_MINUTE: '40',
};
const { test } = suite({ env: { ...NO_LIMITS, ...LIMITS } });

// More than any burst of these limits, so that some are refused however slow the machine is.
const MANY = 60;

/** A conversation of these two with a message of the first, whatever the limits have left. */
async function talk(scene, who = 'customer', other = 'seller') {
  const answer = await patiently(() =>
    scene.rest(who, 'POST', '/api/chat/conversations', { participantId: USERS[other].id, relatedEntityType: 'product', relatedEntityId: randomUUID() }),
  );
  const conversationId = answer.body.data.id;
  // Not as one of the scene's people: it would ask at the end whether they are gone, and be refused.
  const client = await scene.connect(null, { auth: { token: tokenFor(USERS[who]) }, transports: ['websocket'] });
  const said = await patiently(() => client.ask('chat:send_message', { conversationId, message: 'first' }));
  return { conversationId, client, message: said.data };
}

/** All at once; the answers, of which some must be refusals. */
async function flood(client, event, payload) {
  const answers = await Promise.all(Array.from({ length: MANY }, () => client.ask(event, payload())));
  const refused = answers.filter((answer) => !answer.success);
  assert.ok(refused.length > 0, `${MANY} × ${event}, and none was refused`);
  refused.forEach((answer) => assertLimited(answer));
  return { answers, refused, accepted: answers.filter((answer) => answer.success) };
}

const EVENTS = {
  'chat:send_message': (s) => ({ conversationId: s.conversationId, message: 'x' }),
  'chat:send_reply': (s) => ({ conversationId: s.conversationId, message: 'x', replyToMessageId: s.message.id }),
  'chat:typing': (s) => ({ conversationId: s.conversationId, isTyping: true }),
  'chat:join': (s) => ({ conversationId: s.conversationId }),
  'chat:leave': (s) => ({ conversationId: s.conversationId }),
  'chat:mark_read': (s) => ({ conversationId: s.conversationId }),
  'chat:edit_message': (s) => ({ messageId: s.message.id, newText: 'y' }),
  'chat:delete_message': (s) => ({ messageId: s.message.id, deletionType: 'for_everyone' }),
  'chat:add_reaction': (s) => ({ messageId: s.message.id, reaction: '👍' }),
  'chat:remove_reaction': (s) => ({ messageId: s.message.id, reaction: '👍' }),
  'chat:get_messages': (s) => ({ conversationId: s.conversationId, limit: 1 }),
  'chat:get_conversations': () => ({ limit: 1 }),
  'chat:sync': (s) => ({ conversations: { [s.conversationId]: 1 } }),
};

const READS = /chat:(get_|sync)|GET \/(conv|sync|unread)/;

function limited(event, payload, test) {
  test(`${event} over the limit is refused: rate_limited; after retry_after_ms there is room`, async (scene) => {
    const s = await talk(scene);
    const { refused } = await flood(s.client, event, () => payload(s));
    await waited(refused.at(-1));
    const answer = await s.client.ask(event, payload(s));
    assert.equal(answer.success, true, JSON.stringify(answer));
  });
}

test('a refused message says so in chat:message_failed, with its tempId and when to try again', async (scene) => {
  const { conversationId, client } = await talk(scene);
  await flood(client, 'chat:send_message', () => ({ conversationId, message: 'x', tempId: 'mine' }));
  const failed = await client.waitFor('chat:message_failed');
  assertLimited(failed);
  assert.deepEqual([failed.tempId, failed.conversationId], ['mine', conversationId]);
});

test('a refused event of another kind says so in chat:error', async (scene) => {
  const s = await talk(scene);
  await flood(s.client, 'chat:mark_read', () => EVENTS['chat:mark_read'](s));
  assertLimited(await s.client.waitFor('chat:error'));
});

test('refused messages are not stored and take no number; accepted ones are stored', async (scene) => {
  const { conversationId, client } = await talk(scene);
  const { accepted } = await flood(client, 'chat:send_message', () => ({ conversationId, message: 'x' }));
  const stored = await scene.messages('seller', conversationId);
  assert.deepEqual(stored.map((m) => m.id), [stored[0].id, ...accepted.map((a) => a.data.id)]);
  assert.deepEqual(stored.map((m) => m.seq), stored.map((_, i) => i + 1));
});

test('messages for some seconds may come at once', async (scene) => {
  // The manager has not said anything yet.
  const conversationId = (await scene.data('manager', 'POST', '/api/chat/conversations', { participantId: USERS.seller.id })).id;
  const client = await scene.connect('manager', { transports: ['websocket'] });
  const { accepted } = await flood(client, 'chat:send_message', () => ({ conversationId, message: 'x' }));
  assert.ok(accepted.length >= 4, `only ${accepted.length}`);
});

test('all sockets of a user and REST share one limit', async (scene) => {
  const { conversationId, client } = await talk(scene);
  const tab = await scene.connect('customer');
  await flood(client, 'chat:send_message', () => ({ conversationId, message: 'x' }));
  const [bySocket, byRest] = await Promise.all([
    Promise.all(Array.from({ length: 10 }, () => tab.ask('chat:send_message', { conversationId, message: 'x' }))),
    scene.rest('customer', 'POST', `/api/chat/conversations/${conversationId}/messages`, { message: 'x' }),
  ]);
  assert.ok([...bySocket, byRest.body].some((answer) => answer.code === 'rate_limited'), 'another way in');
});

test('other users are not affected', async (scene) => {
  const { conversationId, client } = await talk(scene);
  const seller = await scene.connect('seller');
  await patiently(() => seller.ask('chat:send_message', { conversationId, message: 'x' }));
  await waited({ retry_after_ms: 1000 });
  const flooding = flood(client, 'chat:send_message', () => ({ conversationId, message: 'x' }));
  assert.equal((await seller.ask('chat:send_message', { conversationId, message: 'in between' })).success, true);
  await flooding;
});

test('too much of one kind leaves room for the others', async (scene) => {
  const s = await talk(scene);
  await flood(s.client, 'chat:typing', () => EVENTS['chat:typing'](s));
  const said = await patiently(() => s.client.ask('chat:send_message', { conversationId: s.conversationId, message: 'x' }));
  assert.equal(said.success, true);
});

const ROUTES = {
  'POST /conversations/:id/messages': (s) => ['POST', `/conversations/${s.conversationId}/messages`, { message: 'x' }],
  'POST /conversations/:id/messages/reply': (s) => ['POST', `/conversations/${s.conversationId}/messages/reply`, { message: 'x', replyToMessageId: s.message.id }],
  'PUT /messages/:id': (s) => ['PUT', `/messages/${s.message.id}`, { message: 'x' }],
  'POST /messages/:id/reactions': (s) => ['POST', `/messages/${s.message.id}/reactions`, { reaction: '👍' }],
  'DELETE /messages/:id/reactions/:reaction': (s) => ['DELETE', `/messages/${s.message.id}/reactions/%F0%9F%91%8D`],
  'DELETE /messages/:id': (s) => ['DELETE', `/messages/${s.message.id}`],
  'POST /conversations': () => ['POST', '/conversations', { participantId: USERS.seller.id }],
  'POST /conversations/:id/read': (s) => ['POST', `/conversations/${s.conversationId}/read`],
  'POST /users/:id/block': () => ['POST', `/users/${USERS.manager.id}/block`],
  'DELETE /users/:id/block': () => ['DELETE', `/users/${USERS.manager.id}/block`],
  'GET /users/search': () => ['GET', '/users/search?search=a'],
  'GET /users/available': () => ['GET', '/users/available'],
  'GET /support-user': () => ['GET', '/support-user'],
  'GET /conversations': () => ['GET', '/conversations?limit=1'],
  'GET /conversations/:id/messages': (s) => ['GET', `/conversations/${s.conversationId}/messages?limit=1`],
  'GET /sync': (s) => ['GET', `/sync?conversations=${s.conversationId}:1`],
  'GET /unread-count': () => ['GET', '/unread-count'],
};

function limitedByHttp(route, call, test) {
  test(`${route} over the limit is refused: 429 with Retry-After; after retry_after_ms there is room`, async (scene) => {
    const s = await talk(scene);
    const ask = () => {
      const [method, path, body] = call(s);
      return scene.rest('customer', method, `/api/chat${path}`, body);
    };
    await Promise.all(Array.from({ length: MANY }, ask));
    // They overtake each other: the one whose word counts is asked alone.
    let refusal;
    for (let i = 0; i < MANY && refusal?.status !== 429; i++) refusal = await ask();
    assertLimitedHttp(refusal, 429);
    await waited(refusal.body);
    const answer = await ask();
    assert.ok(answer.status < 300, `${answer.status} ${answer.text}`);
  });
}

test('uploads over the limit: 429 with Retry-After, and nothing of them is stored', async (scene) => {
  const body = form([{ name: 'a.txt', type: 'text/plain', content: 'a' }]);
  const upload = () => scene.rest('customer', 'POST', '/api/chat/upload', body, { headers: { 'content-type': FORM } });
  const answers = [];
  for (let i = 0; i < 6; i++) answers.push(...(await Promise.all(Array.from({ length: 10 }, upload))));
  const refused = answers.filter((answer) => answer.status === 429);
  assert.ok(refused.length > 0, 'none was refused');
  refused.forEach((answer) => assertLimitedHttp(answer, 429));
  await waited(refused.at(-1).body);
  assert.equal((await upload()).status, 200);
});

test('a client that keeps sending after refusals is answered or disconnected, and harms nobody', async (scene) => {
  // As one whom no other test needs: for a while, refusals of theirs cost the connection.
  const { conversationId, client } = await talk(scene, 'manager');
  const seller = await scene.connect('seller');
  client.socket.io.reconnection(false);
  for (let i = 0; i < 5000; i++) client.emit('chat:typing', { conversationId, isTyping: true });
  await patiently(() => seller.ask('chat:send_message', { conversationId, message: 'still here' }));
  await scene.isServing('admin');
});

const register = (test, matches) => {
  for (const [event, payload] of Object.entries(EVENTS)) if (matches(event)) limited(event, payload, test);
  for (const [route, call] of Object.entries(ROUTES)) if (matches(route)) limitedByHttp(route, call, test);
};

register(test, (name) => !READS.test(name));

// A server of its own: on the first one the tests themselves have to read.
describe('lists and pages', () => {
  register(suite({ env: { ...NO_LIMITS, MAX_READS_PER_SECOND: '2' } }).test, (name) => READS.test(name));
});
