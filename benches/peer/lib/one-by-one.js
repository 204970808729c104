'use strict';

/**
 * Stores each message by a statement of its own. Messages of one conversation wait for each other here, not for a row lock in
 * the database: that keeps their order, and connections free for other conversations.
 */
class OneByOne {
  #store;
  #told;
  /** Per conversation the end of its line. */
  #lines = new Map();

  /** `told(entry, stored)` is called in the order in which messages were pushed, after their commit. */
  constructor(store, told) {
    this.#store = store;
    this.#told = told;
  }

  /** Resolves to what `told` returned. */
  async push(entry) {
    const { conversation_id: conversation } = entry.message;
    const last = this.#lines.get(conversation);
    const done = this.#send(entry, last);
    this.#lines.set(conversation, done);
    try {
      return await done;
    } finally {
      if (this.#lines.get(conversation) === done) this.#lines.delete(conversation);
    }
  }

  async #send(entry, last) {
    await last?.catch(() => {});
    return this.#told(entry, await this.#store.send(entry.message));
  }
}

module.exports = { OneByOne };
