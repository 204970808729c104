'use strict';

// The React app has another origin: its browser sends a preflight before each call.

const assert = require('node:assert/strict');
const { suite } = require('../lib/suite');
const { NOBODY } = require('../lib/users');
const { ALLOWED } = require('../lib/files');
const { FORM, PATH, form } = require('../lib/upload');

const { test } = suite();

const APP = 'http://localhost:3000';

for (const [method, path] of [
  ['PUT', `/api/chat/messages/${NOBODY}`],
  ['DELETE', `/api/chat/messages/${NOBODY}`],
  ['POST', `/api/chat/messages/${NOBODY}/reactions`],
  ['DELETE', `/api/chat/messages/${NOBODY}/reactions/%F0%9F%91%8D`],
  ['POST', `/api/chat/conversations/${NOBODY}/messages/reply`],
  ['GET', '/api/chat/users/search'],
  ['POST', PATH],
]) {
  test(`a preflight allows ${method} ${path}`, async (scene) => {
    const headers = { origin: APP, 'access-control-request-method': method, 'access-control-request-headers': 'authorization,content-type' };
    const answer = await scene.rest(null, 'OPTIONS', path, undefined, { headers });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['access-control-allow-origin'], APP);
    assert.ok(answer.headers['access-control-allow-methods'].split(/,\s*/).includes(method), answer.headers['access-control-allow-methods']);
    assert.match(answer.headers['access-control-allow-headers'], /authorization/i);
    assert.equal(answer.headers['access-control-allow-credentials'], 'true');
  });
}

test('the app may read the answers, errors too', async (scene) => {
  for (const [method, path, options] of [
    ['PUT', `/api/chat/messages/${NOBODY}`, {}],
    ['GET', '/api/chat/users/available', {}],
    ['POST', PATH, { form: true }],
  ]) {
    const headers = { origin: APP, ...(options.form ? { 'content-type': FORM } : {}) };
    const body = options.form ? form([ALLOWED.png]) : method === 'PUT' ? { message: 'x' } : undefined;
    const answer = await scene.rest('customer', method, path, body, { headers });
    assert.equal(answer.headers['access-control-allow-origin'], APP, `${method} ${path}`);
    assert.equal(typeof answer.body.success, 'boolean');
  }
});

test('another site may not upload', async (scene) => {
  const answer = await scene.rest('customer', 'POST', PATH, form([ALLOWED.png]), { headers: { origin: 'https://evil.example', 'content-type': FORM } });
  assert.equal(answer.status, 403);
});
