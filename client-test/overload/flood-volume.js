'use strict';

// Floods by number and size: as many refused or cheap requests as the connection carries.

const net = require('node:net');
const { FORM, TAIL, head } = require('../lib/upload');
const { ask, atOnce, count, emit } = require('./flood-tools');

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

module.exports = {
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
  handshakes: ({ url, address }) => ask({ url, address }, 64, () => ({ path: '/socket.io/?EIO=4&transport=polling' })),
  bodies: (job) => {
    let i = 0;
    return ask(job, 8, () =>
      i++ % 2
        ? { method: 'POST', path: '/api/chat/conversations', headers: { 'content-type': 'application/json' }, body: fifty('{"participantId":"', '"}') }
        : { method: 'POST', path: '/api/chat/upload', headers: { 'content-type': FORM }, body: fifty(head({ name: 'a.txt', type: 'text/plain' }), Buffer.concat([Buffer.from('\r\n'), TAIL])) },
    );
  },
  'slow-bodies': (job) => {
    const { hostname, port } = new URL(job.url);
    return atOnce(1000, () =>
      new Promise((resolve) => {
        const socket = net.connect(Number(port), hostname);
        socket.write(`POST /api/chat/conversations HTTP/1.1\r\nhost: x\r\nx-forwarded-for: ${job.address}\r\nauthorization: Bearer ${job.token}\r\ncontent-length: 1000000\r\n\r\n{`);
        const trickle = setInterval(() => socket.write(' '), 1000);
        socket.on('data', (data) => count(String(data).split(' ')[1]));
        socket.on('error', () => count('cut'));
        socket.on('close', () => (clearInterval(trickle), setTimeout(resolve, 50)));
      }),
    );
  },
};
