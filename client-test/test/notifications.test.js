'use strict';

// Notifications for members who are offline, in the shop's own table: run with TEST_DATABASE_URL.

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { suite, USERS } = require('../lib/suite');
const { testWithOwnServer } = require('../lib/own-server');
const { external } = require('../lib/postgres');
const { hold } = require('../lib/hold');
const { until } = require('../lib/limits');

if (external) tests();
else require('node:test').test('tests that need TEST_DATABASE_URL', { skip: true }, () => {});

/** The rows about one conversation, oldest first, as objects. */
function rows(server, conversationId) {
  const text = server.database.sql(
    `SELECT coalesce(json_agg(to_jsonb(n) ORDER BY created_at, id), '[]') FROM notifications n WHERE metadata ->> 'conversation_id' = '${conversationId}'`,
  );
  return JSON.parse(text);
}

/** They are written after the message was answered, so a moment later. */
const written = (server, conversationId, count) =>
  until(() => {
    const found = rows(server, conversationId);
    return found.length >= count && found;
  }, `${count} notifications are there`);

function assertNotification(row, sender, message, expected) {
  assert.deepEqual(
    {
      user_id: row.user_id, type: row.type, title: row.title, priority: row.priority, metadata: row.metadata,
      action_url: row.action_url, action_text: row.action_text, channels: [row.channels].flat().map((c) => c.replace(/[{}]/g, '')),
    },
    {
      type: 'new_message', title: 'New Message', priority: 'medium', action_url: `/messages/${message.conversation_id}`, action_text: 'View Message', channels: ['in_app'],
      ...expected,
      metadata: { conversation_id: message.conversation_id, message_id: message.id, sender_id: sender.id, sender_name: sender.displayName, ...expected.metadata },
    },
  );
}

