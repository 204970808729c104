'use strict';

const { Refused } = require('./chat');

const BEARER = 'Bearer ';
const MESSAGES = /^\/api\/chat\/conversations\/([0-9a-f-]{36})\/messages$/;
const READ = /^\/api\/chat\/conversations\/([0-9a-f-]{36})\/read$/;

/** The REST calls that are measured. */
function rest(chat, store, verify) {
  async function answer(req, path, query, user) {
    if (req.method === 'GET' && path === '/api/chat/conversations') {
      return { success: true, data: await chat.conversations(user, number(query.get('limit'))) };
    }
    if (req.method === 'GET' && path === '/api/chat/unread-count') {
      const count = await store.unread(user.id);
      return { success: true, count, data: { count } };
    }
    const page = req.method === 'GET' && MESSAGES.exec(path);
    if (page) {
      const data = await chat.messages(page[1], user, number(query.get('limit')), number(query.get('offset')));
      return { success: true, data };
    }
    const read = req.method === 'POST' && READ.exec(path);
    if (read) {
      const count = await chat.read(read[1], user);
      return { success: true, count, data: { count } };
    }
    throw new Refused('Not found', 404);
  }

  async function caller(req) {
    const header = req.headers.authorization ?? '';
    const id = header.startsWith(BEARER) ? verify(header.slice(BEARER.length)) : null;
    const user = id && (await store.user(id));
    if (!user) throw new Refused('Unauthorized', 401);
    return user;
  }

  return async (req, res) => {
    const [path, query] = req.url.split('?', 2);
    if (path.startsWith('/socket.io/')) return;
    try {
      send(res, 200, await answer(req, path, new URLSearchParams(query), await caller(req)));
    } catch (e) {
      if (!(e instanceof Refused)) console.error(req.url, e);
      const [status, message] = e instanceof Refused ? [e.status, e.message] : [500, 'Internal server error'];
      send(res, status, { success: false, message });
    }
  };
}

function number(text) {
  return text === null ? undefined : Number(text);
}

function send(res, status, body) {
  const json = Buffer.from(JSON.stringify(body));
  res.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': json.length });
  res.end(json);
}

module.exports = { rest };
