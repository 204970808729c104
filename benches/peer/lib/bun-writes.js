'use strict';

const { Server: Engine } = require('@socket.io/bun-engine');

/** Those with frames that wait for the end of this turn. */
let waiting = [];

let lastData;
let lastFrame;

/** What a packet is on the wire; a broadcast's is made once, and not for each socket. */
function frame({ type, data }) {
  if (type !== 'message') return undefined;
  if (data !== lastData) [lastData, lastFrame] = [data, `4${data}`];
  return lastFrame;
}

function flush() {
  const sockets = waiting;
  waiting = [];
  for (const transport of sockets) {
    const frames = transport.frames;
    transport.frames = undefined;
    const { socket } = transport;
    if (socket.readyState !== WebSocket.OPEN) continue;
    if (frames.length === 1) socket.sendText(frames[0]);
    else socket.cork(() => frames.forEach((f) => socket.sendText(f)));
  }
}

/**
 * Has a WebSocket's frames of one turn of the event loop written by one system call: a sender gets its event and its
 * acknowledgement at once, and after a batch a socket gets several messages. The engine itself does not cork.
 */
class JoinedWrites extends Engine {
  onWebSocketOpen(ws) {
    const prototype = Object.getPrototypeOf(ws.data.transport);
    if (!Object.hasOwn(prototype, 'frames')) patch(prototype);
    super.onWebSocketOpen(ws);
  }
}

function patch(prototype) {
  const { send } = prototype;
  prototype.frames = undefined;
  prototype.send = function (packets) {
    for (const packet of packets) {
      const text = frame(packet);
      if (text === undefined || !this.writable) {
        send.call(this, [packet]);
        continue;
      }
      if (this.frames) {
        this.frames.push(text);
        continue;
      }
      this.frames = [text];
      if (waiting.push(this) === 1) process.nextTick(flush);
    }
  };
}

module.exports = { JoinedWrites };
