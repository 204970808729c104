'use strict';

// A client comes back to a server that was restarted in the meantime, and gets what it missed if the database knows it.

const assert = require('node:assert/strict');
const { testWithOwnServer } = require('../lib/own-server');
const { external } = require('../lib/postgres');
const { LineClient } = require('../lib/line');
const { Proxy } = require('../faults/proxy');
const { until } = require('../lib/limits');
const { USERS } = require('../lib/users');

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
/** Longer than two messages may be apart and be told in either order. */
const QUIET = 2500;

class Stage {
  constructor(server, scene, conversationId, seller, customer) {
    Object.assign(this, { server, scene, conversationId, seller, customer });
  }

  /** The server runs. */
  static async set(server, scene) {
    const conversationId = await scene.conversation();
    const seller = await scene.connect('seller');
    const customer = await LineClient.open(server, USERS.customer);
    scene.clients.push(customer);
    return new Stage(server, scene, conversationId, seller, customer);
  }

  say(text, conversationId = this.conversationId) {
    return this.scene.say(this.seller, conversationId, text);
  }

  /** What is said, and that the customer has it. */
  async tell(text, conversationId) {
    await this.say(text, conversationId);
    await this.customer.waitFor('chat:new_message', (m) => m.message_text === text);
  }

  /** The database has heard of the customer's socket as it is now, which takes a moment. */
  async isWritten(rooms = 0) {
    if (!external) return sleep(1000);
    const id = this.customer.pid.split('.')[0];
    const sql = `SELECT cardinality(rooms) FROM chat_returning_sockets WHERE pid = '${id}' AND gone_at IS NULL`;
    return until(() => this.server.database.sql(sql) === String(rooms), 'the socket is written');
  }

  /** The seller says something that is stored, but the server hears of that some 18 s later: it tries for 8 s to find out what
   * became of it, and then waits for 10 s more. Resolves after 10 s. */
  async losesAnswer(proxy, conversationId = this.conversationId) {
    const sql = (text) => this.server.database.sql(text);
    sql(HELD_UP);
    this.seller.emit('chat:send_message', { conversationId, message: 'held up' });
    await until(() => sql(IS_HELD_UP) === '1', 'it is on its way');
    proxy.stall();
    await until(() => sql(`SELECT count(*) FROM messages WHERE message_text = 'held up'`) === '1', 'it is stored');
    await sleep(10_500);
    proxy.reset();
    proxy.resume();
  }

  /** The customer's line is cut while the server dies; the seller is there again. */
  async restart(end = 'kill') {
    this.customer.isDown = true;
    await this.server[end]();
    await until(() => !this.customer.socket.connected, 'the customer knows');
    await this.server.start();
    await this.seller.waitForMany('connect', 2);
  }

  get texts() {
    return this.customer.all('chat:new_message').map((m) => m.message_text);
  }

  /** Not the state that it had, and nothing is told again. */
  async startsAnew() {
    const [pid, had] = [this.customer.pid, this.texts];
    assert.equal(await this.customer.comeBack(), false);
    assert.ok(this.customer.pid && this.customer.pid !== pid, 'a new pid says so');
    await this.scene.barrier(this.seller, this.customer, this.conversationId);
    assert.deepEqual(this.texts.slice(0, -1), had);
  }
}

const test = (name, env, body) =>
  testWithOwnServer(name, { env }, async (server, scene) => {
    await server.start();
    await body(await Stage.set(server, scene));
  });

/** Starts the server with its database behind a line that can be cut. */
async function throughProxy(server) {
  const url = new URL(server.database.serverUrl);
  const port = Number(url.port || 5432);
  const proxy = await new Proxy(() => port).listen();
  Object.assign(url, { hostname: '127.0.0.1', port: String(proxy.port) });
  server.env.DATABASE_URL = url.toString();
  await server.start();
  return proxy;
}

/** The commit of a message with this text takes a second: time to cut the line before its answer. */
const HELD_UP = `
  CREATE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN NULL; END';
  CREATE TRIGGER hold_up AFTER INSERT ON messages FOR EACH ROW WHEN (NEW.message_text = 'held up') EXECUTE FUNCTION hold_up()`;
