'use strict';

// Seeded randomness: a failing run is repeated with SOUK_FUZZ_SEED, a longer one made with SOUK_FUZZ_ROUNDS.

const { randomInt } = require('node:crypto');
const { NOBODY } = require('./users');

const SEED = Number(process.env.SOUK_FUZZ_SEED ?? randomInt(2 ** 31));
const rounds = (usual) => Number(process.env.SOUK_FUZZ_ROUNDS ?? usual);

/** mulberry32: small, and good enough for payloads. */
class Random {
  constructor(seed = SEED) {
    this.state = seed >>> 0;
  }

  /** In [0, 1). */
  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  below(n) {
    return Math.floor(this.next() * n);
  }

  chance(p) {
    return this.next() < p;
  }

  pick(list) {
    return list[this.below(list.length)];
  }

  bytes(n) {
    return Buffer.from(Array.from({ length: n }, () => this.below(256)));
  }

  /** Text out of what programs stumble over. */
  text(max = 40) {
    // Two of the longest stay below MAX_PAYLOAD_BYTES, past which the socket would be closed.
    if (this.chance(0.02)) return this.pick(['x', 'ä', '😀', '\u0000', '{']).repeat(this.pick([5001, 30_000, 80_000]));
    return Array.from({ length: this.below(max) }, () => this.pick(CHARACTERS)()).join('');
  }

  /** Any JSON value, and now and then binary. */
  value(depth = 0) {
    const leaf = depth > 3 || this.chance(0.7);
    if (leaf) return this.pick(LEAVES)(this);
    if (this.chance(0.5)) return Array.from({ length: this.below(4) }, () => this.value(depth + 1));
    return Object.fromEntries(Array.from({ length: this.below(4) }, () => [this.pick([this.text(10), ...KEYS]), this.value(depth + 1)]));
  }

  /** The payload with something wrong in it, or not. */
  mutate(payload, ids) {
    if (this.chance(0.15)) return this.value();
    const copy = { ...payload };
    const fields = Object.keys(copy);
    for (let i = this.below(4); i > 0; i--) {
      const field = fields.length > 0 && this.chance(0.85) ? this.pick(fields) : this.pick(KEYS);
      const how = this.below(6);
      if (how === 0) delete copy[field];
      // A key such as __proto__ would otherwise set the prototype, and not be sent.
      else define(copy, field, how < 3 && typeof copy[field] === 'string' ? this.bend(copy[field]) : how === 3 ? this.pick(ids) : this.value());
    }
    return copy;
  }

  /** A text with a small change: what a bug in a client makes of a good one. */
  bend(text) {
    const at = this.below(text.length + 1);
    return this.pick([
      () => text.toUpperCase(),
      () => ` ${text} `,
      () => text.slice(0, at),
      () => text + text,
      () => text.slice(0, at) + this.pick(CHARACTERS)() + text.slice(at),
      () => text.slice(0, at) + this.pick(CHARACTERS)() + text.slice(at + 1),
      () => `{${text}}`,
      () => encodeURIComponent(text.toWellFormed()),
      () => text.replaceAll('-', ''),
    ])();
  }
}

const define = (object, key, value) => Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });

const CHARACTERS = [...'ab0 "\'\\/%_;<&-', '\n', '\u0000', '\u007f', '\u200d', '\u202e', '\ufeff', '\ud800', '\udfff', '😀', '👩‍👩‍👧', 'é', 'سوق', '𐍈'].map((c) => () => c);

const KEYS = [
  'conversationId', 'message', 'messageId', 'replyToMessageId', 'newText', 'reaction', 'deletionType', 'attachments', 'tempId', 'clientMessageId',
  'isTyping', 'limit', 'offset', 'before', 'after', 'token', 'conversations', 'since', 'lastSeq', 'participantId', 'metadata', 'type', 'subject',
  'relatedEntityId', 'relatedEntityType', '__proto__', 'constructor', 'toString', 'hasOwnProperty', '', '_placeholder', 'num', '$ne', 'userId', 'sender_id', 'seq',
];

const nest = (depth) => {
  let value = 'core';
  for (let i = 0; i < depth; i++) value = i % 2 ? [value] : { a: value };
  return value;
};

const LEAVES = [
  () => null,
  () => undefined,
  (r) => r.chance(0.5),
  (r) => r.pick([0, -0, 1, -1, 50, 200, 201, 0.5, -1e-7, 1e21, 1e308, 2 ** 31, 2 ** 53, -(2 ** 53), 2 ** 63, 2 ** 64, NaN, Infinity]),
  (r) => r.below(1000) - 500,
  (r) => r.text(),
  (r) => r.text(),
  (r) => r.text(200),
  (r) => r.pick(['', ' ', 'null', 'undefined', 'true', '0', '-1', '1e3', '9'.repeat(400), NOBODY, NOBODY.toUpperCase(), '[object Object]', '__proto__', "' OR 1=1 --", '../../etc/passwd', '%00', '${7*7}']),
  (r) => r.pick(['for_me', 'for_everyone', '👍', '❤️', '2026-01-01T00:00:00Z', '2026-01-01T00:00:00+25:00', '9999-12-31T23:59:60Z', '0001-01-01T00:00:00Z', '-271821-04-20T00:00:00Z']),
  (r) => (r.chance(0.1) ? nest(r.pick([60, 200, 1000])) : []),
  () => ({}),
  (r) => (r.chance(0.3) ? r.bytes(r.below(64)) : 'binary'),
  (r) => Array.from({ length: r.pick([1, 11, 300]) }, () => ({ name: 'a', type: 'b', size: 1, url: 'https://x.example/a', path: 'a' })),
];

module.exports = { SEED, rounds, Random, KEYS };
