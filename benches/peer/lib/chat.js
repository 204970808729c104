'use strict';

const { Behind } = require('./behind');
const { GroupCommit } = require('./group-commit');
const { OneByOne } = require('./one-by-one');
const { Json } = require('./parser');
const views = require('./views');

/** What the chat does, for sockets and REST alike. */
class Chat {
  #io;
  #store;
  #deliveries;
  #presence;
  #writer;
  /** Sockets per user. */
  #sockets = new Map();

  constructor(io, store, isBatched) {
    this.#io = io;
    this.#store = store;
    this.#writer = new (isBatched ? GroupCommit : OneByOne)(store, (entry, stored) => this.#tell(entry, stored));
    this.#deliveries = new Behind((batch) => this.#writeDeliveries(batch));
    this.#presence = new Behind((batch) => store.setOnline([...new Map(batch.map((c) => [c.user, c])).values()]));
  }

  connected(socket) {
    const { user } = socket.data;
    socket.join(`user:${user.id}`);
    const count = this.#sockets.get(user.id) ?? 0;
    this.#sockets.set(user.id, count + 1);
    if (count === 0) this.#presence.push({ user: user.id, online: true });

    // One listener for all events: several closures on each of thousands of idle sockets would be memory for nothing.
    socket.onAny((event, ...args) => this.#dispatch(socket, event, args));
    socket.on('disconnect', () => this.#disconnected(user));
  }

  async #dispatch(socket, event, [payload, ack]) {
    try {
      const data = await this.#act(socket, event, payload);
      ack?.(data instanceof Json ? new Json(`{"success":true,"data":${data.text}}`) : { success: true, data });
    } catch (e) {
      if (!(e instanceof Refused)) console.error(event, e);
      const message = e instanceof Refused ? e.message : 'Internal server error';
      socket.emit('chat:error', { success: false, message });
      ack?.({ success: false, message });
    }
  }

  async #act(socket, event, payload) {
    switch (event) {
      case 'chat:join':
        return this.#join(socket, payload);
      case 'chat:send_message':
        return this.#send(socket, payload);
      case 'chat:typing':
        return this.#typing(socket, payload);
      case 'chat:mark_read':
        return this.#markRead(socket, payload);
      case 'chat:get_conversations':
        socket.emit('chat:conversations', await this.conversations(socket.data.user));
        return undefined;
      default:
        throw new Refused('Unknown event', 404);
    }
  }

  #disconnected(user) {
    const left = this.#sockets.get(user.id) - 1;
    if (left > 0) {
      this.#sockets.set(user.id, left);
    } else {
      this.#sockets.delete(user.id);
      this.#presence.push({ user: user.id, online: false });
    }
  }

  /** Who takes part in a conversation of the user's. */
  async members(conversationId, user) {
    const members = await this.#store.members(conversationId);
    if (!members) throw new Refused('Conversation not found', 404);
    if (!members.includes(user.id)) throw new Refused('Not authorized', 403);
    return members;
  }

  async #join(socket, { conversationId }) {
    const { user } = socket.data;
    await this.read(conversationId, user, socket.id);
    socket.join(`conversation:${conversationId}`);
    const payload = { userId: user.id, displayName: views.name(user), conversationId };
    socket.to(`conversation:${conversationId}`).emit('chat:user_joined', payload);
    socket.emit('chat:joined', { conversationId });
    return { conversationId };
  }

  async #send(socket, { conversationId, message, attachments = [], tempId, clientMessageId }) {
    const { user } = socket.data;
    if (typeof message !== 'string' || message === '') throw new Refused('Message content is required', 400);
    const members = await this.members(conversationId, user);
    const m = {
      id: views.newId(),
      conversation_id: conversationId,
      sender_id: user.id,
      message_text: message,
      attachments,
      tempId,
      client_message_id: clientMessageId ?? null,
    };
    return this.#writer.push({ message: m, socket, user, members });
  }

  /** Tells everyone of a message that was stored. Returns what its sender is told. */
  #tell({ message: m, socket, user, members }, stored) {
    if (!stored) throw new Refused('Conversation is closed', 409);
    // Made once for all who get it; its sender's differs at its end.
    const text = views.newMessage(stored.isRepeat ? { ...m, ...stored } : m, stored, user);
    const own = new Json(m.tempId === undefined ? text : `${text.slice(0, -1)},"tempId":${JSON.stringify(m.tempId)}}`);
    const room = `conversation:${m.conversation_id}`;
    if (!socket.rooms.has(room)) socket.join(room);
    socket.emit('chat:message_sent', own);
    if (stored.isRepeat) return own;
    const others = members.filter((id) => id !== user.id);
    const rooms = [room, ...others.map((id) => `user:${id}`)];
    const audience = m.tempId === undefined ? this.#io.to(rooms) : socket.to(rooms);
    audience.emit('chat:new_message', new Json(text));
    const recipients = others.filter((id) => this.#sockets.has(id));
    if (recipients.length > 0) this.#deliveries.push({ message: m, seq: stored.seq, recipients });
    return own;
  }

  async #writeDeliveries(batch) {
    const at = (await this.#store.markDelivered(batch)).toISOString();
    for (const { message, recipients } of batch) {
      const payload = { message_id: message.id, conversation_id: message.conversation_id, delivered_at: at };
      const rooms = [message.sender_id, ...recipients].map((id) => `user:${id}`);
      this.#io.to(rooms).emit('chat:message_delivered', payload);
    }
  }

  async #typing(socket, { conversationId, isTyping }) {
    const { user } = socket.data;
    await this.members(conversationId, user);
    const payload = { userId: user.id, displayName: views.name(user), isTyping, conversationId };
    socket.to(`conversation:${conversationId}`).emit('chat:user_typing', payload);
    return { conversationId, isTyping };
  }

  async #markRead(socket, { conversationId }) {
    const count = await this.read(conversationId, socket.data.user, socket.id);
    return { conversationId, count };
  }

  async read(conversationId, user, fromSocket) {
    const members = await this.members(conversationId, user);
    const { marked, read_seq, read_at } = await this.#store.markRead(conversationId, user.id);
    if (marked > 0) {
      const payload = { userId: user.id, conversationId, read_at: read_at.toISOString(), last_read_seq: read_seq };
      const audience = this.#io.to(members.map((id) => `user:${id}`));
      (fromSocket ? audience.except(fromSocket) : audience).emit('chat:messages_read', payload);
    }
    return marked;
  }

  async conversations(user, limit = 50) {
    const { list, others } = await this.#store.conversations(user.id, limit);
    return list.map((c) => views.conversation(c, others.get(c.id), (id) => this.#sockets.has(id)));
  }

  async messages(conversationId, user, limit = 50, offset = 0) {
    await this.members(conversationId, user);
    const { watermarks, page } = await this.#store.messages(conversationId, limit, offset);
    return page.map((row) => views.message(row, watermarks));
  }
}

/** A refusal in words for the client. */
class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

module.exports = { Chat, Refused };
