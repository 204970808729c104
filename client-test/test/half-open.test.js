'use strict';

// The server notices a client that vanished without closing its connection, within the ping interval plus timeout.

const assert = require('node:assert/strict');
const { suite } = require('../lib/suite');
const { until } = require('../lib/limits');

const INTERVAL = 1;
const TIMEOUT = 1;
const { test } = suite({ env: { PING_INTERVAL: String(INTERVAL), PING_TIMEOUT: String(TIMEOUT) } });

test('a user whose only socket stopped answering is offline after ping interval and timeout', async (scene) => {
  const socket = await scene.raw('seller');
  await until(async () => (await scene.status('customer', 'seller')).is_online, 'the seller is online');
  // Nothing is read any more, so no ping is answered; the line itself stays up, as with a phone out of reach.
  const silentSince = Date.now();
  socket.ws._socket.pause();
  await until(async () => !(await scene.status('customer', 'seller')).is_online, 'the seller is offline');
  const { last_seen_at: seen } = await scene.status('customer', 'seller');
  assert.ok(Date.parse(seen) >= silentSince - 1000, 'last seen when it went silent or was noticed, not before');
});

test('a socket that answers pings stays', async (scene) => {
  const [client, watcher] = [await scene.connect('customer'), await scene.connect('seller')];
  const conversationId = await scene.conversation();
  const started = Date.now();
  await until(() => Date.now() - started > 3 * (INTERVAL + TIMEOUT) * 1000, 'several pings have passed');
  await scene.barrier(client, watcher, conversationId);
  assert.equal(client.count('disconnect'), 0);
});
