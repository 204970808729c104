'use strict';

// Signed URLs of uploaded files: who may fetch them, how they are served, and how messages carry them.

const assert = require('node:assert/strict');
const { createHmac } = require('node:crypto');
const { suite } = require('../lib/suite');
const { testWithOwnServer } = require('../lib/own-server');
const { ATTACHMENT } = require('../lib/message-actions');
const { ALLOWED } = require('../lib/files');
const { SECRET } = require('../lib/jwt');
const { uploaded, download } = require('../lib/upload');

const { test } = suite();

const put = async (scene, kind, who = 'customer') => (await uploaded(scene, who, [ALLOWED[kind]]))[0];
const json = (answer) => JSON.parse(answer.content.toString());

const INLINE = ['jpeg', 'png', 'gif', 'webp'];

for (const kind of Object.keys(ALLOWED)) {
  const how = INLINE.includes(kind) ? 'inline' : 'attachment';
  test(`${kind} is served as what it is, ${how}, and never runs as a page of this site`, async (scene) => {
    const answer = await download(scene, (await put(scene, kind)).fileUrl);
    assert.equal(answer.status, 200);
    const { headers } = answer;
    assert.equal(headers['content-type'].split(';')[0], ALLOWED[kind].type);
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.match(headers['content-disposition'], new RegExp(`^${how}\\b`));
    assert.match(headers['content-disposition'], /filename/);
    assert.match(headers['content-security-policy'], /sandbox/);
    assert.doesNotMatch(headers['content-security-policy'], /allow-scripts/);
    // The app shows images from another origin.
    assert.notEqual(headers['cross-origin-resource-policy'], 'same-origin');
    if (headers['content-length']) assert.equal(Number(headers['content-length']), ALLOWED[kind].content.length);
  });
}

test('a file name in another script comes back in Content-Disposition', async (scene) => {
  const [file] = await uploaded(scene, 'customer', [{ ...ALLOWED.txt, name: 'سوق "1".txt' }]);
  const disposition = (await download(scene, file.fileUrl)).headers['content-disposition'];
  assert.match(disposition, /filename\*=UTF-8''[\w%.-]+/i);
  const name = decodeURIComponent(disposition.match(/filename\*=UTF-8''([^;]+)/i)[1]);
  assert.ok(name.startsWith('سوق') && name.endsWith('.txt'), name);
});

test('anyone who has the URL may fetch it: no token, another user, an allowed origin', async (scene) => {
  const { fileUrl } = await put(scene, 'png');
  for (const headers of [{}, { authorization: 'Bearer nonsense' }, { origin: 'http://localhost:3000' }]) {
    const answer = await download(scene, fileUrl, { headers });
    assert.equal(answer.status, 200);
    assert.ok(answer.content.equals(ALLOWED.png.content));
  }
});

test('a URL that was tampered with: 403 invalid_signature', async (scene) => {
  const { fileUrl } = await put(scene, 'png');
  const { fileUrl: otherUrl } = await put(scene, 'pdf');
  const url = new URL(fileUrl, scene.server.url);
  const other = new URL(otherUrl, scene.server.url);
  const changed = [];
  for (const [name, value] of url.searchParams) {
    for (const wrong of [`${value}0`, value.slice(0, -1), '', '0', 'x', `${value.slice(0, -1)}${value.endsWith('a') ? 'b' : 'a'}`]) {
      const copy = new URL(url);
      copy.searchParams.set(name, wrong);
      changed.push(copy);
    }
    const copy = new URL(url);
    copy.searchParams.delete(name);
    changed.push(copy);
  }
  assert.ok(changed.length > 0, 'the signature is in the query');
  // Another file's signature, and none.
  changed.push(new URL(url.pathname + other.search, url), new URL(other.pathname + url.search, url), new URL(url.pathname, url));
  for (const wrong of changed) {
    const answer = await download(scene, wrong.href);
    assert.equal(answer.status, 403, `${wrong.search}: ${answer.status} ${answer.content}`);
    assert.equal(json(answer).code, 'invalid_signature');
  }
  assert.equal((await download(scene, fileUrl)).status, 200);
});

test('a changed expiry is tampering, whether later or in the past', async (scene) => {
  const url = new URL((await put(scene, 'png')).fileUrl, scene.server.url);
  for (const [name, value] of url.searchParams) {
    if (!/^\d{9,}$/.test(value)) continue;
    for (const shift of [1, 1_000_000, -10_000_000]) {
      const copy = new URL(url);
      copy.searchParams.set(name, String(Number(value) + shift));
      assert.equal((await download(scene, copy.href)).status, 403);
    }
  }
});

/** Signs a link as the server does, which a test needs to come upon one that is a week old. */
function signed(filePath, name, expires) {
  const hmac = (key, text) => createHmac('sha256', key).update(text);
  const key = hmac(SECRET, 'souk file links').digest();
  const signature = hmac(key, `${expires}\n${filePath}\n${name}`).digest('hex');
  return `/api/chat/files/${filePath}?${new URLSearchParams({ name, expires, signature })}`;
}

