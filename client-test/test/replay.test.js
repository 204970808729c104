'use strict';

// Plays the contract: replay/contract.json and the scenarios that it names, each on a server of its own.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const nodeTest = require('node:test');
const { testWithOwnServer } = require('../lib/own-server');
const { Replay } = require('../lib/replay');

const DIRECTORY = path.join(__dirname, '..', 'replay');
const read = (name) => JSON.parse(fs.readFileSync(path.join(DIRECTORY, name), 'utf8'));

const contract = read('contract.json');

for (const name of contract.scenarios) {
  const scenario = read(name);
  testWithOwnServer(`replay: ${scenario.client}: ${scenario.title}`, {}, async (server) => {
    await server.start();
    await new Replay(contract, scenario, server).run();
  });
}

nodeTest.test('replay: every scenario in the folder is played', () => {
  const files = fs.readdirSync(DIRECTORY).filter((f) => f.endsWith('.json') && f !== 'contract.json');
  assert.deepEqual(files.sort(), [...contract.scenarios].sort());
});

nodeTest.test('replay: every event and call of the contract occurs in it', () => {
  const played = contract.scenarios.map((name) => fs.readFileSync(path.join(DIRECTORY, name), 'utf8')).join('\n');
  for (const event of [...contract.events.client_to_server, ...contract.events.server_to_client]) {
    assert.ok(played.includes(`"${event}"`), `no scenario has ${event}`);
  }
  for (const call of contract.calls) {
    const pattern = new RegExp(`"${call.replace(/:\w+/g, '[^/" ?]+')}["?]`);
    assert.match(played, pattern, `no scenario has ${call}`);
  }
});
