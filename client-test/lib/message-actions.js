'use strict';

// Shapes and helpers for replying, editing, deleting and reacting, and for uploads.

const assert = require('node:assert/strict');
const { assertMessage, assertFailure, assertFields, time } = require('./shapes');
const { Stage } = require('./stage');

const ATTACHMENT = {
  name: 'lamp.png',
  type: 'image/png',
  size: 1234,
  url: 'https://files.example/lamp.png',
  path: 'chat/lamp.png',
};

/** A failed REST answer: status, code and words. */
function failure(answer, status, code, message) {
  assert.equal(answer.status, status, answer.text);
  assertFailure(answer.body, code, message);
}

/** Reactions in a comparable order: the contract gives none. */
function sorted(reactions) {
  assert.ok(Array.isArray(reactions), JSON.stringify(reactions));
  return reactions
    .map((r) => ({ reaction: r.reaction, count: r.count, user_ids: [...r.user_ids].sort() }))
    .sort((a, b) => (a.reaction < b.reaction ? -1 : 1));
}

const assertReactions = (reactions, expected) => assert.deepEqual(sorted(reactions), sorted(expected));

/** A quoted message in short, as lists carry it. */
function assertQuote(quote, message) {
  assertFields(quote, {
    id: message.id,
    message_text: message.message_text,
    sender_id: message.sender_id,
    created_at: message.created_at,
    is_deleted: false,
  });
}

/** One entry of a message's history. */
function assertEdit(edit, expected) {
  assert.match(edit.id, /^[0-9a-f-]{36}$/);
  assert.ok(time(edit.edited_at), edit.edited_at);
  assertFields(edit, expected);
}

/** What is left of a message deleted for everyone. */
function assertTombstone(message, deletedBy) {
  assertMessage(message);
  assertFields(message, { message_text: '', attachments: [], is_deleted: true, deletion_type: 'for_everyone', deleted_by: deletedBy });
  assert.ok(time(message.deleted_at), message.deleted_at);
}

/** A suite's `test` whose body gets a stage: two tabs of each participant, and a stranger. */
const staged = (test) => (name, body) => test(name, async (scene, t) => body(await Stage.set(scene), scene, t));

module.exports = { ATTACHMENT, failure, assertReactions, assertQuote, assertEdit, assertTombstone, staged };
