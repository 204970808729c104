'use strict';

const { randomUUID } = require('node:crypto');
const { sleep } = require('../faults/clock');

/** How often a message is followed by a change, or by somebody who reads, and how often it is a reply. */
const CHANGES = 0.25;
const READS = 0.1;
const REPLIES = 0.1;
/** So many of the last messages of a conversation are changed. */
const RECENT = 15;

/**
 * Somebody says something in each of some conversations, one message after the other, whatever happens to the server; edits,
 * deletes and reacts to some; and a reader reads.
 */
class Talk {
  constructor(client, reader, readerId, conversations) {
    Object.assign(this, { client, reader, readerId });
    this.pause = 500;
    /** How much longer that is in each of the conversations. */
    this.slowness = conversations.map(() => 1);
    /** Whether reactions are taken away. */
    this.removes = false;
    /** The number of the last message that was acknowledged, by conversation. */
    this.said = new Map(conversations.map((id) => [id, 0]));
    /** Of the last one that was sent. */
    this.begun = new Map(this.said);
    /** Edits, reactions, deletions and reads that were acknowledged: `order` says when each was sent. */
    this.changes = [];
    this.order = 0;
  }

  start() {
    this.running = true;
    this.talks = [...this.said.keys()].map((id, n) => this.talk(id, n));
  }

  async talk(conversationId, n) {
    const recent = [];
    const chance = (share) => Math.random() < share;
    while (this.running) {
      this.begun.set(conversationId, this.said.get(conversationId) + 1);
      const repliesTo = recent.length > 0 && chance(REPLIES) ? { replyToMessageId: recent.at(-1).id } : {};
      const { id, seq } = await this.say({ conversationId, message: 'hello', clientMessageId: randomUUID(), ...repliesTo });
      this.said.set(conversationId, seq);
      recent.push({ id });
      if (recent.length > RECENT) recent.shift();
      if (chance(CHANGES)) await this.change(conversationId, recent);
      if (chance(READS)) await this.read(conversationId, seq);
      await sleep(this.pause * this.slowness[n] * (0.5 + Math.random()));
    }
  }

  /** As often as it takes: its id makes a message safe to send again. */
  async say(message) {
    const event = message.replyToMessageId ? 'chat:send_reply' : 'chat:send_message';
    for (;;) {
      const answer = await ask(this.client, event, message);
      if (answer.success) return answer.data;
      await sleep(100);
    }
  }

  /** Changes one of the recent messages. One of which it cannot be told whether it was changed is left alone from then on. */
  async change(conversation, recent) {
    const at = Math.floor(Math.random() * recent.length);
    const [message] = recent.splice(at, 1);
    const kind = ['edit', 'edit', 'reaction', 'reaction', 'deletion'][Math.floor(Math.random() * 5)];
    const order = (this.order += 1);
    const answer = await this.sendChange(kind, message, order);
    if (!answer.success) return;
    const value = { edit: order, reaction: answer.data?.version, deletion: 1 }[kind];
    this.changes.push({ order, kind, conversation, about: message.id, value });
    if (kind !== 'deletion') recent.splice(at, 0, message);
  }

  sendChange(kind, message, order) {
    const about = { messageId: message.id };
    if (kind === 'edit') return ask(this.client, 'chat:edit_message', { ...about, newText: `edit ${order}` });
    if (kind === 'deletion') return ask(this.client, 'chat:delete_message', { ...about, deletionType: 'for_everyone' });
    const removes = message.liked && this.removes;
    message.liked = !removes;
    return ask(this.client, removes ? 'chat:remove_reaction' : 'chat:add_reaction', { ...about, reaction: removes ? '👍' : this.reaction(message) });
  }

  /** Another one each time where none is taken away, so that each changes something. */
  reaction(message) {
    if (this.removes) return '👍';
    message.reactions = (message.reactions ?? -1) + 1;
    return String.fromCodePoint(0x1f600 + (message.reactions % 64));
  }

  async read(conversation, seq) {
    const order = (this.order += 1);
    const answer = await ask(this.reader, 'chat:mark_read', { conversationId: conversation });
    if (answer.success) this.changes.push({ order, kind: 'read', conversation, about: conversation, value: seq });
  }

  async stop() {
    this.running = false;
    await Promise.all(this.talks);
  }

  get count() {
    return [...this.said.values()].reduce((sum, n) => sum + n, 0);
  }
}

function ask(client, event, payload) {
  return client.socket.timeout(5000).emitWithAck(event, payload).catch(() => ({}));
}

module.exports = { Talk };
