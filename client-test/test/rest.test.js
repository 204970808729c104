'use strict';

// The REST calls that create, write and read: their statuses and texts.

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { suite, USERS } = require('../lib/suite');
const { assertConversation, assertListedConversation, assertMessage, assertFailure } = require('../lib/shapes');
const { NOBODY } = require('../lib/users');

const { test } = suite();

const create = (scene, who, body) => scene.rest(who, 'POST', '/api/chat/conversations', body);

function failure(answer, status, code, message) {
  assert.equal(answer.status, status, answer.text);
  assertFailure(answer.body, code, message);
}

test('POST /conversations: 200 and the whole conversation', async (scene) => {
  const answer = await create(scene, 'customer', {
    participantId: USERS.seller.id,
    subject: 'The blue lamp',
    metadata: { order: 7, nested: { ok: true } },
    relatedEntityType: 'product',
    relatedEntityId: randomUUID(),
  });
  assert.equal(answer.status, 200);
  assert.equal(answer.body.success, true);
  const conversation = answer.body.data;
  assertConversation(conversation);
  assert.equal(conversation.type, 'customer_seller');
  assert.equal(conversation.subject, 'The blue lamp');
  assert.deepEqual(conversation.metadata, { order: 7, nested: { ok: true } });
  assert.equal(conversation.related_entity_type, 'product');
  assert.deepEqual([...conversation.participant_ids].sort(), [USERS.customer.id, USERS.seller.id]);
  assert.deepEqual([conversation.status, conversation.last_seq, conversation.unread_count], ['active', 0, 0]);
  assert.deepEqual([conversation.last_message_at, conversation.last_message_text, conversation.closed_at], [null, null, null]);
});

test('POST /conversations: with the participant only, as the seed calls it', async (scene) => {
  const first = await create(scene, 'customer', { participantId: USERS.seller.id });
  const second = await create(scene, 'customer', { participantId: USERS.seller.id });
  assert.deepEqual([first.status, second.status], [200, 200]);
  assert.equal(second.body.data.id, first.body.data.id);
});

test('POST /conversations: the other user gets the same conversation', async (scene) => {
  const first = await create(scene, 'admin', { participantId: USERS.manager.id });
  const second = await create(scene, 'manager', { participantId: USERS.admin.id });
  assert.equal(second.body.data.id, first.body.data.id);
});

test('POST /conversations: another related entity means another conversation; the same entity the same', async (scene) => {
  const [one, two] = [randomUUID(), randomUUID()];
  const about = async (relatedEntityId) =>
    (await create(scene, 'customer', { participantId: USERS.seller.id, relatedEntityType: 'order', relatedEntityId })).body.data.id;
  const first = await about(one);
  assert.notEqual(await about(two), first);
  assert.equal(await about(one), first);
});

for (const [a, b, type] of [
  ['customer', 'seller', 'customer_seller'],
  ['customer', 'admin', 'customer_support'],
  ['customer', 'manager', 'customer_support'],
  ['seller', 'admin', 'seller_support'],
  ['seller', 'manager', 'seller_support'],
  ['admin', 'manager', 'internal'],
]) {
  for (const [who, other] of [[a, b], [b, a]]) {
    test(`POST /conversations: ${who} asks ${other}: ${type}`, async (scene) => {
      const answer = await create(scene, who, {
        participantId: USERS[other].id,
        relatedEntityType: 'test',
        relatedEntityId: randomUUID(),
      });
      assert.equal(answer.status, 200);
      assert.equal(answer.body.data.type, type);
    });
  }
}

test('POST /conversations: 50 simultaneous calls of both users make one conversation', async (scene) => {
  const entity = { relatedEntityType: 'order', relatedEntityId: randomUUID() };
  const calls = Array.from({ length: 50 }, () => [
    create(scene, 'customer', { participantId: USERS.admin.id, ...entity }),
    create(scene, 'admin', { participantId: USERS.customer.id, ...entity }),
  ]).flat();
  const answers = await Promise.all(calls);
  for (const answer of answers) assert.equal(answer.status, 200, answer.text);
  assert.equal(new Set(answers.map((a) => a.body.data.id)).size, 1);
});

