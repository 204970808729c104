'use strict';

const { io } = require('socket.io-client');
const { tokenFor } = require('../lib/jwt');
const { now, sleep } = require('./clock');
const { History } = require('./history');
const ways = require('./catch-up');

/** How long a client waits for an answer before it takes the message, or the question, for lost. */
const ANSWER_WITHIN = 12_000;
const PAUSE = 300;

/**
 * One client of a user: connects, comes back whenever it is thrown out, and fetches what it missed.
 * `joins`: it enters its conversations' rooms. `catchUp`: one of the ways in catch-up.js.
 */
class Person {
  constructor({ name, user, url, conversations, transports, joins, catchUp }) {
    Object.assign(this, { name, user, url, conversations, joins });
    this.way = ways[catchUp];
    this.history = new History(conversations);
    this.connections = [];
    this.problems = [];
    this.refusals = [];
    this.socket = io(url, {
      forceNew: true,
      autoConnect: false,
      transports,
      auth: (give) => give({ token: tokenFor(user) }),
      reconnectionDelay: 100,
      reconnectionDelayMax: 1000,
      timeout: 5000,
    });
    this.socket.on('connect', () => this.arrived());
    this.socket.on('disconnect', (reason) => this.left(reason));
    this.socket.on('connect_error', (error) => this.refused(error));
    this.socket.on('chat:new_message', (message) => this.receive('live', message));
  }

  /** The connection that is open, or undefined. `ready` has since when each conversation is complete and its messages come. */
  get connection() {
    const last = this.connections.at(-1);
    return last?.closed === undefined ? last : undefined;
  }

  get connected() {
    return this.connection !== undefined;
  }

  get isReady() {
    return this.conversations.every((id) => this.connection?.ready.has(id));
  }

  complain(kind, text) {
    this.problems.push({ kind, text: `${this.name}: ${text}` });
  }

  arrived() {
    const connection = { number: this.connections.length, opened: now(), closed: undefined, reason: undefined, ready: new Map(), questions: [] };
    this.connections.push(connection);
    this.fetchUntilReady(connection);
    this.onConnect?.();
  }

  left(reason) {
    if (this.connection) Object.assign(this.connection, { closed: now(), reason });
    this.comeBack();
  }

  refused(error) {
    this.lastRefusal = error.message;
    // A refusal of the server's own: whoever relies on socket.io-client alone is out for good.
    if (!this.socket.active) this.refusals.push(error.message);
    this.comeBack();
  }

  /** socket.io-client comes back by itself, but not after a refusal or after the server's own "disconnect". */
  comeBack() {
    if (this.isAway || this.socket.active) return;
    setTimeout(() => !this.isAway && this.socket.connect(), PAUSE);
  }

  receive(source, message) {
    this.learn(source, message);
    this.mind(message.conversation_id);
  }

  learn(source, message) {
    this.history.add(source, message, this.connection?.number);
  }

  joined(conversation, seq) {
    this.history.joined(conversation, seq, this.connection?.number);
  }

  /** A number was passed over: what is missing will not come by itself. */
  mind(conversation) {
    if (this.minding || !this.isReady || !this.history.hasHole(conversation)) return;
    this.minding = setTimeout(() => {
      this.minding = undefined;
      if (this.isReady && this.history.hasHole(conversation)) this.fetchUntilReady(this.connection);
    }, PAUSE);
  }

  /** Fetches what is missing, over and over until it works or the connection is gone. */
  async fetchUntilReady(connection) {
    while (this.connection === connection) {
      try {
        await this.catchUp();
        if (this.connection !== connection) return;
        for (const id of this.conversations) if (!connection.ready.has(id)) connection.ready.set(id, now());
        return;
      } catch (error) {
        this.lastTrouble = error.message;
        await sleep(PAUSE);
      }
    }
  }

  /** Once. The connection's record has when it was asking. */
  async catchUp() {
    const question = { from: now(), to: Infinity };
    this.connection?.questions.push(question);
    try {
      await this.way(this, this.conversations);
    } finally {
      question.to = now();
    }
  }

  /** Emits and waits for the acknowledgement: its data, or an error with the server's code. */
  async ask(event, payload) {
    const answer = await this.socket.timeout(ANSWER_WITHIN).emitWithAck(event, payload);
    if (!answer.success) throw new Error(`${event}: ${answer.code}`);
    return answer.data;
  }

  come() {
    this.isAway = false;
    this.socket.connect();
  }

  /** Goes as someone who closes the tab: until `come`, it stays away. */
  go() {
    this.isAway = true;
    this.socket.disconnect();
  }

  /** The line breaks from our side, with whatever is on its way. False where there is no line of our own to break. */
  vanish() {
    const line = this.socket.io.engine?.transport?.ws;
    line?.terminate();
    return line !== undefined;
  }

  state() {
    if (!this.connected) return `not connected (last refusal: ${this.lastRefusal ?? 'none'})`;
    return this.isReady ? 'connected' : `connected, but could not catch up (${this.lastTrouble ?? 'still at it'})`;
  }
}

module.exports = { Person, ANSWER_WITHIN };