test('a URL that has expired: 410 link_expired', async (scene) => {
  const { filePath, fileName } = await put(scene, 'png');
  const now = Math.floor(Date.now() / 1000);
  assert.equal((await download(scene, signed(filePath, fileName, now + 60))).status, 200, 'signed as the server does');
  for (const expires of [now - 1, now - 8 * 86_400, 0]) {
    const answer = await download(scene, signed(filePath, fileName, expires));
    assert.equal(answer.status, 410);
    assert.equal(json(answer).code, 'link_expired');
  }
});

test('a signed URL of a file that does not exist: 404', async (scene) => {
  const soon = Math.floor(Date.now() / 1000) + 60;
  for (const filePath of ['chat/none.png', '../postgres/PG_VERSION', '../../etc/passwd', 'chat/../../postgres/PG_VERSION.txt', 'chat']) {
    const answer = await download(scene, signed(filePath, 'x.txt', soon));
    assert.equal(answer.status, 404, filePath);
  }
});

test('a URL is valid for seven days', async (scene) => {
  const url = new URL((await put(scene, 'png')).fileUrl, scene.server.url);
  const times = [...url.searchParams.values()].filter((v) => /^\d{9,13}$/.test(v)).map((v) => Number(v) * (v.length > 11 ? 1 : 1000));
  assert.equal(times.length, 1, url.href);
  const days = (times[0] - Date.now()) / 86_400_000;
  assert.ok(Math.abs(days - 7) < 0.01, `${days} days`);
});

test('other paths under files show no file of the server and answer in JSON', async (scene) => {
  const url = new URL((await put(scene, 'png')).fileUrl, scene.server.url);
  for (const path of ['/api/chat/files/', '/api/chat/files', '/api/chat/files/x', '/api/chat/files/..%2f..%2f..%2fetc%2fpasswd', '/api/chat/files/%00', `${url.pathname}/..`, `${url.pathname}%00`, `${url.pathname}/x`, '/api/chat/files/postgres/PG_VERSION', `/api/chat/files/${'x'.repeat(5000)}`]) {
    const answer = await scene.rest(null, 'GET', path + url.search);
    assert.equal(answer.status, /files\/?$/.test(path) ? 404 : 403, path);
    assert.equal(answer.body?.success, false, `${path}: ${answer.text}`);
  }
});

test('a message carries an uploaded file, and the other member fetches it', async (scene) => {
  const conversationId = await scene.conversation();
  const [customer, seller] = [await scene.connect('customer'), await scene.connect('seller')];
  const file = await put(scene, 'png');
  const attachment = { name: file.fileName, type: file.fileType, size: file.fileSize, url: file.fileUrl, path: file.filePath };
  const sent = await scene.say(customer, conversationId, '', { attachments: [attachment], tempId: 't' });
  assert.deepEqual([sent.message_type, sent.attachments], ['image', [attachment]]);
  const told = await seller.waitFor('chat:new_message', (m) => m.id === sent.id);
  assert.deepEqual(told.attachments, [attachment]);
  assert.ok((await download(scene, told.attachments[0].url)).content.equals(ALLOWED.png.content));
  const document = await put(scene, 'docx');
  const asFile = { name: document.fileName, type: document.fileType, size: document.fileSize, url: document.fileUrl, path: document.filePath };
  assert.equal((await scene.say(customer, conversationId, 'see', { attachments: [asFile] })).message_type, 'file');
});

for (const [name, change] of Object.entries({
  'a script as url': { url: 'javascript:alert(1)' },
  'data as url': { url: 'data:text/html,<script>alert(1)</script>' },
  'a number as name': { name: 5 },
  'no name': { name: undefined },
  'a text as size': { size: 'big' },
  'a list as type': { type: [] },
  'a name of 10,000 letters': { name: 'x'.repeat(10_000) },
  'an unknown field': { onclick: 'alert(1)' },
})) {
  test(`an attachment with ${name} is refused, or loses it`, async (scene) => {
    const conversationId = await scene.conversation();
    const customer = await scene.connect('customer');
    const answer = await customer.ask('chat:send_message', { conversationId, message: 'x', attachments: [{ ...ATTACHMENT, ...change }] });
    if (!answer.success) return assert.equal(answer.code, 'invalid_attachment', JSON.stringify(answer));
    const [kept] = answer.data.attachments;
    assert.deepEqual(Object.keys(kept).sort(), ['name', 'path', 'size', 'type', 'url']);
    assert.doesNotMatch(JSON.stringify(kept), /alert/);
    assert.deepEqual([typeof kept.name, typeof kept.type, typeof kept.size], ['string', 'string', 'number']);
  });
}

testWithOwnServer('a URL outlives a restart of the server', {}, async (server, scene) => {
  await server.start();
  const { fileUrl } = await put(scene, 'png');
  await server.stop();
  await server.start();
  const answer = await download(scene, fileUrl);
  assert.equal(answer.status, 200);
  assert.ok(answer.content.equals(ALLOWED.png.content));
});
