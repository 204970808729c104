'use strict';

// Lifetime of files: links get new signatures, unused files are removed.

const assert = require('node:assert/strict');
const { createHmac } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { suite } = require('../lib/suite');
const { external } = require('../lib/postgres');
const { until } = require('../lib/limits');
const { ALLOWED } = require('../lib/files');
const { SECRET } = require('../lib/jwt');
const { uploaded, download, stored } = require('../lib/upload');

const { test, server } = suite();
const needs = { skip: external ? false : 'needs TEST_DATABASE_URL' };

const now = () => Math.floor(Date.now() / 1000);
const attachment = (file, url = file.fileUrl) => ({ name: file.fileName, type: file.fileType, size: file.fileSize, url, path: file.filePath });
const put = async (scene, kind, who = 'customer') => (await uploaded(scene, who, [ALLOWED[kind]]))[0];
const expires = (url) => Number(new URL(url, server.url).searchParams.get('expires'));

/** A link as the server signs it. */
function signed({ filePath, fileName }, until, base = server.url) {
  const hmac = (key, text) => createHmac('sha256', key).update(text);
  const signature = hmac(hmac(SECRET, 'souk file links').digest(), `${until}\n${filePath}\n${fileName}`).digest('hex');
  return `${base}/api/chat/files/${filePath}?${new URLSearchParams({ name: fileName, expires: until, signature })}`;
}

/** A message of the customer's to the seller with these attachments. */
async function written(scene, attachments, text = 'see') {
  const conversationId = await scene.conversation();
  const customer = await scene.connect('customer');
  return { conversationId, customer, message: await scene.say(customer, conversationId, text, { attachments }) };
}

/** The message's link in every answer that has it, as the seller reads it. */
async function links(scene, conversationId, message) {
  const seller = await scene.connect('seller');
  const page = await seller.ask('chat:get_messages', { conversationId });
  const sync = await seller.ask('chat:sync', { conversations: { [conversationId]: 0 } });
  const joined = await seller.ask('chat:join', { conversationId, lastSeq: 0 });
  const found = (list) => list.find((m) => m.id === message.id).attachments[0].url;
  assert.ok(joined.success && sync.success && page.success, JSON.stringify([joined, sync, page]));
  return {
    REST: found(await scene.messages('seller', conversationId)),
    'chat:get_messages': found(page.data.messages ?? page.data),
    'chat:sync': found(sync.data.conversations[conversationId].messages),
    details: (await scene.data('seller', 'GET', `/api/chat/messages/${message.id}/details`)).attachments[0].url,
  };
}

/** Deletes a message for everyone, after which the server removes all files that are to go. */
async function deletion(scene) {
  const { customer, message } = await written(scene, []);
  await customer.ask('chat:delete_message', { messageId: message.id, deletionType: 'for_everyone' });
}

test('an expired link gets a new signature wherever the message is read', async (scene) => {
  const file = await put(scene, 'png');
  const { conversationId, customer, message } = await written(scene, [attachment(file, signed(file, now() - 86_400))]);
  const all = await links(scene, conversationId, message);
  for (const [where, url] of Object.entries(all)) {
    assert.ok(expires(url) > now() + 6.9 * 86_400, where);
    assert.ok((await download(scene, url)).content.equals(ALLOWED.png.content), where);
    assert.ok(url.startsWith(`${server.url}/api/chat/files/`), url);
  }
  assert.equal(new Set(Object.values(all)).size, 1, 'the same link all day, for browsers that keep what they fetched');
  // In events too: of an edit, and of a reply in which the message is quoted in full.
  const seller = scene.clients.at(-1);
  await customer.ask('chat:edit_message', { messageId: message.id, newText: 'seen', conversationId });
  const edited = await seller.waitFor('chat:message_edited', (m) => m.id === message.id);
  assert.equal((await download(scene, edited.attachments[0].url)).status, 200);
  await customer.ask('chat:send_reply', { conversationId, message: 'and', replyToMessageId: message.id, tempId: 't' });
  const reply = await seller.waitFor('chat:new_reply');
  assert.equal((await download(scene, reply.reply_to.attachments[0].url)).status, 200);
});

