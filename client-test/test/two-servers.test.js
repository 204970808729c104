'use strict';

// Two servers on one database are not linked: each warns of that, and members on the other server still get notifications.

const nodeTest = require('node:test');
const assert = require('node:assert/strict');
const { external } = require('../lib/postgres');
const { Server } = require('../lib/server');
const { Scene } = require('../lib/suite');
const { LineClient } = require('../lib/line');
const { USERS } = require('../lib/users');
const { until } = require('../lib/limits');

/** A first server and a second one on its database. */
async function twoServers(body) {
  const first = new Server({ env: { SERVER_NAME: 'first' } });
  const second = new Server({ env: { SERVER_NAME: 'second' } });
  const own = second.database;
  const scenes = [first, second].map((server) => new Scene(server));
  try {
    await first.start();
    second.database = first.database;
    second.migrated = true;
    await second.start();
    await body(...scenes);
  } finally {
    for (const client of scenes.flatMap((scene) => scene.clients)) client.close();
    second.database = own;
    await second.dispose();
    await first.dispose();
  }
}

nodeTest.test('a server that finds another on its database warns at start, and the other one warns too', { skip: !external }, () =>
  twoServers(async (one, two) => {
    await until(() => two.server.log.includes('another server is registered: first'), 'the second to say so');
    await until(() => one.server.log.includes('another server is registered: second'), 'the first to notice');
  }));

nodeTest.test('a server that is alone does not warn, not even of its own earlier run', { skip: !external }, async () => {
  const server = new Server({ env: { SERVER_NAME: 'only' } });
  try {
    await server.start();
    await server.kill();
    await server.start();
    assert.doesNotMatch(server.log, /another server is registered/);
  } finally {
    await server.dispose();
  }
});

nodeTest.test('a user connected to another server gets the notification', { skip: !external }, () =>
  twoServers(async (one, two) => {
    const conversationId = await one.conversation();
    const customer = await one.connect('customer');
    const seller = await two.connect('seller');
    const held = () => one.server.database.sql(`SELECT count(*) FROM chat_server_users WHERE user_id = '${USERS.seller.id}' AND server_name = 'second'`);
    await until(() => held() === '1', 'the second server to hold the seller');
    await one.say(customer, conversationId, 'are you there?');
    const rows = () => one.server.database.sql(`SELECT count(*) FROM notifications WHERE user_id = '${USERS.seller.id}'`);
    await until(() => rows() === '1', 'the notification');
    assert.equal(seller.count('chat:new_message'), 0, 'servers are not linked yet');
  }));

nodeTest.test('a client comes back to a restarted server, however long the other server ran alone', { skip: !external }, () =>
  twoServers(async (one, two) => {
    const { server } = one;
    const conversationId = await one.conversation();
    const customer = await LineClient.open(server, USERS.customer);
    one.clients.push(customer);
    const seller = await one.connect('seller', { reconnection: false });
    await one.say(seller, conversationId, 'known');
    await customer.waitFor('chat:new_message');
    const id = customer.pid.split('.')[0];
    await until(() => server.database.sql(`SELECT count(*) FROM chat_returning_sockets WHERE pid = '${id}'`) === '1', 'the socket is written');
    customer.isDown = true;
    await server.stop();
    const beat = () => server.database.sql("SELECT heartbeat_at FROM chat_servers WHERE name = 'second'");
    for (const time of ['first', 'second']) {
      const last = beat();
      await until(() => beat() !== last, `the other server's heart to beat for the ${time} time`, 30_000);
    }
    await server.start();
    await one.say(await two.connect('seller'), conversationId, 'missed');
    assert.equal(await customer.comeBack(), true);
    await customer.waitFor('chat:new_message', (m) => m.message_text === 'missed');
  }));
