'use strict';

const EDIT = /^edit (\d+)$/;

/** What a client knows of messages that changed, and of how far somebody has read, in one life. */
class Known {
  constructor(reader) {
    this.reader = reader;
    /** The newest value of each kind of change of a message, or of a conversation. */
    this.values = { edit: new Map(), reaction: new Map(), deletion: new Map(), read: new Map() };
  }

  hear(event, data) {
    switch (event) {
      case 'chat:new_message':
      case 'chat:new_reply':
        // It comes as it is by then.
        this.put('edit', data.id, edit(data));
        this.put('reaction', data.id, data.version);
        if (data.is_deleted) this.put('deletion', data.id, 1);
        break;
      case 'chat:message_edited':
        // Set, not the highest: an older text that comes later is what the user would see.
        this.values.edit.set(data.id, edit(data));
        break;
      case 'chat:reaction_added':
      case 'chat:reaction_removed':
        this.values.reaction.set(data.message_id, data.version);
        break;
      case 'chat:message_deleted':
        this.put('deletion', data.message_id, 1);
        break;
      case 'chat:messages_read':
        if (data.userId === this.reader) this.put('read', data.conversationId, data.last_read_seq);
        break;
    }
  }

  put(kind, about, value) {
    this.values[kind].set(about, Math.max(value, this.values[kind].get(about) ?? 0));
  }

  /** Whether it knows of this change, or of a newer one of its kind. A message that is deleted tells nothing else. */
  has({ kind, about, value }) {
    return (this.values[kind].get(about) ?? 0) >= value || (kind !== 'deletion' && kind !== 'read' && this.values.deletion.has(about));
  }
}

/** Texts of edits are numbered. */
const edit = (message) => Number(EDIT.exec(message.message_text)?.[1] ?? 0);

module.exports = { Known };