test('a link that is valid for days is not changed, nor is the path', async (scene) => {
  const file = await put(scene, 'pdf');
  const { conversationId, message } = await written(scene, [attachment(file)]);
  const [read] = await scene.messages('seller', conversationId);
  assert.deepEqual([read.id, read.attachments], [message.id, [attachment(file)]]);
});

test('a file is saved under the name with which it was uploaded', async (scene) => {
  const file = await put(scene, 'txt');
  const { conversationId } = await written(scene, [{ ...attachment(file, signed(file, now() - 5)), name: 'run.bat' }]);
  const [read] = await scene.messages('seller', conversationId);
  const { headers } = await download(scene, read.attachments[0].url);
  assert.match(headers['content-disposition'], /notes\.txt/);
  assert.doesNotMatch(headers['content-disposition'], /bat/);
});

for (const [name, change] of [
  ['another host', (a) => ({ ...a, url: 'https://files.example/lamp.png' })],
  ['another place of the shop', (a) => ({ ...a, url: '/media/lamp.png' })],
  ['another file than its path', (a) => ({ ...a, path: 'chat/lamp.png' })],
  ['no file of ours', (a) => ({ ...a, url: '', path: 'chat/lamp.png' })],
]) {
  test(`an attachment that points to ${name} is left as it is`, async (scene) => {
    const file = await put(scene, 'png');
    const given = change(attachment(file, signed(file, now() - 5)));
    const { conversationId } = await written(scene, [given]);
    assert.deepEqual((await scene.messages('seller', conversationId))[0].attachments, [given]);
  });
}

test('a user who names another user\'s file gets no link to it', async (scene) => {
  const file = await put(scene, 'png', 'seller');
  for (const url of ['', `${server.url}/api/chat/files/${file.filePath}`, signed(file, now() - 5)]) {
    const given = attachment(file, url);
    const { conversationId, message } = await written(scene, [given]);
    assert.deepEqual(message.attachments, [given]);
    assert.deepEqual((await scene.messages('customer', conversationId))[0].attachments, [given]);
  }
});

test('a file of a message deleted for everyone is refused at once and soon gone', async (scene) => {
  const [first, second] = [await put(scene, 'png'), await put(scene, 'pdf')];
  const { conversationId, customer, message } = await written(scene, [attachment(first), attachment(second)]);
  const before = stored(server).length;
  await customer.ask('chat:delete_message', { messageId: message.id, deletionType: 'for_everyone', conversationId });
  for (const file of [first, second]) assert.equal((await download(scene, file.fileUrl)).status, 404);
  await until(() => stored(server).length === before - 2, 'the files are gone from the store');
});

test('a file of a message deleted by REST or by SQL is refused and removed too', needs, async (scene) => {
  const files = [await put(scene, 'png'), await put(scene, 'png')];
  const [byRest, bySql] = [await written(scene, [attachment(files[0])]), await written(scene, [attachment(files[1])])];
  server.database.sql(`UPDATE messages SET is_deleted = true WHERE id = '${bySql.message.id}'`);
  await scene.data('customer', 'DELETE', `/api/chat/messages/${byRest.message.id}`, { deletionType: 'for_everyone' });
  // What SQL deleted is refused at once too; it goes along with the server's next deletion, or within a minute.
  for (const file of files) assert.equal((await download(scene, file.fileUrl)).status, 404);
});

test('a file stays when its message is deleted for_me', async (scene) => {
  const file = await put(scene, 'png');
  const { conversationId, customer, message } = await written(scene, [attachment(file)]);
  await customer.ask('chat:delete_message', { messageId: message.id, deletionType: 'for_me', conversationId });
  assert.equal((await download(scene, file.fileUrl)).status, 200);
});

