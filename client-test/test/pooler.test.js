'use strict';

// Through a transaction-mode pooler (scripts/test starts a PgBouncer and names it in TEST_POOLER_URL): many people write,
// read and list for a while, and nothing fails. The other tests pass through it too; here all kinds of statements meet.

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { testWithOwnServer } = require('../lib/own-server');
const { pooled } = require('../lib/postgres');

const SECONDS = Number(process.env.SOUK_LOAD_SECONDS || 10);
const PAIRS = 12;

testWithOwnServer(`${SECONDS} s of load through the pooler: no error`, { skip: !pooled }, async (own, scene) => {
  await own.start();
  const people = (role) => {
    const user = { id: randomUUID(), email: `${randomUUID()}@load.example`, role, displayName: role };
    own.database.addUser(user);
    return user;
  };
  const done = { messages: 0, others: 0 };
  const failed = [];
  const pairs = Array.from({ length: PAIRS }, () => [people('customer'), people('seller')]);
  const end = Date.now() + SECONDS * 1000;
  await Promise.all(
    pairs.map(async ([customer, seller]) => {
      const conversationId = await scene.conversation(customer, seller);
      const [a, b] = [await scene.connect(customer), await scene.connect(seller)];
      const fails = (what, answer) => failed.push(`${what}: ${JSON.stringify(answer)}`);
      const asks = async (client, event, payload) => {
        const answer = await client.ask(event, payload);
        if (!answer.success) fails(event, answer);
        done.others += 1;
        return answer.data;
      };
      const calls = async (who, method, path, body) => {
        const answer = await scene.rest(who, method, path, body);
        if (answer.status >= 400) fails(`${method} ${path}`, answer.body);
        done.others += 1;
      };
      for (let n = 1; Date.now() < end; n++) {
        const sends = await Promise.all(
          [1, 2, 3].map((k) => a.ask('chat:send_message', { conversationId, message: `${n}.${k}`, clientMessageId: randomUUID() })),
        );
        sends.forEach((answer) => (answer.success ? (done.messages += 1) : fails('chat:send_message', answer)));
        const messageId = sends[0].data?.id;
        await Promise.all([
          asks(b, 'chat:mark_read', { conversationId }),
          asks(b, 'chat:add_reaction', { messageId, reaction: '👍', conversationId }),
          asks(a, 'chat:edit_message', { messageId, newText: `${n} edited`, conversationId }),
          asks(a, 'chat:get_messages', { conversationId, limit: 20 }),
          asks(b, 'chat:sync', { conversations: { [conversationId]: 0 }, limit: 20 }),
          calls(seller, 'GET', '/api/chat/conversations'),
          calls(customer, 'GET', '/api/chat/unread-count'),
          calls(seller, 'GET', '/api/chat/users/search?search=cust&limit=5'),
        ]);
      }
    }),
  );
  assert.deepEqual(failed.slice(0, 5), [], `${failed.length} failed`);
  assert.doesNotMatch(own.log, /prepared statement|ERROR/);
  const stored = Number(own.database.sql('SELECT count(*) FROM messages'));
  assert.equal(stored, done.messages, 'every message once');
  assert.ok(done.messages > 0);
  console.log(`# ${done.messages} messages and ${done.others} other calls in ${SECONDS} s`);
});
