'use strict';

const net = require('node:net');

/**
 * A line to the server that breaks when it is told to: right before a text would pass, in one direction or the other.
 * What the real network does to a client at the worst moment, at exactly that moment.
 */
class LeakyLine {
  constructor(server) {
    this.server = server;
    this.pairs = new Set();
    this.proxy = net.createServer((client) => this.connect(client));
  }

  static async to(server) {
    const line = new LeakyLine(server);
    await new Promise((resolve) => line.proxy.listen(0, '127.0.0.1', resolve));
    return line;
  }

  get url() {
    return `http://127.0.0.1:${this.proxy.address().port}`;
  }

  connect(client) {
    const server = net.connect(this.server.port, '127.0.0.1');
    const pair = [client, server];
    this.pairs.add(pair);
    const end = () => {
      this.pairs.delete(pair);
      pair.forEach((socket) => socket.destroy());
    };
    for (const socket of pair) socket.on('error', end).on('close', end);
    client.on('data', (bytes) => this.pass('up', bytes, server));
    server.on('data', (bytes) => this.pass('down', bytes, client));
  }

  pass(direction, bytes, onward) {
    const trap = this.trap;
    if (trap?.direction === direction && trap.matches(bytes)) {
      this.trap = undefined;
      this.cut();
      trap.sprung();
    } else if (!onward.destroyed) {
      onward.write(bytes);
    }
  }

  /** Breaks once, before the server's answer that has this text reaches the client. Resolves when it has broken. */
  breakBefore(text) {
    return this.set('down', (bytes) => bytes.includes(text));
  }

  /** Breaks once, before so much reaches the server: a client's frames are masked, so that their text cannot be seen. */
  breakBeforeSending(atLeast) {
    return this.set('up', (bytes) => bytes.length >= atLeast);
  }

  set(direction, matches) {
    return new Promise((sprung) => {
      this.trap = { direction, matches, sprung };
    });
  }

  cut() {
    for (const pair of this.pairs) pair.forEach((socket) => socket.destroy());
    this.pairs.clear();
  }

  close() {
    this.trap = undefined;
    this.proxy.close();
    this.cut();
  }
}

module.exports = { LeakyLine };
