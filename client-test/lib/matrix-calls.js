'use strict';

// How each row of the table in matrix.js is called: a socket's payload, or a request's parameters, query and body.
// `s` is the stage of lib/matrix-stage.js, `caller` one of the table's callers.
//
// `acts`: who may do it changes something or tells somebody, which the test must see: otherwise it would not see it
// either where it must not be.

const { randomUUID } = require('node:crypto');
const { tokenFor } = require('./jwt');
const { FORM, form } = require('./upload');

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

module.exports = { EVENTS, ROUTES, requestOf };
