'use strict';

// One round: users write, a fault happens and ends, all traffic stops, and the checker compares the results.

const { within, until } = require('../lib/limits');
const { check } = require('./checker');
const { makeCast } = require('./cast');
const { now, sleep } = require('./clock');
const { groupBy } = require('./group');
const { Load } = require('./load');

/** How long people may take to come in before, and how long all may take to be well again after the fault. */
const ARRIVAL = 30_000;
const RECOVERY = 60_000;
/** A fault that is still at it after this has hung. */
const FAULT = 240_000;
/** How long after the last acknowledgement messages may still come by themselves. */
const SETTLING = 5_000;
const PRESENCE = 20_000;

const ROWS = `SELECT conversation_id AS conversation, seq, id, sender_id AS sender, client_message_id AS key, message_text AS text,
  extract(epoch FROM created_at) * 1000 AS at, extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000 AS committed FROM messages`;

/** What a fault works with. */
class Stage {
  constructor({ world, people, senders, random, short, report }) {
    Object.assign(this, { world, people, senders, random, short, report });
    this.notes = [];
  }

  /** Waits for as long as chance says; in short runs for the least. */
  seconds(min, max) {
    return sleep(1000 * (this.short ? min : this.random.between(min, max)));
  }

  /** How often something is done; in short runs the least. */
  times(min, max) {
    return this.short ? min : this.random.int(min, max);
  }

  /** Something about this round that its line in the output says. */
  note(text) {
    this.notes.push(text);
  }
}

class Round {
  constructor({ world, fault, options, random }) {
    Object.assign(this, { world, fault, options, random });
    this.people = [];
    this.senders = [];
    this.problems = [];
    this.report = (kind, text) => this.problems.push({ kind, text });
    this.logged = world.server.log.length;
  }

  async play() {
    try {
      await this.open();
      await this.run();
    } catch (error) {
      this.report('other', `${error.message} ${this.unwell()}`);
    } finally {
      this.people.forEach((person) => person.go());
      await this.restore();
    }
    this.lookAtServer();
    return this.result();
  }

  /** Conversations, and everyone in them. */
  async open() {
    const { world, fault, options, random } = this;
    // Whatever the last round left behind.
    if (!world.cluster.running) await world.cluster.start();
    if (!world.server.running) await world.server.start();
    const conversations = await world.newConversations();
    Object.assign(this, makeCast({ world, conversations, random: random.fork('cast'), catchUp: options.catchUp }));
    const { people, senders, report } = this;
    this.stage = new Stage({ world, people, senders, random: random.fork('fault'), short: options.short, report });
    await fault.prepare?.(this.stage);
    people.forEach((person) => person.come());
    await until(() => people.every((p) => p.isReady), 'everyone is there', ARRIVAL);
  }

  async run() {
    const { fault, options, stage } = this;
    const load = new Load(this.senders, options.rate, this.random.fork('load'));
    load.start();
    try {
      await this.calm();
      await within(fault.inject(stage), `${fault.name} to be over`, FAULT);
      this.healed = now();
      await until(() => this.isWell(this.healed), 'all is well again', RECOVERY);
      this.recovery = now() - this.healed;
      this.noteDisconnects();
      await stage.seconds(0.5, 3);
    } finally {
      load.stop();
      this.offered = load.offered;
    }
    await until(() => this.isWell(Infinity), 'every message is acknowledged', RECOVERY);
    await this.compare();
    await this.checkPresence();
  }

  /** The rate that is reached while nothing is wrong. */
  async calm() {
    // The first moment has connections to open and statements to prepare.
    await sleep(500);
    const [from, before] = [now(), this.acknowledged()];
    await this.stage.seconds(1, 5);
    this.rate = ((this.acknowledged() - before) * 1000) / (now() - from);
  }

  /** How often, and why, connections ended or were refused so far. */
  noteDisconnects() {
    const ends = this.people.flatMap((p) => p.connections).filter((c) => c.closed !== undefined).map((c) => c.reason);
    const refusals = this.people.flatMap((p) => p.refusals).map((message) => `refused: ${message}`);
    for (const [reason, all] of groupBy([...ends, ...refusals], (one) => one)) this.stage.note(`${all.length} × ${reason}`);
  }

