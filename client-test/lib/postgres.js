'use strict';

// With TEST_DATABASE_URL the suite runs against a real PostgreSQL instead of the embedded one.
// Each server under test gets a new database beside the given one, so that test files neither see
// each other's rows nor leave any behind; where that is not possible, the given database itself.
// It also opens what the embedded mode cannot show: other users, closed conversations, the SQL objects.

const { execFileSync } = require('node:child_process');
const { randomBytes } = require('node:crypto');
const { USERS } = require('./users');

const TEST_DATABASE_URL = process.env.TEST_DATABASE_URL || undefined;
// A pooler in front of it: then the servers under test reach it through that, and the tests themselves directly.
const TEST_POOLER_URL = process.env.TEST_POOLER_URL || undefined;

function query(url, sql) {
  return execFileSync('psql', ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', url, '-c', sql], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trim();
}

const quote = (text) => `'${String(text).replaceAll("'", "''")}'`;

class Database {
  constructor(url, temporaryName) {
    this.url = url;
    this.temporaryName = temporaryName;
  }

  /** Where the server under test connects to. */
  get serverUrl() {
    if (!TEST_POOLER_URL) return this.url;
    const url = new URL(TEST_POOLER_URL);
    url.pathname = new URL(this.url).pathname;
    return url.toString();
  }

  sql(text) {
    return query(this.url, text);
  }

  addUser({ id, email, role, displayName, status = 'active' }) {
    const values = [id, email, 'x', role, displayName, status].map(quote).join(', ');
    this.sql(
      `INSERT INTO users (id, email, password_hash, role, display_name, status) VALUES (${values}) ON CONFLICT (id) DO NOTHING`,
    );
  }

  seedUsers() {
    Object.values(USERS).forEach((user) => this.addUser(user));
  }

  drop() {
    if (this.temporaryName) query(TEST_DATABASE_URL, `DROP DATABASE IF EXISTS "${this.temporaryName}" WITH (FORCE)`);
  }
}

/** A new database, or undefined in embedded mode. */
function fresh() {
  if (!TEST_DATABASE_URL) return undefined;
  const name = `souk_e2e_${randomBytes(6).toString('hex')}`;
  try {
    query(TEST_DATABASE_URL, `CREATE DATABASE "${name}"`);
  } catch (error) {
    console.error(`# no database of its own for this file (${error.message.split('\n')[0]}): using TEST_DATABASE_URL itself`);
    return new Database(TEST_DATABASE_URL);
  }
  const url = new URL(TEST_DATABASE_URL);
  url.pathname = `/${name}`;
  return new Database(url.toString(), name);
}

module.exports = { fresh, external: TEST_DATABASE_URL !== undefined, pooled: TEST_POOLER_URL !== undefined };
