'use strict';

const { io } = require('socket.io-client');
const { PATIENCE, within } = require('./limits');

const anything = () => true;

/**
 * A socket that writes down every event it gets. Waiting looks at what was written down first, so a
 * test may act and then wait without losing an event that came in between.
 */
class Client {
  constructor(url, options) {
    // forceNew: two clients of one test are two connections, as two browser tabs are.
    this.socket = io(url, { forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 200, ...options });
    this.events = [];
    this.waiting = new Set();
    this.socket.onAny((event, data) => this.record(event, data));
    this.socket.on('connect', () => this.record('connect'));
    this.socket.on('disconnect', (reason) => this.record('disconnect', reason));
    this.socket.on('connect_error', (error) => this.record('connect_error', error));
  }

  record(event, data) {
    this.events.push({ event, data, at: performance.now(), taken: false });
    for (const check of this.waiting) check();
  }

  /** The data of the first matching event that no earlier call took; waits for it if need be. */
  async waitFor(event, matches = anything, ms = PATIENCE) {
    return (await this.waitForEntry(event, matches, ms)).data;
  }

  /** The same with the name and the time at which it came; `event` may be several names. */
  waitForEntry(event, matches = anything, ms = PATIENCE) {
    let check;
    const found = new Promise((resolve) => {
      check = () => {
        const entry = this.events.find((e) => !e.taken && [event].flat().includes(e.event) && matches(e.data));
        if (!entry) return;
        entry.taken = true;
        this.waiting.delete(check);
        resolve(entry);
      };
      this.waiting.add(check);
      check();
    });
    return within(found, `${event} (had: ${this.summary()})`, ms)
      .catch((error) => {
        throw new Error(`${error.message}; at the end it had: ${this.summary()}`);
      })
      .finally(() => this.waiting.delete(check));
  }

  /** Waits until at least n matching events are there and gives the data of all, in order of arrival. */
  async waitForMany(event, n, matches = anything, ms = PATIENCE) {
    let check;
    const enough = new Promise((resolve) => {
      check = () => {
        if (this.count(event, matches) >= n) resolve();
      };
      this.waiting.add(check);
      check();
    });
    try {
      await within(enough, `${n} × ${event}`, ms);
    } catch (error) {
      throw new Error(`${error.message}: only ${this.count(event, matches)} came`);
    } finally {
      this.waiting.delete(check);
    }
    return this.all(event, matches);
  }

  /** Everything of this name that came so far, waited for or not. */
  all(event, matches = anything) {
    return this.events.filter((e) => e.event === event && matches(e.data)).map((e) => e.data);
  }

  count(event, matches = anything) {
    return this.all(event, matches).length;
  }

  summary() {
    return this.events.slice(-20).map((e) => e.event).join(', ') || 'nothing';
  }

  emit(event, ...args) {
    this.socket.emit(event, ...args);
  }

  /** Emits with an acknowledgement callback and gives the answer. */
  ask(event, ...args) {
    const answer = new Promise((resolve) => this.socket.emit(event, ...args, resolve));
    return within(answer, `the acknowledgement of ${event}`);
  }

  connected() {
    return this.waitFor('connect');
  }

  /** For a handshake that must be refused: the connect_error. */
  async refused() {
    const { event, data } = await this.waitForEntry(['connect', 'connect_error']);
    if (event === 'connect') throw new Error('the handshake was accepted');
    return data;
  }

  close() {
    this.socket.disconnect();
  }
}

module.exports = { Client };