const IS_HELD_UP = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`;

for (const end of ['kill', 'stop']) {
  test(`after ${end === 'kill' ? 'the server was killed' : 'an orderly restart'} a client is in its rooms again and gets what it missed, in order and once`, {}, async (stage) => {
    const { customer, seller, conversationId } = stage;
    assert.equal((await customer.ask('chat:join', { conversationId })).success, true);
    await stage.tell('known');
    await stage.isWritten(1);
    const pid = customer.pid;
    await stage.restart(end);
    const missed = [];
    for (let n = 0; n < 5; n++) missed.push((await stage.say(`missed ${n}`)).message_text);
    assert.equal((await seller.ask('chat:join', { conversationId })).success, true);
    assert.equal(await customer.comeBack(), true);
    assert.equal(customer.pid, pid);
    await seller.waitFor('chat:user_joined', (e) => e.userId === USERS.customer.id);
    await stage.tell('live');
    seller.emit('chat:typing', { conversationId, isTyping: true });
    await customer.waitFor('chat:user_typing');
    assert.deepEqual(stage.texts, ['known', ...missed, 'live']);
    // And once more, within one life of the server.
    await customer.cut();
    await stage.say('later');
    assert.equal(await customer.comeBack(), true);
    await customer.waitFor('chat:new_message', (m) => m.message_text === 'later');
    assert.deepEqual(stage.texts, ['known', ...missed, 'live', 'later']);
  });
}

test('it also gets the edits, deletions, reactions and reads that it missed', {}, async (stage) => {
  const { customer, seller, conversationId } = stage;
  const [edited, liked, deleted] = [await stage.say('to edit'), await stage.say('to like'), await stage.say('to delete')];
  await stage.tell('known');
  await stage.isWritten();
  await stage.restart();
  const gone = await stage.say('missed and deleted');
  for (const [event, payload] of [
    ['chat:edit_message', { messageId: edited.id, newText: 'edited' }],
    ['chat:add_reaction', { messageId: liked.id, reaction: '👍' }],
    ['chat:delete_message', { messageId: deleted.id, deletionType: 'for_everyone' }],
    ['chat:delete_message', { messageId: gone.id, deletionType: 'for_everyone' }],
  ]) {
    assert.equal((await seller.ask(event, payload)).success, true, event);
  }
  assert.equal(await customer.comeBack(), true);
  await stage.scene.barrier(seller, customer, conversationId);
  const told = customer.sinceConnect().filter((e) => e.event !== 'chat:message_delivered' && e.event !== 'chat:user_status').slice(0, -1);
  assert.deepEqual(told.map((e) => e.event), [
    'chat:new_message', 'chat:message_edited', 'chat:reaction_added', 'chat:message_deleted', 'chat:message_deleted',
  ]);
  const [shell, text, reaction, one, other] = told.map((e) => e.data);
  assert.deepEqual([shell.id, shell.message_text, shell.is_deleted], [gone.id, '', true]);
  assert.deepEqual([text.id, text.message_text], [edited.id, 'edited']);
  assert.deepEqual([reaction.message_id, reaction.user_id], [liked.id, USERS.seller.id]);
  assert.deepEqual([one.message_id, other.message_id], [deleted.id, gone.id]);
});

test('if a reaction was removed in the meantime the client starts anew: the database does not know whose', {}, async (stage) => {
  const liked = await stage.say('liked');
  await stage.seller.ask('chat:add_reaction', { messageId: liked.id, reaction: '👍' });
  await stage.tell('known');
  await stage.isWritten();
  await sleep(QUIET);
  await stage.restart();
  assert.equal((await stage.seller.ask('chat:remove_reaction', { messageId: liked.id, reaction: '👍' })).success, true);
  await stage.startsAnew();
});

test('if another conversation has a message from about the time of the last event the client starts anew', {}, async (stage) => {
  const other = await stage.scene.conversation();
  await stage.tell('elsewhere', other);
  await stage.tell('known');
  await stage.isWritten();
  await stage.restart();
  await stage.say('missed');
  await stage.startsAnew();
});

test('a conversation that was quiet at that time continues with its first missed message', {}, async (stage) => {
  const { customer } = stage;
  const other = await stage.scene.conversation();
  await stage.tell('elsewhere', other);
  await sleep(QUIET);
  await stage.tell('known');
  await stage.isWritten();
  await stage.restart();
  await stage.say('missed here');
  await sleep(QUIET);
  await stage.say('missed elsewhere', other);
  assert.equal(await customer.comeBack(), true);
  await stage.tell('live', other);
  assert.deepEqual(stage.texts, ['elsewhere', 'known', 'missed here', 'missed elsewhere', 'live']);
});

test('an answer soon after a message of the client\'s own comes once, and so do the messages after it', {}, async (stage) => {
  const { customer, conversationId } = stage;
  assert.equal((await customer.ask('chat:send_message', { conversationId, message: 'asked', tempId: 't' })).success, true);
  await stage.tell('answered');
  await stage.isWritten(1);
  await stage.restart();
  await stage.say('missed');
  assert.equal(await customer.comeBack(), true);
  await stage.tell('live');
  assert.deepEqual(stage.texts, ['answered', 'missed', 'live']);
  assert.equal(customer.count('chat:message_sent'), 1);
});

if (external) {
  testWithOwnServer('a message that was stored long before it is told may be older than what was told meanwhile: the client starts anew', {}, async (server, scene) => {
    const proxy = await throughProxy(server);
    try {
      const stage = await Stage.set(server, scene);
      const slow = await scene.conversation();
      await stage.tell('known');
      await stage.isWritten();
      await stage.losesAnswer(proxy, slow);
      await stage.tell('told meanwhile');
      assert.equal(stage.customer.count('chat:new_message', (m) => m.message_text === 'held up'), 0, 'the other is not told yet');
      await stage.restart();
      await stage.startsAnew();
    } finally {
      proxy.close();
    }
  });

  testWithOwnServer('what the database told is not told again when its sending comes to light, while the client is away once more', {}, async (server, scene) => {
    const proxy = await throughProxy(server);
    try {
      const stage = await Stage.set(server, scene);
      const { customer } = stage;
      await stage.tell('known');
      await stage.isWritten();
      await stage.restart();
      const tab = await scene.connect('customer');
      await stage.losesAnswer(proxy);
      const offset = customer.socket._lastOffset;
      assert.equal(await customer.comeBack(), true);
      await customer.waitFor('chat:new_message', (m) => m.message_text === 'held up');
      assert.equal(tab.count('chat:new_message'), 0, 'nobody is told yet');
      await customer.cut();
      await tab.waitFor('chat:new_message', (m) => m.message_text === 'held up', 60_000);
      // As if its line had broken before it got the message.
      customer.socket._lastOffset = offset;
      assert.equal(await customer.comeBack(), true);
      await stage.tell('after');
      const told = customer.sinceConnect().filter((e) => e.event === 'chat:new_message');
      assert.deepEqual(told.map((e) => e.data.message_text), ['held up', 'after']);
    } finally {
      proxy.close();
    }
  });
}

test('if its user sent a message in the meantime the client starts anew', {}, async (stage) => {
  await stage.tell('known');
  await stage.isWritten();
  await stage.restart();
  const tab = await stage.scene.connect('customer');
  await stage.scene.say(tab, stage.conversationId, 'from another tab');
  await stage.startsAnew();
});

test('a client that is away for longer than RECOVERY_WINDOW starts anew', { RECOVERY_WINDOW: '2' }, async (stage) => {
  await stage.tell('known');
  await stage.isWritten();
  await stage.restart();
  await sleep(2500);
  await stage.startsAnew();
});

test('a client that got no event since it started anew starts anew again', {}, async (stage) => {
  const { customer, scene } = stage;
  await stage.tell('known');
  customer.socket.disconnect();
  await until(async () => !(await scene.status('seller', 'customer')).is_online, 'the customer is gone');
  await stage.say('for them to fetch');
  assert.equal(await customer.comeBack(), false);
  await stage.isWritten();
  await stage.restart();
  await stage.startsAnew();
});

if (external) {
  test('a client that got no event since then starts anew also if the clock of the database is ahead', {}, async (stage) => {
    const { customer, scene, server } = stage;
    server.database.sql(`
      CREATE OR REPLACE FUNCTION pg_catalog.now() RETURNS timestamptz LANGUAGE sql STABLE AS
        $$ SELECT pg_catalog.transaction_timestamp() + interval '20 seconds' $$;
      CREATE OR REPLACE FUNCTION pg_catalog.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
        $$ SELECT pg_catalog.timeofday()::timestamptz + interval '20 seconds' $$`);
    await stage.tell('known');
    customer.socket.disconnect();
    await until(async () => !(await scene.status('seller', 'customer')).is_online, 'the customer is gone');
    await stage.say('for them to fetch');
    assert.equal(await customer.comeBack(), false);
    await stage.isWritten();
    await stage.restart();
    await stage.startsAnew();
  });
}

test('an offset that the database does not know recovers nothing', {}, async (stage) => {
  await stage.tell('known');
  await stage.isWritten();
  await stage.restart();
  const offset = stage.customer.offsets.findLast((more) => more.length > 0)[0];
  stage.customer.socket._lastOffset = offset.replace(/\.1\./, '.2.');
  assert.notEqual(stage.customer.socket._lastOffset, offset);
  await stage.startsAnew();
});

test('a pid from before the restart works once', {}, async (stage) => {
  const { customer, scene, server } = stage;
  await stage.tell('known');
  await stage.isWritten();
  const [pid, offset] = [customer.pid, customer.offsets.findLast((more) => more.length > 0)[0]];
  await stage.restart();
  const thief = await LineClient.open(server, USERS.customer, { auth: { pid, offset } });
  scene.clients.push(thief);
  assert.equal(thief.pid, pid);
  thief.socket.disconnect();
  await until(async () => !(await scene.status('seller', 'customer')).is_online, 'it is gone');
  await stage.startsAnew();
});

test('a read from before the client\'s own last message is not sent after it: it would look like a read of that message too', {}, async (stage) => {
  const { customer, seller, scene, conversationId } = stage;
  const send = async (message) => {
    const sent = await customer.ask('chat:send_message', { conversationId, message, tempId: message });
    assert.equal(sent.success, true);
    await customer.waitFor('chat:message_sent');
  };
  await send('read');
  assert.equal((await seller.ask('chat:mark_read', { conversationId })).success, true);
  await customer.waitFor('chat:messages_read');
  await send('not read');
  await stage.isWritten(1);
  await stage.restart();
  await stage.say('missed');
  assert.equal(await customer.comeBack(), true);
  await customer.waitFor('chat:new_message', (m) => m.message_text === 'missed');
  await scene.barrier(seller, customer, conversationId);
  assert.deepEqual(customer.all('chat:messages_read').map((read) => read.last_read_seq), [1]);
});

if (external) {
  test('the database does not keep a socket that is in more rooms than it could come back to', { MAX_READS_PER_SECOND: '0', MAX_ACTIONS_PER_SECOND: '0', MAX_JOINS_PER_SECOND: '0' }, async (stage) => {
    const { customer, server } = stage;
    const id = customer.pid.split('.')[0];
    await stage.isWritten(0);
    const rooms = server.database.sql(
      `INSERT INTO conversations (type, participant_ids) SELECT 'customer_seller', '["${USERS.customer.id}", "${USERS.seller.id}"]' FROM generate_series(1, 1001) RETURNING id`,
    );
    for (const conversationId of rooms.split('\n')) customer.emit('chat:mark_read', { conversationId });
    assert.equal((await customer.ask('chat:mark_read', { conversationId: stage.conversationId })).success, true);
    await until(() => server.database.sql(`SELECT count(*) FROM chat_returning_sockets WHERE pid = '${id}'`) === '0', 'the row is gone');
  });
}