  acknowledged() {
    return this.senders.reduce((sum, sender) => sum + sender.settled, 0);
  }

  /** Everyone is connected and has caught up, and what was sent before `time` is acknowledged. */
  isWell(time) {
    return this.people.every((p) => p.isReady) && this.senders.every((s) => s.unsentSince(time) === undefined);
  }

  /** What is in the way of being well, in words. */
  unwell() {
    const people = this.people.filter((p) => !p.isReady).map((p) => `${p.name} is ${p.state()}`);
    const sends = this.senders.map((s) => s.unsentSince(Infinity)).filter(Boolean)
      .map((s) => `${s.key} is not acknowledged after ${s.attempts.length} attempts (${s.flying > 0 ? 'one is on its way' : s.lastFailure ?? 'never sent'})`);
    return [...people, ...sends].slice(0, 8).join('; ');
  }

  async compare() {
    const rows = await this.world.sql.rows(ROWS);
    // What comes by itself may be a moment behind the acknowledgement. After that a client would have to ask for it.
    await until(() => this.people.every((p) => this.hasAll(p, rows)), '', SETTLING).catch(() => {});
    const last = this.people.map((p) => p.catchUp().catch((error) => this.report('other', `${p.name} could not catch up at the end: ${error.message}`)));
    await within(Promise.all(last), 'everyone to catch up at the end', RECOVERY);
    const counters = await this.world.sql.rows('SELECT id, last_seq FROM conversations');
    const clients = this.people.map(({ name, user, conversations, connections, history }) => ({ name, user: user.id, conversations, connections, log: history.log }));
    const facts = { rows, counters: new Map(counters.map((c) => [c.id, c.last_seq])), sends: this.senders.flatMap((s) => s.sends), clients };
    this.problems.push(...check(facts), ...this.people.flatMap((p) => p.problems));
  }

  hasAll(person, rows) {
    this.lengths ??= rows.reduce((lengths, row) => lengths.set(row.conversation, Math.max(row.seq, lengths.get(row.conversation) ?? 0)), new Map());
    return person.conversations.every((id) => person.history.upTo(id) >= (this.lengths.get(id) ?? 0));
  }

  /** Those who are here are shown as online, and once they are gone nobody is. */
  async checkPresence() {
    const shown = async (wanted) => {
      const online = await this.world.online();
      return online.size === wanted.size && [...wanted].every((id) => online.has(id));
    };
    const everyone = new Set(this.people.map((p) => p.user.id));
    const wrong = (what) => this.report('other', `presence: ${what} after ${PRESENCE / 1000} s`);
    await until(() => shown(everyone), '', PRESENCE).catch(async () => wrong(`of ${everyone.size} people who are here ${(await this.world.online()).size} are online`));
    this.people.forEach((p) => p.go());
    await until(() => shown(new Set()), '', PRESENCE).catch(async () => wrong(`everyone is gone, but ${[...(await this.world.online())].join(', ')} are online`));
  }

  async restore() {
    try {
      if (this.stage) await this.fault.restore?.(this.stage);
    } catch (error) {
      this.report('other', `${this.fault.name} could not be undone: ${error.message}`);
    }
  }

  lookAtServer() {
    const { server } = this.world;
    this.log = server.log.slice(this.logged);
    if (!server.running) this.report('other', 'the server is not running at the end');
    const panic = this.log.match(/.*panicked at.*\n.*/);
    if (panic) this.report('other', `the server panicked: ${panic[0]}`);
  }

  result() {
    const sends = this.senders.flatMap((s) => s.sends);
    return {
      fault: this.fault.name,
      offered: this.offered ?? 0,
      acknowledged: sends.filter((s) => s.answers.length > 0).length,
      repeated: sends.filter((s) => s.attempts.length > 1).length,
      rate: this.rate,
      recovery: this.recovery,
      problems: this.problems,
      notes: this.stage?.notes ?? [],
      log: this.log,
    };
  }
}

module.exports = { Round };
