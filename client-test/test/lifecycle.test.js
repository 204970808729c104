'use strict';

// Starting and stopping the server, and its other commands.

const nodeTest = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { testWithOwnServer } = require('../lib/own-server');
const { run } = require('../lib/server');
const { request } = require('../lib/rest');
const { SECRET } = require('../lib/jwt');
const { until } = require('../lib/limits');
const { external } = require('../lib/postgres');
const { USERS } = require('../lib/users');

const test = (name, body, options = {}) => testWithOwnServer(name, options, body);

const JWT = /eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+/g;
const listWith = (server, token) => request(`${server.url}/api/chat/conversations`, { token });

test('on start, stdout has the lines that scripts wait for', async (server) => {
  await server.start();
  const lines = [
    `🚀 Server running on port ${server.port}`,
    '💬 Socket.IO chat system initialized',
    '[Socket.IO] Server initialized',
    '[Chat] Event handlers initialized',
  ];
  for (const line of lines) await until(() => server.stdout.includes(line), `stdout has: ${line}`);
});

test('the port accepts connections as soon as the line is printed', async (server) => {
  await server.start();
  assert.equal((await request(`${server.url}/api/v1/health`)).status, 200);
});

test('the port is 5000 by default', async (server) => {
  // Only where that port is free: the test must not fail for what else runs on the machine.
  if (await listens(5000)) return;
  await server.start();
  assert.equal(server.port, 5000);
}, { env: { PORT: undefined } });

const listens = (port) =>
  new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('connect', () => (socket.destroy(), resolve(true)));
    socket.on('error', () => resolve(false));
  });

for (const signal of ['SIGTERM', 'SIGINT']) {
  test(`${signal} shuts the server down in an orderly way`, async (server, scene) => {
    await server.start();
    await scene.connect('customer');
    assert.equal((await server.stop(signal)).code, 0);
  });
}

test('a port in use: an error that names it, and a failing exit code', async (server) => {
  await server.start();
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'souk-e2e-'));
  try {
    const second = await run([], { ...server.settings(), DATA_DIR: directory }, directory);
    assert.notEqual(second.code, 0);
    assert.match(second.stdout + second.stderr, new RegExp(server.port));
    assert.doesNotMatch(second.stdout, /Server running/);
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
});

test('settings and limits are read from the environment', async (server, scene) => {
  await server.start();
  assert.equal((await request(`${server.url}/api/v1/health`)).body.environment, 'staging');
  const conversationId = await scene.conversation();
  const customer = await scene.connect('customer');
  await scene.say(customer, conversationId, 'x'.repeat(20));
  const answer = await customer.ask('chat:send_message', { conversationId, message: 'x'.repeat(21) });
  assert.equal(answer.code, 'message_too_long');
}, { env: { NODE_ENV: 'staging', MAX_MESSAGE_CHARS: '20' } });

test('souk migrate: exit 0, the second time too', async (server) => {
  for (let i = 0; i < 2; i++) {
    const { code, stdout, stderr } = await run(['migrate'], server.settings(), server.directory);
    assert.equal(code, 0, stdout + stderr);
  }
  await server.start();
});

for (const user of [USERS.customer.email, USERS.customer.id]) {
  test(`souk token --user ${user}: a token that is accepted`, async (server) => {
    await server.start();
    await server.stop();
    const { code, stdout, stderr } = await run(['token', '--user', user], server.settings(), server.directory);
    assert.equal(code, 0, stderr);
    const [token] = stdout.match(JWT);
    const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
    assert.deepEqual([claims.userId, claims.role], [USERS.customer.id, 'customer']);
    assert.ok(claims.exp > Date.now() / 1000 && claims.iat <= Date.now() / 1000 + 5);
    await server.start();
    assert.equal((await listWith(server, token)).status, 200);
  });
}

test('souk token for an unknown user: an error, and no token', async (server) => {
  await server.start();
  await server.stop();
  const { code, stdout, stderr } = await run(['token', '--user', 'nobody@souk.example'], server.settings(), server.directory);
  assert.notEqual(code, 0);
  assert.doesNotMatch(stdout, JWT);
  assert.match(stderr, /nobody@souk\.example|not found/i);
});

