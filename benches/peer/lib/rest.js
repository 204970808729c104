'use strict';

const { Refused } = require('./chat');
const { Shared } = require('./shared');

const BEARER = 'Bearer ';
const MESSAGES = /^\/api\/chat\/conversations\/([0-9a-f-]{36})\/messages$/;
const READ = /^\/api\/chat\/conversations\/([0-9a-f-]{36})\/read$/;

/** The REST calls that are measured: `(method, url, authorization)` to a status and JSON. */
function rest(chat, store, verify) {
  // The list and the count are the same for all callers of one user.
  const shared = new Shared();

  async function call(method, path, query, user) {
    if (method === 'GET' && path === '/api/chat/conversations') {
      const limit = number(query.get('limit'));
      return shared.ask(`list ${limit} ${user.id}`, async () => json({ data: await chat.conversations(user, limit) }));
    }
    if (method === 'GET' && path === '/api/chat/unread-count') {
      return shared.ask(`count ${user.id}`, async () => {
        const count = await store.unread(user.id);
        return json({ count, data: { count } });
      });
    }
    const page = method === 'GET' && MESSAGES.exec(path);
    if (page) {
      const data = await chat.messages(page[1], user, number(query.get('limit')), number(query.get('offset')));
      return json({ data });
    }
    const read = method === 'POST' && READ.exec(path);
    if (read) {
      const count = await chat.read(read[1], user);
      return json({ count, data: { count } });
    }
    throw new Refused('Not found', 404);
  }

  async function caller(authorization) {
    const header = authorization ?? '';
    const id = header.startsWith(BEARER) ? verify(header.slice(BEARER.length)) : null;
    const user = id && (await store.user(id));
    if (!user) throw new Refused('Unauthorized', 401);
    return user;
  }

  return async (method, url, authorization) => {
    const [path, query] = url.split('?', 2);
    try {
      const user = await caller(authorization);
      return { status: 200, body: await call(method, path, new URLSearchParams(query), user) };
    } catch (e) {
      if (!(e instanceof Refused)) console.error(url, e);
      const [status, message] = e instanceof Refused ? [e.status, e.message] : [500, 'Internal server error'];
      return { status, body: JSON.stringify({ success: false, message }) };
    }
  };
}

function json(answer) {
  return JSON.stringify({ success: true, ...answer });
}

function number(text) {
  return text === null ? undefined : Number(text);
}

module.exports = { rest };
