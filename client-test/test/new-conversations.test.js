'use strict';

// Limits on new conversations of one user, and on their metadata.

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { testWithOwnServer } = require('../lib/own-server');
const { failure } = require('../lib/message-actions');
const { USERS } = require('../lib/users');

const PATH = '/api/chat/conversations';
const about = (relatedEntityId) => ({ relatedEntityType: 'product', relatedEntityId });
const begin = (scene, who, withWhom, more = {}) => scene.rest(who, 'POST', PATH, { participantId: USERS[withWhom].id, ...more });

/** Refused for a while, and told for how long. */
function refused(answer, mostSeconds) {
  failure(answer, 429, 'rate_limited');
  const seconds = Number(answer.headers['retry-after']);
  assert.ok(seconds >= 1 && seconds <= mostSeconds, `retry-after ${seconds}`);
  assert.ok(answer.body.retry_after_ms > 0);
}

testWithOwnServer('a user over the hourly limit begins no conversation, but still opens existing ones', { env: { MAX_NEW_CONVERSATIONS_PER_HOUR: '4', MAX_NEW_CONVERSATIONS_PER_PAIR_PER_HOUR: '0' } }, async (server, scene) => {
  await server.start();
  const first = randomUUID();
  const { id } = (await begin(scene, 'customer', 'seller', about(first))).body.data;
  // One that is found again counts for nothing.
  for (let i = 0; i < 10; i++) assert.equal((await begin(scene, 'customer', 'seller', about(first))).body.data.id, id);
  for (const whom of ['seller', 'admin', 'manager']) assert.equal((await begin(scene, 'customer', whom, about(randomUUID()))).status, 200);
  refused(await begin(scene, 'customer', 'seller', about(randomUUID())), 900);
  refused(await begin(scene, 'customer', 'admin', about(randomUUID())), 900);
  assert.equal((await begin(scene, 'customer', 'seller', about(first))).body.data.id, id);
  assert.equal((await scene.data('customer', 'GET', PATH)).length, 4, 'nothing was made of those refused');
  assert.equal((await begin(scene, 'seller', 'customer', about(randomUUID()))).status, 200, 'another user has their own share');
});

testWithOwnServer('two users over their hourly limit begin no conversation with each other, whichever of them asks', { env: { MAX_NEW_CONVERSATIONS_PER_HOUR: '0', MAX_NEW_CONVERSATIONS_PER_PAIR_PER_HOUR: '3' } }, async (server, scene) => {
  await server.start();
  for (const [who, whom] of [['customer', 'seller'], ['seller', 'customer'], ['customer', 'seller']]) {
    assert.equal((await begin(scene, who, whom, about(randomUUID()))).status, 200);
  }
  refused(await begin(scene, 'customer', 'seller', about(randomUUID())), 1200);
  refused(await begin(scene, 'seller', 'customer', about(randomUUID())), 1200);
  assert.equal((await begin(scene, 'customer', 'admin', about(randomUUID()))).status, 200, 'others are another pair');
});

testWithOwnServer('the default limits keep one user from filling another\'s inbox quickly', { env: Object.fromEntries(['MAX_NEW_CONVERSATIONS_PER_HOUR', 'MAX_NEW_CONVERSATIONS_PER_PAIR_PER_HOUR'].map((name) => [name, undefined])) }, async (server, scene) => {
  await server.start();
  const answers = await Promise.all(Array.from({ length: 50 }, () => begin(scene, 'customer', 'seller', about(randomUUID()))));
  assert.equal(answers.filter((a) => a.status === 200).length, 20);
  assert.equal((await scene.data('seller', 'GET', PATH)).length, 20);
});

testWithOwnServer('metadata may have 4 kB by default, or MAX_METADATA_BYTES', { env: { MAX_METADATA_BYTES: undefined } }, async (server, scene) => {
  const metadata = (bytes) => ({ note: 'x'.repeat(bytes - '{"note":""}'.length) });
  await server.start();
  assert.equal((await begin(scene, 'customer', 'seller', { ...about(randomUUID()), metadata: metadata(4096) })).status, 200);
  failure(await begin(scene, 'customer', 'seller', { ...about(randomUUID()), metadata: metadata(4097) }), 400, 'invalid_payload');
  await server.stop();
  server.env = { MAX_METADATA_BYTES: '100' };
  await server.start();
  failure(await begin(scene, 'customer', 'seller', { ...about(randomUUID()), metadata: metadata(101) }), 400, 'invalid_payload', 'metadata must be an object of at most 100 bytes');
});
