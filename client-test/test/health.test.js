'use strict';

// GET /api/v1/health asks the database at most once a second, however many clients ask.

const nodeTest = require('node:test');
const assert = require('node:assert/strict');
const { Proxy } = require('../faults/proxy');
const { external } = require('../lib/postgres');
const { request } = require('../lib/rest');
const { Server } = require('../lib/server');
const { until } = require('../lib/limits');

const health = (server) => request(`${server.url}/api/v1/health`);

/** A server whose line to the database can be stalled. */
async function withLine(body) {
  const server = new Server();
  const direct = new URL(server.database.serverUrl);
  const target = Number(direct.port);
  const proxy = await new Proxy(() => target).listen();
  direct.port = String(proxy.port);
  try {
    await server.prepareDatabase();
    server.env = { ...server.env, DATABASE_URL: direct.toString() };
    await server.start();
    await body(server, proxy);
  } finally {
    proxy.resume();
    await server.dispose();
    proxy.close();
  }
}

nodeTest.test('a database that does not answer: 503 degraded within 1.5 s, and healthy again when it does', { skip: !external }, () =>
  withLine(async (server, proxy) => {
    assert.equal((await health(server)).status, 200);
    proxy.stall();
    let answer;
    await until(async () => {
      const asked = performance.now();
      answer = await health(server);
      assert.ok(performance.now() - asked < 1500, 'an answer comes soon, whatever it is');
      return answer.status === 503;
    }, 'health to notice');
    const { status, success, code, environment, uptime, timestamp } = answer.body;
    assert.deepEqual({ status, success, code }, { status: 'degraded', success: false, code: 'database_unavailable' });
    assert.ok(environment && uptime > 0 && timestamp);
    assert.equal(answer.headers['retry-after'], '1');
    proxy.resume();
    await until(async () => (await health(server)).status === 200, 'health to be well again');
  }));

nodeTest.test('a read-only database: 503 database_not_writable', { skip: !external }, async () => {
  const server = new Server();
  try {
    await server.start();
    const name = new URL(server.database.url).pathname.slice(1);
    const others = 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()';
    server.database.sql(`ALTER DATABASE "${name}" SET default_transaction_read_only = on`);
    server.database.sql(others);
    let answer;
    await until(async () => {
      answer = await health(server);
      return answer.body.code === 'database_not_writable';
    }, 'health to notice');
    assert.equal(answer.status, 503);
    assert.equal(answer.body.status, 'degraded');
    server.database.sql(`BEGIN READ WRITE; ALTER DATABASE "${name}" RESET default_transaction_read_only; COMMIT`);
    server.database.sql(others);
    await until(async () => (await health(server)).status === 200, 'health to be well again');
  } finally {
    await server.dispose();
  }
});

nodeTest.test('a thousand simultaneous health requests cause only a few statements', { skip: !external }, async () => {
  const server = new Server();
  try {
    await server.start();
    server.database.sql(`
      CREATE TABLE probes (n integer);
      CREATE FUNCTION count_probe() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO probes VALUES (1); RETURN NULL; END';
      CREATE TRIGGER count_probe AFTER UPDATE ON chat_servers FOR EACH ROW EXECUTE FUNCTION count_probe()`);
    const started = performance.now();
    for (let round = 0; round < 20; round++) {
      const answers = await Promise.all(Array.from({ length: 50 }, () => health(server)));
      assert.ok(answers.every((answer) => answer.status === 200));
    }
    const seconds = (performance.now() - started) / 1000;
    // The heart beats meanwhile too.
    const probes = Number(server.database.sql('SELECT count(*) FROM probes'));
    assert.ok(probes > 0 && probes <= seconds + 3, `${probes} probes in ${seconds} s`);
  } finally {
    await server.dispose();
  }
});
