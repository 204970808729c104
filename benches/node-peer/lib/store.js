'use strict';

const { Pool, types } = require('pg');
const sql = require('./statements');

// Sequence numbers and counts fit a JavaScript number.
types.setTypeParser(types.builtins.INT8, Number);

const USER_TTL = 60_000;
const MEMBERS_TTL = 30_000;

/** The database, with what is remembered of it. */
class Store {
  #pool;
  #users = new Map();
  #members = new Map();

  constructor(connectionString) {
    // Statements are planned once, as Souk's are.
    this.#pool = new Pool({ connectionString, max: 10, options: '-c plan_cache_mode=force_generic_plan' });
  }

  async #rows(statement, values) {
    return (await this.#pool.query({ ...statement, values })).rows;
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

  /** Stores a message: its number and time; undefined where the conversation is not active. */
  async send(m) {
    const values = [m.id, m.conversation_id, m.sender_id, m.message_text, JSON.stringify(m.attachments), m.tempId];
    return (await this.#rows(sql.send, values))[0];
  }

  async markRead(conversation, user) {
    return (await this.#rows(sql.markRead, [conversation, user]))[0] ?? { marked: 0 };
  }

  async markDelivered(deliveries) {
    const rows = deliveries.flatMap((d) => d.recipients.map((user) => [d.message.conversation_id, user, d.message.seq]));
    const columns = [0, 1, 2].map((i) => rows.map((r) => r[i]));
    return (await this.#rows(sql.markDelivered, columns))[0].at;
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