test('a file that two messages name stays until both are deleted for everyone', async (scene) => {
  const file = await put(scene, 'png');
  const one = await written(scene, [attachment(file)]);
  const two = await written(scene, [{ ...attachment(file), path: '' }], 'by its link alone');
  const remove = ({ customer, conversationId, message }) =>
    customer.ask('chat:delete_message', { messageId: message.id, deletionType: 'for_everyone', conversationId });
  await remove(one);
  assert.equal((await download(scene, file.fileUrl)).status, 200);
  await remove(two);
  assert.equal((await download(scene, file.fileUrl)).status, 404);
});

test('naming another user\'s file in a message neither keeps nor removes the file', async (scene) => {
  const file = await put(scene, 'png', 'seller');
  const sellers = await scene.connect('seller');
  const stranger = await written(scene, [attachment(file)]);
  await stranger.customer.ask('chat:delete_message', { messageId: stranger.message.id, deletionType: 'for_everyone' });
  assert.equal((await download(scene, file.fileUrl)).status, 200);
  await written(scene, [attachment(file)]);
  const own = await scene.say(sellers, await scene.conversation('seller', 'customer'), 'mine', { attachments: [attachment(file)] });
  await sellers.ask('chat:delete_message', { messageId: own.id, deletionType: 'for_everyone' });
  assert.equal((await download(scene, file.fileUrl)).status, 404);
});

test('an unused file is removed after a day; one that a message names is not', needs, async (scene) => {
  const [unused, used, byLink, fresh] = [await put(scene, 'png'), await put(scene, 'png'), await put(scene, 'png'), await put(scene, 'png')];
  await written(scene, [attachment(used)]);
  // As SQL users and other programs may write it: no path.
  const { message } = await written(scene, [{ ...attachment(byLink), path: '' }]);
  assert.ok(message.id);
  const sql = (text) => server.database.sql(text);
  sql(`UPDATE chat_files SET created_at = now() - interval '25 hours' WHERE path <> '${fresh.filePath}'`);
  await server.stop();
  await server.start();
  const state = (file) => sql(`SELECT state FROM chat_files WHERE path = '${file.filePath}'`);
  await until(() => state(unused) === 'unused', 'it is found');
  assert.deepEqual([state(used), state(byLink), state(fresh)], ['used', 'used', 'new']);
  assert.equal((await download(scene, unused.fileUrl)).status, 200, 'a message may be on its way');
  sql("UPDATE chat_files SET since = now() - interval '1 hour' WHERE state = 'unused'");
  await deletion(scene);
  await until(async () => (await download(scene, unused.fileUrl)).status === 404, 'it is gone');
  for (const file of [used, byLink, fresh]) assert.equal((await download(scene, file.fileUrl)).status, 200);
  await until(() => state(unused) === '', 'it is forgotten');
});

test('an unused file that a message names at the last moment is kept', needs, async (scene) => {
  const file = await put(scene, 'png');
  server.database.sql(`UPDATE chat_files SET state = 'unused', since = now() - interval '1 hour' WHERE path = '${file.filePath}'`);
  await written(scene, [attachment(file)]);
  await deletion(scene);
  const state = () => server.database.sql(`SELECT state FROM chat_files WHERE path = '${file.filePath}'`);
  await until(() => state() !== 'unused', 'it is looked at');
  assert.equal(state(), 'used');
  assert.equal((await download(scene, file.fileUrl)).status, 200);
});

// A folder in the file's place is what the store does not give up.
test('a file that the store fails to delete is tried again after the others, and refused in the meantime', needs, async (scene) => {
  const file = await put(scene, 'png');
  const { customer, conversationId, message } = await written(scene, [attachment(file)]);
  const place = path.join(server.dataDir, 'uploads', file.filePath);
  fs.rmSync(place);
  fs.mkdirSync(path.join(place, 'full'), { recursive: true });
  await customer.ask('chat:delete_message', { messageId: message.id, deletionType: 'for_everyone', conversationId });
  assert.equal((await download(scene, file.fileUrl)).status, 404);
  const row = () => server.database.sql(`SELECT state, since > now() FROM chat_files WHERE path = '${file.filePath}'`);
  await until(() => /deleted.t/.test(row()), 'it is put off');
});
