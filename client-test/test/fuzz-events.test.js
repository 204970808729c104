'use strict';

// Random payloads for every event, from good ones with one error to plain garbage.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { Random, rounds } = require('../lib/fuzz');
const { FuzzStage } = require('../lib/fuzz-stage');
const { tokenFor } = require('../lib/jwt');
const { NO_LIMITS } = require('../lib/no-limits');
const surface = require('../lib/surface');

const { test } = suite({ env: NO_LIMITS });

const EVENTS = surface.events();
const AT_ONCE = 25;

/** What a good client would send. An event that is not here gets all of it. */
function good(event, r, ids) {
  const conversationId = r.pick(ids.conversations);
  const messageId = r.pick(ids.messages);
  const send = { conversationId, message: r.chance(0.7) ? 'hello' : r.text(), tempId: `t${r.below(50)}`, clientMessageId: `c${r.below(50)}` };
  const shapes = {
    'chat:join': r.chance(0.5) ? { conversationId } : { conversationId, lastSeq: r.below(20) },
    'chat:leave': { conversationId },
    'chat:send_message': send,
    'chat:send_reply': { ...send, replyToMessageId: messageId },
    'chat:typing': { conversationId, isTyping: r.chance(0.5) },
    'chat:mark_read': { conversationId },
    'chat:get_conversations': { limit: r.below(60), before: r.pick([conversationId, '2030-01-01T00:00:00Z']) },
    'chat:get_messages': { conversationId, limit: r.below(60), offset: r.below(5), before: r.below(50), after: r.below(5) },
    'chat:edit_message': { messageId, newText: 'changed', conversationId },
    // Deleting for everyone would soon leave nothing to play with.
    'chat:delete_message': { messageId, deletionType: r.chance(0.1) ? 'for_everyone' : 'for_me', conversationId },
    'chat:add_reaction': { messageId, reaction: r.pick(['👍', '🎉', '❤️']), conversationId },
    'chat:remove_reaction': { messageId, reaction: r.pick(['👍', '🎉', '❤️']), conversationId },
    'chat:authenticate': { token: r.pick([tokenFor(USERS.customer), tokenFor(USERS.admin), 'x']) },
    'chat:sync': r.chance(0.5)
      ? { conversations: Object.fromEntries(ids.conversations.map((id) => [id, r.below(30)])), limit: r.below(20) }
      : { since: new Date(Date.now() - r.below(100_000)).toISOString() },
  };
  return shapes[event] ?? Object.assign({}, ...Object.values(shapes));
}

function* calls(r, ids, all, n) {
  for (let i = 0; i < n; i++) {
    const event = r.chance(0.03) ? madeUp(r) : r.pick(EVENTS);
    const first = r.chance(0.2) ? good(event, r, ids) : r.mutate(good(event, r, ids), all);
    const args = r.chance(0.03) ? [] : r.chance(0.03) ? [first, r.value()] : [first];
    yield { event, args };
  }
}

/** A name that no event has. One that JSON has to escape costs the connection, in the Socket.IO library. */
function madeUp(r) {
  const name = r.text(12);
  return /^"[^\\]+"$/.test(JSON.stringify(name)) ? name : 'chat:nonsense';
}

test('every payload gets an acknowledgement, a success or a refusal with a reason, and harms nobody else', async (scene, t) => {
  const s = await FuzzStage.set(scene, t);
  const r = new Random();
  const client = await scene.connect('customer', { transports: ['websocket'] });
  const count = { success: 0, refused: 0 };
  const one = async ({ event, args }) => {
    // Some clients never ask.
    if (r.chance(0.1)) client.emit(event, ...args);
    const what = () => `${event} ${show(args)}`;
    const answer = await client.ask(event, ...args).catch((error) => {
      throw new Error(`${error.message} (it had: ${client.summary()}): ${what()}`);
    });
    assert.equal(typeof answer?.success, 'boolean', what());
    if (answer.success) assert.ok('data' in answer, what());
    else s.assertRefusal(answer, `${what()} → ${JSON.stringify(answer).slice(0, 300)}`);
    s.assertSecret(JSON.stringify(answer), what());
    count[answer.success ? 'success' : 'refused']++;
  };
  let waiting = [];
  for (const call of calls(r, s.ids, s.all, rounds(1500))) {
    waiting.push(one(call));
    if (waiting.length === AT_ONCE) {
      await Promise.all(waiting);
      waiting = [];
    }
  }
  await Promise.all(waiting);
  t.diagnostic(JSON.stringify(count));
  assert.ok(count.success > 0 && count.refused > 0, 'it tries both sides of every check');
  assert.equal(client.count('disconnect'), 0, 'it was disconnected');
  for (const { event, data } of client.events) s.assertSecret(JSON.stringify(data ?? null), event);
  await s.unharmed();
});

function show(args) {
  try {
    return JSON.stringify(args).slice(0, 500);
  } catch {
    return String(args);
  }
}
