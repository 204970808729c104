'use strict';

// The table of who may do what: every socket event and every REST route, by every kind of caller. This table is the rule:
// test/authorisation.test.js checks the server against it, and fails when an event or a route has no row here.
//
// The callers: four that are refused (among them a token with a wrong signature, an expired token, and a valid token of a member who
// is suspended), then active users. One conversation has two members, `sender` and `other`; the message that the calls act on is
// the sender's. `stranger` and `staff` (an admin) are not members. `blocked` is the sender again, once after the other blocked
// them and once after they blocked the other.
//
// The cells are explained in CELLS below. A word in brackets distinguishes rows of one event or route. EVENTS and ROUTES at the
// end say how each row is called.

const { randomUUID } = require('node:crypto');
const { tokenFor } = require('./jwt');
const { FORM, form } = require('./upload');

const TABLE = `
call                                                            | no token | bad token | expired  | suspended | stranger  | staff     | sender   | other     | blocked
--------------------------------------------------------------- | -------- | --------- | -------- | --------- | --------- | --------- | -------- | --------- | --------
chat:join                                                       | none     | invalid   | expired  | inactive  | no access | no access | ok       | ok        | unseen
chat:leave                                                      | none     | invalid   | expired  | inactive  | nothing   | nothing   | ok       | ok        | unseen
chat:send_message                                               | none     | invalid   | expired  | inactive  | no access | no access | ok       | ok        | blocked
chat:send_reply                                                 | none     | invalid   | expired  | inactive  | no access | no access | ok       | ok        | blocked
chat:typing                                                     | none     | invalid   | expired  | inactive  | dropped   | dropped   | ok       | ok        | dropped
chat:mark_read                                                  | none     | invalid   | expired  | inactive  | no access | no access | ok       | ok        | unseen
chat:get_conversations                                          | none     | invalid   | expired  | inactive  | own       | own       | ok       | ok        | ok
chat:get_messages                                               | none     | invalid   | expired  | inactive  | no access | no access | ok       | ok        | ok
chat:sync (of this conversation)                                | none     | invalid   | expired  | inactive  | no entry  | no entry  | ok       | ok        | ok
chat:sync (since)                                               | none     | invalid   | expired  | inactive  | own       | own       | ok       | ok        | ok
chat:edit_message                                               | none     | invalid   | expired  | inactive  | no access | no access | ok       | not yours | blocked
chat:delete_message (for me)                                    | none     | invalid   | expired  | inactive  | no access | no access | ok       | ok        | ok
chat:delete_message (for everyone)                              | none     | invalid   | expired  | inactive  | no access | no access | ok       | not yours | ok
chat:add_reaction                                               | none     | invalid   | expired  | inactive  | no access | no access | ok       | ok        | blocked
chat:remove_reaction (one's own)                                | none     | invalid   | expired  | inactive  | no access | no access | ok       | ok        | ok
chat:remove_reaction (another's)                                | none     | invalid   | expired  | inactive  | no access | no access | nothing  | nothing   | nothing
chat:authenticate (one's own token)                             | none     | invalid   | expired  | inactive  | own       | own       | own      | own       | own
chat:authenticate (another's token)                             | none     | invalid   | expired  | inactive  | no token  | no token  | no token | no token  | no token
GET /                                                           | own      | own       | own      | own       | own       | own       | own      | own       | own
GET /api/v1/health                                              | own      | own       | own      | own       | own       | own       | own      | own       | own
GET /api/chat/test                                              | own      | own       | own      | own       | own       | own       | own      | own       | own
GET /api/chat/conversations                                     | none     | invalid   | expired  | inactive  | own       | own       | ok       | ok        | ok
POST /api/chat/conversations (a new one)                        | none     | invalid   | expired  | inactive  | own       | own       | ok       | ok        | blocked
POST /api/chat/conversations (the one there is)                 | none     | invalid   | expired  | inactive  | own       | own       | ok       | ok        | ok
GET /api/chat/conversations/{id}/messages                       | none     | invalid   | expired  | inactive  | no access | no access | ok       | ok        | ok
POST /api/chat/conversations/{id}/messages                      | none     | invalid   | expired  | inactive  | no access | no access | ok       | ok        | blocked
POST /api/chat/conversations/{id}/messages/reply                | none     | invalid   | expired  | inactive  | no access | no access | ok       | ok        | blocked
POST /api/chat/conversations/{id}/read                          | none     | invalid   | expired  | inactive  | no access | no access | ok       | ok        | unseen
GET /api/chat/unread-count                                      | none     | invalid   | expired  | inactive  | own       | own       | ok       | ok        | ok
GET /api/chat/sync (of this conversation)                       | none     | invalid   | expired  | inactive  | no entry  | no entry  | ok       | ok        | ok
GET /api/chat/sync (since)                                      | none     | invalid   | expired  | inactive  | own       | own       | ok       | ok        | ok
PUT /api/chat/messages/{id}                                     | none     | invalid   | expired  | inactive  | no access | no access | ok       | not yours | blocked
DELETE /api/chat/messages/{id} (for me)                         | none     | invalid   | expired  | inactive  | no access | no access | ok       | ok        | ok
DELETE /api/chat/messages/{id} (for everyone)                   | none     | invalid   | expired  | inactive  | no access | no access | ok       | not yours | ok
GET /api/chat/messages/{id}/reactions                           | none     | invalid   | expired  | inactive  | no access | no access | ok       | ok        | ok
POST /api/chat/messages/{id}/reactions                          | none     | invalid   | expired  | inactive  | no access | no access | ok       | ok        | blocked
DELETE /api/chat/messages/{id}/reactions/{reaction} (one's own) | none     | invalid   | expired  | inactive  | no access | no access | ok       | ok        | ok
DELETE /api/chat/messages/{id}/reactions/{reaction} (another's) | none     | invalid   | expired  | inactive  | no access | no access | nothing  | nothing   | nothing
GET /api/chat/messages/{id}/history                             | none     | invalid   | expired  | inactive  | no access | no access | ok       | ok        | ok
GET /api/chat/messages/{id}/details                             | none     | invalid   | expired  | inactive  | no access | no access | ok       | ok        | ok
GET /api/chat/users/search                                      | none     | invalid   | expired  | inactive  | own       | own       | own      | own       | own
GET /api/chat/users/available                                   | none     | invalid   | expired  | inactive  | own       | own       | own      | own       | own
GET /api/chat/support-user                                      | none     | invalid   | expired  | inactive  | own       | own       | own      | own       | own
GET /api/chat/users/{id}/status                                 | none     | invalid   | expired  | inactive  | own       | own       | own      | own       | offline
POST /api/chat/users/{id}/block                                 | none     | invalid   | expired  | inactive  | own       | own       | ok       | ok        | own
DELETE /api/chat/users/{id}/block                               | none     | invalid   | expired  | inactive  | own       | own       | own      | own       | own
GET /api/chat/users/blocked                                     | none     | invalid   | expired  | inactive  | own       | own       | own      | own       | own
POST /api/chat/upload                                           | none     | invalid   | expired  | inactive  | own       | own       | own      | own       | own
GET /api/chat/files/{*path} (with its signed link)              | own      | own       | own      | own       | own       | own       | own      | own       | own
GET /api/chat/files/{*path} (without the signature)             | unsigned | unsigned  | unsigned | unsigned  | unsigned  | unsigned  | unsigned | unsigned  | unsigned
`;

