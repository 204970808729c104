'use strict';

// Tests the language of the replay files: a runner that accepts everything would prove nothing.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { testWithOwnServer } = require('../lib/own-server');
const { Matcher } = require('../lib/match');
const { Replay } = require('../lib/replay');

const ID = '0190b5a0-0000-7000-8000-000000000001';
const SHAPES = { base: { id: '$uuid' }, message: { $also: 'base', text: '$text', at: '$time?' } };
const matcher = (names = {}) => new Matcher(SHAPES, names);
const fits = (expected, actual, names) => assert.deepEqual(matcher(names).differences(expected, actual), []);
const differs = (expected, actual, names) => assert.notEqual(matcher(names).differences(expected, actual).length, 0, JSON.stringify(expected));

test('values are compared exactly, by type and case', () => {
  fits('a', 'a');
  for (const actual of ['A', 'a ', null, undefined, ['a'], 1]) differs('a', actual);
  differs(1, '1');
  differs(null, undefined);
  differs(false, null);
  differs([], {});
});

test('every listed field must be there under its name; others may be there too', () => {
  fits({ a: 1 }, { a: 1, b: 2 });
  for (const actual of [{}, { A: 1 }, { a: 2 }, null, [], 'a']) differs({ a: 1 }, actual);
  differs({ a: { b: { c: 1 } } }, { a: { b: { c: 2 } } });
  differs({ a: '$any' }, {});
});

test('a list must have the same length and order', () => {
  fits([1, 2], [1, 2]);
  for (const actual of [[2, 1], [1], [1, 2, 3], { 0: 1, 1: 2 }]) differs([1, 2], actual);
});

test('kinds match values of their type', () => {
  fits('$uuid', ID);
  for (const actual of [ID.toUpperCase(), 'x', null, 5]) differs('$uuid', actual);
  fits('$time', '2026-01-02T03:04:05.678Z');
  for (const actual of ['2026-01-02 03:04:05', '2026-01-02T03:04:05+01:00', '2026-13-02T03:04:05Z', 5, null]) differs('$time', actual);
  fits('$time?', null);
  differs('$time?', undefined);
  differs('$count', -1);
  differs('$count', '1');
  differs('$flag', 'true');
  differs('$word', '');
  fits({ a: '$absent' }, {});
  differs({ a: '$absent' }, { a: null });
  assert.throws(() => matcher().differences('$nonsense', 1), /nonsense/);
});

test('a shape has its own fields and those of the shape it extends', () => {
  const whole = { id: ID, text: 'x', at: null };
  fits('$message', whole);
  fits({ $is: 'message', text: 'x' }, whole);
  differs({ $is: 'message', text: 'y' }, whole);
  for (const field of Object.keys(whole)) differs('$message', { ...whole, [field]: undefined });
  differs('$message', { text: 'x', at: null });
});

test('a list can be matched by the shape of its entries', () => {
  fits({ $each: '$uuid', $length: 1 }, [ID]);
  differs({ $each: '$uuid' }, [ID, 'x']);
  differs({ $each: '$uuid', $length: 1 }, []);
  fits({ $some: [{ a: 1 }] }, [{ a: 2 }, { a: 1 }]);
  differs({ $some: [{ a: 1 }, { a: 3 }] }, [{ a: 2 }, { a: 1 }]);
  fits({ $one_of: [null, 'a'] }, null);
  differs({ $one_of: [null, 'a'] }, 'b');
  differs({ $starts: 'inline' }, 'attachment; inline');
});

test('a name takes its first value, and must have it from then on', () => {
  const names = {};
  fits({ id: '$uuid as first' }, { id: ID }, names);
  assert.equal(names.first, ID);
  fits('{{first}}', ID, names);
  differs('{{first}}', ID.replace('1', '2'), names);
  const untouched = {};
  differs({ id: '$uuid as first', a: 1 }, { id: ID, a: 2 }, untouched);
  assert.deepEqual(untouched, {}, 'a comparison that fails teaches nothing');
  assert.throws(() => matcher({}).differences('{{unknown}}', 'x'), /unknown/);
});

const CONTRACT = { shapes: SHAPES, never_anywhere: ['password_hash'] };
const PEOPLE = { carla: { user: 'customer' }, sami: { user: 'seller' } };
const OPEN = [
  { does: 'open', who: 'carla', calls: 'POST /api/chat/conversations', with: { participantId: '{{sami.id}}' }, answers: { data: { id: '$uuid as conversation' } } },
  { does: 'connect', who: 'carla', connects: true },
  { does: 'connect', who: 'sami', connects: true },
];
const SEND = { does: 'send', who: 'carla', emits: ['chat:join', { conversationId: '{{conversation}}' }] };
const JOINED = { 'chat:joined': { conversationId: '{{conversation}}' } };

testWithOwnServer('a scenario fails by one event too many, too few, or to the wrong one', {}, async (server) => {
  await server.start();
  const contract = { ...CONTRACT, may_come_anytime: ['chat:user_status'] };
  // Not long: most of these wait for what never comes.
  const play = (...steps) => new Replay(contract, { people: PEOPLE, steps: [...OPEN, ...steps] }, server, 1000).run();
  await play({ ...SEND, then: { carla: [JOINED] } });
  await assert.rejects(play(SEND), /carla got what nobody expected/);
  await assert.rejects(play({ ...SEND, then: { carla: [{ 'chat:joined': { conversationId: ID } }] } }), /carla should get chat:joined: conversationId should be/);
  await assert.rejects(play({ ...SEND, then: { carla: [JOINED, JOINED] } }), /carla should get chat:joined/);
  await assert.rejects(play({ ...SEND, then: { carla: [JOINED], sami: [JOINED] } }), /sami should get chat:joined: no such event came/);
  await assert.rejects(play({ ...SEND, acknowledged: { success: false }, then: { carla: [JOINED] } }), /the acknowledgement: success should be false/);
  await assert.rejects(play({ does: 'list', who: 'carla', calls: 'GET /api/chat/conversations', status: 404 }), /the status: it should be 404/);
});
