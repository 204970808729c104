'use strict';

// A socket lives as long as its token; chat:authenticate renews the token of an open socket.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { tokenFor } = require('../lib/jwt');

const { test } = suite();

/** A token that is good for a few seconds. */
const shortToken = (who) => tokenFor(USERS[who], { exp: Math.floor(Date.now() / 1000) + 3 });
/** Expiry is looked at every ten seconds. */
const SOON = 30_000;

test('a socket is closed when its token expires, and is told why', async (scene) => {
  const client = await scene.connect('customer', { auth: { token: shortToken('customer') } });
  const error = await client.waitFor('chat:error', (e) => e.code === 'token_expired', SOON);
  assert.equal(error.message, 'Token expired');
  assert.equal(await client.waitFor('disconnect', undefined, SOON), 'io server disconnect');
});

test('a new token renews the socket in place', async (scene) => {
  const short = { auth: { token: shortToken('seller') } };
  const [renewed, left] = await Promise.all([scene.connect('seller', short), scene.connect('seller', short)]);
  const answer = await renewed.ask('chat:authenticate', { token: tokenFor(USERS.seller) });
  assert.equal(answer.success, true);
  // The one that was left alone shows that the time has passed.
  await left.waitFor('chat:error', (e) => e.code === 'token_expired', SOON);
  assert.equal((await renewed.ask('chat:get_conversations')).success, true);
});

test("another user's token, an expired one and none renew nothing", async (scene) => {
  const client = await scene.connect('admin');
  const expired = tokenFor(USERS.admin, { exp: 1 });
  for (const token of [tokenFor(USERS.manager), expired, 'garbage', '', undefined]) {
    const answer = await client.ask('chat:authenticate', { token });
    assert.equal(answer.success, false);
    assert.match(answer.code, /^(invalid_token|token_required)$/);
  }
});
