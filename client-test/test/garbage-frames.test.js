'use strict';

// Frames that no client library sends, over a bare WebSocket and bare polling.

const assert = require('node:assert/strict');
const { suite, USERS } = require('../lib/suite');
const { RawSocket } = require('../lib/raw');
const { tokenFor } = require('../lib/jwt');
const { PATIENCE } = require('../lib/limits');

const { test } = suite();

const FRAMES = {
  'an empty frame': '',
  'an unknown engine type': '9',
  'a message without a packet': '4',
  'an unknown packet type': '48',
  'an event without data': '42',
  'an event that is half an array': '42[',
  'an event that is an empty array': '42[]',
  'an event that is an object': '42{}',
  'an event without a closing bracket': '42["chat:join"',
  'an event whose name is a number': '42[1,2]',
  'an event whose name is null': '42[null]',
  'an event whose name is an object': '42[{"a":1}]',
  'NaN': '42["chat:join",NaN]',
  'Infinity': '42["chat:get_messages",{"limit":1e999}]',
  'a bare comma': '42["chat:join",]',
  'a reserved name: connect': '42["connect"]',
  'a reserved name: disconnect': '42["disconnect"]',
  'an ack id that is too large': '4299999999999999999999["chat:join",{}]',
  'an ack id that is negative': '42-1["chat:join",{}]',
  'an ack nobody asked for': '430[]',
  'an ack without an id': '43[]',
  'a connect error from a client': '44{"message":"no"}',
  'a second connect': '40{"token":"x"}',
  'a connect with half an object': '40{"token":',
  'a disconnect with data': '41{"a":1}',
  'an unknown namespace': '42/admin,["chat:join",{}]',
  'binary attachments announced and never sent': '451-["chat:send_message",{"_placeholder":true,"num":0}]',
  'a placeholder beyond the attachments': '451-["chat:send_message",{"_placeholder":true,"num":5}]',
  'a negative placeholder': '451-["chat:send_message",{"_placeholder":true,"num":-1}]',
  'a number of attachments without end': '4599999999999-["chat:send_message",{}]',
  'a binary event without a count': '45["chat:send_message"]',
  'a lone upgrade': '5',
  'a probe in the middle': '2probe',
  'a close': '1',
  'a lone surrogate': '42["chat:join",{"conversationId":"\\ud800"}]',
  'an event name of a megabyte': `42["${'x'.repeat(1_000_000)}"]`,
  'a number of a thousand digits': `42["chat:get_messages",{"limit":${'9'.repeat(1000)}}]`,
  'the same key a thousand times': `42["chat:join",{${Array(1000).fill('"conversationId":"x"').join()}}]`,
};

for (const [name, frame] of Object.entries(FRAMES)) {
  test(`frame: ${name}`, async (scene) => {
    const socket = await scene.raw('customer');
    socket.send(frame);
    // It may answer, stay silent or hang up on this one; the others must not notice.
    socket.send('42999["chat:get_conversations"]');
    await scene.isServing();
    socket.close();
  });
}

const BYTES = {
  'bad UTF-8 in a text frame': [Buffer.from([0x34, 0x32, 0xff, 0xfe, 0xc3, 0x28]), { binary: false }],
  'an overlong encoding in a text frame': [Buffer.from([0x34, 0x32, 0xc0, 0x80]), { binary: false }],
  'a binary frame that nobody announced': [Buffer.from('hello'), { binary: true }],
  'an empty binary frame': [Buffer.alloc(0), { binary: true }],
  'a binary frame of a megabyte': [Buffer.alloc(1_000_000), { binary: true }],
};

for (const [name, [bytes, options]] of Object.entries(BYTES)) {
  test(`frame: ${name}`, async (scene) => {
    const socket = await scene.raw('customer');
    socket.send(bytes, options);
    await scene.isServing();
  });
}

test('a well-formed binary event over the bare socket is answered like any garbage', async (scene) => {
  const socket = await scene.raw('customer');
  socket.send('451-7["chat:join",{"_placeholder":true,"num":0}]');
  socket.send(Buffer.from([1, 2, 3]), { binary: true });
  const answer = await socket.frame('437[');
  assert.match(answer, /"success":false/);
});

