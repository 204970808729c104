'use strict';

const { createHmac, createSecretKey, timingSafeEqual } = require('node:crypto');

/** Checks HS256 tokens; the answer is the user's id, or null. */
function verifier(secret) {
  const key = createSecretKey(Buffer.from(secret));
  return (token) => {
    const end = token.lastIndexOf('.');
    const [header, claims] = token.slice(0, end).split('.');
    if (!header || !claims) return null;
    const expected = createHmac('sha256', key).update(token.slice(0, end)).digest();
    const given = Buffer.from(token.slice(end + 1), 'base64url');
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return null;
    try {
      if (JSON.parse(Buffer.from(header, 'base64url')).alg !== 'HS256') return null;
      const { userId, exp } = JSON.parse(Buffer.from(claims, 'base64url'));
      return exp * 1000 > Date.now() ? userId : null;
    } catch {
      return null;
    }
  };
}

module.exports = { verifier };
