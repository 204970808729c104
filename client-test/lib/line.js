'use strict';

const { Client } = require('./client');
const { tokenFor } = require('./jwt');
const { until } = require('./limits');
const { Proxy } = require('../faults/proxy');

/** A line that breaks at an unlucky moment of the upgrade is noticed by the client when no ping comes: PING_INTERVAL + PING_TIMEOUT. */
const NOTICES_WITHIN = 60_000;

/**
 * A client behind a TCP line of its own that can be cut, as a network does it: nobody says good-bye. It stays away until it is told
 * to come back. It asks for connection state recovery, unless `auth` says otherwise.
 */
class LineClient extends Client {
  static async open(server, user, { transports = ['websocket'], auth, origin, ...options } = {}) {
    let client;
    // Port 1 refuses: while the line is down nobody gets through.
    const proxy = await new Proxy(() => (client?.isDown ? 1 : server.port)).listen();
    const url = `http://127.0.0.1:${proxy.port}`;
    if (origin) options.extraHeaders = { Origin: origin === 'own' ? url : origin };
    client = new this(url, {
      transports,
      auth: { token: tokenFor(user), recovery: true, ...auth },
      reconnection: false,
      ...options,
    });
    client.proxy = proxy;
    client.offsets = [];
    client.socket.onAny((event, data, ...more) => client.offsets.push(more));
    await client.connected();
    return client;
  }

  get recovered() {
    return this.socket.recovered;
  }

  get pid() {
    return this.socket._pid;
  }

  /** The line breaks: resolves when the client has noticed. */
  async cut() {
    this.isDown = true;
    this.proxy.reset();
    // Not the event: one of an earlier loss may be there still.
    await until(() => !this.socket.connected, 'the client knows that its line is cut', NOTICES_WITHIN);
  }

  /** Comes back; whether its state was recovered. */
  async comeBack() {
    this.isDown = false;
    this.socket.connect();
    await this.connected();
    return this.recovered;
  }

  /** The names and data of what came since the last time it was connected. */
  sinceConnect() {
    const at = this.events.findLastIndex((entry) => entry.event === 'connect');
    return this.events.slice(at + 1);
  }

  close() {
    super.close();
    // It stays open: a good-bye by polling is a request of its own.
    this.proxy.server.unref();
  }
}

module.exports = { LineClient, NOTICES_WITHIN };
