'use strict';

const { sleep } = require('../faults/clock');

const STEP = 50;

/** Waits until `is` holds. Time in which the whole machine stood still, clients and server together, does not count. */
async function until(is, what, ms) {
  for (let left = ms, before = performance.now(); !is(); ) {
    if (left <= 0) throw new Error(`timed out after ${ms} ms waiting until ${what}`);
    await sleep(STEP);
    const now = performance.now();
    left -= Math.min(now - before, 20 * STEP);
    before = now;
  }
}

module.exports = { sleep, until };
