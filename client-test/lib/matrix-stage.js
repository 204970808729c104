'use strict';

// The conversation and the users for the table in matrix.js, and a snapshot of everything that could change.

const { randomUUID } = require('node:crypto');
const { tokenFor } = require('./jwt');
const { Psql } = require('./psql');
const { RawSocket } = require('./raw');
const { stored, uploaded } = require('./upload');
const { USERS } = require('./users');

const SECRET = 'between these two';
const HOUR = 3600;

/** A conversation without when its people were seen last: that moves by itself while they are online. */
function withoutHeartbeats(conversation) {
  return conversation && { ...conversation, participantDetails: conversation.participantDetails.map((person) => ({ ...person, lastSeenAt: undefined })) };
}

const REACTIONS = { sender: '🎉', other: '👀' };

class MatrixStage {
  static async set(scene) {
    const s = new MatrixStage();
    s.scene = scene;
    const { database } = scene.server;
    if (database) {
      s.psql = new Psql(database.url);
      // It is closed with the sockets.
      scene.clients.push(s.psql);
    }
    // With a database of our own the stranger is a customer as the sender is; otherwise whoever is left.
    s.people = { sender: USERS.customer, other: USERS.seller, staff: USERS.admin, stranger: s.addUser('customer') ?? USERS.manager };
    s.conversationId = await scene.conversation('customer', 'seller');
    // The observers, in the room; and the one who speaks to them from elsewhere, to know that all has arrived.
    [s.sender, s.other, s.staff] = await Promise.all(['customer', 'seller', 'admin'].map((who) => scene.connect(who)));
    s.outside = { sender: await scene.conversation('customer', 'admin'), other: await scene.conversation('seller', 'admin') };
    for (const socket of [s.sender, s.other]) await socket.ask('chat:join', { conversationId: s.conversationId });
    await s.renew();
    return s;
  }

  /** A new message to act upon, with a past and a reaction of each. */
  async renew() {
    this.message = await this.scene.say(this.sender, this.conversationId, `${SECRET} before`);
    const messageId = this.message.id;
    await this.sender.ask('chat:edit_message', { messageId, newText: SECRET });
    await this.sender.ask('chat:add_reaction', { messageId, reaction: REACTIONS.sender });
    await this.other.ask('chat:add_reaction', { messageId, reaction: REACTIONS.other });
    // Marked by a statement of its own, and told when that is through: it may come after what settling sends.
    await Promise.all([this.sender, this.other].map((one) => one.waitFor('chat:message_delivered', (d) => d.message_id === messageId)));
    await this.settle();
    this.seen = undefined;
    this.heard();
  }

  /** What there is before something is tried; what was seen after the last try that was to change nothing will do. */
  async before() {
    this.seen ??= await this.look();
  }

  addUser(role, status = 'active') {
    const database = this.scene.server.database;
    if (!database) return undefined;
    const id = randomUUID();
    const user = { id, email: `${id}@souk.example`, role, displayName: `New ${role}`, status };
    database.addUser(user);
    return user;
  }

  /** A suspended participant, while `body` runs: one whom nothing but the suspension keeps out. */
  async withSuspended(body) {
    const user = this.addUser('customer', 'suspended');
    const members = (list) => this.scene.server.database.sql(`UPDATE conversations SET participant_ids = ${list} WHERE id = '${this.conversationId}'`);
    members(`participant_ids || '["${user.id}"]'`);
    try {
      this.people.suspended = user;
      this.seen = undefined;
      await body();
    } finally {
      members(`participant_ids - '${user.id}'`);
      this.seen = undefined;
    }
  }

  person(caller) {
    return this.people[caller] ?? this.people.sender;
  }

  counterpart(caller) {
    return this.person(caller) === this.people.other ? this.people.sender : this.people.other;
  }

  reactionOf(caller) {
    return REACTIONS[this.person(caller) === this.people.other ? 'other' : 'sender'];
  }

  reactionOfAnother(caller) {
    return REACTIONS[this.person(caller) === this.people.other ? 'sender' : 'other'];
  }

