'use strict';

// A minimal Socket.IO client on a bare WebSocket: a thousand of them must cost less than the server that they measure.

const { createRequire } = require('node:module');

const fromSocketIo = createRequire(require.resolve('socket.io-client'));
const WebSocket = createRequire(fromSocketIo.resolve('engine.io-client'))('ws');

class Wire {
  constructor(url, { token, address, onEvent = () => {} }) {
    this.token = token;
    this.onEvent = onEvent;
    this.acks = new Map();
    this.nextAck = 0;
    const headers = address ? { 'x-forwarded-for': address } : {};
    this.ws = new WebSocket(`${url.replace(/^http/, 'ws')}/socket.io/?EIO=4&transport=websocket`, { headers, perMessageDeflate: false });
    this.ended = new Promise((resolve) => this.ws.on('close', resolve));
    this.ready = new Promise((resolve, reject) => {
      this.ws.on('error', reject);
      this.ws.on('close', () => reject(new Error('closed')));
      this.ws.on('message', (data) => this.take(data.toString(), resolve, reject));
    });
    // Who does not wait for it learns of it by what does not come.
    this.ready.catch(() => {});
  }

  take(frame, ready, refused) {
    if (frame === '2') this.ws.send('3');
    else if (frame.startsWith('42')) this.onEvent(frame);
    else if (frame.startsWith('43')) {
      const end = frame.indexOf('[');
      const id = Number(frame.slice(2, end));
      const settle = this.acks.get(id);
      this.acks.delete(id);
      settle?.(JSON.parse(frame.slice(end))[0]);
    } else if (frame.startsWith('40')) ready(this);
    else if (frame.startsWith('44')) refused(new Error(frame));
    else if (frame.startsWith('0')) this.ws.send(`40${JSON.stringify({ token: this.token })}`);
  }

  get isOpen() {
    return this.ws.readyState === WebSocket.OPEN;
  }

  emit(event, payload) {
    this.ws.send(`42${JSON.stringify([event, payload])}`);
  }

  /** Resolves to the acknowledgement. */
  ask(event, payload) {
    const id = this.nextAck++;
    return new Promise((resolve) => {
      this.acks.set(id, resolve);
      this.ws.send(`42${id}${JSON.stringify([event, payload])}`);
    });
  }

  /** From now on it reads nothing: whatever comes waits in the system's buffers, and then at the server. */
  sleep() {
    this.ws._socket.pause();
  }

  close() {
    this.ws.on('error', () => {});
    this.ws.terminate();
  }
}

module.exports = { Wire, WebSocket };
