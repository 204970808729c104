'use strict';

// Random frames over a bare WebSocket and over polling: they may end their connection and nothing else.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { Random, SEED, rounds } = require('../lib/fuzz');
const { FuzzStage } = require('../lib/fuzz-stage');
const { tokenFor } = require('../lib/jwt');
const { NO_LIMITS } = require('../lib/no-limits');
const surface = require('../lib/surface');

const { test } = suite({ env: NO_LIMITS });

const EVENTS = surface.events();
const SEPARATOR = '\u001e';

/** A frame that some client could send. */
function good(r, s) {
  const payload = { conversationId: r.pick(s.ids.conversations), message: 'hello', messageId: r.pick(s.ids.messages), newText: 'x', isTyping: true, reaction: '👍' };
  const id = r.chance(0.5) ? String(r.below(100)) : '';
  const event = JSON.stringify([r.pick(EVENTS), payload]);
  const binary = JSON.stringify([r.pick(EVENTS), { ...payload, message: { _placeholder: true, num: r.below(2) } }]);
  return r.pick([
    () => `42${id}${event}`,
    () => `42${id}${event}`,
    () => `42/,${id}${event}`,
    () => `42/admin,${id}${event}`,
    () => `45${r.below(3)}-${id}${binary}`,
    () => `46${r.below(3)}-${id}${binary}`,
    () => `43${id}[]`,
    () => `40${JSON.stringify({ token: tokenFor(USERS.customer) })}`,
    () => '41',
    () => '44{"message":"no"}',
    () => r.pick(['0', '1', '2', '3', '2probe', '3probe', '5', '6', '4', '']),
  ])();
}

/** The same, with bytes changed, doubled, cut off or put in. */
function bent(r, s) {
  let frame = Buffer.from(r.chance(0.05) ? r.bytes(r.below(60)) : good(r, s));
  for (let i = r.below(4); i > 0 && frame.length > 0; i--) {
    const at = r.below(frame.length);
    const upTo = at + r.below(8);
    frame = r.pick([
      () => Buffer.concat([frame.subarray(0, at), r.bytes(1), frame.subarray(at + 1)]),
      () => Buffer.concat([frame.subarray(0, at), Buffer.from(r.pick([...'[]{}",:\\-0', '9999999999', '-1', '\u0000', '\ufeff', SEPARATOR])), frame.subarray(at)]),
      () => frame.subarray(0, at),
      () => frame.subarray(at),
      () => Buffer.concat([frame.subarray(0, upTo), frame.subarray(at)]),
      () => Buffer.concat([frame.subarray(0, at), frame.subarray(upTo)]),
    ])();
  }
  return frame;
}

test('random frames over WebSocket harm only their own connection', async (scene, t) => {
  const s = await FuzzStage.set(scene, t);
  const r = new Random();
  const open = () => scene.raw('customer');
  const outcomes = { answered: 0, closed: 0, silent: 0 };
  const one = async (n) => {
    let socket = await open();
    for (let i = 0; i < n; i++) {
      const frame = bent(r, s);
      // As text with bytes that are no text, `ws` on our side would refuse it.
      const binary = r.chance(0.1);
      socket.send(binary ? frame : frame.toString('utf8'), { binary });
      socket.send('42777["chat:get_conversations",{"limit":1}]');
      // Answered, or hung up upon. It may also wait for a binary that was announced, or have left: then nothing comes.
      const answered = await Promise.race([socket.frame('43777['), new Promise((go) => setTimeout(go, 50, 'nothing'))]);
      outcomes[socket.isClosed ? 'closed' : answered === 'nothing' ? 'silent' : 'answered']++;
      socket.frames.forEach((f) => s.assertSecret(f, 'a frame'));
      socket.frames.length = 0;
      if (!socket.isClosed && answered !== 'nothing') continue;
      socket.close();
      socket = await open();
    }
  };
  const n = rounds(1000);
  for (let i = 0; i < n; i += 200) {
    await Promise.all(Array.from({ length: 4 }, () => one(50)));
    await scene.isServing();
  }
  t.diagnostic(JSON.stringify(outcomes));
  await s.unharmed();
});

test('random bodies over polling harm only their own connection', async (scene, t) => {
  const s = await FuzzStage.set(scene, t);
  const r = new Random(SEED + 1);
  const polling = (query, body) => scene.rest(null, body === undefined ? 'GET' : 'POST', `/socket.io/?${query}`, body, { headers: { 'content-type': 'text/plain;charset=UTF-8' } });
  const open = async () => {
    const query = `EIO=4&transport=polling&sid=${JSON.parse((await polling('EIO=4&transport=polling')).text.slice(1)).sid}`;
    await polling(query, `40${JSON.stringify({ token: tokenFor(USERS.customer) })}`);
    return query;
  };
  // A session that is left open keeps its user online until it times out; one that is gone says so.
  const close = async (query) => judged(await polling(query, '1'), 'close');
  const statuses = {};
  const judged = (answer, what) => {
    assert.ok(answer.status < 500, `${what} → ${answer.status} ${answer.text.slice(0, 300)}`);
    s.assertSecret(answer.text, what);
    statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
    return answer.status === 200;
  };
  scene.present.add('customer');
  const one = async (n) => {
    let query = await open();
    for (let i = 0; i < n; i++) {
      const frames = Array.from({ length: 1 + r.below(3) }, () => (r.chance(0.1) ? Buffer.from(`b${r.bytes(r.below(30)).toString('base64')}`) : bent(r, s)));
      const body = Buffer.concat(frames.flatMap((frame, j) => (j > 0 ? [Buffer.from(SEPARATOR), frame] : [frame])));
      const asked = r.chance(0.05) ? r.bend(query).replace(/[^\x21-\x7e]/g, encodeURIComponent('x')) : query;
      const alive = judged(await polling(asked, body), body.toString('latin1').slice(0, 300));
      // A poll waits until there is something: ask for something first, which a session that is gone refuses at once.
      if (alive && i % 10 === 9 && judged(await polling(query, '42777["chat:get_conversations",{"limit":1}]'), 'ask')) judged(await polling(query), 'poll');
      if (alive) continue;
      await close(query);
      query = await open();
    }
    await close(query);
  };
  const n = rounds(400);
  for (let i = 0; i < n; i += 100) {
    await Promise.all(Array.from({ length: 4 }, () => one(25)));
    await scene.isServing();
  }
  t.diagnostic(JSON.stringify(statuses));
  await s.unharmed();
});
