'use strict';

// Tests the checker of scripts/recovery, which compares what the clients got with what was sent.

const test = require('node:test');
const assert = require('node:assert/strict');
const { faultsOf } = require('../recovery/check');
const { Known } = require('../recovery/known');

const life = (floor, ...seen) => ({ floors: new Map([['c', floor]]), seen: new Map([['c', seen]]) });
const kinds = (lives, last) => faultsOf(lives, new Map([['c', last]])).map((fault) => fault.kind);

test('one life with everything once and in order has no fault', () => {
  assert.deepEqual(kinds([life(2, 3, 4, 5)], 5), []);
  assert.deepEqual(kinds([life(2, 2, 3)], 3), [], 'what was being stored when it began may come');
  assert.deepEqual(kinds([life(3)], 3), []);
});

test('messages between two lives that nobody was told are no fault', () => {
  assert.deepEqual(kinds([life(0, 1, 2), life(7, 8)], 8), []);
});

for (const [what, lives, last, expected] of [
  ['a message that is missing', [life(0, 1, 3)], 3, ['lost']],
  ['one that came twice', [life(0, 1, 2, 2, 3)], 3, ['doubled']],
  ['one that came too late', [life(0, 1, 3, 2, 4)], 4, ['out of order']],
  ['one that is missing before the first', [life(2, 4)], 4, ['lost']],
  ['one that is missing at the end', [life(0, 1)], 2, ['lost']],
  ['one that is missing where nothing came', [life(2)], 3, ['lost']],
  ['one that a later life is told again', [life(0, 1, 2), life(2, 2, 3)], 3, ['doubled']],
  ['one that is missing in a life that is over', [life(0, 1, 3), life(5)], 5, ['lost']],
]) {
  test(`${what} is a fault`, () => assert.deepEqual(kinds(lives, last), expected));
}

const message = { id: 'm', conversation_id: 'c', message_text: 'hello', version: 1, reactions: [] };

for (const [kind, value, event, told] of [
  ['edit', 7, 'chat:message_edited', { ...message, message_text: 'edit 7', version: 2 }],
  ['reaction', 2, 'chat:reaction_added', { message_id: 'm', version: 2 }],
  ['deletion', 1, 'chat:message_deleted', { message_id: 'm', version: 2 }],
  ['read', 4, 'chat:messages_read', { userId: 'reader', conversationId: 'c', last_read_seq: 4 }],
]) {
  test(`a change that the client did not get is reported as missing: ${kind}`, () => {
    const change = { kind, about: kind === 'read' ? 'c' : 'm', value };
    const known = new Known('reader');
    known.hear('chat:new_message', message);
    assert.equal(known.has(change), false);
    known.hear(event, told);
    assert.equal(known.has(change), true);
    assert.equal(known.has({ ...change, value: value + 1 }), false, 'only an older one was told');
  });
}

test('a message that arrives in its newest state includes its changes', () => {
  const known = new Known('reader');
  known.hear('chat:new_message', { ...message, message_text: 'edit 7', version: 3 });
  for (const [kind, value] of [['edit', 7], ['reaction', 3]]) assert.equal(known.has({ kind, about: 'm', value }), true, kind);
  assert.equal(known.has({ kind: 'deletion', about: 'm', value: 1 }), false);
  known.hear('chat:new_message', { ...message, id: 'd', is_deleted: true });
  assert.equal(known.has({ kind: 'deletion', about: 'd', value: 1 }), true);
});
