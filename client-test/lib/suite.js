'use strict';

const nodeTest = require('node:test');
const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { Client } = require('./client');
const { RawSocket } = require('./raw');
const { Server } = require('./server');
const { request } = require('./rest');
const { tokenFor } = require('./jwt');
const { until } = require('./limits');
const { USERS } = require('./users');

/** A role of USERS, or a user of one's own. */
const person = (who) => (typeof who === 'string' ? USERS[who] : who);

/** What a test works with: a running server, and people to be on it. */
class Scene {
  constructor(server) {
    this.server = server;
    this.clients = [];
    this.present = new Set();
  }

  /** Opens a socket without waiting for the outcome. */
  open(who, options = {}) {
    const auth = who ? { token: tokenFor(person(who)) } : undefined;
    const client = new Client(this.server.url, { auth, ...options });
    if (who) this.present.add(who);
    this.clients.push(client);
    return client;
  }

  async connect(who, options) {
    const client = this.open(who, options);
    await client.connected();
    return client;
  }

  async raw(who) {
    this.present.add(who);
    const socket = new RawSocket(this.server.url);
    this.clients.push(socket);
    return socket.handshake(tokenFor(person(who)));
  }

  /** A REST call by that person; `who` null calls without a token. */
  rest(who, method, path, body, options = {}) {
    const token = who ? tokenFor(person(who)) : undefined;
    return request(this.server.url + path, { method, token, body, ...options });
  }

  /** The same, for calls that must succeed: the `data` of the envelope. */
  async data(who, method, path, body) {
    const answer = await this.rest(who, method, path, body);
    assert.ok(answer.status < 300, `${method} ${path} → ${answer.status} ${answer.text}`);
    assert.equal(answer.body.success, true, answer.text);
    return answer.body.data;
  }

  /** A conversation that no other test uses: a related entity of its own makes it another one. */
  async conversation(who = 'customer', withWhom = 'seller') {
    const conversation = await this.data(who, 'POST', '/api/chat/conversations', {
      participantId: person(withWhom).id,
      relatedEntityType: 'product',
      relatedEntityId: randomUUID(),
    });
    return conversation.id;
  }

  async status(who, ofWhom) {
    return this.data(who, 'GET', `/api/chat/users/${person(ofWhom).id}/status`);
  }

  async messages(who, conversationId, query = '') {
    return this.data(who, 'GET', `/api/chat/conversations/${conversationId}/messages${query}`);
  }

  /** Sends over a socket and waits until it is committed and acknowledged: the stored message. */
  async say(client, conversationId, message = `text ${randomUUID()}`, extra = {}) {
    const answer = await client.ask('chat:send_message', { conversationId, message, ...extra });
    assert.equal(answer.success, true, JSON.stringify(answer));
    return answer.data;
  }

  /**
   * Makes sure that all `from` caused before has reached `to`, without sleeping: a message that
   * `from` sends now, in `conversationId`, is handled after what it sent before, and a connection
   * delivers in order. When `to` belongs to the same user it must have joined the conversation.
   */
  async barrier(from, to, conversationId) {
    const text = `barrier ${randomUUID()}`;
    from.emit('chat:send_message', { conversationId, message: text });
    await to.waitFor('chat:new_message', (m) => m.message_text === text);
  }

  /** Nothing that matches came to `to` by the time the barrier passed. */
  async expectNothing(from, to, conversationId, event, matches) {
    await this.barrier(from, to, conversationId);
    assert.deepEqual(to.all(event, matches), [], `unexpected ${event}`);
  }

  async isServing(who = 'manager') {
    const client = await this.connect(who);
    const answer = await client.ask('chat:get_conversations');
    assert.equal(answer.success, true);
    assert.equal((await this.rest(null, 'GET', '/api/v1/health')).status, 200);
    client.close();
  }

  /** Closes everything, and waits until the server knows, so that the next test starts with nobody there. */
  async leave() {
    for (const client of this.clients) client.close();
    if (!this.server.running) return;
    for (const who of this.present) {
      await until(async () => !(await this.status(who, who)).is_online, `${person(who).email} is offline after the test`);
    }
  }
}

/**
 * One server for a test file. Gives a `test(name, body)` whose body gets a Scene of its own, and
 * that shows the end of the server's log when the test fails.
 */
function suite(options) {
  const server = new Server(options);
  nodeTest.before(() => server.start());
  nodeTest.after(async () => {
    await server.dispose();
    assert.ok(!/panicked at/.test(server.log), `the server panicked:\n${server.log.match(/.*panicked at[^]{0,1000}/)?.[0]}`);
  });

  const test = (name, settings, body) => {
    if (typeof settings === 'function') [settings, body] = [{}, settings];
    nodeTest.test(name, settings, async (t) => {
      const scene = new Scene(server);
      const logged = server.log.length;
      try {
        await body(scene, t);
        await scene.leave();
      } catch (error) {
        server.showLog(t, logged);
        // The next test is to start with nobody there; that this one left in disorder is not the news.
        await scene.leave().catch(() => {});
        throw error;
      }
    });
  };
  return { test, server };
}

module.exports = { suite, Scene, USERS };
