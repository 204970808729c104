'use strict';

// A process with many sockets in rooms. Readers record what they got and how late; sleepers join and stop reading.
// The parent sends its configuration: { url, sockets: [{ token, address, room }], sleep }.

const { OwnDelay, summary } = require('./measure');
const { Wire } = require('./wire');

const AT_ONCE = 25;
// The fields stand in this order, and the text begins with the time at which it was sent. Parsing all of it would
// cost this process more than the server.
const MESSAGE = /^42\["chat:new_message",.*?"conversation_id":"([^"]+)".*?"seq":(\d+),"message_text":"(\d+) /s;

const state = { readers: [], latencies: [], measuring: false };

function reader({ token, address, room }) {
  const one = { room, seqs: [] };
  const wire = new Wire(state.url, { token, address, onEvent: (frame) => take(one, frame) });
  wire.ended.then(() => (one.ended = true));
  state.readers.push(one);
  return wire;
}

function take(one, frame) {
  if (!frame.startsWith('42["chat:new_message"')) return;
  const found = MESSAGE.exec(frame.length > 600 ? frame.slice(0, 600) : frame);
  if (!found) throw new Error(`not understood: ${frame.slice(0, 300)}`);
  if (found[1] !== one.room) return;
  one.seqs.push(Number(found[2]));
  if (state.measuring) state.latencies.push(Number(process.hrtime.bigint() - BigInt(found[3])) / 1e6);
}

async function enter(socket, sleep) {
  const wire = sleep ? new Wire(state.url, socket) : reader(socket);
  await wire.ready;
  const answer = await wire.ask('chat:join', { conversationId: socket.room });
  if (!answer.success) throw new Error(`chat:join: ${JSON.stringify(answer)}`);
  if (sleep) wire.sleep();
}

/** What is missing, doubled or out of order at any reader, `last` being each room's last number. */
function complaints(last) {
  const all = [];
  for (const { room, seqs, ended } of state.readers) {
    if (ended) all.push(`a reader of ${room} was cut`);
    else if (seqs.length !== last[room] || seqs.some((seq, i) => seq !== i + 1)) all.push(`a reader of ${room} has ${seqs.length} of ${last[room]}, or not in order`);
  }
  return all;
}

const does = {
  async start({ url, sockets, sleep }) {
    state.url = url;
    for (let i = 0; i < sockets.length; i += AT_ONCE) await Promise.all(sockets.slice(i, i + AT_ONCE).map((socket) => enter(socket, sleep)));
    process.send({ kind: 'ready' });
  },
  measure() {
    state.measuring = true;
    state.delay = new OwnDelay();
  },
  stop() {
    state.measuring = false;
    process.send({ kind: 'measured', latency: summary(state.latencies), own: state.delay.read() });
  },
  missing({ last }) {
    process.send({ kind: 'missing', complaints: complaints(last) });
  },
};

process.on('message', (message) => {
  Promise.resolve(does[message.do ?? 'start'](message)).catch((error) => {
    console.error(error);
    process.exit(1);
  });
});
