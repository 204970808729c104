'use strict';

// A process that asks too much, as one user from one address: { url, flood, token, address, conversationId }. It says
// once a second what it got done, and stops when it is killed.

const http = require('node:http');
const net = require('node:net');
const { FORM, TAIL, head } = require('../lib/upload');
const { Wire } = require('./wire');

const done = {};
const count = (what) => (done[what] = (done[what] ?? 0) + 1);
setInterval(() => process.send({ kind: 'done', done }), 1000);

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const MOST_UNSENT = 1 << 20;

/** Sockets that send this event without pause, and come back when they are cut. */
async function emit({ url, token, address }, event, payload, sockets = 4) {
  const one = async () => {
    for (;;) {
      const wire = new Wire(url, { token, address, onEvent: (frame) => frame.includes('rate_limited') && count('refused') });
      try {
        await wire.ready;
        while (wire.isOpen) {
          for (let i = 0; i < 100 && wire.isOpen && wire.ws.bufferedAmount < MOST_UNSENT; i++) {
            wire.emit(event, payload());
            count('sent');
          }
          await sleep(1);
        }
        count('cut');
      } catch {
        count('not let in');
        await sleep(20);
      }
      wire.close();
    }
  };
  await Promise.all(Array.from({ length: sockets }, one));
}

/** Requests without pause, so many at a time, on connections that are kept. */
async function ask({ url, address }, atOnce, options) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: atOnce });
  const once = () =>
    new Promise((resolve) => {
      const { body, path, method = 'GET', headers } = options();
      const request = http.request(url + path, { agent, method, headers: { 'x-forwarded-for': address, ...headers } }, (response) => {
        count(response.statusCode);
        response.resume().on('end', resolve).on('error', resolve);
      });
      request.on('error', (error) => (count(error.code), setTimeout(resolve, 5)));
      if (!body) return request.end();
      // The server may answer and hang up before it has all of it.
      request.on('close', resolve);
      body(request);
    });
  const forever = async () => {
    for (;;) await once();
  };
  await Promise.all(Array.from({ length: atOnce }, forever));
}

const MEGABYTE = Buffer.alloc(1 << 20, 0x20);
const FIFTY = 50;

/** Writes fifty megabytes as fast as they are taken. */
function fifty(before, after) {
  return (request) => {
    let left = FIFTY;
    request.write(before);
    const more = () => {
      while (left > 0 && !request.destroyed) {
        left--;
        if (!request.write(MEGABYTE)) return request.once('drain', more);
      }
      if (!request.destroyed) request.end(after);
    };
    more();
  };
}

const FLOODS = {
  // What the flooders cost by being there: the same process, doing nothing but use the CPU that nobody else wants.
  cpu: async () => {
    for (;;) {
      for (let i = 0; i < 2e6; i++) Math.sqrt(i);
      count('rounds');
      await new Promise(setImmediate);
    }
  },
  sends: (job) => emit(job, 'chat:send_message', () => ({ conversationId: job.conversationId, message: 'flood' })),
  joins: (job) => emit(job, 'chat:join', () => ({ conversationId: job.conversationId })),
  handshakes: (job) => ask(job, 64, () => ({ path: '/socket.io/?EIO=4&transport=polling' })),
  bodies: (job) => {
    const authorization = `Bearer ${job.token}`;
    let i = 0;
    return ask(job, 8, () =>
      i++ % 2
        ? { method: 'POST', path: '/api/chat/conversations', headers: { authorization, 'content-type': 'application/json' }, body: fifty('{"participantId":"', '"}') }
        : { method: 'POST', path: '/api/chat/upload', headers: { authorization, 'content-type': FORM }, body: fifty(head({ name: 'a.txt', type: 'text/plain' }), Buffer.concat([Buffer.from('\r\n'), TAIL])) },
    );
  },
  'slow-bodies': async (job) => {
    const { hostname, port } = new URL(job.url);
    const one = () =>
      new Promise((resolve) => {
        const socket = net.connect(Number(port), hostname);
        socket.write(`POST /api/chat/conversations HTTP/1.1\r\nhost: x\r\nx-forwarded-for: ${job.address}\r\nauthorization: Bearer ${job.token}\r\ncontent-length: 1000000\r\n\r\n{`);
        const trickle = setInterval(() => socket.write(' '), 1000);
        socket.on('data', (data) => count(String(data).split(' ')[1]));
        socket.on('error', () => count('cut'));
        socket.on('close', () => (clearInterval(trickle), setTimeout(resolve, 50)));
      });
    const forever = async () => {
      for (;;) await one();
    };
    await Promise.all(Array.from({ length: 1000 }, forever));
  },
};

process.on('message', (job) => FLOODS[job.flood](job).catch((error) => (console.error(error), process.exit(1))));
