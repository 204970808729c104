'use strict';

/** Milliseconds since 1970, never backwards and finer than Date.now(): what happens here can be put in order by it. */
const now = () => performance.timeOrigin + performance.now();

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

module.exports = { now, sleep };
