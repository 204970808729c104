'use strict';

// How long to wait for something that should happen at once. Generous, because a test that passes
// never waits that long, and a debug build on a busy machine is slow.
const PATIENCE = Number(process.env.SOUK_TEST_PATIENCE_MS || 15_000);

/** Rejects with a message that says what did not happen, instead of hanging until the runner gives up. */
function within(promise, what, ms = PATIENCE) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`timed out after ${ms} ms waiting for ${what}`)), ms);
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

/** Asks again and again until the answer is truthy. For facts that no event announces. */
async function until(ask, what, ms = PATIENCE) {
  const end = Date.now() + ms;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`timed out after ${ms} ms waiting until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

module.exports = { PATIENCE, within, until };
