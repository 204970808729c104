'use strict';

const assert = require('node:assert/strict');
const { assertFailure } = require('./shapes');

// How often each socket of a stage gets an event that concerns the whole conversation, one user, or nobody.
const EVERYONE = { customer: 1, customerTab: 1, seller: 1, sellerTab: 1, stranger: 0 };
const CUSTOMER_ONLY = { customer: 1, customerTab: 1, seller: 0, sellerTab: 0, stranger: 0 };
const SELLER_ONLY = { customer: 0, customerTab: 0, seller: 1, sellerTab: 1, stranger: 0 };
const NOBODY_TOLD = { customer: 0, customerTab: 0, seller: 0, sellerTab: 0, stranger: 0 };

/**
 * One conversation and everybody who might be looking: two tabs of each participant, one in the
 * conversation's room and one outside, and a stranger who takes no part.
 */
class Stage {
  static async set(scene) {
    const stage = new Stage();
    stage.scene = scene;
    stage.conversationId = await scene.conversation();
    for (const [name, who] of [['customer', 'customer'], ['customerTab', 'customer'], ['seller', 'seller'], ['sellerTab', 'seller'], ['stranger', 'admin']]) {
      stage[name] = await scene.connect(who);
    }
    for (const name of ['customer', 'seller']) {
      const answer = await stage[name].ask('chat:join', { conversationId: stage.conversationId });
      assert.equal(answer.success, true);
    }
    return stage;
  }

  sockets() {
    const { customer, customerTab, seller, sellerTab, stranger } = this;
    return { customer, customerTab, seller, sellerTab, stranger };
  }

  /** A stored message of the one who owns the socket. */
  say(client, text, extra) {
    return this.scene.say(client, this.conversationId, text, extra);
  }

  /** Emits for an acknowledgement that must say success: its data. */
  async done(client, event, payload) {
    const answer = await client.ask(event, payload);
    assert.equal(answer.success, true, `${event}: ${JSON.stringify(answer)}`);
    return answer.data;
  }

  messages(who = 'customer', query = '') {
    return this.scene.messages(who, this.conversationId, query);
  }

  async message(who, id) {
    return (await this.messages(who)).find((m) => m.id === id);
  }

  /**
   * All that `actor` caused has arrived everywhere. Barriers run in conversations of their own, so
   * that the one under test keeps its messages, its numbers and its preview.
   */
  async settle(actor = this.customer) {
    const { scene, customer, customerTab, seller, sellerTab, stranger } = this;
    this.aside ??= await scene.conversation('customer', 'seller');
    this.outside ??= await scene.conversation('customer', 'admin');
    // The actor goes first: what it sends now is handled after what it did.
    if (actor === stranger) for (const client of [customer, customerTab]) await scene.barrier(stranger, client, this.outside);
    else if (actor === seller || actor === sellerTab) for (const client of [customer, customerTab]) await scene.barrier(actor, client, this.aside);
    const speaker = actor === customerTab ? customerTab : customer;
    for (const client of [seller, sellerTab]) await scene.barrier(speaker, client, this.aside);
    for (const client of [customer, customerTab]) await scene.barrier(seller, client, this.aside);
    await scene.barrier(speaker, stranger, this.outside);
  }

  counts(event, matches) {
    return Object.fromEntries(Object.entries(this.sockets()).map(([name, client]) => [name, client.count(event, matches)]));
  }

  /** After settling: who was told, once each. */
  async told(actor, event, expected, matches) {
    await this.settle(actor);
    assert.deepEqual(this.counts(event, matches), expected, event);
  }

  /** The event must be refused: in the acknowledgement, as chat:error with its action, and nobody else hears. */
  async refused(client, event, payload, { action, message, code }, outcome) {
    // What happened before has arrived, whoever did it.
    for (const actor of [this.seller, this.customer]) await this.settle(actor);
    const before = outcome && this.counts(outcome);
    const errors = this.counts('chat:error');
    client.emit(event, payload);
    const error = await client.waitFor('chat:error');
    assert.deepEqual({ message: error.message, action: error.action, code: error.code }, { message, action, code });
    assertFailure(await client.ask(event, payload), code, message);
    // With an acknowledgement it is told all the same; taken here, so that a next refusal is not mistaken for it.
    await client.waitFor('chat:error');
    await this.settle(client);
    if (outcome) assert.deepEqual(this.counts(outcome), before, `${outcome} after a refusal`);
    for (const [name, other] of Object.entries(this.sockets())) {
      if (other !== client) assert.equal(other.count('chat:error'), errors[name], 'the refusal is told to the caller alone');
    }
  }
}

module.exports = { Stage, EVERYONE, CUSTOMER_ONLY, SELLER_ONLY, NOBODY_TOLD };