function tests() {
  const { test, server } = suite();

  test('a message to an offline member: one row with every column that the shop shows', async (scene) => {
    const conversationId = await scene.conversation();
    const message = await scene.say(await scene.connect('customer'), conversationId, 'Is it still there?');
    const [row, ...more] = await written(server, conversationId, 1);
    assertNotification(row, USERS.customer, message, { user_id: USERS.seller.id });
    assert.match(row.message, /^Carla Customer: Is it still there\?(…|\.\.\.)?$/);
    assert.deepEqual(more, []);
    assert.equal(row.is_read ?? false, false);
  });

  test('a reply: New Reply, with the message that it answers', async (scene) => {
    const conversationId = await scene.conversation();
    const quoted = await scene.data('seller', 'POST', `/api/chat/conversations/${conversationId}/messages`, { message: 'which one?' });
    const customer = await scene.connect('customer');
    const { data: reply } = await customer.ask('chat:send_reply', { conversationId, message: 'this one', replyToMessageId: quoted.id, tempId: 't' });
    const found = await until(() => rows(server, conversationId).find((r) => r.metadata.message_id === reply.id), 'the reply is there');
    assertNotification(found, USERS.customer, reply, {
      user_id: USERS.seller.id, title: 'New Reply', action_text: 'View Reply', metadata: { reply_to_message_id: quoted.id },
    });
  });

  test('messages and replies over REST notify in the same way', async (scene) => {
    const conversationId = await scene.conversation();
    const path = `/api/chat/conversations/${conversationId}/messages`;
    const message = await scene.data('customer', 'POST', path, { message: 'one' });
    const reply = await scene.data('seller', 'POST', `${path}/reply`, { message: 'two', replyToMessageId: message.id });
    const found = await written(server, conversationId, 2);
    const of = (id) => found.find((r) => r.metadata.message_id === id);
    assertNotification(of(message.id), USERS.customer, message, { user_id: USERS.seller.id });
    assertNotification(of(reply.id), USERS.seller, reply, {
      user_id: USERS.customer.id, title: 'New Reply', action_text: 'View Reply', metadata: { reply_to_message_id: message.id },
    });
  });

  for (const [name, unit] of [['letters', 'abcdefghij'], ['emoji', '👍🎉😀🔥👀']]) {
    test(`a long text of ${name}: the notification has its first 50 characters`, async (scene) => {
      const conversationId = await scene.conversation();
      const text = unit.repeat(20);
      await scene.say(await scene.connect('customer'), conversationId, text);
      const [row] = await written(server, conversationId, 1);
      const start = `Carla Customer: ${[...text].slice(0, 50).join('')}`;
      assert.equal(row.message, `${start}…`);
    });
  }

  test('a member who is online gets no notification', async (scene) => {
    const conversationId = await scene.conversation();
    const [customer, seller] = [await scene.connect('customer'), await scene.connect('seller')];
    await seller.ask('chat:get_conversations');
    await scene.say(customer, conversationId, 'seen at once');
    seller.close();
    await until(async () => !(await scene.status('customer', 'seller')).is_online, 'the seller is gone');
    const last = await scene.say(customer, conversationId, 'not seen');
    const found = await written(server, conversationId, 1);
    assert.deepEqual(found.map((r) => r.metadata.message_id), [last.id]);
  });

  test('an attachment without text, and a text with markup, notify correctly', async (scene) => {
    const conversationId = await scene.conversation();
    const customer = await scene.connect('customer');
    const attachments = [{ name: 'a.png', type: 'image/png', size: 1, url: 'https://files.example/a.png', path: 'a' }];
    await scene.say(customer, conversationId, '', { attachments });
    await scene.say(customer, conversationId, "'); DROP TABLE notifications; --");
    assert.equal((await written(server, conversationId, 2)).length, 2);
  });

  test('a message sent twice with one clientMessageId is notified once', async (scene) => {
    const conversationId = await scene.conversation();
    const customer = await scene.connect('customer');
    const clientMessageId = randomUUID();
    for (let i = 0; i < 3; i++) await scene.say(customer, conversationId, 'once', { clientMessageId });
    await scene.say(customer, conversationId, 'last');
    await written(server, conversationId, 2);
    assert.equal(rows(server, conversationId).length, 2);
  });

  test('a burst: every message gets a row, and no send waits for one', async (scene) => {
    const conversationId = await scene.conversation();
    const customer = await scene.connect('customer');
    await Promise.all(Array.from({ length: 100 }, (_, i) => scene.say(customer, conversationId, `no ${i}`)));
    assert.equal(new Set((await written(server, conversationId, 100)).map((r) => r.metadata.message_id)).size, 100);
  });

  test('a member whose user was deleted does not stop the notifications of the others', async (scene) => {
    const conversationId = await scene.conversation();
    const orphaned = randomUUID();
    server.database.sql(`INSERT INTO conversations (id, type, participant_ids) VALUES ('${orphaned}', 'customer_seller', '["${USERS.customer.id}", "${USERS.seller.id}", "${randomUUID()}"]')`);
    const customer = await scene.connect('customer');
    const both = [orphaned, conversationId];
    await Promise.all(Array.from({ length: 40 }, (_, i) => scene.say(customer, both[i % 2], `no ${i}`)));
    for (const id of both) {
      const found = await written(server, id, 20);
      assert.ok(found.every((row) => row.user_id === USERS.seller.id));
    }
  });

  test('edits, deletions and reactions notify nobody', async (scene) => {
    const conversationId = await scene.conversation();
    const customer = await scene.connect('customer');
    const message = await scene.say(customer, conversationId, 'x');
    await written(server, conversationId, 1);
    await customer.ask('chat:edit_message', { messageId: message.id, newText: 'y' });
    await customer.ask('chat:add_reaction', { messageId: message.id, reaction: '👍' });
    await customer.ask('chat:delete_message', { messageId: message.id, deletionType: 'for_everyone' });
    const last = await scene.say(customer, conversationId, 'z');
    const found = await written(server, conversationId, 2);
    assert.deepEqual(found.map((r) => r.metadata.message_id), [message.id, last.id]);
  });

  const SECRET = 'the word that must go';
  const textsOf = (id) => server.database.sql(`SELECT message FROM notifications WHERE metadata ->> 'message_id' = '${id}'`).split('\n');
  const gone = (id) => until(() => !textsOf(id).some((text) => text.includes(SECRET)), 'the text is gone from the notifications');

  test('deleted for everyone: the text is removed from the notification; the notification stays', async (scene) => {
    const conversationId = await scene.conversation();
    const customer = await scene.connect('customer');
    const [message, other] = [await scene.say(customer, conversationId, SECRET), await scene.say(customer, conversationId, 'stays')];
    await written(server, conversationId, 2);
    await customer.ask('chat:delete_message', { messageId: message.id, deletionType: 'for_everyone' });
    await gone(message.id);
    assert.deepEqual(textsOf(message.id), ['Carla Customer: This message was deleted']);
    assert.deepEqual(textsOf(other.id), ['Carla Customer: stays']);
  });

  test('deleted for everyone at once: no notification that comes later brings the text back', async (scene) => {
    const conversationId = await scene.conversation();
    const customer = await scene.connect('customer');
    const ids = await Promise.all(
      Array.from({ length: 50 }, async (_, i) => {
        const { id } = await scene.say(customer, conversationId, `${SECRET} ${i}`);
        await customer.ask('chat:delete_message', { messageId: id, deletionType: 'for_everyone' });
        return id;
      }),
    );
    await written(server, conversationId, ids.length);
    for (const id of ids) await gone(id);
  });

  test('deleted for_me: the others keep their notification', async (scene) => {
    const conversationId = await scene.conversation();
    const customer = await scene.connect('customer');
    const [first, second] = [await scene.say(customer, conversationId, SECRET), await scene.say(customer, conversationId, SECRET)];
    await written(server, conversationId, 2);
    await customer.ask('chat:delete_message', { messageId: first.id, deletionType: 'for_me' });
    await customer.ask('chat:delete_message', { messageId: second.id, deletionType: 'for_everyone' });
    await gone(second.id);
    assert.deepEqual(textsOf(first.id), [`Carla Customer: ${SECRET}`]);
  });

  test('deleted for everyone by SQL: the text is removed when a server next checks notifications', async (scene) => {
    const conversationId = await scene.conversation();
    const customer = await scene.connect('customer');
    const message = await scene.say(customer, conversationId, SECRET);
    await written(server, conversationId, 1);
    server.database.sql(`SELECT delete_message('${message.id}', '${USERS.customer.id}', 'for_everyone')`);
    await scene.say(customer, conversationId, 'another');
    await gone(message.id);
  });

  test('a message with hundreds of notified members: the text is removed from all notifications', async (scene) => {
    const members = Array.from({ length: 300 }, () => randomUUID());
    const conversationId = randomUUID();
    server.database.sql(`INSERT INTO users (id, email, password_hash, role) SELECT id, id || '@souk.example', 'x', 'customer' FROM unnest('{${members}}'::uuid[]) id`);
    server.database.sql(`INSERT INTO conversations (id, type, participant_ids) VALUES ('${conversationId}', 'internal', '${JSON.stringify([USERS.customer.id, ...members])}')`);
    const customer = await scene.connect('customer');
    const message = await scene.say(customer, conversationId, SECRET);
    await written(server, conversationId, members.length);
    await customer.ask('chat:delete_message', { messageId: message.id, deletionType: 'for_everyone' });
    await gone(message.id);
    assert.equal(textsOf(message.id).length, members.length);
  });

  testWithOwnServer('without the privilege to update notifications: new rows are written, and the log says it once', {}, async (own, scene) => {
    await own.start();
    own.database.sql(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'as it was'; END $$;
      CREATE TRIGGER refuse BEFORE UPDATE ON notifications FOR EACH ROW EXECUTE FUNCTION refuse()`);
    const conversationId = await scene.conversation();
    const customer = await scene.connect('customer');
    const first = await scene.say(customer, conversationId, SECRET);
    await written(own, conversationId, 1);
    await customer.ask('chat:delete_message', { messageId: first.id, deletionType: 'for_everyone' });
    for (let n = 2; n <= 6; n++) {
      await scene.say(customer, conversationId, `no ${n}`);
      await written(own, conversationId, n);
    }
    assert.equal(own.log.match(/not taken out of notifications/g)?.length, 1, own.log);
  });

  testWithOwnServer('deleted for everyone while no server runs: the text is removed when one starts', {}, async (own, scene) => {
    await own.start();
    const conversationId = await scene.conversation();
    const message = await scene.say(await scene.connect('customer'), conversationId, SECRET);
    await written(own, conversationId, 1);
    await own.stop();
    own.database.sql(`SELECT delete_message('${message.id}', '${USERS.customer.id}', 'for_everyone')`);
    await own.start();
    await until(() => !rows(own, conversationId)[0].message.includes(SECRET), 'the text is gone');
  });

  const USERS_TABLE = `CREATE TABLE users (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email varchar(255) UNIQUE NOT NULL, password_hash varchar(255) NOT NULL,
    role varchar(50) DEFAULT 'customer', display_name varchar(255), phone varchar(50), created_at timestamp DEFAULT now(), updated_at timestamp DEFAULT now(),
    last_login_at timestamp, status varchar(50) DEFAULT 'active')`;
  const notifications = (type, priority, channels) => `CREATE TABLE notifications (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id uuid REFERENCES users (id), type ${type} NOT NULL,
    title varchar(255) NOT NULL, message text NOT NULL, priority ${priority} DEFAULT 'medium', metadata jsonb DEFAULT '{}', action_url varchar(500), action_text varchar(100),
    is_read boolean DEFAULT false, read_at timestamp, channels ${channels}, expires_at timestamp, created_at timestamp DEFAULT now())`;

  for (const [name, table] of [
    ['plain text columns', notifications('varchar(50)', 'varchar(20)', 'text[]')],
    ['text, and the channels as jsonb', notifications('text', 'text', 'jsonb')],
  ]) {
    testWithOwnServer(`a notifications table of the shop with ${name}: the row is written`, {}, async (own, scene) => {
      own.database.sql(USERS_TABLE);
      own.database.sql(table);
      await own.start();
      const conversationId = await scene.conversation();
      const message = await scene.say(await scene.connect('customer'), conversationId, 'hello');
      const [row] = await written(own, conversationId, 1);
      assertNotification(row, USERS.customer, message, { user_id: USERS.seller.id });
    });
  }

  for (const [name, ddl] of [
    ['does not know new_message', `ALTER TABLE notifications ADD CHECK (title = 'x')`],
    ['is gone', 'DROP TABLE notifications'],
    ['lacks a column', 'ALTER TABLE notifications DROP COLUMN action_text'],
  ]) {
    testWithOwnServer(`a notifications table that ${name}: the messages go on as ever`, {}, async (own, scene) => {
      await own.start();
      own.database.sql(ddl);
      const conversationId = await scene.conversation();
      const customer = await scene.connect('customer');
      for (let i = 0; i < 20; i++) assert.equal((await scene.say(customer, conversationId, `no ${i}`)).seq, i + 1);
      assert.equal((await scene.messages('seller', conversationId)).length, 20);
      assert.equal(customer.count('chat:message_failed'), 0);
    });
  }

  testWithOwnServer('a locked notifications table delays no message', {}, async (own, scene) => {
    await own.start();
    const conversationId = await scene.conversation();
    const customer = await scene.connect('customer');
    const holder = hold(own.database.url, 'BEGIN; LOCK TABLE notifications IN ACCESS EXCLUSIVE MODE');
    await holder.ready;
    try {
      const start = performance.now();
      for (let i = 0; i < 20; i++) await scene.say(customer, conversationId, `no ${i}`);
      assert.ok(performance.now() - start < 5000, `${performance.now() - start} ms`);
    } finally {
      holder.release();
    }
  });
}
