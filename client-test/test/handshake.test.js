'use strict';

// Which sockets are accepted, and what refused ones are told.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { tokenFor, sign } = require('../lib/jwt');
const { NOBODY } = require('../lib/users');

const { test } = suite();

const HOUR_AGO = Math.floor(Date.now() / 1000) - 3600;
const customer = USERS.customer;

/** The message with which a handshake is refused, over both transports. */
async function refusal(scene, options) {
  const messages = [];
  for (const transport of ['polling', 'websocket']) {
    const client = scene.open(null, { transports: [transport], reconnection: false, ...options });
    const error = await client.refused();
    assert.equal(client.socket.connected, false);
    messages.push(error.message);
  }
  assert.equal(messages[0], messages[1], 'both transports answer the same');
  return messages[0];
}

test('no token is refused: No token provided', async (scene) => {
  assert.equal(await refusal(scene, {}), 'No token provided');
});

test('an auth object without a token is refused: No token provided', async (scene) => {
  assert.equal(await refusal(scene, { auth: { user: 'me' } }), 'No token provided');
});

test('an empty token is refused: No token provided', async (scene) => {
  assert.equal(await refusal(scene, { auth: { token: '' } }), 'No token provided');
});

const BAD_TOKENS = {
  'garbage': 'this-is-no-token',
  'three parts of garbage': 'a.b.c',
  'an expired token': tokenFor(customer, { iat: HOUR_AGO - 60, exp: HOUR_AGO }),
  'a token that is not good yet': tokenFor(customer, { nbf: HOUR_AGO + 7200 }),
  'a token whose exp is no number': tokenFor(customer, { exp: String(HOUR_AGO + 7200) }),
  'a token whose nbf is no number': tokenFor(customer, { nbf: null }),
  'a token signed with another secret': tokenFor(customer, {}, { secret: 'another-secret-0123456789-0123456789' }),
  'an unsigned token (alg none)': `${tokenFor(customer, {}, { header: { alg: 'none', typ: 'JWT' } }).split('.').slice(0, 2).join('.')}.`,
  'a token that names another algorithm': tokenFor(customer, {}, { header: { alg: 'HS512', typ: 'JWT' } }),
  'a token whose claims were changed': tampered(),
  'a token without userId': sign({ role: 'admin', iat: HOUR_AGO, exp: HOUR_AGO + 7200 }),
  'a token whose userId is no UUID': tokenFor(customer, { userId: "1' OR '1'='1" }),
  'a token of 15,000 characters': 'x'.repeat(15_000),
};

function tampered() {
  const [header, , signature] = tokenFor(customer).split('.');
  return [header, tokenFor(USERS.admin).split('.')[1], signature].join('.');
}

for (const [name, token] of Object.entries(BAD_TOKENS)) {
  test(`${name} is refused: Invalid or expired token`, async (scene) => {
    assert.equal(await refusal(scene, { auth: { token } }), 'Invalid or expired token');
  });
}

for (const [name, token] of Object.entries({ 'a number': 5, 'an object': { a: 1 }, 'an array': [1], 'true': true, 'null': null })) {
  test(`a token that is ${name} is refused, and the refusal says nothing about types`, async (scene) => {
    const message = await refusal(scene, { auth: { token } });
    assert.equal(message, 'No token provided');
  });
}

test('the token of a user that does not exist is refused: User not found', async (scene) => {
  assert.equal(await refusal(scene, { auth: { token: tokenFor({ id: NOBODY, role: 'admin' }) } }), 'User not found');
});

/** What a refused handshake has as `err.data`, the same over both transports. */
async function refusalData(scene, token) {
  const data = [];
  for (const transport of ['polling', 'websocket']) {
    const client = scene.open(null, { transports: [transport], reconnection: false, auth: { token } });
    data.push((await client.refused()).data);
  }
  assert.deepEqual(data[0], data[1], 'both transports answer the same');
  return data[0];
}

