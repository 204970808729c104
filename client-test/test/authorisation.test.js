'use strict';

// Authorisation: runs every cell of the table in lib/matrix.js against the server.

const nodeTest = require('node:test');
const assert = require('node:assert/strict');
const { suite } = require('../lib/suite');
const { external } = require('../lib/postgres');
const { request } = require('../lib/rest');
const { CELLS, EVENTS, ROUTES, requestOf, rows } = require('../lib/matrix');
const { MatrixStage } = require('../lib/matrix-stage');
const { NO_LIMITS } = require('../lib/no-limits');
const surface = require('../lib/surface');

const ROWS = rows();
const { test } = suite({ env: NO_LIMITS });

nodeTest.test('the table has a row for every event and every route of the source, and for nothing else', () => {
  const wanted = [...surface.events(), ...surface.routes()];
  assert.ok(wanted.length > 30, 'the source was not understood');
  const have = new Set(ROWS.map((row) => row.call));
  assert.deepEqual(wanted.filter((call) => !have.has(call)), [], 'these have no row: add them to lib/matrix.js');
  assert.deepEqual([...have].filter((call) => !wanted.includes(call)), [], 'these rows are about nothing');
});

nodeTest.test('every row says how it is called', () => {
  assert.deepEqual(ROWS.map((row) => row.name).filter((name) => !EVENTS[name] && !ROUTES[name]), []);
});

const says = (actual, expected, what) =>
  expected instanceof RegExp ? assert.match(String(actual), expected, what) : assert.equal(actual, expected, what);