test('without any setting: demo tokens are printed, and stay valid after a restart', async (server) => {
  await server.start();
  const tokens = await until(() => {
    const found = new Set(server.log.match(JWT));
    return found.size >= 4 && [...found];
  }, 'a token for each demo user is shown');
  assert.match(server.log, /curl/);
  const users = tokens.map((token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).userId);
  for (const user of Object.values(USERS)) assert.ok(users.includes(user.id), user.email);
  for (const token of tokens) assert.equal((await listWith(server, token)).status, 200);
  await server.stop();
  await server.start();
  assert.equal((await listWith(server, tokens[0])).status, 200);
}, { env: { JWT_SECRET: undefined }, skip: external && 'only the embedded mode does so' });

const EMBEDDED_ONLY = { skip: external && 'only the embedded mode does so' };

/** The ports on which a process listens (Linux). */
function listeningPorts(pid) {
  const inodes = new Set();
  for (const fd of fs.readdirSync(`/proc/${pid}/fd`)) {
    const target = fs.readlinkSync(`/proc/${pid}/fd/${fd}`, { encoding: 'utf8' });
    inodes.add(target.match(/^socket:\[(\d+)\]$/)?.[1]);
  }
  const lines = ['tcp', 'tcp6'].flatMap((file) => fs.readFileSync(`/proc/${pid}/net/${file}`, 'utf8').split('\n').slice(1));
  const fields = lines.map((line) => line.trim().split(/\s+/)).filter((f) => f[3] === '0A' && inodes.has(f[9]));
  return fields.map((f) => parseInt(f[1].split(':')[1], 16));
}

test('the embedded database listens on no port, only where nobody but the server\'s own user may go', async (server) => {
  await server.start();
  assert.deepEqual(listeningPorts(server.child.pid), [server.port]);
  assert.equal(fs.statSync(path.join(server.dataDir, 'socket')).mode & 0o777, 0o700);
}, EMBEDDED_ONLY);

test('in production the embedded database has no demo users, and no token is printed', async (server) => {
  // Those of a first start before it was production may not enter either.
  await server.start();
  const { stdout } = await run(['token', '--user', USERS.admin.email], server.settings(), server.directory);
  const [token] = stdout.match(JWT);
  assert.equal((await listWith(server, token)).status, 200);
  await server.stop();
  const before = server.log.length;
  server.env = { ...server.env, NODE_ENV: 'production', EMBEDDED: 'true' };
  await server.start();
  assert.equal((await listWith(server, token)).status, 403);
  assert.doesNotMatch(server.log.slice(before), JWT);
}, EMBEDDED_ONLY);

const ODD = { PORT: '0', HOST: '127.0.0.1', JWT_SECRET: SECRET };
for (const [name, env, args] of [
  ['PORT', { ...ODD, PORT: 'abc' }],
  ['PORT', { ...ODD, PORT: '70000' }],
  ['DATABASE_URL', { ...ODD, NODE_ENV: 'production' }],
  ['EMBEDDED', { ...ODD, EMBEDDED: 'perhaps' }],
  ['DATABASE_POOLER', { ...ODD, DATABASE_POOLER: 'statement' }],
  ['MAX_MESSAGE_CHARS', { ...ODD, MAX_MESSAGE_CHARS: 'many' }],
  ['JWT_SECRET', { ...ODD, DATABASE_URL: 'postgres://127.0.0.1:1/none', JWT_SECRET: undefined }],
  ['JWT_SECRET', { ...ODD, DATABASE_URL: 'postgres://127.0.0.1:1/none', JWT_SECRET: 'short' }],
]) {
  const value = env[name] === undefined ? 'missing beside DATABASE_URL' : env[name];
  nodeTest.test(`a configuration error ends with exit 2 and one line: ${name} ${value}`, async () => {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'souk-e2e-'));
    try {
      const { code, stdout, stderr } = await run(args ?? [], { ...env, DATA_DIR: directory }, directory);
      assert.equal(code, 2, stdout + stderr);
      assert.match(stderr, new RegExp(name));
      assert.equal(stderr.trim().split('\n').length, 1, `one line:\n${stderr}`);
      assert.equal(stdout, '');
      if (env.JWT_SECRET) assert.doesNotMatch(stderr, new RegExp(`\\b${env.JWT_SECRET}\\b`), 'the secret is not shown');
    } finally {
      fs.rmSync(directory, { recursive: true, force: true });
    }
  });
}
