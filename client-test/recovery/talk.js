'use strict';

const { randomUUID } = require('node:crypto');
const { sleep } = require('../faults/clock');

/** Somebody says something in each of some conversations, one message after the other, whatever happens to the server. */
class Talk {
  constructor(client, conversations) {
    this.client = client;
    this.pause = 400;
    /** The number of the last message that was acknowledged, by conversation. */
    this.said = new Map(conversations.map((id) => [id, 0]));
    /** Of the last one that was sent. */
    this.begun = new Map(this.said);
  }

  start() {
    this.running = true;
    this.talks = [...this.said.keys()].map((id) => this.talk(id));
  }

  async talk(conversationId) {
    while (this.running) {
      this.begun.set(conversationId, this.said.get(conversationId) + 1);
      this.said.set(conversationId, await this.say({ conversationId, message: 'hello', clientMessageId: randomUUID() }));
      await sleep(this.pause * (0.5 + Math.random()));
    }
  }

  /** As often as it takes: its id makes a message safe to send again. */
  async say(message) {
    for (;;) {
      const answer = await this.client.socket.timeout(5000).emitWithAck('chat:send_message', message).catch(() => ({}));
      if (answer.success) return answer.data.seq;
      await sleep(100);
    }
  }

  async stop() {
    this.running = false;
    await Promise.all(this.talks);
  }

  get count() {
    return [...this.said.values()].reduce((sum, n) => sum + n, 0);
  }
}

module.exports = { Talk };
