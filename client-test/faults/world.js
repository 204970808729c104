'use strict';

// A server with its database, and a proxy on each side of the server that can break connections.

const { Server } = require('../lib/server');
const { until } = require('../lib/limits');
const { request } = require('../lib/rest');
const { tokenFor } = require('../lib/jwt');
const { Cluster, Sql } = require('./cluster');
const { Proxy } = require('./proxy');

const ENVIRONMENT = {
  // A peer that fell silent is noticed while the round lasts.
  PING_INTERVAL: '4',
  PING_TIMEOUT: '6',
  // Whether the server refuses work under load is not the question here.
  ...Object.fromEntries(
    [
      'MAX_CONNECTIONS', 'MAX_CONNECTIONS_PER_IP', 'MAX_CONNECTIONS_PER_USER', 'MAX_HANDSHAKES_PER_SECOND', 'MAX_MESSAGES_PER_SECOND',
      'MAX_TYPING_PER_SECOND', 'MAX_JOINS_PER_SECOND', 'MAX_ACTIONS_PER_SECOND', 'MAX_READS_PER_SECOND', 'MAX_SEARCHES_PER_SECOND',
      'MAX_NEW_CONVERSATIONS_PER_HOUR', 'MAX_NEW_CONVERSATIONS_PER_PAIR_PER_HOUR',
    ].map((name) => [name, '0']),
  ),
};

/** People of two kinds who may talk to each other; ids that nobody else has. */
function makeUsers(count) {
  return Array.from({ length: count }, (_, i) => {
    const role = i % 2 ? 'seller' : 'customer';
    const name = `${role}${String(Math.floor(i / 2)).padStart(2, '0')}`;
    return { id: `00000000-0000-4000-9000-${i.toString(16).padStart(12, '0')}`, email: `${name}@faults.example`, role, displayName: name, name };
  });
}

class World {
  constructor({ users }) {
    this.cluster = new Cluster({ bin: process.env.PG_BIN, directory: process.env.PG_DIR });
    this.server = new Server({ env: { ...ENVIRONMENT } });
    this.sql = new Sql(this.server.database.url);
    this.users = makeUsers(users);
    this.toServer = new Proxy(() => this.server.port);
    this.toPostgres = new Proxy(() => Number(new URL(this.sql.url).port));
  }

  get url() {
    return `http://127.0.0.1:${this.toServer.port}`;
  }

  async start() {
    await this.toPostgres.listen();
    await this.toServer.listen();
    const url = new URL(this.sql.url);
    url.port = this.toPostgres.port;
    this.server.env.DATABASE_URL = url.toString();
    // So that the checker can ask in which order messages were committed.
    await this.sql.run('ALTER SYSTEM SET track_commit_timestamp = on');
    await this.cluster.start();
    await this.server.start();
    // The database goes with its cluster. Whoever wanted to drop it at the end would wait for a Postgres that may stand still.
    this.server.database = undefined;
    const values = this.users.map((u) => `('${u.id}', '${u.email}', 'x', '${u.role}', '${u.displayName}', 'active')`);
    await this.sql.run(`INSERT INTO users (id, email, password_hash, role, display_name, status) VALUES ${values.join(', ')}`);
    return this;
  }

  /** Empties the chat, and opens conversations: everyone with one of the other side and, the other way round, with the next. */
  async newConversations() {
    await this.sql.run('TRUNCATE conversations, notifications CASCADE');
    const customers = this.users.filter((u) => u.role === 'customer');
    const sellers = this.users.filter((u) => u.role === 'seller');
    const pairs = customers.flatMap((customer, i) => [0, 1].map((step) => [customer, sellers[(i + step) % sellers.length]]));
    return Promise.all(
      pairs.map(async ([customer, seller]) => {
        const open = { method: 'POST', token: tokenFor(customer), body: { participantId: seller.id } };
        // More than once, because after the last round the server may not know yet that its sessions are dead.
        const { body } = await until(async () => {
          const answer = await request(`${this.server.url}/api/chat/conversations`, open);
          return answer.status === 200 && answer;
        }, `${customer.name} opens a conversation with ${seller.name}`);
        return { id: body.data.id, users: [customer, seller] };
      }),
    );
  }

  /** The ids of those whom the database shows as online, of these users. */
  async online() {
    const rows = await this.sql.rows('SELECT user_id FROM user_online_status WHERE is_online');
    return new Set(rows.map((row) => row.user_id));
  }

  async dispose() {
    this.cluster.thaw();
    await this.server.dispose();
    this.toServer.close();
    this.toPostgres.close();
  }
}

module.exports = { World };
