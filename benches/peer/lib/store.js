'use strict';

const sql = require('./statements');

const USER_TTL = 60_000;
const MEMBERS_TTL = 30_000;

/** The database, with what is remembered of it. */
class Store {
  #rows;
  #users = new Map();
  #members = new Map();

  /** `rows(statement, values)` runs a statement. */
  constructor(rows) {
    this.#rows = rows;
  }

  async user(id) {
    return remembered(this.#users, id, USER_TTL, async () => (await this.#rows(sql.user, [id]))[0] ?? null);
  }

  /** Who takes part; null where there is no such conversation. */
  async members(conversation) {
    return remembered(this.#members, conversation, MEMBERS_TTL, async () => {
      const rows = await this.#rows(sql.members, [conversation]);
      return rows.length > 0 ? rows.map((r) => r.user_id) : null;
    });
  }

  /** Stores a message: its number and time; undefined where the conversation does not take it. */
  async send(m) {
    if (m.client_message_id !== null) {
      const [repeated] = await this.#rows(sql.repeat, [m.conversation_id, m.sender_id, m.client_message_id]);
      if (repeated) return { ...repeated, isRepeat: true };
    }
    const values = [m.id, m.conversation_id, m.sender_id, m.message_text, attachments(m), m.tempId, m.client_message_id];
    const [stored] = await this.#rows(sql.send, values);
    // Perhaps the sender left.
    if (!stored) this.#members.delete(m.conversation_id);
    return stored;
  }

  /** Stores messages by one statement: the number and time of each; null where it stored none, because of one or more of them. */
  async sendBatch(messages) {
    const { places, pairs, last } = summary(messages);
    const column = (f) => messages.map(f);
    const values = [
      uuids(column((m) => m.id)),
      uuids(column((m) => m.conversation_id)),
      uuids(column((m) => m.sender_id)),
      column((m) => m.message_text),
      column(attachments),
      column((m) => m.tempId),
      messages.some((m) => m.client_message_id !== null) ? column((m) => m.client_message_id) : null,
      places,
      uuids(pairs.map((p) => p.message.conversation_id)),
      uuids(pairs.map((p) => p.message.sender_id)),
      pairs.map((p) => p.count),
      uuids(last.map((c) => c.message.conversation_id)),
      last.map((c) => c.count),
      last.map((c) => c.message.message_text),
    ];
    const rows = await this.#rows(sql.sendBatch, values);
    if (rows.length === 0) return null;
    const before = new Map(rows.map((r) => [r.id, r]));
    return messages.map((m, i) => {
      const { last_seq: seq, created_at } = before.get(m.conversation_id);
      return { seq: seq + places[i], created_at };
    });
  }

  async markRead(conversation, user) {
    return (await this.#rows(sql.markRead, [conversation, user]))[0] ?? { marked: 0 };
  }

  async markDelivered(deliveries) {
    const rows = deliveries.flatMap((d) => d.recipients.map((user) => [d.message.conversation_id, user, d.seq]));
    const [conversations, users, seqs] = [0, 1, 2].map((i) => rows.map((r) => r[i]));
    return (await this.#rows(sql.markDelivered, [uuids(conversations), uuids(users), seqs]))[0].at;
  }

  async setOnline(changes) {
    const values = [changes.map((c) => c.user), changes.map((c) => c.online)];
    await this.#rows(sql.setOnline, values);
  }

  async conversations(user, limit) {
    const list = await this.#rows(sql.conversations, [user, limit]);
    const others = new Map(list.map((c) => [c.id, []]));
    for (const p of await this.#rows(sql.others, [[...others.keys()], user])) others.get(p.conversation_id).push(p);
    return { list, others };
  }

  async messages(conversation, limit, offset) {
    const [watermarks, page] = await Promise.all([
      this.#rows(sql.watermarks, [conversation]),
      this.#rows(sql.messages, [conversation, limit, offset]),
    ]);
    return { watermarks, page: page.reverse() };
  }

  async unread(user) {
    return (await this.#rows(sql.unread, [user]))[0].n;
  }
}

/** Of each message its place among those of its conversation, from 1; how many each sender and each conversation has. */
function summary(messages) {
  const [pairs, last] = [new Map(), new Map()];
  const places = messages.map((message) => {
    count(pairs, message.conversation_id + message.sender_id, message);
    return count(last, message.conversation_id, message);
  });
  return { places, pairs: [...pairs.values()], last: [...last.values()] };
}

/** Counts `message` under `key`, and remembers it as the last one. */
function count(counts, key, message) {
  const known = counts.get(key);
  if (!known) {
    counts.set(key, { message, count: 1 });
    return 1;
  }
  known.message = message;
  return ++known.count;
}

function attachments({ attachments }) {
  return attachments.length > 0 ? JSON.stringify(attachments) : null;
}

/** An array of Postgres's; ids need no quoting. */
function uuids(ids) {
  return `{${ids}}`;
}

/** Looks only where nothing is remembered; those who ask at the same time get the same look. */
function remembered(cache, key, ttl, look) {
  const now = Date.now();
  const known = cache.get(key);
  if (known && known.until > now) return known.value;
  const value = look();
  cache.set(key, { value, until: now + ttl });
  value.catch(() => cache.delete(key));
  return value;
}

module.exports = { Store };
