'use strict';

/**
 * At most two runs per key: a caller that arrives during a run shares the next one, so that nobody gets what was read before
 * they asked.
 */
class Shared {
  #runs = new Map();

  ask(key, run) {
    const current = this.#runs.get(key);
    if (!current) return this.#start(key, run);
    current.next ??= current.now.catch(() => {}).then(() => this.#start(key, run));
    return current.next;
  }

  #start(key, run) {
    const current = { next: null };
    current.now = run().finally(() => {
      if (!current.next) this.#runs.delete(key);
    });
    this.#runs.set(key, current);
    return current.now;
  }
}

module.exports = { Shared };
