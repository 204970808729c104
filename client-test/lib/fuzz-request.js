'use strict';

// Random requests to the server's own routes: correct ones, changed ones, and meaningless ones.

const { tokenFor } = require('./jwt');
const { FORM, form } = require('./upload');
const { USERS } = require('./users');

const METHODS = ['GET', 'GET', 'POST', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS', 'PROPFIND', 'TRACE'];

const SENSELESS = ['%00', '%ff%fe', '..', '..%2f..', '%2e%2e', '.', ' ', '%20', '*', '{id}', ':id', 'null', "'%20OR%201=1", '%F0%9F%91', '%F0%9F%91%8D', '+', '%', '%zz', '~', '\\', ';a=b', 'x'.repeat(5000)];

const BODIES = [
  '', '{', '[]', 'null', '42', '"x"', '{"a":1}{"b":2}', '{"message":"a","message":"b"}', '[', '\ufeff{}', 'message=hello', '<message/>', '{"message":1e999}', '{"message":"\\ud800"}', '{"message":"\\u0000"}',
  `${'['.repeat(5000)}`, `${'{"a":'.repeat(200)}1${'}'.repeat(200)}`, `{"message":"${'x'.repeat(200_000)}"}`,
];

/** What a good client would send to any route: one object with every field that some route reads. */
const goodBody = (r, ids) => ({
  message: r.chance(0.8) ? 'hello' : r.text(),
  participantId: r.pick(ids.users),
  replyToMessageId: r.pick(ids.messages),
  clientMessageId: `c${r.below(50)}`,
  reaction: r.pick(['👍', '🎉']),
  deletionType: r.chance(0.05) ? 'for_everyone' : 'for_me',
});

const QUERIES = ['limit', 'offset', 'before', 'after', 'search', 'role', 'since', 'conversations', 'expires', 'signature', 'name', 'deletionType', 'x'];

function query(r, ids) {
  if (r.chance(0.6)) return '';
  const pair = () => {
    const key = r.pick(QUERIES);
    const value = r.pick([
      () => String(r.below(300) - 20),
      () => encodeURIComponent(r.text(12).toWellFormed()),
      () => r.pick(['', '%00', '%ff', '%', '9'.repeat(30), '1e9', '-1', 'true', '2026-01-01T00:00:00Z', '2026-01-01T00:00:00%2B01:00', '[]', '1&limit=2']),
      () => r.pick(ids.conversations),
      () => `${r.pick(ids.conversations)}:${r.pick([0, 5, -1, 'x', '', '9'.repeat(30)])},${r.pick(ids.conversations)}:1`,
    ])();
    return r.chance(0.9) ? `${key}=${value}` : r.pick([key, `${key}[]=${value}`, '&&', '=', `=${value}`]);
  };
  return `?${Array.from({ length: 1 + r.below(3) }, pair).join('&')}`;
}

function path(r, template, ids) {
  const of = template.includes('/conversations/') ? ids.conversations : template.includes('/users/') ? ids.users : ids.messages;
  const filled = template.replace(/\{\*?(\w+)\}/g, (_, name) => {
    if (r.chance(0.2)) return r.pick(SENSELESS);
    if (name === 'reaction') return encodeURIComponent(r.pick(['👍', '🎉', 'x', '👍👍']));
    if (name === 'path') return r.pick(['a', `${USERS.seller.id}/x.png`, '../../secret', '..%2f..%2fsecret', `${USERS.seller.id}%2f..%2f..`]);
    return r.chance(0.1) ? encodeURIComponent(r.bend(r.pick(of)).toWellFormed()) : r.pick(of);
  });
  if (r.chance(0.92)) return filled;
  // One segment more, less, doubled or senseless.
  const parts = filled.split('/');
  parts.splice(1 + r.below(parts.length), r.below(2), ...r.pick([[], [''], [r.pick(SENSELESS)], ['api'], [r.pick(parts)]]));
  return `/${parts.filter((part, i) => i > 0 || part).join('/')}`.slice(0, 7000);
}

/** Without one that only some other client could have: the answer is about the token then. */
function authorization(r) {
  if (r.chance(0.85)) return `Bearer ${tokenFor(USERS.customer)}`;
  return r.pick([undefined, '', 'Bearer', 'Bearer ', 'Bearer x', 'Bearer a.b.c', `Basic ${'x'.repeat(100)}`, `bearer ${tokenFor(USERS.customer)}`, `Bearer ${tokenFor(USERS.seller, { exp: 1 })}`, `Bearer Bearer ${tokenFor(USERS.customer)}`, 'Bearer \xff']);
}

const HEADERS = {
  'content-type': ['application/json', 'text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data', 'multipart/form-data; boundary=', FORM, 'application/json; charset=utf-16', '', 'x'.repeat(500)],
  'accept': ['*/*', 'text/html', 'x'],
  'accept-encoding': ['gzip', 'br', '*'],
  'content-encoding': ['gzip', 'x'],
  'if-none-match': ['*', '"x"'],
  'range': ['bytes=0-1', 'bytes=5-2', 'x'],
  'x-forwarded-for': ['10.1.2.3', '::1', 'x', '10.1.2.3, 10.1.2.4', 'x'.repeat(1000)],
  'x-forwarded-proto': ['https', 'https,http', 'javascript'],
  'x-request-id': ['mine', 'x'.repeat(3000)],
  'x-http-method-override': ['DELETE'],
  'cookie': ['a=b', 'x'.repeat(3000)],
  'upgrade': ['websocket', 'h2c'],
  'connection': ['close', 'upgrade', 'keep-alive'],
  'expect': ['100-continue', 'x'],
  'origin': ['http://localhost:3000', 'https://evil.example', 'null'],
  'host': ['x', '127.0.0.1', ''],
};

function headers(r) {
  const some = {};
  while (r.chance(0.3)) {
    const name = r.pick(Object.keys(HEADERS));
    some[name] = r.pick(HEADERS[name]);
  }
  return some;
}

/** One request: `{ method, path, body, headers }`. */
function randomRequest(r, routes, ids, all) {
  const [right, template] = r.pick(routes).split(' ');
  const method = r.chance(0.85) ? right : r.pick(METHODS);
  const made = { method, path: path(r, template, ids) + query(r, ids), headers: { authorization: authorization(r), ...headers(r) } };
  // The node client turns a lone Upgrade into something else than a request.
  if (made.headers.upgrade) made.headers.connection = 'upgrade';
  for (const name of Object.keys(made.headers)) if (made.headers[name] === undefined) delete made.headers[name];
  if (method === 'GET' || method === 'HEAD' || method === 'OPTIONS' || method === 'TRACE' || r.chance(0.1)) return made;
  made.body = r.pick([
    () => goodBody(r, ids),
    () => goodBody(r, ids),
    () => goodBody(r, ids),
    () => goodBody(r, ids),
    () => r.mutate(goodBody(r, ids), all) ?? 'null',
    () => r.mutate(goodBody(r, ids), all) ?? 'null',
    () => r.pick(BODIES),
    () => r.bytes(r.below(200)),
    () => form([{ name: r.text(20).toWellFormed(), type: 'text/plain', content: r.text().toWellFormed() }]),
  ])();
  return made;
}

module.exports = { randomRequest };
