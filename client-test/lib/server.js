'use strict';

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { SECRET } = require('./jwt');
const { within } = require('./limits');
const postgres = require('./postgres');

const REPOSITORY = path.resolve(__dirname, '..', '..');

function binary() {
  if (process.env.SOUK_BIN) return process.env.SOUK_BIN;
  const target = process.env.CARGO_TARGET_DIR || path.join(REPOSITORY, 'target');
  const candidates = ['debug', 'release'].map((profile) => path.join(target, profile, 'souk'));
  const found = candidates.find((file) => fs.existsSync(file));
  if (!found) throw new Error(`no souk binary: build it, or set SOUK_BIN (looked for ${candidates.join(', ')})`);
  return found;
}

// Whatever the developer's shell has set must not leak into the server under test.
const FOREIGN = ['DATABASE_URL', 'JWT_SECRET', 'FRONTEND_URL', 'NODE_ENV', 'PORT', 'HOST', 'DATA_DIR', 'NODE_TEST_CONTEXT'];

// Nothing outlives its test, not even when the run is broken off.
const alive = new Set();
process.on('exit', () => alive.forEach((server) => server.abandon()));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

function environment(extra = {}) {
  const env = { ...process.env };
  for (const name of FOREIGN) delete env[name];
  for (const [name, value] of Object.entries(extra)) if (value !== undefined) env[name] = value;
  return env;
}

/** Runs a souk command to its end: `{ code, stdout, stderr }`. */
function run(args, env, cwd = os.tmpdir()) {
  const child = spawn(binary(), args, { env: environment(env), cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  const out = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr']) child[stream].setEncoding('utf8').on('data', (text) => (out[stream] += text));
  const end = new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, ...out }));
  });
  return within(end, `souk ${args.join(' ')} to end`, 60_000).finally(() => child.kill('SIGKILL'));
}

// Four demo users do what a crowd would: limits.test.js has the limits.
const CROWD = Object.fromEntries(['MAX_NEW_CONVERSATIONS_PER_HOUR', 'MAX_NEW_CONVERSATIONS_PER_PAIR_PER_HOUR', 'MAX_UPLOAD_BYTES_PER_DAY', 'MAX_UPLOADS_PER_MINUTE', 'MAX_REFUSALS_PER_SECOND_PER_IP', 'MAX_MESSAGES_PER_SECOND'].map((name) => [name, '0']));

/** A server on a data directory of its own; it can be stopped, killed and started again on the same data. */
class Server {
  constructor({ env = {} } = {}) {
    this.env = env;
    this.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'souk-e2e-'));
    this.log = '';
    this.stdout = '';
    this.database = postgres.fresh();
    alive.add(this);
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  get dataDir() {
    return path.join(this.directory, 'data');
  }

  settings() {
    return {
      HOST: '127.0.0.1',
      PORT: String(this.port ?? 0),
      DATA_DIR: this.dataDir,
      DATABASE_URL: this.database?.serverUrl,
      JWT_SECRET: SECRET,
      // Who goes is offline at once: presence-grace.test.js has the grace.
      PRESENCE_GRACE: '0',
      ...CROWD,
      ...this.env,
    };
  }

  /** Starts it, or starts it again: then on the same port, so that clients can reconnect. */
  async start() {
    if (this.database && !this.migrated) await this.prepareDatabase();
    this.stdout = '';
    // Its own directory as the working directory keeps a developer's .env file out.
    const child = spawn(binary(), [], {
      env: environment(this.settings()),
      cwd: this.directory,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child = child;
    this.exited = new Promise((resolve) => child.on('exit', (code, signal) => resolve({ code, signal })));
    const ready = new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('exit', (code, signal) => reject(new Error(`server ended (${code ?? signal}) before it was ready:\n${this.tail()}`)));
      child.stdout.setEncoding('utf8').on('data', (text) => {
        this.log += text;
        this.stdout += text;
        const match = this.stdout.match(/Server running on port (\d+)/);
        if (match) resolve(Number(match[1]));
      });
      child.stderr.setEncoding('utf8').on('data', (text) => (this.log += text));
    });
    try {
      this.port = await within(ready, 'the server to start', 90_000);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
    return this;
  }

  async prepareDatabase() {
    const { code, stdout, stderr } = await run(['migrate'], this.settings(), this.directory);
    if (code !== 0) throw new Error(`souk migrate ended with ${code}:\n${stdout}${stderr}`);
    this.database.seedUsers();
    this.migrated = true;
  }

  /** As an operator stops it. Resolves to how it ended. */
  async stop(signal = 'SIGTERM') {
    if (!this.running) return this.exited;
    this.child.kill(signal);
    try {
      return await within(this.exited, `the server to end after ${signal}`, 30_000);
    } catch (error) {
      this.child.kill('SIGKILL');
      throw error;
    }
  }

  /** As a power cut stops it. */
  kill() {
    return this.stop('SIGKILL');
  }

  get running() {
    return this.child && this.child.exitCode === null && this.child.signalCode === null;
  }

  tail(lines = 40) {
    return this.log.split('\n').slice(-lines).join('\n');
  }

  /** With a failed test: what the server logged since `from`, a diagnostic a line, because the reporters escape line breaks. */
  showLog(t, from = 0) {
    const lines = this.log.slice(from).split('\n').filter(Boolean).slice(-30);
    for (const line of lines) t.diagnostic(`server: ${line}`);
  }

  async dispose() {
    try {
      await this.stop();
    } finally {
      this.abandon();
    }
  }

  /** Whatever state it is in: the process, its files and its database are gone afterwards. */
  abandon() {
    alive.delete(this);
    this.child?.kill('SIGKILL');
    fs.rmSync(this.directory, { recursive: true, force: true });
    this.database?.drop();
  }
}

module.exports = { CROWD, Server, run, environment, REPOSITORY };