// `denied`: nothing is stored and nobody is told. `says` is the socket's message, `status` and `answers` are REST's.
const CELLS = {
  none: { denied: true, says: 'No token provided', status: 401, answers: 'No token provided', code: 'unauthorized' },
  invalid: { denied: true, says: 'Invalid or expired token', status: 401, answers: 'Invalid token', code: 'unauthorized' },
  expired: { denied: true, says: 'Invalid or expired token', status: 401, answers: 'Token expired', code: 'unauthorized' },
  inactive: { denied: true, says: 'Account not active', status: 403, answers: 'Account is not active', code: 'forbidden' },

  // Done; where it acts upon the conversation, both participants see that.
  ok: {},
  // Done, with what is the caller's own or everybody's: nothing of this conversation is shown or changed.
  own: { private: true },
  // Done, and the other participant hears nothing.
  unseen: { unseen: true },
  // Success, because there was nothing to do.
  nothing: { denied: true, success: true },
  // Nobody hears of it, the caller neither, but for the acknowledgement.
  dropped: { denied: true, quiet: true },
  // The user is shown as offline, which they are not.
  offline: { private: true, offline: true },

  // Part of the answer is a refusal for this conversation.
  'no entry': { denied: true, entry: 'not_authorized' },
  'no access': {
    denied: true,
    code: 'not_authorized',
    says: /^(Not authorized|Failed to (add|remove) reaction)$/,
    status: 403,
    answers: /^Not authorized to (access this|send messages in this) conversation$/,
  },
  'not yours': {
    denied: true,
    code: 'not_message_sender',
    says: /^Only message sender can (edit the message|delete for everyone)$/,
    status: 403,
    answers: /^You can only (edit|delete for everyone) your own messages$/,
  },
  'no token': { denied: true, code: 'invalid_token', says: 'Invalid or expired token' },
  unsigned: { denied: true, code: 'invalid_signature', status: 403, answers: 'Invalid signature' },
  blocked: {
    denied: true,
    code: 'blocked',
    says: /^(You cannot talk to this user|Failed to add reaction)$/,
    status: 403,
    answers: 'You cannot talk to this user',
  },
};

