'use strict';

const assert = require('node:assert/strict');

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

const uuid = (value) => UUID.test(value);
const time = (value) => TIME.test(value) && !Number.isNaN(Date.parse(value));
const text = (value) => typeof value === 'string';
const whole = (value) => Number.isInteger(value) && value >= 0;
const flag = (value) => typeof value === 'boolean';
const uuids = (value) => Array.isArray(value) && value.every(uuid);
const list = (value) => Array.isArray(value);
const object = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);
const oneOf = (...values) => (value) => values.includes(value);
const optional = (check) => (value) => value === null || check(value);

const MESSAGE = {
  id: uuid,
  conversation_id: uuid,
  sender_id: uuid,
  message_text: text,
  message_type: oneOf('text', 'image', 'file', 'system'),
  attachments: list,
  read_by: uuids,
  delivered_to: uuids,
  is_edited: flag,
  is_deleted: flag,
  created_at: time,
  updated_at: time,
  edited_at: optional(time),
  deleted_at: optional(time),
  status: oneOf('sent', 'delivered', 'read'),
  delivered_at: optional(time),
  read_at: optional(time),
  reply_to_message_id: optional(uuid),
  deletion_type: optional(oneOf('for_me', 'for_everyone')),
  deleted_by: optional(uuid),
  edit_count: whole,
  last_edited_at: optional(time),
  seq: (value) => Number.isInteger(value) && value >= 1,
  client_message_id: optional(text),
  reactions: list,
  reply_to: optional(object),
};

const CONVERSATION = {
  id: uuid,
  type: oneOf('customer_seller', 'customer_support', 'seller_support', 'internal'),
  participant_ids: uuids,
  subject: optional(text),
  related_entity_type: optional(text),
  related_entity_id: optional(uuid),
  status: oneOf('active', 'closed', 'archived'),
  last_message_at: optional(time),
  last_message_text: optional(text),
  created_at: time,
  updated_at: time,
  closed_at: optional(time),
  metadata: object,
  last_seq: whole,
  unread_count: whole,
};

const PARTICIPANT = {
  id: uuid,
  displayName: text,
  email: text,
  role: oneOf('customer', 'seller', 'admin', 'manager'),
  isOnline: flag,
  lastSeenAt: optional(time),
};

/** Every field of the shape is there, under exactly this name, and holds what it should. */
function assertShape(value, shape, what) {
  assert.ok(object(value), `${what} is not an object: ${JSON.stringify(value)}`);
  for (const [field, check] of Object.entries(shape)) {
    assert.ok(field in value, `${what} lacks ${field}: ${JSON.stringify(value)}`);
    assert.ok(check(value[field]), `${what}.${field} is ${JSON.stringify(value[field])}`);
  }
}

const assertMessage = (value) => assertShape(value, MESSAGE, 'message');
const assertConversation = (value) => assertShape(value, CONVERSATION, 'conversation');

function assertMessageEvent(value, sender) {
  assertMessage(value);
  assert.equal(value.sender_id, sender.id);
  assert.equal(value.senderName, sender.displayName);
  assert.equal(value.senderRole, sender.role);
}

function assertListedConversation(value) {
  assertConversation(value);
  assert.ok(Array.isArray(value.participantDetails), 'participantDetails');
  for (const one of value.participantDetails) assertShape(one, PARTICIPANT, 'participantDetails[]');
}

/** The fields are there with these values; others may be there too, for fields may be added. */
function assertFields(value, expected) {
  assert.ok(object(value), JSON.stringify(value));
  const same = Object.fromEntries(Object.keys(expected).map((field) => [field, value[field]]));
  assert.deepEqual(same, expected);
}

/** A failed REST answer or acknowledgement. */
function assertFailure(answer, code, message) {
  assert.equal(answer?.success, false, JSON.stringify(answer));
  assert.equal(typeof answer.message, 'string');
  if (message !== undefined) assert.equal(answer.message, message);
  if (code !== undefined) assert.equal(answer.code, code);
}

module.exports = {
  assertMessage,
  assertMessageEvent,
  assertConversation,
  assertListedConversation,
  assertFailure,
  assertFields,
  time,
};
