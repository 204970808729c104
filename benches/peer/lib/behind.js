'use strict';

const { setTimeout: pause } = require('node:timers/promises');

/** A batch of so many is followed by a pause, as one statement more costs Postgres more than what is in it. */
const MANY = 16;
const PAUSE_MS = 100;

/** Work behind the sending path: what came while the last batch was written is the next one. */
class Behind {
  #write;
  #waiting = [];
  #isWriting = false;

  constructor(write) {
    this.#write = write;
  }

  push(item) {
    this.#waiting.push(item);
    if (!this.#isWriting) this.#run();
  }

  async #run() {
    this.#isWriting = true;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        await this.#write(batch);
      } catch (e) {
        console.error('behind the sending path', e);
      }
      if (batch.length >= MANY) await pause(PAUSE_MS);
    }
    this.#isWriting = false;
  }
}

module.exports = { Behind };
