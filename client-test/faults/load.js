'use strict';

const { now } = require('./clock');

const TICK = 10;
/** After a pause of this process itself, at most this much is made up for at once. */
const MOST_AT_ONCE = 250;
const TRIES = 5;

/** Texts of many sizes, short ones mostly, in more than one script. Each says which it is. */
function makeText(random, number) {
  const size = random.chance(0.02) ? random.int(500, 4000) : random.chance(0.2) ? random.int(50, 500) : random.int(0, 50);
  return `${number}: ${'سوق 市場 👍 lamp '.repeat(Math.ceil(size / 15))}`;
}

/** Lets people write, so many messages a second all together, whatever becomes of them. */
class Load {
  constructor(senders, rate, random) {
    Object.assign(this, { senders, rate, random });
    this.offered = 0;
  }

  start() {
    let due = 0;
    let last = now();
    this.timer = setInterval(() => {
      const at = now();
      due += (Math.min(at - last, MOST_AT_ONCE) * this.rate) / 1000;
      last = at;
      for (; due >= 1; due -= 1) this.write();
    }, TICK);
  }

  write() {
    const text = makeText(this.random, this.offered);
    // Somebody who has a lot unsent writes no more; then it is another.
    for (const sender of this.random.some(this.senders, TRIES)) {
      if (!sender.write(this.random.pick(sender.person.conversations), text)) continue;
      this.offered += 1;
      return;
    }
  }

  stop() {
    clearInterval(this.timer);
  }
}

module.exports = { Load };