test('POST /conversations: simultaneous calls without an entity make one conversation', async (scene) => {
  const calls = Array.from({ length: 50 }, (_, i) =>
    i % 2 ? create(scene, 'seller', { participantId: USERS.manager.id }) : create(scene, 'manager', { participantId: USERS.seller.id }),
  );
  assert.equal(new Set((await Promise.all(calls)).map((a) => a.body.data.id)).size, 1);
});

test('POST /conversations without participantId: 400 Participant ID is required', async (scene) => {
  for (const body of [{}, { participantId: null }, { participantId: '' }]) {
    failure(await create(scene, 'customer', body), 400, 'participant_required', 'Participant ID is required');
  }
});

for (const participantId of ['me', 5, ['x'], {}, '00000000']) {
  test(`POST /conversations with participantId ${JSON.stringify(participantId)}: 400`, async (scene) => {
    const answer = await create(scene, 'customer', { participantId });
    assert.equal(answer.status, 400, answer.text);
    assertFailure(answer.body);
    assert.equal(answer.body.code, 'invalid_participant');
  });
}

test('POST /conversations with oneself: 400', async (scene) => {
  failure(await create(scene, 'customer', { participantId: USERS.customer.id }), 400, 'invalid_participant');
});

test('POST /conversations with an unknown user: 404 Participant not found', async (scene) => {
  failure(await create(scene, 'customer', { participantId: NOBODY }), 404, 'participant_not_found', 'Participant not found');
});

test('POST /conversations: a type that does not fit the roles never makes such a conversation', async (scene) => {
  for (const type of ['internal', 'seller_support', 'nonsense', '', 5, {}]) {
    const answer = await create(scene, 'customer', {
      participantId: USERS.seller.id,
      type,
      relatedEntityType: 'test',
      relatedEntityId: randomUUID(),
    });
    if (answer.status === 200) assert.equal(answer.body.data.type, 'customer_seller');
    else {
      assert.equal(answer.status, ['internal','seller_support'].includes(type) ? 403 : 400, answer.text);
      assertFailure(answer.body);
    }
  }
});

test('GET /conversations: 200 and an array', async (scene) => {
  const id = await scene.conversation();
  const answer = await scene.rest('customer', 'GET', '/api/chat/conversations');
  assert.equal(answer.status, 200);
  assert.equal(answer.body.success, true);
  answer.body.data.forEach(assertListedConversation);
  assert.ok(answer.body.data.some((c) => c.id === id));
});

const ofConversation = (id, what) => `/api/chat/conversations/${id}/${what}`;

test('GET /conversations/:id/messages: 200 and an array', async (scene) => {
  const id = await scene.conversation();
  await scene.data('customer', 'POST', ofConversation(id, 'messages'), { message: 'hello' });
  const answer = await scene.rest('seller', 'GET', ofConversation(id, 'messages'));
  assert.equal(answer.status, 200);
  answer.body.data.forEach(assertMessage);
  assert.deepEqual(answer.body.data.map((m) => m.message_text), ['hello']);
});

test('POST /conversations/:id/messages: 201 and the message', async (scene) => {
  const id = await scene.conversation();
  const clientMessageId = randomUUID();
  const answer = await scene.rest('customer', 'POST', ofConversation(id, 'messages'), { message: 'hello', clientMessageId });
  assert.equal(answer.status, 201);
  assert.equal(answer.body.success, true);
  assertMessage(answer.body.data);
  assert.equal(answer.body.data.sender_id, USERS.customer.id);
  assert.equal(answer.body.data.client_message_id, clientMessageId);
  assert.equal(answer.body.data.seq, 1);
});

