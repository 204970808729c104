'use strict';

// Runs each file of examples/proxies with its proxy, with a real Souk and a stub of the shop behind it.

const nodeTest = require('node:test');
const assert = require('node:assert/strict');
const http2 = require('node:http2');
const { suite, USERS } = require('../lib/suite');
const { Client } = require('../lib/client');
const { tokenFor } = require('../lib/jwt');
const { until, within } = require('../lib/limits');
const { NAMES, Proxy, startShop } = require('../lib/proxies');
const { FORM, LIMIT, form, large } = require('../lib/upload');

// Longer than the 60 s after which proxies end what is silent, unless they are told otherwise.
const SILENCE = 65;
const FROM_ONE_ADDRESS = 4;

/** An address for each proxy's clients, and for each use: handshakes that nobody follows up keep their places. */
const address = (name, use) => `127.0.${1 + ['talk', 'bare', 'full', 'other', 'silent'].indexOf(use)}.${1 + NAMES.indexOf(name)}`;

const { test, server } = suite({
  // Of 127.0.0.0/8 only the proxies are believed: the clients have addresses of it too.
  env: { PING_INTERVAL: String(SILENCE), TRUSTED_PROXIES: '127.0.0.1/32', MAX_CONNECTIONS_PER_IP: String(FROM_ONE_ADDRESS) },
});

const proxies = {};
let shop;
const silent = [];

nodeTest.before(async () => {
  await until(() => server.port, 'Souk to start', 90_000);
  shop = await startShop();
  for (const name of NAMES) proxies[name] = await Proxy.start(name, { souk: server.port, shop: shop.port });
  // They must be silent for a minute, which passes while the other tests run.
  for (const name of NAMES) {
    for (const transport of ['polling', 'websocket']) {
      const client = new Client(proxies[name].url, clientOptions(name, 'admin', { transports: [transport] }, address(name, 'silent')));
      client.socket.io.on('ping', () => client.record('ping'));
      silent.push({ name, transport, client });
    }
  }
});

nodeTest.after(async () => {
  for (const { client } of silent) client.close();
  for (const proxy of Object.values(proxies)) await proxy.stop();
  shop?.stop();
});

const clientOptions = (name, who, options, from) => ({ auth: { token: tokenFor(USERS[who]) }, agent: proxies[name].agent(from), ...options });

/** A socket through the proxy. */
function open(scene, name, who, options, from = address(name, 'talk')) {
  const client = new Client(proxies[name].url, clientOptions(name, who, options, from));
  scene.clients.push(client);
  scene.present.add(who);
  return client;
}

const bearer = (who) => ({ authorization: `Bearer ${tokenFor(USERS[who])}` });
const transportOf = (client) => client.socket.io.engine.transport.name;

async function talks(scene, from, to) {
  const conversationId = await scene.conversation();
  await scene.barrier(from, to, conversationId);
}