test('events before the handshake do nothing, and the connection is closed soon', async (scene) => {
  const socket = new RawSocket(scene.server.url);
  scene.clients.push(socket);
  await socket.frame('0{');
  socket.send('42["chat:get_conversations"]');
  await scene.isServing();
  assert.ok(!socket.frames.some((f) => String(f).startsWith('42')), 'no data without a login');
});

test('a socket that never sends CONNECT gets nothing', async (scene) => {
  const socket = new RawSocket(scene.server.url);
  scene.clients.push(socket);
  await socket.frame('0{');
  const conversationId = await scene.conversation();
  const [customer, seller] = [await scene.connect('customer'), await scene.connect('seller')];
  await scene.barrier(customer, seller, conversationId);
  assert.deepEqual(socket.frames.filter((f) => !String(f).startsWith('0{')), []);
});

const polling = (scene, query, body, method = body === undefined ? 'GET' : 'POST') =>
  scene.rest(null, method, `/socket.io/?${query}`, body, { headers: { 'content-type': 'text/plain' } });

for (const [name, query, body] of [
  ['another protocol version', 'EIO=3&transport=polling'],
  ['no protocol version', 'transport=polling'],
  ['an unknown transport', 'EIO=4&transport=carrier-pigeon'],
  ['no transport', 'EIO=4'],
  ['an unknown session', 'EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA'],
  ['a malformed session', 'EIO=4&transport=polling&sid=%00%ff'],
  ['an unknown session to write to', 'EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA', '40'],
  ['a body at the handshake', 'EIO=4&transport=polling', 'garbage'],
]) {
  test(`polling: ${name}: refused`, async (scene) => {
    const answer = await polling(scene, query, body);
    assert.ok(answer.status >= 400 && answer.status < 500, `${answer.status} ${answer.text}`);
    await scene.isServing();
  });
}

/** Polls until the text has come, which may share its answers with heartbeats; everything that came. */
async function readUntil(scene, query, text) {
  let seen = '';
  const end = Date.now() + PATIENCE;
  while (!seen.includes(text)) {
    assert.ok(Date.now() < end, `no ${text} in ${seen}`);
    seen += (await polling(scene, query)).text;
  }
  return seen;
}

async function pollingSession(scene) {
  const open = JSON.parse((await polling(scene, 'EIO=4&transport=polling')).text.slice(1));
  const query = `EIO=4&transport=polling&sid=${open.sid}`;
  await polling(scene, query, `40${JSON.stringify({ token: tokenFor(USERS.customer) })}`);
  scene.present.add('customer');
  await readUntil(scene, query, '40{');
  return query;
}

for (const [name, body] of Object.entries({
  'garbage': 'garbage',
  'bad UTF-8': Buffer.from([0x34, 0x32, 0xff, 0xfe]),
  'binary in bad base64': 'b!!!!',
  'only record separators': '\u001e'.repeat(1000),
  'more than the server takes': 'x'.repeat(20 * 1024 * 1024),
})) {
  test(`polling: ${name} in the body costs its session at most`, async (scene) => {
    const query = await pollingSession(scene);
    const answer = await polling(scene, query, body).catch((error) => error);
    if (answer instanceof Error) assert.match(answer.code ?? '', /EPIPE|ECONNRESET/);
    else assert.ok(answer.status < 500, String(answer.status));
    await polling(scene, query, '1').catch(() => {});
    await scene.isServing();
  });
}

test('many packets in one body are all handled', async (scene) => {
  const query = await pollingSession(scene);
  const packets = Array.from({ length: 10 }, (_, i) => `42${i}["chat:get_conversations",{"limit":1}]`);
  assert.equal((await polling(scene, query, packets.join('\u001e'))).status, 200);
  const seen = await readUntil(scene, query, '439[');
  for (let i = 0; i < 10; i++) assert.ok(seen.includes(`43${i}[`), `answer ${i}`);
  await polling(scene, query, '1');
});
