'use strict';

const { now } = require('./clock');

/**
 * What one client was told of messages: a log that only grows, which the checker reads, and what the
 * client itself needs of it, the number up to which it has every message of a conversation.
 */
class History {
  constructor(conversations) {
    this.log = [];
    this.known = new Map(conversations.map((id) => [id, { upTo: 0, beyond: new Set() }]));
  }

  /** `source`: `live` (chat:new_message), `sent` (the answer to an own message) or `caught up`. */
  add(source, message, connection) {
    const { conversation_id: conversation, seq, id, sender_id: sender, client_message_id: key, message_text: text } = message;
    this.log.push({ source, conversation, seq, id, sender, key, text, connection, at: now() });
    const known = this.known.get(conversation);
    if (!known || seq <= known.upTo) return;
    known.beyond.add(seq);
    while (known.beyond.delete(known.upTo + 1)) known.upTo += 1;
  }

  /** chat:joined brought everything up to `seq`: nothing of that may come again over this connection. */
  joined(conversation, seq, connection) {
    this.log.push({ source: 'joined', conversation, seq, connection, at: now() });
  }

  upTo(conversation) {
    return this.known.get(conversation).upTo;
  }

  /** Messages are missing below one that is there. */
  hasHole(conversation) {
    // What was still on its way in the round before is none of this one's.
    return (this.known.get(conversation)?.beyond.size ?? 0) > 0;
  }
}

module.exports = { History };
