'use strict';

// A bare WebSocket that speaks Engine.IO by hand, for frames that the real client would never send.

const { createRequire } = require('node:module');
const { PATIENCE, within } = require('./limits');

// ws comes with engine.io-client; resolving it from there works however npm lays out the folders.
const fromSocketIo = createRequire(require.resolve('socket.io-client'));
const WebSocket = createRequire(fromSocketIo.resolve('engine.io-client'))('ws');

class RawSocket {
  constructor(url, options = {}) {
    this.frames = [];
    this.waiting = new Set();
    const wake = () => this.waiting.forEach((check) => check());
    this.ws = new WebSocket(`${url.replace(/^http/, 'ws')}/socket.io/?EIO=4&transport=websocket`, options);
    this.ws.on('message', (data, binary) => {
      const text = binary ? data : data.toString();
      // Answer heartbeats: a socket that dies of silence would prove nothing.
      if (text === '2') this.send('3');
      else this.frames.push(text);
      wake();
    });
    this.closed = new Promise((resolve) => this.ws.on('close', (code) => resolve(code)));
    this.ws.on('error', (error) => {
      this.error = error;
      wake();
    });
    this.ws.on('close', wake);
  }

  get isClosed() {
    return this.ws.readyState >= WebSocket.CLOSING;
  }

  /** The first frame that starts so; undefined if the socket was closed instead. */
  async frame(prefix, ms = PATIENCE) {
    let check;
    const found = new Promise((resolve) => {
      check = () => {
        const frame = this.frames.find((f) => typeof f === 'string' && f.startsWith(prefix));
        if (frame !== undefined || this.isClosed) resolve(frame);
      };
      this.waiting.add(check);
      check();
    });
    return within(found, `a frame ${prefix}…`, ms).finally(() => this.waiting.delete(check));
  }

  /** Engine.IO open, then the Socket.IO CONNECT of the main namespace. */
  async handshake(token) {
    await this.frame('0{');
    this.send(`40${JSON.stringify({ token })}`);
    const answer = await this.frame('40');
    if (!answer) throw new Error(`no CONNECT answer, frames: ${this.frames}`);
    return this;
  }

  /** Text frame by default, whatever the bytes: `binary: true` for a binary one. */
  send(data, options = { binary: false }) {
    if (!this.isClosed) this.ws.send(data, options, () => {});
  }

  close() {
    this.ws.terminate();
  }
}

module.exports = { RawSocket };