for (const name of NAMES) {
  const ask = (path, options) => proxies[name].request(path, options);

  test(`${name}: the app's calls to the shop reach the shop, with the client's address`, async () => {
    for (const path of ['/', '/products?page=2', '/api/products', '/api/categories', '/api/notifications', '/api/chats', '/api/chatbots/1', '/socket.iox', '/api/v1/health']) {
      const { status, body } = await ask(path, { from: '127.0.0.9' });
      assert.deepEqual([status, body?.shop, body?.url], [200, true, path]);
      assert.equal(body.headers['x-forwarded-for'], '127.0.0.9');
      assert.equal(body.headers['x-forwarded-proto'], 'https');
      assert.equal(body.headers.host, new URL(proxies[name].url).host);
    }
    const posted = await ask('/api/orders', { method: 'POST', headers: { 'content-type': 'application/json' }, pieces: ['{"a":1}'] });
    assert.deepEqual([posted.body?.shop, posted.body?.method], [true, 'POST']);
  });

  test(`${name}: calls to the chat reach Souk, in lower case and upper`, async () => {
    assert.equal((await ask('/api/chat/test')).body.message, 'Chat routes are working');
    assert.equal((await ask('/api/chat/unread-count', { headers: bearer('customer') })).status, 200);
    const from = address(name, 'bare');
    assert.match((await ask('/socket.io/?EIO=4&transport=polling', { from })).text, /^0\{"sid"/);
    for (const path of ['/api/chat', '/API/Chat/test', '/Socket.IO/?EIO=4&transport=polling']) {
      assert.equal((await ask(path, { from })).body?.shop, undefined, path);
    }
  });

  for (const transport of ['polling', 'websocket']) {
    test(`${name}: a client that uses only ${transport}`, async (scene) => {
      const [customer, seller] = ['customer', 'seller'].map((who) => open(scene, name, who, { transports: [transport] }));
      await Promise.all([customer.connected(), seller.connected()]);
      await talks(scene, customer, seller);
      await talks(scene, seller, customer);
      assert.equal(transportOf(customer), transport);
    });
  }

  test(`${name}: as the app connects, polling first and then a WebSocket`, async (scene) => {
    const [customer, seller] = ['customer', 'seller'].map((who) => open(scene, name, who, { transports: ['polling', 'websocket'] }));
    await Promise.all([customer.connected(), seller.connected()]);
    await until(() => transportOf(customer) === 'websocket' && transportOf(seller) === 'websocket', 'the upgrade');
    await talks(scene, customer, seller);
  });

  test(`${name}: limits count the client's real address, whatever X-Forwarded-For it sends`, async (scene) => {
    const [full, other] = ['full', 'other'].map((use) => address(name, use));
    for (let i = 0; i < FROM_ONE_ADDRESS; i++) await open(scene, name, 'customer', {}, full).connected();
    for (const invented of [{}, { 'X-Forwarded-For': '203.0.113.7' }, { 'X-Forwarded-For': '203.0.113.8, 127.0.0.1' }]) {
      const { status, body } = await ask('/socket.io/?EIO=4&transport=polling', { from: full, headers: invented });
      assert.deepEqual([status, body?.code], [429, 'too_many_connections'], JSON.stringify(invented));
    }
    await open(scene, name, 'seller', {}, other).connected();
  });

  test(`${name}: ten files of ten megabytes go up, and come down by their links`, async () => {
    const headers = { ...bearer('customer'), 'content-type': FORM };
    const answer = await ask('/api/chat/upload', { method: 'POST', headers, pieces: large(10, LIMIT), patience: 120_000 });
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual(answer.body.data.uploaded.map((file) => file.fileSize), Array(10).fill(LIMIT));
    const link = new URL(answer.body.data.uploaded[9].fileUrl);
    assert.equal(link.origin, proxies[name].url);
    const file = await ask(link.pathname + link.search, { patience: 60_000 });
    assert.deepEqual([file.status, file.bytes.length], [200, LIMIT]);
  });

  test(`${name}: Souk itself refuses bodies that are too large, in JSON`, async () => {
    const content = Buffer.alloc(LIMIT + 1, 0x20);
    const headers = { ...bearer('customer'), 'content-type': FORM };
    const answer = await ask('/api/chat/upload', { method: 'POST', headers, pieces: [form([{ name: 'a.txt', type: 'text/plain', content }])] });
    assert.equal(answer.body?.success, false, answer.text);
  });

  test(`${name}: bodies reach Souk as they come: one without a token is refused before it ends`, async () => {
    let answered;
    const never = new Promise((resolve) => (answered = resolve));
    const pieces = (async function* () {
      yield Buffer.alloc(1 << 20, 0x20);
      await never;
    })();
    const headers = { 'content-type': FORM, 'content-length': 100 * 1024 * 1024 };
    const answer = await ask('/api/chat/upload', { method: 'POST', headers, pieces }).finally(answered);
    assert.equal(answer.status, 401);
  });

  test(`${name}: HTTP/2 reaches the shop and Souk, and opens a WebSocket if the proxy offers that`, async (t) => {
    const session = http2.connect(proxies[name].url, { ca: proxies[name].ca });
    try {
      const [settings] = await within(new Promise((resolve) => session.once('remoteSettings', (...args) => resolve(args))), 'the settings of HTTP/2');
      assert.equal(JSON.parse(await over(session, { ':path': '/api/products' })).shop, true);
      assert.match(await over(session, { ':path': '/api/chat/test' }), /Chat routes are working/);
      if (settings.enableConnectProtocol) {
        const path = '/socket.io/?EIO=4&transport=websocket';
        const handshake = { ':method': 'CONNECT', ':protocol': 'websocket', ':path': path, 'sec-websocket-version': '13' };
        assert.match(await over(session, handshake, /\}/), /0\{"sid"/);
      }
    } finally {
      session.destroy();
    }
  });
}

/** One request on an HTTP/2 session: its text, to the end or until `enough` is in it. */
function over(session, headers, enough) {
  const answer = new Promise((resolve, reject) => {
    const stream = session.request(headers, { endStream: !enough });
    let text = '';
    stream.setEncoding('utf8').on('data', (more) => ((text += more), enough?.test(text) && resolve(text)));
    stream.on('end', () => resolve(text)).on('error', reject);
  });
  return within(answer, `HTTP/2 ${headers[':path']}`);
}

test(`all: polls and WebSockets outlive ${SILENCE} s of silence`, async (scene) => {
  for (const { client } of silent) scene.clients.push(client);
  scene.present.add('admin');
  const conversationId = await scene.conversation('manager', 'admin');
  const manager = await scene.connect('manager');
  await Promise.all(silent.map(({ client }) => client.connected()));
  await Promise.all(silent.map(({ client }) => client.waitFor('ping', undefined, (SILENCE + 15) * 1000)));
  await scene.say(manager, conversationId, 'still there?');
  for (const { name, transport, client } of silent) {
    await client.waitFor('chat:new_message', (m) => m.message_text === 'still there?');
    assert.equal(client.count('disconnect'), 0, `${name}, ${transport}`);
  }
});
