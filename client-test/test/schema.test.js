'use strict';

// docs/schema.sql is the schema that the server makes in an empty database. With AUTO_MIGRATE=false `souk` does not start on another
// schema. Run with TEST_DATABASE_URL.

const test = require('node:test');
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { REPOSITORY, Server, run } = require('../lib/server');
const { external } = require('../lib/postgres');

const SCHEMA = fs.readFileSync(path.join(REPOSITORY, 'docs', 'schema.sql'), 'utf8');
const WRITTEN_WITH = SCHEMA.match(/^-- PostgreSQL (\d+)/m)[1];

/** Runs a body with an empty database and the settings of a server on it. */
async function onEmptyDatabase(t, body) {
  if (!external) return t.skip('needs TEST_DATABASE_URL');
  const server = new Server({ env: { USER_INDEXES: 'false' } });
  try {
    return await body(server);
  } finally {
    await server.dispose();
  }
}

/** Why the schema of the database at `url` cannot be compared on this machine; undefined if it can. */
function obstacle(database) {
  const version = (text) => text.match(/\d+/)[0];
  const server = version(database.sql('SHOW server_version'));
  if (server !== WRITTEN_WITH) return `docs/schema.sql was written with PostgreSQL ${WRITTEN_WITH}, this is ${server}`;
  try {
    const client = version(execFileSync('pg_dump', ['--version'], { encoding: 'utf8' }));
    return client === server ? undefined : `pg_dump is of version ${client}, the server of ${server}`;
  } catch (error) {
    return `pg_dump is missing (${error.code})`;
  }
}

test('docs/schema.sql is the schema of a new database: after a change of the migrations run scripts/schema', (t) =>
  onEmptyDatabase(t, async (server) => {
    const reason = obstacle(server.database);
    if (reason) return t.skip(reason);
    const migrated = await run(['migrate'], server.settings());
    assert.equal(migrated.code, 0, migrated.stderr);
    const script = path.join(REPOSITORY, 'scripts', 'schema');
    const made = execFileSync(script, ['--print', server.database.url], { encoding: 'utf8' });
    assert.equal(made, SCHEMA);
  }));

test('with AUTO_MIGRATE=false souk refuses an old schema with one line, until souk migrate has run', (t) =>
  onEmptyDatabase(t, async (server) => {
    const settings = { ...server.settings(), AUTO_MIGRATE: 'false' };
    const refused = await run(['serve'], settings);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /^souk: database: the schema is older than this server, and AUTO_MIGRATE is false: run `souk migrate` first \(missing: 0001, .*\)\n$/);
    assert.equal(server.database.sql("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"), '0');
    const migrated = await run(['migrate'], settings);
    assert.equal(migrated.code, 0, migrated.stderr);
    server.env = { ...server.env, AUTO_MIGRATE: 'false' };
    server.migrated = true;
    await server.start();
  }));
