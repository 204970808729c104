'use strict';

const { ANSWER_WITHIN } = require('./person');
const { now } = require('./clock');

/** After these the same message may be sent again. Any other refusal is final, and here a fault. */
const RETRYABLE = new Set(['internal', 'busy', 'rate_limited']);

/**
 * What a person writes: each message is sent, and sent again under the same clientMessageId, until it is
 * acknowledged. `window`: how many are on their way at once; with 1 the next waits for the last.
 * `draws`: it gives a tempId, as an app does that draws its own messages. `repeats`: the share of
 * messages that go out twice at once, as by a double click.
 */
class Sender {
  constructor(person, { window, draws, repeats, random }) {
    Object.assign(this, { person, window, draws, repeats, random });
    // Whoever has so many written and not stored writes no more until some are.
    this.most = window + 8;
    this.sends = [];
    this.byKey = new Map();
    this.waiting = [];
    this.flying = 0;
    this.settled = 0;
    this.clock = Date.now;
    person.onConnect = () => this.pump();
    person.socket.on('chat:message_sent', (message) => this.told(message));
  }

  get unsent() {
    return this.sends.length - this.settled;
  }

  /** A message that was written before `time` and waits for its acknowledgement, or undefined. */
  unsentSince(time) {
    if (this.unsent === 0) return undefined;
    return this.sends.find((send) => !send.settled && send.written < time);
  }

  /** A new message, unless too many wait already. */
  write(conversation, text) {
    if (this.unsent >= this.most) return false;
    const { person } = this;
    const number = this.sends.length;
    const send = {
      number, key: `${person.name}.${number}`, conversation, text, sender: person.user.id, by: person.name,
      attempts: [], answers: [], written: now(), settled: false, flying: 0, notBefore: 0,
    };
    this.sends.push(send);
    this.byKey.set(send.key, send);
    this.waiting.push(send);
    this.pump();
    return true;
  }

  /** Sends what may go now, the oldest first. */
  pump() {
    while (this.person.connected && this.flying < this.window && this.waiting.length > 0) {
      const pause = this.waiting[0].notBefore - now();
      if (pause > 0) {
        this.timer ??= setTimeout(() => {
          this.timer = undefined;
          this.pump();
        }, pause);
        return;
      }
      const send = this.waiting.shift();
      this.transmit(send);
      if (this.random.chance(this.repeats)) this.transmit(send);
    }
  }

  transmit(send) {
    const time = this.clock();
    const payload = { conversationId: send.conversation, message: send.text, clientMessageId: send.key, clientTimestamp: time };
    if (this.draws) payload.tempId = `temp_${time}`;
    const connection = this.person.connection.number;
    send.attempts.push({ at: now(), connection });
    send.flying += 1;
    this.flying += 1;
    // The callback is called in any case: with an error where no answer came in time, or the connection ended.
    this.person.socket.timeout(ANSWER_WITHIN).emit('chat:send_message', payload, (error, answer) => {
      send.flying -= 1;
      this.flying -= 1;
      if (error) this.failed(send, error.message);
      else if (!answer.success) this.failed(send, answer.code, answer);
      else this.stored(send, answer.data);
      this.pump();
    });
  }

  stored(send, message) {
    send.answers.push({ at: now(), id: message.id, seq: message.seq, text: message.message_text });
    if (send.answers.length > 1) return;
    this.settle(send);
    this.person.receive('sent', message);
  }

  /** chat:message_sent says the same as the acknowledgement, also when nobody waits for that any more. */
  told(message) {
    const send = this.byKey.get(message.client_message_id);
    if (!send) {
      this.person.complain('other', `chat:message_sent of what it never sent: ${message.client_message_id}`);
      return;
    }
    const at = this.waiting.indexOf(send);
    if (at >= 0) this.waiting.splice(at, 1);
    this.stored(send, message);
  }

  settle(send) {
    send.settled = true;
    this.settled += 1;
  }

  failed(send, why, answer) {
    send.lastFailure = why;
    if (send.answers.length > 0 || send.flying > 0) return;
    if (answer && !RETRYABLE.has(answer.code)) {
      this.settle(send);
      this.person.complain('other', `${send.key} was refused: ${answer.code} ${answer.message}`);
      return;
    }
    if (answer) send.notBefore = now() + (answer.retry_after_ms ?? this.random.between(200, 600));
    // Back to its place: what was written first goes first.
    const at = this.waiting.findIndex((other) => other.number > send.number);
    this.waiting.splice(at < 0 ? this.waiting.length : at, 0, send);
  }
}

module.exports = { Sender };
