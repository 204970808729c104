'use strict';

// Finding users among many takes a bounded time and leaves database connections for the others.

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { spawn } = require('node:child_process');
const { testWithOwnServer } = require('../lib/own-server');
const { external } = require('../lib/postgres');
const { until } = require('../lib/limits');
const { USERS } = require('../lib/users');

const skip = external ? false : 'needs TEST_DATABASE_URL';

/** Holds a lock that lets nobody read who is online, which /support-user does, until `end` is called. */
async function lockedPresence(database) {
  const psql = spawn('psql', ['-X', '-q', database.url], { stdio: ['pipe', 'ignore', 'ignore'] });
  psql.stdin.write('BEGIN; LOCK TABLE user_online_status IN ACCESS EXCLUSIVE MODE;\n');
  const held = "SELECT count(*) FROM pg_locks WHERE relation = 'user_online_status'::regclass AND mode = 'AccessExclusiveLock' AND granted";
  await until(() => database.sql(held) === '1', 'the table is locked');
  return { end: () => psql.stdin.end('ROLLBACK;\n') };
}

testWithOwnServer('searches that get no answer leave database connections for other users', { skip, env: { DATABASE_ACQUIRE_TIMEOUT_MS: '1500' } }, async (server, scene) => {
  await server.start();
  const conversationId = await scene.conversation();
  const customer = await scene.connect('customer');
  await scene.say(customer, conversationId);
  const lock = await lockedPresence(server.database);
  const answers = [];
  const ask = () => scene.rest('manager', 'GET', '/api/chat/support-user').then((answer) => answers.push(answer));
  try {
    const asked = Array.from({ length: 20 }, ask);
    const waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    await until(() => Number(server.database.sql(waiting)) > 0, 'a search waits');
    const started = Date.now();
    await scene.say(customer, conversationId);
    assert.ok(Date.now() - started < 1000, `a message took ${Date.now() - started} ms`);
    await until(() => answers.length >= 18, 'those without a connection are refused');
    for (const answer of answers) assert.deepEqual([answer.status, answer.body.code, answer.headers['retry-after']], [503, 'busy', '1']);
    lock.end();
    await Promise.all(asked);
  } finally {
    lock.end();
  }
});

/** Many users, of whom one in a thousand is a seller. Their names come in the order of their numbers. */
const fill = (count) => `
  INSERT INTO users (email, password_hash, role, display_name, created_at)
  SELECT 'user' || n || '@many.example', '!', CASE WHEN n % 1000 = 0 THEN 'seller' ELSE 'customer' END,
         'Somebody With A Long Name ' || lpad(n::text, 7, '0') || repeat(' x', 50), '2020-01-01'
  FROM generate_series(1, ${count}) n; ANALYZE users`;

async function search(scene, query, who = 'manager') {
  const started = Date.now();
  const answer = await scene.rest(who, 'GET', `/api/chat/users/search?${new URLSearchParams(query)}`);
  assert.equal(answer.status, 200, answer.text);
  return { ...answer.body, ms: Date.now() - started };
}

testWithOwnServer('a search by a part of the name or e-mail finds the user among many and looks at all users', { skip }, async (server, scene) => {
  await server.start();
  server.database.sql(fill(150_000));
  for (const [text, email] of [['0077123', 'user77123@many.example'], ['ser149999@MANY', 'user149999@many.example'], ['0150000 X', 'user150000@many.example']]) {
    const found = await search(scene, { search: text });
    assert.deepEqual(found.data.map((u) => u.email), [email], text);
    assert.equal(found.complete, true);
  }
  const none = await search(scene, { search: 'no such user' });
  assert.deepEqual([none.data, none.complete], [[], true]);
  // Many have it: the first by name.
  const many = await search(scene, { search: 'long name', role: 'customer' });
  assert.deepEqual(many.data.map((u) => u.email), Array.from({ length: 20 }, (_, i) => `user${i + 1}@many.example`));
  const available = await scene.rest('manager', 'GET', '/api/chat/users/available');
  const { customers, sellers, admins } = available.body.data;
  assert.deepEqual([customers.length, sellers.length, admins.length], [50, 49, 1]);
});

testWithOwnServer('without its indexes a search keeps its time limit and says that it did not look at all users', { skip, env: { USER_INDEXES: 'false' } }, async (server, scene) => {
  await server.start();
  assert.equal(server.database.sql("SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'souk_users%'"), '0');
  server.database.sql(fill(300_000));
  const found = await search(scene, { search: '0299999' });
  assert.deepEqual([found.data, found.complete], [[], false]);
  assert.equal((await search(scene, { search: 'Long Name' })).data.length, 20);
});

testWithOwnServer('missing indexes of a large table are made while the server runs', { skip, env: { USER_INDEXES: 'false' } }, async (server, scene) => {
  await server.start();
  server.database.sql(fill(150_000));
  await server.stop();
  server.env = { ...server.env, USER_INDEXES: 'true' };
  await server.start();
  const ready = "SELECT count(*) FROM pg_index WHERE indexrelid::regclass::text LIKE 'souk_users%' AND indisvalid";
  await until(() => server.database.sql(ready) === '3', 'the indexes are made', 120_000);
  const found = await search(scene, { search: '0149999' });
  assert.deepEqual([found.data.length, found.complete], [1, true]);
});

testWithOwnServer('of staff with too many conversations to count, the one with the quieter conversations helps', { skip }, async (server, scene) => {
  await server.start();
  for (const who of ['admin', 'manager']) await scene.connect(who);
  const open = (staff, minutes) => `
    INSERT INTO conversations (id, type, participant_ids, last_message_at)
    SELECT gen_random_uuid(), 'customer_support', jsonb_build_array('${randomUUID()}', '${USERS[staff].id}'), now() - n * interval '${minutes} minutes'
    FROM generate_series(1, 300) n`;
  server.database.sql(`${open('admin', 1)}; ${open('manager', 10)}`);
  const { supportUserId } = await scene.data('customer', 'GET', '/api/chat/support-user');
  assert.equal(supportUserId, USERS.manager.id);
});
