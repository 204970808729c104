'use strict';

// A TCP proxy that can break its connections: it forwards one port to another until told otherwise.

const net = require('node:net');

/** Ends a socket with an RST; one that is ending already just ends (Node would never let go of it after a reset). */
function reset(socket) {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

/** One connection: two sockets, each forwarding to the other. */
class Pair {
  constructor(near, stalled) {
    this.near = near;
    this.stalled = stalled;
    this.sockets = [near];
  }

  dial(port) {
    this.far = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    this.sockets = [this.near, this.far];
    this.forward(this.near, this.far);
    this.forward(this.far, this.near);
    this.update();
  }

  forward(from, to) {
    from.setNoDelay(true);
    from.on('data', (chunk) => {
      if (to.write(chunk)) return;
      from.isBlocked = true;
      this.update();
      to.once('drain', () => {
        from.isBlocked = false;
        this.update();
      });
    });
    from.on('end', () => to.end());
    // A line that broke on one side breaks on the other.
    from.on('error', () => reset(to));
    from.on('close', () => to.destroySoon());
  }

  /** A stalled line reads nothing: its peers write until their buffers are full, and hear nothing, not even an end. */
  update() {
    for (const socket of this.sockets) {
      if (this.stalled || socket.isBlocked) socket.pause();
      else socket.resume();
    }
  }

  reset() {
    this.sockets.forEach(reset);
  }
}

class Proxy {
  /** `target` gives the port to forward to, asked at each connection. */
  constructor(target) {
    this.target = target;
    this.pairs = new Set();
    this.stalled = false;
    this.server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (near) => this.accept(near));
  }

  async listen() {
    await new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(0, '127.0.0.1', resolve);
    });
    this.port = this.server.address().port;
    return this;
  }

  accept(near) {
    const pair = new Pair(near, this.stalled);
    this.pairs.add(pair);
    near.on('close', () => this.pairs.delete(pair));
    near.on('error', () => {});
    if (!this.stalled) pair.dial(this.target());
  }

  /** Every connection ends at once, with an RST to both sides. */
  reset(pairs = [...this.pairs]) {
    for (const pair of pairs) pair.reset();
  }

  /** Nothing gets through any more, and nobody is told. */
  stall() {
    this.stalled = true;
    for (const pair of this.pairs) {
      pair.stalled = true;
      pair.update();
    }
  }

  /** What waited goes on as if it had only been slow. */
  resume() {
    this.stalled = false;
    for (const pair of this.pairs) {
      pair.stalled = false;
      if (pair.far) pair.update();
      else if (!pair.near.destroyed) pair.dial(this.target());
    }
  }

  close() {
    this.server.close();
    this.reset();
  }
}

module.exports = { Proxy };
