'use strict';

const { LineClient, NOTICES_WITHIN } = require('../lib/line');
const { until } = require('../lib/limits');
const { sleep } = require('../faults/clock');
const { faultsOf } = require('./check');

/** A client that knows nothing of `chat:sync`: it connects again whenever it can, and writes down what it is told. */
class Listener extends LineClient {
  /** From now on: `talk` says what is said, of which that in `conversations` is for it. */
  listen(name, talk, conversations) {
    Object.assign(this, { name, talk, conversations, lives: [], problems: [], recoveries: 0 });
    this.formerPid = this.pid;
    this.begin();
    this.socket.on('connect', () => this.arrived());
    for (const event of ['disconnect', 'connect_error']) this.socket.on(event, () => this.comeSoon());
    this.socket.on('chat:new_message', (m) => this.lives.at(-1).seen.get(m.conversation_id).push(m.seq));
  }

  begin() {
    const seen = new Map(this.conversations.map((id) => [id, []]));
    this.lives.push({ floors: new Map(this.talk.begun), seen });
  }

  arrived() {
    if (this.recovered) {
      this.recoveries += 1;
    } else {
      if (!this.pid || this.pid === this.formerPid) this.problems.push(`was not told that it starts anew: ${this.pid}`);
      this.begin();
    }
    this.formerPid = this.pid;
  }

  comeSoon() {
    setTimeout(() => !this.isDown && this.socket.connect(), Math.random() * 300);
  }

  async cut() {
    this.isDown = true;
    this.proxy.reset();
    await until(() => !this.socket.connected, `${this.name} knows that its line is cut`, NOTICES_WITHIN);
  }

  /** Its line is there again; `unsteady` breaks once more while it comes back. */
  async back(unsteady) {
    this.isDown = false;
    this.socket.connect();
    if (unsteady) {
      await sleep(Math.random() * 60);
      this.proxy.reset();
    }
    await until(() => this.socket.connected, `${this.name} is back`, 60_000);
  }

  /** Waits until it has what is said by now, and says what is wrong. */
  async faults() {
    const said = new Map(this.conversations.map((id) => [id, this.talk.said.get(id)]));
    const has = (id) => Math.max(this.lives.at(-1).floors.get(id), this.lives.at(-1).seen.get(id).at(-1) ?? 0) >= said.get(id);
    await until(() => this.socket.connected && [...said.keys()].every(has), 'all is there', NOTICES_WITHIN).catch(() => {});
    return [...this.problems, ...faultsOf(this.lives, said)].map((fault) => `${this.name}: ${fault}`);
  }
}

module.exports = { Listener };
