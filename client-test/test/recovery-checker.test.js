'use strict';

// scripts/recovery is only as good as what holds the clients' tales against what was said.

const test = require('node:test');
const assert = require('node:assert/strict');
const { faultsOf } = require('../recovery/check');

const life = (floor, ...seen) => ({ floors: new Map([['c', floor]]), seen: new Map([['c', seen]]) });
const faults = (lives, last) => faultsOf(lives, new Map([['c', last]]));

test('one life with everything once and in order has no fault', () => {
  assert.deepEqual(faults([life(2, 3, 4, 5)], 5), []);
  assert.deepEqual(faults([life(2, 2, 3)], 3), [], 'what was being stored when it began may come');
  assert.deepEqual(faults([life(3)], 3), []);
});

test('what nobody told between two lives is no fault', () => {
  assert.deepEqual(faults([life(0, 1, 2), life(7, 8)], 8), []);
});

for (const [what, lives, last] of [
  ['a message that is missing', [life(0, 1, 3)], 3],
  ['one that came twice', [life(0, 1, 2, 2, 3)], 3],
  ['one that came too late', [life(0, 1, 3, 2, 4)], 4],
  ['one that is missing before the first', [life(2, 4)], 4],
  ['one that is missing at the end', [life(0, 1)], 2],
  ['one that is missing where nothing came', [life(2)], 3],
  ['one that a later life is told again', [life(0, 1, 2), life(2, 2, 3)], 3],
]) {
  test(`${what} is a fault`, () => assert.notDeepEqual(faults(lives, last), []));
}
