'use strict';

// A server with its database, users and rooms, made new for each run.

const { fork } = require('node:child_process');
const path = require('node:path');
const { randomUUID } = require('node:crypto');
const { CROWD, Server } = require('../lib/server');
const { tokenFor } = require('../lib/jwt');
const { external } = require('../lib/postgres');

const quote = (text) => `'${text}'`;

// The limits are what is tried here.
const AS_EVER = Object.fromEntries(Object.keys(CROWD).map((name) => [name, undefined]));

class World {
  /** With the limits that the server has by default, which the test suite switches off. */
  static async start(env = {}) {
    if (!external) throw new Error('TEST_DATABASE_URL is needed: scripts/overload sets it');
    const world = new World();
    world.server = new Server({ env: { ...AS_EVER, RUST_LOG: 'warn', ...env } });
    await world.server.start();
    world.children = new Set();
    world.people = 0;
    return world;
  }

  get url() {
    return this.server.url;
  }

  get pid() {
    return this.server.child.pid;
  }

  /** The processes of the database that work for this server. */
  get databasePids() {
    const pids = this.server.database.sql('SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()');
    return pids.split('\n').map(Number);
  }

  /** So many new users, each with an address of their own. */
  addPeople(n, role = 'customer') {
    const people = Array.from({ length: n }, () => {
      const id = randomUUID();
      const i = this.people++;
      return { id, token: tokenFor({ id, role }), address: `198.51.${100 + (i >> 8)}.${i & 255}` };
    });
    const rows = people.map(({ id }) => `(${quote(id)}, ${quote(`${id}@souk.example`)}, 'x', ${quote(role)}, 'Crowd', 'active')`);
    this.server.database.sql(`INSERT INTO users (id, email, password_hash, role, display_name, status) VALUES ${rows.join(', ')}`);
    return people;
  }

  /** So many customers and sellers whom nobody knows, as a shop has them. */
  addStrangers(n) {
    this.server.database.sql(
      `INSERT INTO users (id, email, password_hash, role, display_name, status)
       SELECT gen_random_uuid(), 'user' || i || '@souk.example', 'x', (ARRAY['customer', 'seller'])[1 + i % 2], 'User ' || i, 'active'
       FROM generate_series(1, ${n}) i;
       ANALYZE users`,
    );
  }

  /** A conversation of these people. */
  addRoom(people) {
    const id = randomUUID();
    const ids = JSON.stringify(people.map((p) => p.id));
    this.server.database.sql(`INSERT INTO conversations (id, type, participant_ids, status) VALUES (${quote(id)}, 'internal', ${quote(ids)}, 'active')`);
    return { id, people };
  }

  /** A process beside this one; `nice` says how far it stands back for the others. */
  child(file, job, { nice = 0 } = {}) {
    const child = fork(path.join(__dirname, file), [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    if (nice) require('node:os').setPriority(child.pid, nice);
    this.children.add(child);
    child.ended = new Promise((resolve) => child.on('exit', resolve));
    child.ended.then(() => this.children.delete(child));
    child.send({ url: this.url, ...job });
    return child;
  }

  async stop() {
    for (const child of this.children) child.kill('SIGKILL');
    await this.server.dispose();
  }
}

/** The next message of this kind from a child. */
function said(child, kind) {
  return new Promise((resolve, reject) => {
    const listen = (message) => {
      if (message.kind !== kind) return;
      child.off('message', listen);
      resolve(message);
    };
    child.on('message', listen);
    child.ended.then(() => reject(new Error(`the process ended before it said ${kind}`)));
  });
}

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

module.exports = { World, said, pause };