const REFUSAL_DATA = {
  'no token': ['', { type: 'authentication_error', code: 'token_required' }],
  'a token that is none': ['garbage', { type: 'authentication_error', code: 'invalid_token', reason: 'Invalid token' }],
  'an expired token': [BAD_TOKENS['an expired token'], { type: 'authentication_error', code: 'invalid_token', reason: 'Token expired' }],
  'the token of a user that does not exist': [
    tokenFor({ id: NOBODY, role: 'admin' }), { type: 'authentication_error', code: 'user_not_found' },
  ],
};

for (const [name, [token, data]] of Object.entries(REFUSAL_DATA)) {
  test(`${name}: err.data says what kind of refusal it is`, async (scene) => {
    assert.deepEqual(await refusalData(scene, token), data);
  });
}

test('an unknown namespace is refused without err.data', async (scene) => {
  const client = scene.open('customer', { reconnection: false });
  const error = await new Promise((resolve) => client.socket.io.socket('/unknown').on('connect_error', resolve).connect());
  assert.equal(error.message, 'Invalid namespace');
  assert.equal(error.data, undefined);
});

test('a refused socket is told so once and gets nothing else', async (scene) => {
  const client = scene.open(null, { reconnection: false });
  await client.refused();
  await scene.isServing();
  assert.deepEqual(client.events.map((e) => e.event), ['connect_error']);
});

const accepted = async (scene, options) => {
  for (const transport of ['polling', 'websocket']) {
    scene.present.add('customer');
    const client = await scene.connect(null, { transports: [transport], ...options });
    assert.equal((await client.ask('chat:get_conversations')).success, true);
  }
};

test('a token in auth is accepted', (scene) => accepted(scene, { auth: { token: tokenFor(customer) } }));

test('a token in auth with a Bearer prefix is accepted', (scene) => accepted(scene, { auth: { token: `Bearer ${tokenFor(customer)}` } }));

test('a token in the Authorization header is accepted', (scene) =>
  accepted(scene, { extraHeaders: { Authorization: `Bearer ${tokenFor(customer)}` } }));

test('a bad token in the Authorization header is refused', async (scene) => {
  assert.equal(await refusal(scene, { extraHeaders: { Authorization: 'Bearer garbage' } }), 'Invalid or expired token');
});

test('the role comes from the database, not from the token', async (scene) => {
  const client = await scene.connect('customer', { auth: { token: tokenFor(customer, { role: 'admin' }) } });
  const conversationId = await scene.conversation();
  client.emit('chat:send_message', { conversationId, message: 'hello' });
  assert.equal((await client.waitFor('chat:new_message')).senderRole, 'customer');
});

const unauthorized = (answer, message) => {
  assert.equal(answer.status, 401);
  assert.equal(answer.body.error, 'Unauthorized');
  assert.equal(answer.body.message, message);
};
const call = (scene, headers) => scene.rest(null, 'GET', '/api/chat/conversations', undefined, { headers });

test('REST without a token: 401 No token provided', async (scene) => {
  unauthorized(await call(scene, {}), 'No token provided');
});

test('REST with another scheme than Bearer: 401', async (scene) => {
  const answer = await call(scene, { authorization: 'Basic dXNlcjpwYXNz' });
  unauthorized(answer, answer.body.message === 'Invalid token' ? 'Invalid token' : 'No token provided');
});

test('REST with an expired token: 401 Token expired', async (scene) => {
  unauthorized(await call(scene, { authorization: `Bearer ${BAD_TOKENS['an expired token']}` }), 'Token expired');
});

for (const [name, token] of Object.entries(BAD_TOKENS)) {
  if (name === 'an expired token' || token.length > 8000) continue;
  test(`REST with ${name}: 401 Invalid token`, async (scene) => {
    unauthorized(await call(scene, { authorization: `Bearer ${token}` }), 'Invalid token');
  });
}

test('REST with the token of a user that does not exist: 401 User not found', async (scene) => {
  unauthorized(await call(scene, { authorization: `Bearer ${tokenFor({ id: NOBODY, role: 'admin' })}` }), 'User not found');
});
