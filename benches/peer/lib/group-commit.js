'use strict';

/** More lanes overlap their commits, but make smaller batches. */
const LANES = 2;
const MOST_IN_A_BATCH = 384;

/**
 * Stores what has queued meanwhile by one statement. A conversation has its lane, and a lane one statement in flight, so that
 * messages stay in order.
 */
class GroupCommit {
  #store;
  #told;
  #lanes = Array.from({ length: LANES }, () => ({ waiting: [], isBusy: false }));

  /** `told(entry, stored)` is called in the order in which messages were pushed, after their commit. */
  constructor(store, told) {
    this.#store = store;
    this.#told = told;
  }

  /** Resolves to what `told` returned. */
  push(entry) {
    return new Promise((resolve, reject) => {
      const lane = this.#lanes[laneOf(entry.message.conversation_id)];
      lane.waiting.push({ entry, resolve, reject });
      // What else comes in this turn of the event loop belongs to the batch.
      if (!lane.isBusy) {
        lane.isBusy = true;
        setImmediate(() => this.#run(lane));
      }
    });
  }

  async #run(lane) {
    while (lane.waiting.length > 0) await this.#write(lane.waiting.splice(0, MOST_IN_A_BATCH));
    lane.isBusy = false;
  }

  async #write(batch) {
    let stored = null;
    try {
      stored = await this.#store.sendBatch(batch.map((b) => b.entry.message));
    } catch (e) {
      // What Postgres refused is not stored. After any other failure that is not known, and nothing is tried again.
      if (e.severity !== 'ERROR') return batch.forEach((b) => b.reject(e));
    }
    if (!stored) return this.#oneByOne(batch);
    batch.forEach((b, i) => this.#settle(b, stored[i]));
  }

  async #oneByOne(batch) {
    for (const b of batch) {
      try {
        this.#settle(b, await this.#store.send(b.entry.message));
      } catch (e) {
        b.reject(e);
      }
    }
  }

  #settle({ entry, resolve, reject }, stored) {
    try {
      resolve(this.#told(entry, stored));
    } catch (e) {
      reject(e);
    }
  }
}

function laneOf(conversation) {
  let hash = 0;
  for (let i = 0; i < conversation.length; i++) hash = (hash * 31 + conversation.charCodeAt(i)) | 0;
  return (hash >>> 0) % LANES;
}

module.exports = { GroupCommit };