  /** The caller's token; undefined for none. Those who are not let in are the sender in all but that. */
  token(caller) {
    const now = Math.floor(Date.now() / 1000);
    if (caller === 'no token') return undefined;
    if (caller === 'bad token') return tokenFor(this.people.sender, {}, { secret: 'another-secret-0123456789-0123456789' });
    if (caller === 'expired') return tokenFor(this.people.sender, { iat: now - 2 * HOUR, exp: now - HOUR });
    return tokenFor(this.person(caller));
  }

  async upload() {
    const [file] = await uploaded(this.scene, 'customer', [{ name: 'a.txt', type: 'text/plain', content: 'a' }]);
    this.file = new URL(file.fileUrl, this.scene.server.url);
  }

  /** A socket by hand: what a refused handshake said, and whatever came after it. */
  async intrude(token, frame) {
    const socket = new RawSocket(this.scene.server.url);
    this.scene.clients.push(socket);
    await socket.frame('0{');
    socket.send(token === undefined ? '40' : `40${JSON.stringify({ token })}`);
    const refusal = await socket.frame('44');
    socket.send(frame);
    return { message: refusal && JSON.parse(refusal.slice(2)).message, frames: socket.frames };
  }

  /** All that was caused has arrived at both observers. */
  async settle() {
    await Promise.all(['sender', 'other'].map((name) => this.scene.barrier(this.staff, this[name], this.outside[name])));
  }

  /** What the observers were told since the last call, but for what settling itself causes, and who comes and goes. */
  heard() {
    const outside = Object.values(this.outside);
    const news = (client) => {
      const from = client.lookedAt ?? 0;
      client.lookedAt = client.events.length;
      return client.events
        .slice(from)
        .filter((e) => e.event.startsWith('chat:') && e.event !== 'chat:user_status' && !outside.includes(e.data?.conversation_id));
    };
    return { sender: news(this.sender), other: news(this.other) };
  }

  /** All that is stored of the conversation, as its participants and, where one can look, the database show it. */
  async look() {
    const of = async (who) => {
      // Ours and the one outside are always among the newest, and a new one would be too.
      const newest = await this.scene.data(who, 'GET', '/api/chat/conversations?limit=4');
      return {
        conversation: withoutHeartbeats(newest.find((c) => c.id === this.conversationId)),
        newest: newest.map((c) => c.id).sort(),
        messages: await this.scene.messages(who, this.conversationId),
      };
    };
    const history = this.scene.data('customer', 'GET', `/api/chat/messages/${this.message.id}/history`);
    const seen = await Promise.all([of('customer'), of('seller'), history]);
    return [...seen, stored(this.scene.server), this.psql && (await this.fingerprint())];
  }

  /** Every row of every table that holds what people said and did, outside of what settling writes. */
  async fingerprint() {
    const outside = Object.values(this.outside).map((id) => `'${id}'`).join(', ');
    this.tables ??= (
      await this.psql.lines(
        `SELECT t.table_name, max(c.column_name) FROM information_schema.tables t
           LEFT JOIN information_schema.columns c ON c.table_name = t.table_name AND c.table_schema = 'public' AND c.column_name = 'conversation_id'
          WHERE t.table_schema = 'public' AND t.table_type = 'BASE TABLE' AND t.table_name NOT LIKE '\\_sqlx%'
            AND t.table_name NOT IN ('chat_servers', 'chat_server_users', 'user_online_status')
          GROUP BY 1 ORDER BY 1`,
      )
    ).map((line) => line.split('|'));
    const which = ([table, column]) => {
      // Written a little later than it happens: the participants' own typing would seem to be what was just tried.
      if (table === 'typing_indicators') return `user_id NOT IN ('${this.people.sender.id}', '${this.people.other.id}')`;
      if (column) return `conversation_id NOT IN (${outside})`;
      if (table === 'conversations') return `id NOT IN (${outside})`;
      return table === 'notifications' ? `metadata->>'conversation_id' NOT IN (${outside})` : 'true';
    };
    const parts = this.tables.map(
      (t) => `SELECT '${t[0]}', count(*), md5(string_agg(x::text, '' ORDER BY x::text)) FROM ${t[0]} x WHERE ${which(t)}`,
    );
    return this.psql.lines(parts.join(' UNION ALL '));
  }

  /** Whether an answer shows anything of the conversation. */
  shows(answer) {
    const text = JSON.stringify(answer ?? null);
    return [SECRET, this.conversationId, this.message.id].some((part) => text.includes(part));
  }
}

module.exports = { MatrixStage };
