'use strict';

const http = require('node:http');
const { within } = require('./limits');

/**
 * One HTTP request. node:http and not fetch, because the tests send what fetch refuses to send
 * (an Origin header, broken bodies), and because fetch's connection pool outlives a killed server.
 *
 * `body` is sent as it is when it is a string or Buffer, else as JSON. Resolves to
 * `{ status, headers, text, body }`; `body` is undefined when the answer is not JSON.
 */
function request(url, { method = 'GET', token, headers = {}, body } = {}) {
  const raw = typeof body === 'string' || Buffer.isBuffer(body);
  const payload = body === undefined ? undefined : raw ? body : JSON.stringify(body);
  const all = { ...headers };
  if (token !== undefined) all.authorization = `Bearer ${token}`;
  if (payload !== undefined) {
    all['content-type'] ??= 'application/json';
    all['content-length'] = Buffer.byteLength(payload);
  }
  // A header given as null is left out.
  for (const name of Object.keys(all)) if (all[name] === null) delete all[name];

  const answer = new Promise((resolve, reject) => {
    const req = http.request(url, { method, headers: all, agent: false }, (res) => {
      const chunks = [];
      res.on('data', (chunk) => chunks.push(chunk));
      res.on('error', reject);
      res.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        resolve({ status: res.statusCode, headers: res.headers, text, body: parse(text) });
      });
    });
    // A server that refuses an oversized body may answer and close before it was all sent:
    // the answer, if one came, has already resolved the promise by then.
    req.on('error', reject);
    req.end(payload);
  });
  return within(answer, `${method} ${url}`);
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

module.exports = { request };
