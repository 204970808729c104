'use strict';

// Plays a scenario of replay/ against a server: each step acts as one client, then every client must
// have got exactly the events that the step lists for it, and the others none.

const assert = require('node:assert/strict');
const { Client } = require('./client');
const { tokenFor } = require('./jwt');
const { PATIENCE } = require('./limits');
const { Matcher, fill, show } = require('./match');
const { request } = require('./rest');
const { FORM, form } = require('./upload');
const { ALLOWED, REFUSED } = require('./files');
const { NOBODY, USERS } = require('./users');

/** Long enough for an event that should not come to come; one that comes later still fails the next step. */
const QUIET = 150;

class Replay {
  constructor(contract, scenario, server, patience = PATIENCE) {
    this.patience = patience;
    this.contract = contract;
    this.scenario = scenario;
    this.server = server;
    this.clients = {};
    this.names = { nobody: NOBODY };
    for (const [who, { user }] of Object.entries(scenario.people)) {
      const { id, email, role, displayName } = USERS[user];
      this.names[who] = { id, email, role, name: displayName };
    }
    this.matcher = new Matcher(contract.shapes, this.names);
  }

  async run() {
    try {
      for (const [i, step] of this.scenario.steps.entries()) {
        try {
          await this.play(step);
        } catch (error) {
          error.message = `step ${i + 1}, "${step.does}": ${error.message}`;
          throw error;
        }
      }
    } finally {
      for (const client of Object.values(this.clients)) client.close();
    }
  }

  async play(step) {
    const { who } = step;
    if (step.connects) await this.connect(who, step.connects);
    if (step.emits) await this.emit(who, step);
    if (step.calls) await this.call(who, step);
    if (step.leaves) this.clients[who].close();
    for (const [other, expected] of Object.entries(step.then ?? {})) {
      if (this.scenario.people[other] === undefined) throw new Error(`nobody is called ${other}`);
      for (const one of expected) await this.expect(other, one);
    }
    await this.quiet();
  }

  /** `true`, or the options of the client; a refusal is expected as `{ refused: message, token }`. */
  async connect(who, options) {
    const { refused, token, auth, ...rest } = options === true ? {} : options;
    const person = this.scenario.people[who];
    const credentials = auth ?? { token: token ?? tokenFor(USERS[person.user]) };
    const client = new Client(this.server.url, { auth: credentials, transports: person.transports, ...rest });
    this.clients[who] = client;
    if (refused === undefined) return client.connected();
    assert.equal((await client.refused()).message, refused);
    client.close();
    delete this.clients[who];
    return undefined;
  }

  async emit(who, step) {
    const [event, ...args] = fill(step.emits, this.names).map(asBinary);
    if (!step.acknowledged) return this.clients[who].emit(event, ...args);
    return this.check(step.acknowledged, await this.clients[who].ask(event, ...args), 'the acknowledgement');
  }

  async call(who, step) {
    const [method, path] = fill(step.calls, this.names).split(' ');
    const options = { method, token: step.token === null ? undefined : tokenFor(USERS[this.scenario.people[who].user]) };
    if (step.files) {
      const parts = step.files.map((name) => ALLOWED[name] ?? REFUSED[name] ?? { content: '', name, type: 'text/plain' });
      Object.assign(options, { body: form(parts), headers: { 'content-type': FORM } });
    } else if (step.with !== undefined) {
      options.body = fill(step.with, this.names);
    }
    const url = path.startsWith('http') ? path : this.server.url + encodeURI(decodeURI(path));
    const answer = await request(url, options);
    this.check(step.status ?? 200, answer.status, `${method} ${path}: the status`, answer.text);
    for (const [name, value] of Object.entries(step.headers ?? {})) this.check(value, answer.headers[name], `header ${name}`);
    if (step.answers !== undefined) this.check(step.answers, answer.body, 'the answer');
  }

  check(expected, actual, what, seen = actual) {
    const problems = this.matcher.differences(expected, actual);
    assert.deepEqual(problems, [], `${what}: ${problems.join('; ')}\n${show(seen)}`);
    this.forbid(actual, what);
  }

  /** Waits for one event `{ name: data }` of that client which no earlier expectation took. */
  async expect(who, expected) {
    const [event, data] = Object.entries(expected)[0];
    const client = this.clients[who];
    let entry;
    const matches = (candidate) => {
      const problems = this.matcher.differences(data, candidate);
      if (problems.length > 0) this.last = problems;
      return problems.length === 0;
    };
    this.last = ['no such event came'];
    try {
      entry = await client.waitForEntry(event, matches, this.patience);
    } catch (error) {
      throw new Error(`${who} should get ${event}: ${this.last.join('; ')} (${error.message})`);
    }
    this.forbid(entry.data, event);
  }

  /** Nobody got anything else. */
  async quiet() {
    for (const client of Object.values(this.clients)) {
      // To leave what one is not in is acknowledged and tells nobody: all before it has been handled.
      if (client.socket.connected) await client.ask('chat:leave', { conversationId: NOBODY });
    }
    await new Promise((resolve) => setTimeout(resolve, QUIET));
    for (const [who, client] of Object.entries(this.clients)) {
      const own = ['connect', 'disconnect', ...(this.contract.may_come_anytime ?? [])];
      const rest = client.events.filter((e) => !e.taken && !own.includes(e.event));
      assert.deepEqual(rest.map((e) => `${e.event} ${show(e.data)}`), [], `${who} got what nobody expected`);
    }
  }

  /** Some names may be nowhere, whatever else is added to an answer. */
  forbid(value, what) {
    const text = JSON.stringify(value) ?? '';
    for (const name of this.contract.never_anywhere) assert.ok(!text.includes(`"${name}"`), `${what} has ${name}`);
  }
}

/** `{ "$binary": "text" }` in a payload is sent as bytes, as a browser sends a File. */
function asBinary(value) {
  if (Array.isArray(value)) return value.map(asBinary);
  if (value === null || typeof value !== 'object') return value;
  if ('$binary' in value) return Buffer.from(value.$binary);
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, asBinary(v)]));
}

module.exports = { Replay };
