'use strict';

// Faults that clients cause.

const vanish = {
  name: 'vanish',
  short: true,
  about: 'clients are gone in the middle of sending, come back and send again',
  async inject(stage) {
    let gone = 0;
    for (let left = stage.times(20, 100); left > 0; left--) {
      const busy = stage.senders.filter((sender) => sender.flying > 0);
      if (busy.length > 0 && stage.random.pick(busy).person.vanish()) gone += 1;
      await stage.seconds(0.05, 0.2);
    }
    stage.note(`${gone} vanished`);
  },
};

const DAY = 24 * 3600 * 1000;

/** Clocks that people have: far off, standing still, running backwards, or no clock at all. */
const CLOCKS = [
  (random) => {
    const off = random.between(-3650, 3650) * DAY;
    return () => Math.round(Date.now() + off);
  },
  () => () => 86_400_000,
  () => {
    const start = Date.now();
    return () => 2 * start - Date.now();
  },
  () => () => '9999-12-31T23:59:59.999Z',
  () => () => -1e15,
];

const clocks = {
  name: 'clocks',
  short: false,
  about: "clients' clocks are wrong, and change",
  async inject(stage) {
    for (let left = stage.times(2, 6); left > 0; left--) {
      for (const sender of stage.senders) {
        sender.clock = stage.random.chance(0.3) ? Date.now : stage.random.pick(CLOCKS)(stage.random);
      }
      await stage.seconds(1, 3);
    }
  },
};

module.exports = [vanish, clocks];
