'use strict';

// Meaningless payloads for every event: answered with an error, and the server goes on.

const assert = require('node:assert/strict');
const { suite } = require('../lib/suite');

const { test } = suite();

const MEGABYTE = 'x'.repeat(1_000_000);
// Values for many fields at once: all together they still fit into a packet.
const LONG = 'x'.repeat(100_000);
const THIRD = 'x'.repeat(330_000);
const nest = (depth) => {
  let value = 'core';
  for (let i = 0; i < depth; i++) value = { inner: value };
  return value;
};

const GARBAGE = {
  'nothing': [],
  'null': [null],
  'a number': [42],
  'NaN, which JSON makes null': [NaN],
  'true': [true],
  'a string': ['hello'],
  'an empty string': [''],
  'an array': [[1, 'two', null]],
  'an empty object': [{}],
  'several arguments': [1, 2, 3],
  'a megabyte of text': [MEGABYTE],
  'a Buffer': [Buffer.from([0, 1, 2, 255])],
  'fields that are null': [{ conversationId: null, message: null, isTyping: null, attachments: null, limit: null }],
  'fields that are numbers': [{ conversationId: 7, message: 7, isTyping: 7, attachments: 7 }],
  'fields that are arrays': [{ conversationId: ['x'], message: ['x'], isTyping: ['x'], attachments: [['x']] }],
  'fields that are objects': [{ conversationId: {}, message: {}, isTyping: {}, attachments: {} }],
  'fields that are Buffers': [{ conversationId: Buffer.alloc(16), message: Buffer.from('hi'), attachments: [Buffer.from('hi')] }],
  'fields of a megabyte together': [{ conversationId: THIRD, message: THIRD, tempId: THIRD }],
  'an id that is SQL': [{ conversationId: "x' OR '1'='1", message: 'hi' }],
  'an id with a NUL': [{ conversationId: '\u0000', message: '\u0000' }],
  'nesting of 50': [{ conversationId: nest(50), message: nest(50) }],
  'prototype names': [JSON.parse('{"__proto__":{"a":1},"constructor":1,"conversationId":"__proto__"}')],
};

const EVENTS = ['chat:join', 'chat:leave', 'chat:send_message', 'chat:typing', 'chat:mark_read', 'chat:get_messages', 'chat:get_conversations'];

// These succeed without doing anything, so an answer is enough.
const TOLERANT = ['chat:leave', 'chat:get_conversations'];

for (const event of EVENTS) {
  for (const [name, args] of Object.entries(GARBAGE)) {
    test(`${event} with ${name}`, async (scene) => {
      const client = await scene.connect('customer', { transports: ['websocket'] });
      // Once without an acknowledgement, as most clients send.
      client.emit(event, ...args);
      const answer = await client.ask(event, ...args);
      assert.equal(typeof answer?.success, 'boolean', JSON.stringify(answer));
      if (!answer.success) {
        assert.equal(typeof answer.message, 'string');
        assert.equal(typeof answer.code, 'string');
        assert.notEqual(answer.code, 'internal', 'an error of the client, not of the server');
        assert.ok(answer.message.length < 200, 'the answer does not repeat the garbage');
      } else {
        assert.ok(TOLERANT.includes(event), `${event} succeeded: ${JSON.stringify(answer)}`);
      }
      assert.equal(client.socket.connected, true);
      assert.equal(client.count('disconnect'), 0);
    });
  }

  test(`${event} with a valid conversation and every other field meaningless`, async (scene) => {
    const conversationId = await scene.conversation();
    const client = await scene.connect('customer');
    for (const value of [null, 5, [], {}, true, LONG, Buffer.from('x'), nest(50)]) {
      const payload = { conversationId };
      for (const field of ['message', 'attachments', 'tempId', 'clientTimestamp', 'clientMessageId', 'isTyping', 'limit', 'offset', 'before', 'after']) {
        payload[field] = value;
      }
      const answer = await client.ask(event, payload);
      assert.equal(typeof answer?.success, 'boolean', JSON.stringify(answer));
      assert.notEqual(answer.code, 'internal', JSON.stringify(answer).slice(0, 300));
    }
    assert.equal((await client.ask('chat:get_conversations')).success, true);
  });
}

test('attachments of any shape are stored completely or refused, never in part', async (scene) => {
  const conversationId = await scene.conversation();
  const client = await scene.connect('customer');
  const good = { name: 'a.txt', type: 'text/plain', size: 1, url: 'https://files.example/a.txt', path: 'a.txt' };
  const odd = [null, 5, 'x', [], {}, { name: 5 }, { ...good, size: -1 }, { ...good, size: 'big' }, { ...good, name: LONG }, { ...good, url: {} }, { ...good, name: Buffer.from('x') }, nest(50)];
  for (const one of odd) {
    const answer = await client.ask('chat:send_message', { conversationId, message: 'x', attachments: [good, one] });
    if (answer.success) assert.equal(answer.data.attachments.length, 2);
    else assert.notEqual(answer.code, 'internal', JSON.stringify(answer));
  }
  for (const whole of [5, 'x', {}, true, Buffer.from('x')]) {
    const answer = await client.ask('chat:send_message', { conversationId, message: 'x', attachments: whole });
    assert.notEqual(answer.code, 'internal', JSON.stringify(answer));
  }
});

test('a tempId of any type comes back unchanged or not at all', async (scene) => {
  const conversationId = await scene.conversation();
  const client = await scene.connect('customer');
  for (const tempId of [1, true, ['a'], { a: 1 }, '', 'x'.repeat(10_000)]) {
    const answer = await client.ask('chat:send_message', { conversationId, message: 'x', tempId });
    assert.notEqual(answer.code, 'internal', JSON.stringify(answer).slice(0, 300));
  }
  assert.equal(client.socket.connected, true);
});

test('an unknown event does not stop the server', async (scene) => {
  const client = await scene.connect('customer');
  for (const event of ['chat:nonsense', '', 'x'.repeat(10_000), 'chat:', '__proto__']) client.emit(event, { conversationId: 1 });
  assert.equal((await client.ask('chat:get_conversations')).success, true);
});

test('a packet over the size limit costs its connection at most', async (scene) => {
  const client = await scene.connect('customer', { transports: ['websocket'], reconnection: false });
  client.emit('chat:send_message', { conversationId: 'x', message: 'x'.repeat(20 * 1024 * 1024) });
  await client.waitFor('disconnect');
  await scene.isServing();
});

test('JSON nested 100,000 levels deep costs its connection at most', async (scene) => {
  const socket = await scene.raw('customer');
  socket.send(`42["chat:join",${'['.repeat(100_000)}${']'.repeat(100_000)}]`);
  await scene.isServing();
});

test('a flood of garbage on many sockets does not harm the others', async (scene) => {
  const conversationId = await scene.conversation('seller', 'manager');
  const [seller, manager] = [await scene.connect('seller'), await scene.connect('manager')];
  const noisy = await Promise.all(Array.from({ length: 5 }, () => scene.connect('customer')));
  for (let i = 0; i < 100; i++) {
    for (const client of noisy) client.emit(EVENTS[i % EVENTS.length], ...Object.values(GARBAGE)[i % 10]);
  }
  await scene.barrier(seller, manager, conversationId);
});