/** The table's rows: `{ name, call, variant, cells: { caller: name of the cell } }`. */
function rows() {
  const [head, , ...lines] = TABLE.trim().split('\n').map((line) => line.split('|').map((cell) => cell.trim()));
  return lines.map(([name, ...cells]) => {
    if (cells.length !== head.length - 1) throw new Error(`${name}: ${cells.length} cells`);
    for (const cell of cells) if (!CELLS[cell]) throw new Error(`${name}: no such cell: ${cell}`);
    const [, call, variant] = name.match(/^(.+?)(?: \((.+)\))?$/);
    return { name, call, variant, cells: Object.fromEntries(cells.map((cell, i) => [head[i + 1], cell])) };
  });
}

// How each row is called: a socket's payload, or a request's parameters, query and body. `s` is the stage of
// lib/matrix-stage.js, `caller` one of the table's callers.
//
// `acts`: a caller who may do it changes something or tells somebody, which the test must see: otherwise it would not see it
// either where it must not be.

const inConversation = (s) => ({ conversationId: s.conversationId });
const minuteAgo = () => new Date(Date.now() - 60_000).toISOString();
const other = (s, caller) => s.counterpart(caller).id;

const EVENTS = {
  'chat:join': { acts: true, payload: inConversation },
  'chat:leave': { acts: true, joined: true, payload: inConversation },
  'chat:send_message': { acts: true, payload: (s) => ({ ...inConversation(s), message: 'hello', tempId: randomUUID() }) },
  'chat:send_reply': { acts: true, payload: (s) => ({ ...inConversation(s), message: 'hello', replyToMessageId: s.message.id, tempId: randomUUID() }) },
  'chat:typing': { acts: true, joined: true, payload: (s) => ({ ...inConversation(s), isTyping: true }) },
  'chat:mark_read': { payload: inConversation },
  'chat:get_conversations': { payload: () => ({}) },
  'chat:get_messages': { payload: inConversation },
  'chat:sync (of this conversation)': { payload: (s) => ({ conversations: { [s.conversationId]: 0 } }) },
  'chat:sync (since)': { payload: () => ({ since: minuteAgo() }) },
  'chat:edit_message': { acts: true, payload: (s) => ({ ...inConversation(s), messageId: s.message.id, newText: 'changed' }) },
  'chat:delete_message (for me)': { acts: true, payload: (s) => ({ ...inConversation(s), messageId: s.message.id, deletionType: 'for_me' }) },
  'chat:delete_message (for everyone)': {
    acts: true,
    payload: (s) => ({ ...inConversation(s), messageId: s.message.id, deletionType: 'for_everyone' }),
  },
  'chat:add_reaction': { acts: true, payload: (s) => ({ ...inConversation(s), messageId: s.message.id, reaction: '👍' }) },
  "chat:remove_reaction (one's own)": {
    acts: true,
    payload: (s, caller) => ({ ...inConversation(s), messageId: s.message.id, reaction: s.reactionOf(caller) }),
  },
  "chat:remove_reaction (another's)": {
    payload: (s, caller) => ({ ...inConversation(s), messageId: s.message.id, reaction: s.reactionOfAnother(caller) }),
  },
  "chat:authenticate (one's own token)": { payload: (s, caller) => ({ token: tokenFor(s.person(caller)) }) },
  "chat:authenticate (another's token)": { payload: (s, caller) => ({ token: tokenFor(s.counterpart(caller)) }) },
};

