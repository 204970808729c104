'use strict';

// GET /support-user: which staff member helps. All tests share one server and their order matters: an open support conversation
// decides as long as it is open, so each test says who has one at that point.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');

const { test } = suite();

async function support(scene, who) {
  const answer = await scene.rest(who, 'GET', '/api/chat/support-user');
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.body.success, true);
  const { supportUserId, supportUserName, supportUserRole } = answer.body.data;
  const user = Object.values(USERS).find((u) => u.id === supportUserId);
  assert.ok(user, answer.text);
  assert.deepEqual([supportUserName, supportUserRole], [user.displayName, user.role]);
  assert.ok(['admin', 'manager'].includes(user.role), answer.text);
  return user.role;
}

const talk = (scene, who, staff) => scene.data(who, 'POST', '/api/chat/conversations', { participantId: USERS[staff].id });

test('with nobody online the answer is still a staff member', async (scene) => {
  for (const who of ['customer', 'seller']) await support(scene, who);
});

for (const staff of ['manager', 'admin']) {
  test(`with no conversation and only the ${staff} online, the answer is the ${staff}`, async (scene) => {
    await scene.connect(staff);
    for (const who of ['customer', 'seller']) assert.equal(await support(scene, who), staff);
  });
}

test('asking does not open a conversation', async (scene) => {
  await support(scene, 'customer');
  for (const who of ['customer', 'admin', 'manager']) assert.deepEqual(await scene.data(who, 'GET', '/api/chat/conversations'), []);
});

test('with both online, the answer is the one with fewer active conversations', async (scene) => {
  await scene.connect('admin');
  await scene.connect('manager');
  await talk(scene, 'seller', 'manager');
  assert.equal(await support(scene, 'customer'), 'admin');
});

test('with an open support conversation, the answer is its staff member, even if only another one is online', async (scene) => {
  await scene.connect('admin');
  assert.equal(await support(scene, 'seller'), 'manager', 'the seller has one since the test before');
  await talk(scene, 'customer', 'manager');
  assert.equal(await support(scene, 'customer'), 'manager');
});

test('a conversation with a seller does not count as a support conversation', async (scene) => {
  await talk(scene, 'customer', 'seller');
  assert.equal(await support(scene, 'customer'), 'manager');
});

test('a staff member who asks never gets themselves', async (scene) => {
  for (const who of ['admin', 'manager']) {
    const answer = await scene.rest(who, 'GET', '/api/chat/support-user');
    assert.equal(answer.status, 200, answer.text);
    assert.notEqual(answer.body.data.supportUserId, USERS[who].id);
  }
});
