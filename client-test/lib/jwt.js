'use strict';

const { createHmac } = require('node:crypto');

const SECRET = 'a-secret-for-tests-only-0123456789abcdef';

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Signs claims as the shop's login does: a JWT, HS256. The header can be overridden to forge one. */
function sign(claims, { secret = SECRET, header = { alg: 'HS256', typ: 'JWT' } } = {}) {
  const body = `${base64url(header)}.${base64url(claims)}`;
  return `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`;
}

/** A token of one hour for a user; `claims` overrides single claims. */
function tokenFor(user, claims = {}, options = {}) {
  const now = Math.floor(Date.now() / 1000);
  return sign({ userId: user.id, role: user.role, iat: now, exp: now + 3600, ...claims }, options);
}

module.exports = { SECRET, sign, tokenFor };
