'use strict';

// chat:join with lastSeq: enters the room and fetches the missed messages in one step, while new messages arrive.

const assert = require('node:assert/strict');
const { suite } = require('../lib/suite');
const { assertFailure } = require('../lib/shapes');

const { test } = suite();

const seqs = (messages) => messages.map((m) => m.seq);
const between = (from, to) => Array.from({ length: to - from }, (_, i) => from + 1 + i);

async function talk(scene, n) {
  const conversationId = await scene.conversation();
  const customer = await scene.connect('customer');
  for (let i = 0; i < n; i++) await scene.say(customer, conversationId, `text ${i + 1}`);
  return { conversationId, customer };
}

test('chat:joined has the missed messages, in the event and in the acknowledgement', async (scene) => {
  const { conversationId } = await talk(scene, 4);
  const seller = await scene.connect('seller');
  const answer = await seller.ask('chat:join', { conversationId, lastSeq: 1 });
  assert.equal(answer.success, true, JSON.stringify(answer));
  const joined = await seller.waitFor('chat:joined');
  assert.deepEqual(answer.data, joined);
  assert.equal(joined.conversationId, conversationId);
  assert.deepEqual(seqs(joined.sync.messages), [2, 3, 4]);
  assert.deepEqual([joined.sync.last_seq, joined.sync.has_more, joined.sync.reset], [4, false, false]);
});

test('it is a normal join too: the socket is in the room, and the messages become read', async (scene) => {
  const { conversationId, customer } = await talk(scene, 2);
  await customer.ask('chat:join', { conversationId });
  const seller = await scene.connect('seller');
  await seller.ask('chat:join', { conversationId, lastSeq: 2 });
  await customer.waitFor('chat:user_joined');
  assert.equal((await customer.waitFor('chat:messages_read')).last_read_seq, 2);
  customer.emit('chat:typing', { conversationId, isTyping: true });
  await seller.waitFor('chat:user_typing');
});

test('without lastSeq chat:joined has no sync', async (scene) => {
  const { conversationId } = await talk(scene, 1);
  const seller = await scene.connect('seller');
  assert.deepEqual((await seller.ask('chat:join', { conversationId })).data, { conversationId });
});

for (const lastSeq of [-1, 2.5, 'x', [], {}, true]) {
  test(`lastSeq ${JSON.stringify(lastSeq)}: invalid_payload, and not joined`, async (scene) => {
    const { conversationId, customer } = await talk(scene, 1);
    await customer.ask('chat:join', { conversationId });
    const seller = await scene.connect('seller');
    assertFailure(await seller.ask('chat:join', { conversationId, lastSeq }), 'invalid_payload');
    assert.equal((await seller.waitFor('chat:error')).code, 'invalid_payload');
    customer.emit('chat:typing', { conversationId, isTyping: true });
    await scene.expectNothing(customer, seller, conversationId, 'chat:user_typing');
    assert.equal(seller.count('chat:joined'), 0);
  });
}

test('a user who is not a member learns nothing', async (scene) => {
  const { conversationId } = await talk(scene, 2);
  const admin = await scene.connect('admin');
  const answer = await admin.ask('chat:join', { conversationId, lastSeq: 0 });
  assertFailure(answer, 'not_authorized', 'Not authorized');
  assert.doesNotMatch(JSON.stringify([answer, admin.events.map((e) => e.data)]), /text 1/);
});

/** The numbers that came as events since the event at `from`, in order of arrival. */
const arrived = (client, from, to) =>
  client.events.slice(from, to).filter((e) => e.event === 'chat:new_message').map((e) => e.data.seq);

for (const transports of [['websocket'], ['polling']]) {
  test(`while new messages arrive, none is doubled, missing or out of order (${transports})`, async (scene) => {
    const { conversationId, customer } = await talk(scene, 5);
    let streaming = true;
    let sent = 5;
    const stream = (async () => {
      while (streaming) {
        await Promise.all(Array.from({ length: 8 }, () => scene.say(customer, conversationId, 'stream')));
        sent += 8;
      }
    })();
    try {
      for (let round = 0; round < 12; round++) {
        const seller = await scene.connect('seller', { transports, reconnection: false });
        const lastSeq = round % 3 === 0 ? 0 : Math.max(0, sent - 30);
        const from = seller.events.length;
        const answer = await seller.ask('chat:join', { conversationId, lastSeq });
        assert.equal(answer.success, true, JSON.stringify(answer));
        const at = seller.events.findIndex((e) => e.event === 'chat:joined');
        const { sync } = seller.events[at].data;
        const known = sync.messages.at(-1)?.seq ?? lastSeq;
        assert.deepEqual(seqs(sync.messages), between(lastSeq, known), 'the sync has no gap');
        // Of a sync that is not all of it the rest is asked for: what came before may lie beyond its end.
        if (!sync.has_more) {
          for (const seq of arrived(seller, from, at)) assert.ok(seq <= known, `${seq} came before a sync that goes to ${known}`);
          const enough = known + 20;
          await seller.waitFor('chat:new_message', (m) => m.seq >= enough);
          const after = arrived(seller, at);
          assert.deepEqual(after.slice(0, 20), between(known, known + 20), 'after it comes what follows it');
        }
        seller.close();
      }
    } finally {
      streaming = false;
      await stream;
    }
  });
}

test('after a reconnect in the middle of a stream, a join with lastSeq gives every message once', async (scene) => {
  const { conversationId, customer } = await talk(scene, 0);
  const seller = await scene.connect('seller', { reconnection: false });
  const have = [];
  // What a client does: it keeps the highest number without a gap, and takes what comes if it is newer.
  const take = (message) => message.seq > (have.at(-1) ?? 0) && have.push(message.seq);
  seller.socket.on('chat:new_message', (m) => joined && take(m));
  seller.socket.on('chat:joined', ({ sync }) => {
    sync.messages.forEach(take);
    joined = true;
  });
  let joined = false;
  const join = () => seller.ask('chat:join', { conversationId, lastSeq: have.at(-1) ?? 0 });
  await join();
  const total = 300;
  const stream = (async () => {
    for (let i = 0; i < total; i += 10) await Promise.all(Array.from({ length: 10 }, () => scene.say(customer, conversationId, 'x')));
  })();
  for (let i = 0; i < 4; i++) {
    await seller.waitFor('chat:new_message');
    joined = false;
    seller.socket.io.engine.close();
    await seller.waitFor('disconnect');
    seller.socket.connect();
    await seller.waitFor('connect');
    await join();
  }
  await stream;
  await join();
  assert.deepEqual(have, between(0, total));
});
