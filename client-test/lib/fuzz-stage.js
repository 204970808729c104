'use strict';

// The data that a fuzzer uses, and the data that it must not change. The fuzzer acts as the customer and knows every id.

const assert = require('node:assert/strict');
const { assertMessage } = require('./shapes');
const { SEED } = require('./fuzz');
const { until } = require('./limits');
const { NOBODY, USERS } = require('./users');

// In every text that the fuzzer must never see.
const CANARY = 'canary-7f3a';

class FuzzStage {
  static async set(scene, t) {
    t.diagnostic(`SOUK_FUZZ_SEED=${SEED}`);
    const s = new FuzzStage();
    s.scene = scene;
    s.mine = await scene.conversation('customer', 'seller');
    s.theirs = await scene.conversation('seller', 'manager');
    [s.seller, s.manager] = [await scene.connect('seller'), await scene.connect('manager')];
    for (const client of [s.seller, s.manager]) await client.ask('chat:join', { conversationId: s.theirs });
    const said = [];
    for (const client of [s.seller, s.manager, s.seller]) said.push(await scene.say(client, s.theirs, `${CANARY} ${said.length}`));
    await s.manager.ask('chat:edit_message', { messageId: said[1].id, newText: `${CANARY} edited` });
    await s.seller.ask('chat:add_reaction', { messageId: said[1].id, reaction: '🎉' });
    const toMe = await scene.say(s.seller, s.mine, 'to the customer');
    const byMe = await scene.data('customer', 'POST', `/api/chat/conversations/${s.mine}/messages`, { message: 'by the customer' });
    s.ids = {
      conversations: [s.mine, s.mine, s.mine, s.theirs, NOBODY],
      messages: [toMe.id, byMe.id, byMe.id, ...said.map((m) => m.id), NOBODY],
      users: [...Object.values(USERS).map((u) => u.id), NOBODY],
    };
    s.all = Object.values(s.ids).flat();
    // Delivery is noted a little later than it happens.
    s.before = await until(async () => {
      const messages = await s.look();
      return messages.every((m) => m.status !== 'sent') && messages;
    }, 'what was said is delivered');
    return s;
  }

  look() {
    return this.scene.messages('manager', this.theirs);
  }

  /** A refusal says why, in a few words, and does not blame itself. */
  assertRefusal(answer, what) {
    assert.equal(typeof answer.message, 'string', what);
    assert.equal(typeof answer.code, 'string', what);
    assert.notEqual(answer.code, 'internal', `an error of the client, not of the server: ${what}`);
    assert.ok(answer.message.length < 200, `it repeats the garbage: ${what}`);
  }

  assertSecret(text, what) {
    assert.equal(String(text).includes(CANARY), false, `it shows what others said: ${what}`);
  }

  /** Some of it is to block others, after which most of the rest would be refused. */
  async peace() {
    for (const user of Object.values(USERS)) await this.scene.rest('customer', 'DELETE', `/api/chat/users/${user.id}/block`);
  }

  /** At the end: those whom it did not concern noticed nothing, and those whom it did can go on. */
  async unharmed() {
    const { scene } = this;
    await this.peace();
    assert.deepEqual(await this.look(), this.before, 'the conversation of others');
    const others = { seller: this.seller.events.length, manager: this.manager.events.length };
    for (const name of ['seller', 'manager']) {
      const ofTheirs = (e) => [e.data?.conversation_id, e.data?.conversationId].includes(this.theirs);
      const told = this[name].events.slice(0, others[name]).filter((e) => ofTheirs(e) && mentions(e, USERS.customer.id));
      assert.deepEqual(told, [], `what the ${name} was told of the customer in a conversation of others`);
      assert.equal(this[name].count('disconnect'), 0, `the ${name} was disconnected`);
    }
    await this.honest();
    assert.doesNotMatch(scene.server.log, /panicked at| ERROR /, 'the server blames itself in its log');
  }

  /** An honest customer finds the conversation that was fuzzed in order: every number once, and room for one more. */
  async honest() {
    const { scene } = this;
    const all = [];
    for (let after = 0; ; after = all.at(-1).seq) {
      const page = await scene.messages('seller', this.mine, `?limit=200&after=${after}`);
      if (page.length === 0) break;
      all.push(...page);
    }
    all.forEach(assertMessage);
    assert.deepEqual(all.map((m) => m.seq), all.map((_, i) => i + 1), 'numbers without a gap');
    const customer = await scene.connect('customer');
    const message = await scene.say(customer, this.mine, 'as if nothing had been');
    assert.equal(message.seq, all.length + 1);
    await this.seller.waitFor('chat:new_message', (m) => m.id === message.id);
    const [listed] = (await scene.data('seller', 'GET', '/api/chat/conversations')).filter((c) => c.id === this.mine);
    assert.deepEqual([listed.last_seq, listed.last_message_text], [message.seq, message.message_text]);
  }
}

const mentions = (event, text) => JSON.stringify(event.data ?? null).includes(text);

module.exports = { FuzzStage };