const conversation = (s) => ({ id: s.conversationId });
const message = (s) => ({ id: s.message.id });
const user = (s, caller) => ({ id: other(s, caller) });

const ROUTES = {
  'GET /': {},
  'GET /api/v1/health': {},
  'GET /api/chat/test': {},
  'GET /api/chat/conversations': {},
  'POST /api/chat/conversations (a new one)': {
    body: (s, caller) => ({ participantId: other(s, caller), relatedEntityType: 'product', relatedEntityId: randomUUID() }),
  },
  'POST /api/chat/conversations (the one there is)': { body: (s, caller) => ({ participantId: other(s, caller) }) },
  'GET /api/chat/conversations/{id}/messages': { params: conversation },
  'POST /api/chat/conversations/{id}/messages': { acts: true, params: conversation, body: () => ({ message: 'hello' }) },
  'POST /api/chat/conversations/{id}/messages/reply': {
    acts: true,
    params: conversation,
    body: (s) => ({ message: 'hello', replyToMessageId: s.message.id }),
  },
  'POST /api/chat/conversations/{id}/read': { params: conversation },
  'GET /api/chat/unread-count': {},
  'GET /api/chat/sync (of this conversation)': { query: (s) => `conversations=${s.conversationId}:0` },
  'GET /api/chat/sync (since)': { query: () => `since=${encodeURIComponent(minuteAgo())}` },
  'PUT /api/chat/messages/{id}': { acts: true, params: message, body: () => ({ message: 'changed' }) },
  'DELETE /api/chat/messages/{id} (for me)': { acts: true, params: message, body: () => ({ deletionType: 'for_me' }) },
  'DELETE /api/chat/messages/{id} (for everyone)': { acts: true, params: message, body: () => ({ deletionType: 'for_everyone' }) },
  'GET /api/chat/messages/{id}/reactions': { params: message },
  'POST /api/chat/messages/{id}/reactions': { acts: true, params: message, body: () => ({ reaction: '👍' }) },
  "DELETE /api/chat/messages/{id}/reactions/{reaction} (one's own)": {
    acts: true,
    params: (s, caller) => ({ ...message(s), reaction: s.reactionOf(caller) }),
  },
  "DELETE /api/chat/messages/{id}/reactions/{reaction} (another's)": {
    params: (s, caller) => ({ ...message(s), reaction: s.reactionOfAnother(caller) }),
  },
  'GET /api/chat/messages/{id}/history': { params: message },
  'GET /api/chat/messages/{id}/details': { params: message },
  'GET /api/chat/users/search': { query: () => 'search=a' },
  'GET /api/chat/users/available': {},
  'GET /api/chat/support-user': {},
  'GET /api/chat/users/{id}/status': { params: user },
  'POST /api/chat/users/{id}/block': { params: user, blocks: true },
  'DELETE /api/chat/users/{id}/block': { params: user, blocks: true },
  'GET /api/chat/users/blocked': {},
  'POST /api/chat/upload': {
    raw: () => form([{ name: 'a.txt', type: 'text/plain', content: 'a' }]),
    headers: { 'content-type': FORM },
  },
  'GET /api/chat/files/{*path} (with its signed link)': { file: (url) => url.pathname + url.search },
  'GET /api/chat/files/{*path} (without the signature)': { file: (url) => url.pathname },
};

/** A route's call as `{ method, path, body, headers }`. */
function requestOf(name, call, s, caller) {
  const how = ROUTES[name];
  const [method, template] = call.split(' ');
  if (how.file) return { method, path: how.file(s.file) };
  const params = how.params?.(s, caller) ?? {};
  const path = template.replace(/\{(\w+)\}/g, (_, field) => encodeURIComponent(params[field]));
  const query = how.query ? `?${how.query(s, caller)}` : '';
  return { method, path: path + query, body: how.raw?.() ?? how.body?.(s, caller), headers: how.headers };
}

module.exports = { CELLS, EVENTS, ROUTES, requestOf, rows };
