'use strict';

const { LineClient, NOTICES_WITHIN } = require('../lib/line');
const { sleep, until } = require('./patience');
const { faultsOf } = require('./check');
const { Known } = require('./known');

const EVENTS = [
  'chat:new_message', 'chat:new_reply', 'chat:message_edited', 'chat:reaction_added', 'chat:reaction_removed',
  'chat:message_deleted', 'chat:messages_read',
];
/** In which moment of the upgrade the line is cut: the WebSocket opens, it has answered the probe, a little later, it has taken over. */
const MOMENTS = ['open', 'upgrading', 'soon', 'upgrade'];

/** A client that knows nothing of `chat:sync`: it connects again whenever it can, and writes down what it is told. */
class Listener extends LineClient {
  /** From now on: `talk` says what is said, of which that in `conversations` is for it. */
  listen(name, kind, talk, conversations) {
    Object.assign(this, { name, kind, talk, conversations, lives: [], problems: [], cuts: 0, recoveries: 0, cutsInUpgrade: 0 });
    Object.assign(this, { changesChecked: 0, changesDone: 0 });
    // What the tests' client writes down would grow without end.
    this.socket.offAny();
    this.record = () => {};
    this.formerPid = this.pid;
    this.begin();
    this.socket.on('connect', () => this.arrived());
    for (const event of ['disconnect', 'connect_error']) this.socket.on(event, () => this.comeSoon());
    for (const event of EVENTS) this.socket.on(event, (data) => this.hear(event, data));
  }

  get life() {
    return this.lives.at(-1);
  }

  begin() {
    const seen = new Map(this.conversations.map((id) => [id, []]));
    this.lives.push({ floors: new Map(this.talk.begun), seen, order: this.talk.order, known: new Known(this.talk.readerId) });
  }

  hear(event, data) {
    if (event === 'chat:new_message' || event === 'chat:new_reply') this.life.seen.get(data.conversation_id).push(data.seq);
    this.life.known.hear(event, data);
  }

  arrived() {
    if (this.recovered) {
      this.recoveries += 1;
    } else {
      if (!this.pid || this.pid === this.formerPid) this.problems.push({ kind: 'not told', what: `started anew, but its pid is ${this.pid}` });
      this.begin();
    }
    this.formerPid = this.pid;
  }

  comeSoon() {
    setTimeout(() => !this.isDown && this.socket.connect(), Math.random() * 300);
  }

  /** From now on it does not come back by itself. */
  stayAway() {
    this.isDown = true;
  }

  async cut() {
    this.stayAway();
    this.cuts += 1;
    this.proxy.reset();
    await until(() => !this.socket.connected, `${this.name} knows that its line is cut`, NOTICES_WITHIN);
  }

  /** Its line is there again; one that is cut again, in the upgrade or while it comes back, comes back once more. */
  async back(again) {
    this.isDown = false;
    this.socket.connect();
    if (again === 'in the upgrade') {
      await this.cutInUpgrade(this.socket.io.engine);
    } else if (again) {
      await sleep(Math.random() * 60);
      this.proxy.reset();
    }
    await until(() => this.socket.connected, `${this.name} is back`, NOTICES_WITHIN);
  }

  /** Cuts the line in a moment of the upgrade of this session, if it gets so far. */
  cutInUpgrade(engine) {
    const moment = MOMENTS[Math.floor(Math.random() * MOMENTS.length)];
    return new Promise((resolve) => {
      const cut = () => {
        if (engine.readyState === 'open') this.cutsInUpgrade += 1;
        this.proxy.reset();
        resolve();
      };
      if (moment === 'soon') engine.once('upgrading', () => setTimeout(cut, Math.random() * 5));
      else engine.once(moment, moment === 'open' ? () => setTimeout(cut, Math.random() * 10) : cut);
      engine.once('close', resolve);
      engine.once('error', resolve);
      engine.once('upgradeError', resolve);
    });
  }

  /** Waits until it has what is said by now, and tells what is wrong. */
  async faults() {
    const said = new Map(this.conversations.map((id) => [id, this.talk.said.get(id)]));
    const changes = this.talk.changes.slice(this.changesDone).filter((change) => this.conversations.includes(change.conversation));
    this.changesDone = this.talk.changes.length;
    const has = (id) => Math.max(this.life.floors.get(id), this.life.seen.get(id).at(-1) ?? 0) >= said.get(id);
    const missing = () => changes.filter((change) => change.order > this.life.order && !this.life.known.has(change));
    await until(() => this.socket.connected && [...said.keys()].every(has) && missing().length === 0, 'all is there', NOTICES_WITHIN).catch(() => {});
    this.changesChecked += changes.filter((change) => change.order > this.life.order).length;
    this.problems.push(...missing().map(({ kind, about, value }) => ({ kind: 'change lost', what: `the ${kind} ${value} of ${about} never came` })));
    return [...this.problems, ...faultsOf(this.lives, said)];
  }

  get messages() {
    return this.lives.reduce((sum, life) => sum + [...life.seen.values()].reduce((n, numbers) => n + numbers.length, 0), 0);
  }
}

module.exports = { Listener };