for (const body of [{}, { message: '' }, { message: '  ' }, { message: null }, { message: 5 }]) {
  test(`POST /conversations/:id/messages with ${JSON.stringify(body)}: 400 Message text is required`, async (scene) => {
    const id = await scene.conversation();
    failure(await scene.rest('customer', 'POST', ofConversation(id, 'messages'), body), 400, 'message_required', 'Message text is required');
  });
}

test('POST /conversations/:id/messages with 5,001 characters: 400', async (scene) => {
  const id = await scene.conversation();
  const answer = await scene.rest('customer', 'POST', ofConversation(id, 'messages'), { message: 'a'.repeat(5001) });
  failure(answer, 400, 'message_too_long', 'Message is too long');
});

test('POST /conversations/:id/messages with eleven attachments: 400', async (scene) => {
  const id = await scene.conversation();
  const attachments = Array(11).fill({ name: 'a', type: 'b', size: 1, url: 'https://c.example/d', path: 'd' });
  failure(await scene.rest('customer', 'POST', ofConversation(id, 'messages'), { message: 'x', attachments }), 400, 'too_many_attachments');
});

test('POST /conversations/:id/read: 200 and how many, at the top of the answer', async (scene) => {
  const id = await scene.conversation();
  for (const message of ['a', 'b']) await scene.data('seller', 'POST', ofConversation(id, 'messages'), { message });
  for (const count of [2, 0]) {
    const answer = await scene.rest('customer', 'POST', ofConversation(id, 'read'));
    assert.equal(answer.status, 200);
    assert.deepEqual([answer.body.success, answer.body.count], [true, count]);
  }
});

test('GET /unread-count: 200 and the count', async (scene) => {
  const count = async () => {
    const answer = await scene.rest('seller', 'GET', '/api/chat/unread-count');
    assert.equal(answer.status, 200);
    assert.ok(Number.isInteger(answer.body.data.count), answer.text);
    return answer.body.data.count;
  };
  const before = await count();
  await scene.data('customer', 'POST', ofConversation(await scene.conversation(), 'messages'), { message: 'x' });
  assert.equal((await count()) - before, 1);
});

// The same three refusals for each call on one conversation.
const MAY_NOT = {
  'GET messages': 'Not authorized to access this conversation',
  'POST messages': 'Not authorized to send messages in this conversation',
  'POST read': 'Not authorized to access this conversation',
};
for (const [call, message] of Object.entries(MAY_NOT)) {
  const [method, what] = call.split(' ');
  const body = call === 'POST messages' ? { message: 'x' } : undefined;

  test(`${call}: not a member: 403 ${message}`, async (scene) => {
    const answer = await scene.rest('admin', method, ofConversation(await scene.conversation(), what), body);
    failure(answer, 403, 'not_authorized', message);
  });
  test(`${call}: unknown conversation: 404 Conversation not found`, async (scene) => {
    failure(await scene.rest('customer', method, ofConversation(NOBODY, what), body), 404, 'conversation_not_found', 'Conversation not found');
  });
  test(`${call}: malformed id: 404 Conversation not found`, async (scene) => {
    failure(await scene.rest('customer', method, ofConversation('x', what), body), 404, 'conversation_not_found', 'Conversation not found');
  });
}

const AUTHENTICATED = [
  ['POST', '/conversations'],
  ['GET', '/conversations'],
  ['GET', `/conversations/${NOBODY}/messages`],
  ['POST', `/conversations/${NOBODY}/messages`],
  ['POST', `/conversations/${NOBODY}/read`],
  ['GET', '/unread-count'],
  ['GET', `/users/${NOBODY}/status`],
];
for (const [method, path] of AUTHENTICATED) {
  test(`${method} ${path} without a token: 401`, async (scene) => {
    const answer = await scene.rest(null, method, `/api/chat${path}`, method === 'POST' ? {} : undefined);
    assert.equal(answer.status, 401);
    assert.deepEqual([answer.body.error, answer.body.message], ['Unauthorized', 'No token provided']);
  });
}
