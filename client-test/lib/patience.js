'use strict';

// A client that obeys refusals: it waits as long as the refusal says and tries again.

const assert = require('node:assert/strict');
const { until } = require('./limits');

/** A refusal that says when to come back: an acknowledgement, an event, or a REST body. */
function assertLimited(answer, code = 'rate_limited', message = 'Too many requests') {
  assert.equal(answer?.code, code, JSON.stringify(answer));
  assert.equal(answer.message, message);
  assert.ok(Number.isInteger(answer.retry_after_ms) && answer.retry_after_ms > 0, `retry_after_ms: ${answer.retry_after_ms}`);
}

/** The same as HTTP: the header has whole seconds, never fewer than the body's milliseconds. */
function assertLimitedHttp(answer, status, code, message) {
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.body.success, false, answer.text);
  assertLimited(answer.body, code, message);
  const seconds = Number(answer.headers['retry-after']);
  assert.ok(Number.isInteger(seconds) && seconds >= 1, `Retry-After: ${answer.headers['retry-after']}`);
  assert.equal(seconds, Math.max(1, Math.ceil(answer.body.retry_after_ms / 1000)));
}

/** Until the time is over that a refusal asked for. */
function waited({ retry_after_ms: wait }) {
  const end = performance.now() + wait;
  return until(() => performance.now() >= end, `${wait} ms are over`, wait + 5000);
}

/** Asks until there is room; the answer. `ask` may give an acknowledgement or a REST answer. */
async function patiently(ask) {
  for (let i = 0; i < 50; i++) {
    const answer = await ask();
    const body = answer.status === undefined ? answer : answer.body;
    if (body?.code !== 'rate_limited') return answer;
    await waited(body);
  }
  throw new Error('refused fifty times, though it waited as long as it was told');
}

module.exports = { assertLimited, assertLimitedHttp, waited, patiently };
