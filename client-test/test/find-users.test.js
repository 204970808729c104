'use strict';

// GET /users/search and /users/available: which users each role finds.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { assertFields, time } = require('../lib/shapes');

const { test } = suite();

// An admin does not find admins, a customer does not find customers, and nobody finds themselves.
const FINDS = {
  admin: ['customer', 'seller', 'manager'],
  manager: ['customer', 'seller', 'admin'],
  seller: ['customer', 'admin', 'manager'],
  customer: ['seller', 'admin', 'manager'],
};

const GROUPS = { customer: 'customers', seller: 'sellers', admin: 'admins', manager: 'managers' };

async function search(scene, who, query = {}) {
  const answer = await scene.rest(who, 'GET', `/api/chat/users/search?${new URLSearchParams(query)}`);
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.body.success, true);
  assert.equal(answer.body.count, answer.body.data.length);
  return answer.body.data;
}

const roles = (users) => users.map((u) => u.role).sort();

function assertUser(user, expected) {
  assertFields(user, {
    id: expected.id, email: expected.email, role: expected.role, displayName: expected.displayName, profileImage: null, status: 'active',
  });
  assert.ok(time(user.createdAt), user.createdAt);
  assert.doesNotMatch(JSON.stringify(user), /password|phone|hash/i);
}

for (const [who, found] of Object.entries(FINDS)) {
  test(`search: a ${who} finds ${found.join(', ')}`, async (scene) => {
    const users = await search(scene, who);
    assert.deepEqual(roles(users), [...found].sort());
    for (const user of users) assertUser(user, USERS[user.role]);
  });

  test(`available: a ${who} sees ${found.join(', ')} in their groups`, async (scene) => {
    const answer = await scene.rest(who, 'GET', '/api/chat/users/available');
    assert.equal(answer.status, 200, answer.text);
    const { success, data, totalCount } = answer.body;
    assert.equal(success, true);
    assert.deepEqual(Object.keys(data).sort(), Object.values(GROUPS).sort());
    assert.equal(totalCount, 3);
    for (const [role, group] of Object.entries(GROUPS)) {
      assert.deepEqual(data[group].map((u) => u.role), found.includes(role) ? [role] : [], group);
      for (const user of data[group]) assertUser(user, USERS[role]);
    }
  });

  for (const role of Object.keys(FINDS)) {
    const finds = found.includes(role);
    test(`search: a ${who} looking for role ${role}: ${finds ? 'found' : 'none, and no error'}`, async (scene) => {
      assert.deepEqual(roles(await search(scene, who, { role })), finds ? [role] : []);
    });
  }
}

for (const [name, text] of [
  ['a part of the name', 'Carla'],
  ['another part of the name', 'arla Cust'],
  ['small letters', 'carla'],
  ['a part of the e-mail', 'customer@souk'],
  ['capitals of the e-mail', 'CUSTOMER@'],
]) {
  test(`search by ${name}: ${text}`, async (scene) => {
    const users = await search(scene, 'seller', { search: text });
    assert.deepEqual(users.map((u) => u.id), [USERS.customer.id]);
  });
}

test('search and role together', async (scene) => {
  assert.deepEqual(roles(await search(scene, 'customer', { search: 'souk.example', role: 'manager' })), ['manager']);
  assert.deepEqual(await search(scene, 'customer', { search: 'Ada', role: 'manager' }), []);
});

test('an empty search or an empty role counts as missing', async (scene) => {
  assert.equal((await search(scene, 'customer', { search: '', role: '' })).length, 3);
});

test('search never finds the caller, by any part of their name', async (scene) => {
  for (const who of Object.keys(FINDS)) {
    for (const text of [USERS[who].email, USERS[who].displayName]) assert.deepEqual(await search(scene, who, { search: text }), []);
  }
});

// Nobody of the four has any of these in name or e-mail; as a pattern each would find all.
for (const text of ['%', '_', '%%', 'C%a', 'c_stomer', '\\', '\\%', '%souk%', '*', '.*', "'", "' OR '1'='1", '--', '\u0000', '[a-z]']) {
  test(`${JSON.stringify(text)} in the search is plain characters`, async (scene) => {
    assert.deepEqual(await search(scene, 'seller', { search: text }), []);
  });
}

test('limit bounds the number of users', async (scene) => {
  assert.equal((await search(scene, 'customer', { limit: 1 })).length, 1);
  assert.equal((await search(scene, 'customer', { limit: 2 })).length, 2);
  assert.equal((await search(scene, 'customer', { limit: 1000 })).length, 3);
});

test('meaningless queries get no 5xx and always JSON', async (scene) => {
  for (const query of ['limit=', 'limit=x', 'limit=-1', 'limit=0', 'limit=1.5', 'limit=99999999999999999999', 'limit=1&limit=2', 'role=pope', 'role=%00', 'role=customer,seller', `search=${'x'.repeat(5000)}`, 'search=%ff', '%', '&&==', 'search[]=x']) {
    for (const path of ['/users/search', '/users/available']) {
      const answer = await scene.rest('customer', 'GET', `/api/chat${path}?${query}`);
      assert.ok(answer.status < 500, `${query}: ${answer.status} ${answer.text}`);
      assert.equal(typeof answer.body?.success, 'boolean', `${query}: ${answer.text}`);
      if (answer.body.success && path === '/users/search') assert.ok(Array.isArray(answer.body.data));
    }
  }
  assert.deepEqual(await search(scene, 'customer', { role: 'pope' }), []);
});

test('the caller may open a conversation with every user that the search finds', async (scene) => {
  for (const who of Object.keys(FINDS)) {
    for (const user of await search(scene, who)) {
      const answer = await scene.rest(who, 'POST', '/api/chat/conversations', { participantId: user.id });
      assert.equal(answer.status, 200, answer.text);
    }
  }
});
