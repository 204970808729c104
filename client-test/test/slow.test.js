'use strict';

// A socket that stops reading is disconnected, not skipped, and nobody else loses anything.

const assert = require('node:assert/strict');
const { suite } = require('../lib/suite');

const { test } = suite({ env: { SOCKET_SEND_BUFFER: '512', SOCKET_SEND_BUFFER_BYTES: '2097152' } });

/** More than the kernels on both sides take for a reader that sleeps. */
const ENOUGH = 30_000;
const AT_ONCE = 20;

test('a socket that does not read is disconnected, and the other tab of its user gets every message in order', async (scene) => {
  const conversationId = await scene.conversation();
  const customer = await scene.connect('customer');
  const [sleeper, awake] = [await scene.raw('seller'), await scene.connect('seller')];
  let cut = false;
  const isCut = sleeper.closed.then(() => (cut = true));
  sleeper.ws._socket.pause();
  const text = 'x'.repeat(4000);
  let sent = 0;
  while (sent < ENOUGH && !/disconnecting a socket that is too slow/.test(scene.server.log.slice(-20_000))) {
    await Promise.all(Array.from({ length: AT_ONCE }, () => scene.say(customer, conversationId, text)));
    sent += AT_ONCE;
  }
  assert.ok(sent < ENOUGH, 'it was never cut');
  sleeper.ws._socket.resume();
  await isCut;
  assert.equal(cut, true);
  const seqs = (await awake.waitForMany('chat:new_message', sent)).map((m) => m.seq);
  assert.deepEqual(seqs, Array.from({ length: sent }, (_, i) => i + 1));
  assert.equal((await scene.status('customer', 'seller')).is_online, true, 'the other tab is still there');
});