/** The caller does it by socket: the answer's body and what else came to that socket. */
async function emit(s, row, caller) {
  const cell = CELLS[row.cells[caller]];
  const payload = EVENTS[row.name].payload(s, caller);
  if (['none', 'invalid', 'expired', 'inactive'].includes(row.cells[caller])) {
    const { message, frames } = await s.intrude(s.token(caller), `427${JSON.stringify([row.call, payload])}`);
    says(message, cell.says, 'the refusal of the handshake');
    await s.settle();
    assert.deepEqual(frames.filter((f) => !/^(0\{|44|1$)/.test(f)), [], 'an answer although not let in');
    return undefined;
  }
  const client = s.callers[caller];
  const before = client.events.length;
  const answer = await client.ask(row.call, payload);
  assert.equal(typeof answer?.success, 'boolean', JSON.stringify(answer));
  const events = client.events.slice(before).map((e) => e.event);
  const refusals = events.filter((event) => event === 'chat:error' || event === 'chat:message_failed');
  if (cell.quiet) return void assert.deepEqual(events, [], 'it was to be dropped in silence');
  assert.equal(answer.success, !cell.says, JSON.stringify(answer));
  assert.equal(refusals.length, cell.says ? 1 : 0, `refusals: ${events}`);
  if (cell.says) {
    says(answer.message, cell.says);
    assert.equal(answer.code, cell.code);
  }
  return answer;
}

/** The same by REST. */
async function call(s, row, caller) {
  const cell = CELLS[row.cells[caller]];
  const { method, path, body, headers } = requestOf(row.name, row.call, s, caller);
  const answer = await request(s.scene.server.url + path, { method, token: s.token(caller), body, headers });
  if (cell.status) {
    assert.equal(answer.status, cell.status, answer.text);
    assert.equal(answer.body.success, false);
    says(answer.body.message, cell.answers);
    assert.equal(answer.body.code, cell.code);
  } else {
    assert.ok(answer.status < 300, `${answer.status} ${answer.text}`);
    if (answer.body !== undefined) assert.equal(answer.body.success, true, answer.text);
  }
  return answer.body ?? answer.text;
}

/** Without the id that the caller sent along. */
const withoutEcho = (answer) => (answer?.data?.conversationId ? { ...answer, data: { ...answer.data, conversationId: undefined } } : answer);

/** What must hold after it: nothing happened, or what was to happen was seen. */
async function judge(s, row, caller, answer) {
  const cell = CELLS[row.cells[caller]];
  await s.settle();
  const heard = s.heard();
  if (cell.denied || cell.private) {
    if (s.person(caller) !== s.people.sender && s.person(caller) !== s.people.other) {
      const shown = cell.entry ? answer.data.conversations[s.conversationId] : withoutEcho(answer);
      assert.equal(s.shows(shown), false, `it shows something: ${JSON.stringify(answer)}`);
    }
    // A list of one's own things is no event for anybody.
    assert.deepEqual(heard, { sender: [], other: [] }, 'somebody was told');
  }
  if (cell.denied) assert.deepEqual(await s.look(), s.seen, 'something was stored');
  if (cell.entry) assert.equal(answer.data.conversations[s.conversationId].code, cell.entry);
  if (cell.offline) assert.equal(answer.data.is_online, false);
  if (cell.unseen) assert.deepEqual(heard.other, [], 'the other was told');
  if (row.cells[caller] === 'ok' && (EVENTS[row.name] ?? ROUTES[row.name]).acts) {
    assert.ok(heard.sender.length + heard.other.length > 0, 'nobody was told: the test would not see it where it must not be');
  }
}

/** One cell: it is tried, and what came of it is judged. */
async function check(s, row, caller) {
  await s.before();
  const answer = await (EVENTS[row.name] ? emit : call)(s, row, caller);
  // Whoever settles what was told must not be blocked.
  if (ROUTES[row.name]?.blocks && answer.success) await unblock(s, caller);
  await judge(s, row, caller, answer);
  if (!CELLS[row.cells[caller]].denied) s.seen = undefined;
}

/** Whom this caller may have blocked meanwhile, they have not. */
function unblock(s, caller) {
  const path = `/api/chat/users/${s.counterpart(caller).id}/block`;
  return request(s.scene.server.url + path, { method: 'DELETE', token: s.token(caller) });
}

/** Blocking, there and back: whoever of the two did it, the sender finds the same closed door. */
async function blocked(s, row) {
  for (const [by, whom] of [['seller', s.people.sender], ['customer', s.people.other]]) {
    await s.scene.data(by, 'POST', `/api/chat/users/${whom.id}/block`);
    try {
      await s.settle();
      s.heard();
      s.seen = undefined;
      await check(s, row, 'blocked');
    } finally {
      for (const [who, other] of [['seller', s.people.sender], ['customer', s.people.other]]) {
        await s.scene.data(who, 'DELETE', `/api/chat/users/${other.id}/block`);
      }
    }
    await s.renew();
  }
}

/** Sockets for those who are let in, where the row is about sockets. */
async function callers(s, row) {
  if (!EVENTS[row.name]) return;
  s.callers = {};
  for (const caller of ['stranger', 'staff', 'sender', 'other', 'blocked']) {
    const client = await s.scene.connect(null, { auth: { token: s.token(caller) } });
    s.scene.present.add(s.person(caller));
    if (EVENTS[row.name].joined) await client.ask('chat:join', { conversationId: s.conversationId });
    s.callers[caller] = client;
  }
  // Whoever is refused is told so once, and that is over.
  for (const client of Object.values(s.callers)) await client.ask('chat:get_conversations');
  await s.settle();
  s.heard();
  s.seen = undefined;
}

for (const row of ROWS) {
  test(row.name, async (scene, t) => {
    const s = await MatrixStage.set(scene);
    if (ROUTES[row.name]?.file) await s.upload();
    await callers(s, row);
    for (const [caller, cell] of Object.entries(row.cells)) {
      const skip = caller === 'suspended' && !external && 'needs TEST_DATABASE_URL';
      await t.test(`${row.name}: ${caller}: ${cell}`, { skip }, async () => {
        if (caller === 'suspended') return s.withSuspended(() => check(s, row, caller));
        if (caller === 'blocked') return blocked(s, row);
        await check(s, row, caller);
        // Who may act has changed the message: the next one gets a new one.
        if (!CELLS[cell].denied && (EVENTS[row.name] ?? ROUTES[row.name]).acts) await s.renew();
      });
    }
  });
}
