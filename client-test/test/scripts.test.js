'use strict';

// Scripts that people run by hand: the seed's test client word for word, chat.js, the examples.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { suite, USERS } = require('../lib/suite');
const { environment, REPOSITORY } = require('../lib/server');
const { tokenFor } = require('../lib/jwt');
const { until, within } = require('../lib/limits');
const { NOBODY } = require('../lib/users');

const { test, server } = suite();

const HERE = path.join(REPOSITORY, 'client-test');
const EXAMPLES = path.join(REPOSITORY, 'examples');

/** Starts a script; `output` grows as it prints. It is ended when the test is over. */
function start(t, command, args, env = {}) {
  const child = spawn(command, args, { env: environment(env), stdio: ['pipe', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  const script = { child, output: '', errors: '' };
  child.stdout.setEncoding('utf8').on('data', (text) => (script.output += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (script.errors += text));
  const closed = new Promise((resolve) => child.on('close', (code) => resolve(code)));
  script.ended = () => within(closed, `${args[0]} to end`, 60_000);
  script.prints = async (pattern) => {
    await until(() => pattern.test(script.output), `${args[0]} prints ${pattern}`).catch((error) => {
      throw new Error(`${error.message}\nstdout: ${script.output}\nstderr: ${script.errors}`);
    });
  };
  return script;
}

/** The scripts' own connections are of the scene's people; their ends must be waited for too. */
const present = (scene, ...who) => who.forEach((one) => scene.present.add(one));

test("the seed's client, with only token, conversation and address changed, shows what it sent", async (scene, t) => {
  const conversationId = await scene.conversation();
  const snippet = fs
    .readFileSync(path.join(HERE, 'fixtures', 'seed-snippet.js'), 'utf8')
    .replace('YOUR_JWT_TOKEN', tokenFor(USERS.customer))
    .replaceAll('CONVERSATION_ID', conversationId)
    .replace('http://localhost:5000', server.url);
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'souk-e2e-'));
  t.after(() => fs.rmSync(directory, { recursive: true, force: true }));
  const file = path.join(directory, 'client.js');
  fs.writeFileSync(file, snippet);

  const script = start(t, process.execPath, [file], { NODE_PATH: path.join(HERE, 'node_modules') });
  await script.prints(/Connected!/);
  await script.prints(/New message: \{[^]*message_text: 'Hello!'/);
  assert.deepEqual((await scene.messages('seller', conversationId)).map((m) => m.message_text), ['Hello!']);
  assert.equal(script.output.match(/New message:/g).length, 1);
  script.child.kill('SIGKILL');
  present(scene, 'customer');
});

const chat = (t, who, conversation, ...more) =>
  start(t, process.execPath, [path.join(HERE, 'chat.js'), '--url', server.url, '--token', tokenFor(USERS[who]), '--conversation', conversation, ...more]);

test('chat.js sends a message, prints the events it gets and sends each typed line', async (scene, t) => {
  const conversationId = await scene.conversation();
  const seller = await scene.connect('seller');
  await seller.ask('chat:join', { conversationId });
  const script = chat(t, 'customer', conversationId, '--message', 'Good morning');
  await script.prints(/Connected!/);
  await script.prints(/Carla Customer: Good morning/);
  await seller.waitFor('chat:new_message', (m) => m.message_text === 'Good morning');
  script.child.stdin.write('and good night\n');
  await seller.waitFor('chat:new_message', (m) => m.message_text === 'and good night');
  await scene.say(seller, conversationId, 'sleep well');
  await script.prints(/Sami Seller: sleep well/);
  script.child.kill('SIGKILL');
  present(scene, 'customer');
});

test('chat.js sends Hello! by default', async (scene, t) => {
  const conversationId = await scene.conversation();
  const script = chat(t, 'customer', conversationId);
  await script.prints(/Carla Customer: Hello!/);
  script.child.kill('SIGKILL');
  present(scene, 'customer');
});

test('chat.js with a refused token says so and ends with an error', async (scene, t) => {
  const script = start(t, process.execPath, [path.join(HERE, 'chat.js'), '--url', server.url, '--token', 'x', '--conversation', NOBODY]);
  assert.equal(await script.ended(), 1);
  assert.match(script.errors, /Invalid or expired token/);
});

test('chat.js with an unknown conversation says so and ends with an error', async (scene, t) => {
  const script = chat(t, 'customer', NOBODY);
  assert.equal(await script.ended(), 1);
  assert.match(script.errors, /Conversation not found/);
  present(scene, 'customer');
});

test('chat.js without arguments prints its usage', async (scene, t) => {
  const script = start(t, process.execPath, [path.join(HERE, 'chat.js')]);
  assert.equal(await script.ended(), 2);
  assert.match(script.errors, /--token/);
  assert.match(script.errors, /--conversation/);
});

test('examples/terminal-chat.mjs: two users write to each other', async (scene, t) => {
  const talk = (who, other) =>
    start(t, process.execPath, [path.join(EXAMPLES, 'terminal-chat.mjs'), '--url', server.url, '--token', tokenFor(USERS[who]), '--with', USERS[other].id]);
  const admin = talk('admin', 'manager');
  await admin.prints(/Max Manager/);
  const manager = talk('manager', 'admin');
  await manager.prints(/Ada Admin/);
  await admin.prints(/Max Manager is online/);
  admin.child.stdin.write('are you there?\n');
  await manager.prints(/Ada Admin: are you there\?/);
  await admin.prints(/read/);
  manager.child.stdin.write('I am\n');
  await admin.prints(/Max Manager: I am/);
  manager.child.stdin.end();
  assert.equal(await manager.ended(), 0);
  await admin.prints(/Max Manager is offline/);
  admin.child.stdin.end();
  assert.equal(await admin.ended(), 0);
  present(scene, 'admin', 'manager');
});

test('examples/walkthrough.sh: every call of the walk-through works', async (scene, t) => {
  const script = start(t, 'bash', [
    path.join(EXAMPLES, 'walkthrough.sh'),
    server.url,
    tokenFor(USERS.customer),
    tokenFor(USERS.seller),
    USERS.seller.id,
  ]);
  assert.equal(await script.ended(), 0, script.output + script.errors);
  for (const call of ['/api/v1/health', '/api/chat/test', '/api/chat/conversations', '/messages', '/read', '/api/chat/unread-count', '/status']) {
    assert.ok(script.output.includes(call), call);
  }
});

test('examples/walkthrough.sh: a failed call ends it with an error', async (scene, t) => {
  const script = start(t, 'bash', [path.join(EXAMPLES, 'walkthrough.sh'), server.url, 'bad', 'bad', USERS.seller.id]);
  assert.notEqual(await script.ended(), 0);
});

test('the last lines of scripts/test list what it could not check', async (scene, t) => {
  const lastLine = async (commands) => {
    const script = start(t, 'bash', ['-euc', `. ${path.join(REPOSITORY, 'scripts', 'lib.sh')}; ${commands}; finish`]);
    assert.equal(await script.ended(), 0, script.errors);
    return script.output.trim().split('\n').at(-1);
  };
  assert.match(await lastLine(':'), /^all of it passed/);
  assert.equal(await lastLine("skip_check 'advisories: no network'; echo more"), 'NOT CHECKED: advisories: no network');
});
