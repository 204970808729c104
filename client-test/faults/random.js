'use strict';

function hash(text) {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

/**
 * Chance that a seed decides (mulberry32). Whoever decides something takes a fork of its own: what one
 * draws then does not depend on how often, or when, another drew.
 */
class Random {
  constructor(seed) {
    this.seed = String(seed);
    this.state = hash(this.seed);
  }

  fork(name) {
    return new Random(`${this.seed}/${name}`);
  }

  /** From 0 up to, but not, 1. */
  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  between(min, max) {
    return min + this.next() * (max - min);
  }

  /** A whole number, both ends included. */
  int(min, max) {
    return Math.floor(this.between(min, max + 1));
  }

  chance(share) {
    return this.next() < share;
  }

  pick(list) {
    return list[this.int(0, list.length - 1)];
  }

  /** `n` different ones of the list. */
  some(list, n) {
    const rest = [...list];
    return Array.from({ length: Math.min(n, rest.length) }, () => rest.splice(this.int(0, rest.length - 1), 1)[0]);
  }
}

module.exports = { Random };
