'use strict';

// Uploaded files in an S3 store: written, read by their links, and removed, also when the store fails for a while.

const nodeTest = require('node:test');
const assert = require('node:assert/strict');
const { S3, MOTO_SERVER } = require('../lib/s3');
const { external } = require('../lib/postgres');
const { until } = require('../lib/limits');
const { ALLOWED } = require('../lib/files');
const { request } = require('../lib/rest');
const { Scene } = require('../lib/suite');
const { Server } = require('../lib/server');
const { upload, uploaded, download, stream, large } = require('../lib/upload');

const missing = [[MOTO_SERVER, 'MOTO_SERVER'], [external, 'TEST_DATABASE_URL']].filter(([there]) => !there);
const skip = missing.length ? `needs ${missing.map(([, name]) => name).join(' and ')}` : false;

let store;
let server;
if (!skip) {
  nodeTest.before(async () => {
    store = await new S3().start();
    server = await new Server({ env: { ...store.env(), MAX_UPLOAD_BYTES: String(16 << 20) } }).start();
  });
  nodeTest.after(async () => {
    await server?.dispose();
    store?.stop();
    assert.ok(!/panicked at/.test(server.log));
  });
}

function test(name, body) {
  nodeTest.test(name, { skip }, async (t) => {
    const scene = new Scene(server);
    const logged = server.log.length;
    store.fails = () => false;
    try {
      await body(scene);
    } catch (error) {
      server.showLog(t, logged);
      throw error;
    } finally {
      store.fails = () => false;
      await scene.leave();
    }
  });
}

const put = async (scene, kind) => (await uploaded(scene, 'customer', [ALLOWED[kind]]))[0];
const row = (file) => server.database.sql(`SELECT state FROM chat_files WHERE path = '${file.filePath}'`);
const isRemoval = (what) => what.startsWith('DELETE ') || /^POST [^ ]*[?&]delete/.test(what);

/** A message of the customer's that names these files. */
async function written(scene, files) {
  const attachments = files.map((file) => ({ name: file.fileName, type: file.fileType, size: file.fileSize, url: file.fileUrl, path: file.filePath }));
  const customer = await scene.connect('customer');
  return { customer, message: await scene.say(customer, await scene.conversation(), 'see', { attachments }) };
}

/** Deletes a message that names these files for everyone; after that the server removes all files that are to go. */
async function deletion(scene, files = []) {
  const { customer, message } = await written(scene, files);
  const answer = await customer.ask('chat:delete_message', { messageId: message.id, deletionType: 'for_everyone' });
  assert.equal(answer.success, true, JSON.stringify(answer));
}

test('a stored file is read unchanged by its link', async (scene) => {
  const file = await put(scene, 'png');
  assert.deepEqual(await store.stored(), [file.filePath]);
  const read = await download(scene, file.fileUrl);
  assert.ok(read.status === 200 && read.content.equals(ALLOWED.png.content));
  assert.equal(read.headers['content-type'], 'image/png');
  assert.equal((await download(scene, file.fileUrl.replace(/signature=../, 'signature=00'))).status, 403);
  assert.equal(await store.unfinished(), 0);
});

test('a file of several parts is read unchanged', async (scene) => {
  const size = (11 << 20) + 7;
  const { body, status, text } = await stream(scene, 'customer', large(1, size));
  assert.ok(status < 300, text);
  const read = await download(scene, body.data.uploaded[0].fileUrl);
  assert.equal(read.content.length, size);
  assert.ok(read.content.subarray(16).every((byte) => byte === 0x5a));
});

test('a refused upload leaves nothing in the store', async (scene) => {
  const before = await store.stored();
  const answer = await upload(scene, 'customer', [{ name: 'a.png', type: 'image/png', content: Buffer.from('MZ\x90\x00') }]);
  assert.equal(answer.status, 400, answer.text);
  const { status } = await stream(scene, 'customer', large(1, (16 << 20) + 1));
  assert.equal(status, 400);
  assert.deepEqual(await store.stored(), before);
  assert.equal(await store.unfinished(), 0, 'parts of one that was given up are gone too');
});

test('the files of a message that is deleted for everyone are removed', async (scene) => {
  const [first, second, kept] = [await put(scene, 'png'), await put(scene, 'pdf'), await put(scene, 'png')];
  await written(scene, [kept]);
  await deletion(scene, [first, second]);
  for (const file of [first, second]) assert.equal((await download(scene, file.fileUrl)).status, 404, 'at once');
  await until(async () => !(await store.stored()).some((path) => [first, second].map((f) => f.filePath).includes(path)), 'they are gone');
  await until(() => row(first) === '' && row(second) === '', 'they are forgotten');
  assert.ok((await download(scene, kept.fileUrl)).content.equals(ALLOWED.png.content));
});

test('a file that no message names is removed', async (scene) => {
  const [unused, used] = [await put(scene, 'png'), await put(scene, 'png')];
  await written(scene, [used]);
  server.database.sql("UPDATE chat_files SET created_at = now() - interval '25 hours'");
  await server.stop();
  await server.start();
  await until(() => row(unused) === 'unused', 'it is found');
  server.database.sql("UPDATE chat_files SET since = now() - interval '1 hour' WHERE state = 'unused'");
  await deletion(scene);
  await until(async () => !(await store.stored()).includes(unused.filePath), 'it is gone');
  await until(() => row(unused) === '', 'it is forgotten');
  assert.equal((await download(scene, used.fileUrl)).status, 200);
});

test('a file that the store no longer has is forgotten', async (scene) => {
  const file = await put(scene, 'png');
  await store.remove(file.filePath);
  await deletion(scene, [file]);
  await until(() => row(file) === '', 'it is forgotten');
});

test('while the store fails the files stay recorded; they are removed when it works again', async (scene) => {
  const files = [await put(scene, 'png'), await put(scene, 'pdf')];
  store.fails = isRemoval;
  await deletion(scene, files);
  const isPutOff = `SELECT count(*) FROM chat_files WHERE state = 'deleted' AND since > now() AND path = ANY('{${files.map((f) => f.filePath)}}')`;
  await until(() => server.database.sql(isPutOff) === '2', 'both are put off', 30_000);
  const stored = await store.stored();
  for (const file of files) {
    assert.ok(stored.includes(file.filePath), 'the store has it still');
    assert.equal((await download(scene, file.fileUrl)).status, 404, 'and nobody gets it');
  }
  assert.equal((await request(`${server.url}/api/v1/health`)).status, 200);
  store.fails = () => false;
  // A minute is over.
  server.database.sql("UPDATE chat_files SET since = now() WHERE state = 'deleted'");
  await deletion(scene);
  await until(async () => !(await store.stored()).some((path) => files.map((f) => f.filePath).includes(path)), 'they are gone');
  await until(() => files.every((file) => row(file) === ''), 'they are forgotten');
});

test('an upload is tried again if the store fails for a moment', async (scene) => {
  let failures = 2;
  store.fails = (what) => what.startsWith('PUT ') && failures-- > 0;
  const file = await put(scene, 'png');
  assert.ok(failures <= 0);
  assert.ok((await download(scene, file.fileUrl)).content.equals(ALLOWED.png.content));
});
