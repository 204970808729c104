'use strict';

// Meaningless bodies, paths and queries for every route: a client error in JSON, never a 5xx.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');

const { test } = suite();

const MEGABYTE = 'x'.repeat(1_000_000);
const nest = (depth) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;

const BODIES = {
  'null': 'null',
  'a number': '42',
  'a string': '"hello"',
  'true': 'true',
  'an empty array': '[]',
  'an array': '[1,"two",null]',
  'null fields': '{"participantId":null,"message":null}',
  'number fields': '{"participantId":1,"message":1,"attachments":1}',
  'array fields': '{"participantId":[],"message":[],"attachments":[[]]}',
  'object fields': '{"participantId":{},"message":{},"attachments":{}}',
  'a megabyte of text': JSON.stringify(MEGABYTE),
  'fields of a megabyte': JSON.stringify({ participantId: MEGABYTE, message: MEGABYTE }),
  'nesting of 100': nest(100),
  'nesting of 10,000': nest(10_000),
  'a number out of range': '{"participantId":1e999,"message":1e999}',
  'a NUL': '{"participantId":"\\u0000","message":""}',
};

const POSTS = [
  ['POST /conversations', async () => '/api/chat/conversations'],
  ['POST /conversations/:id/messages', async (scene) => `/api/chat/conversations/${await scene.conversation()}/messages`],
];

for (const [route, path] of POSTS) {
  for (const [name, body] of Object.entries(BODIES)) {
    test(`${route} with ${name}: 400`, async (scene) => {
      const answer = await scene.rest('customer', 'POST', await path(scene), body);
      assert.equal(answer.status, 400, answer.text.slice(0, 300));
      assert.equal(answer.body?.success, false);
      assert.equal(typeof answer.body.message, 'string');
      assert.equal(typeof answer.body.code, 'string');
      assert.ok(answer.text.length < 1000, 'the answer does not repeat the garbage');
    });
  }
}

test('POST /conversations with a valid participant and every other field meaningless: no 5xx', async (scene) => {
  for (const value of [5, true, 'x', [], {}, ['x'], '\u0000', '', MEGABYTE, -1, '00000000-0000-4000-8000-00000000000g']) {
    for (const field of ['type', 'metadata', 'subject', 'relatedEntityType', 'relatedEntityId']) {
      const answer = await scene.rest('customer', 'POST', '/api/chat/conversations', { participantId: USERS.seller.id, [field]: value });
      const what = `${field}: ${JSON.stringify(value).slice(0, 50)} → ${answer.status} ${answer.text.slice(0, 300)}`;
      assert.ok(answer.status < 500, what);
      assert.equal(typeof answer.body?.success, 'boolean', what);
    }
  }
});

test('POST /conversations/:id/read ignores a meaningless body', async (scene) => {
  const path = `/api/chat/conversations/${await scene.conversation()}/read`;
  for (const body of ['', '{', '[]', 'null', MEGABYTE]) {
    const answer = await scene.rest('customer', 'POST', path, body);
    assert.ok(answer.status < 500, answer.text);
    assert.equal(typeof answer.body?.success, 'boolean');
  }
});

const PARTS = ['%00', '%ff%fe', '..%2f..', "'%20OR%201=1", 'null', 'undefined', '-1', 'x'.repeat(5000), '%F0%9F%98%80', '00000000-0000-4000-8000-00000000000g'];

for (const [method, before, after] of [
  ['GET', '/api/chat/conversations/', '/messages'],
  ['POST', '/api/chat/conversations/', '/messages'],
  ['POST', '/api/chat/conversations/', '/read'],
  ['GET', '/api/chat/users/', '/status'],
]) {
  test(`${method} ${before}:id${after} with meaningless ids`, async (scene) => {
    for (const part of PARTS) {
      const body = method === 'POST' ? { message: 'x' } : undefined;
      const answer = await scene.rest('customer', method, before + part + after, body);
      assert.ok(answer.status < 500, `${part}: ${answer.status} ${answer.text}`);
      assert.equal(typeof answer.body, 'object', `${part}: JSON, not ${answer.text}`);
      if (after === '/status' && answer.status === 200) assert.equal(answer.body.data.is_online, false);
    }
  });
}

const QUERIES = ['limit=', 'limit=x', 'limit=-1', 'limit=0', 'limit=99999999999999999999', 'limit=1&limit=2', 'limit[]=1', 'offset=-1', 'offset=x', 'before=x', 'before=', 'after=-5', 'before=%00', 'before=%ff', '%', '&&&==', `before=${'9'.repeat(5000)}`];

for (const path of ['/api/chat/conversations', '/api/chat/conversations/:id/messages', '/api/chat/unread-count', `/api/chat/users/${USERS.seller.id}/status`]) {
  test(`GET ${path} with meaningless queries`, async (scene) => {
    const target = path.replace(':id', await scene.conversation());
    for (const query of QUERIES) {
      const answer = await scene.rest('customer', 'GET', `${target}?${query}`);
      assert.ok(answer.status < 500, `${query}: ${answer.status} ${answer.text}`);
      assert.equal(typeof answer.body?.success, 'boolean', `${query}: ${answer.text}`);
    }
  });
}
