'use strict';

const { transports } = require('engine.io');
const { Adapter } = require('socket.io-adapter');

/**
 * Has a WebSocket's frames of one turn of the event loop written by one system call: a sender gets its event and its
 * acknowledgement at once, and after a batch a socket gets several messages.
 */
function joinWrites() {
  const { send } = transports.websocket.prototype;
  transports.websocket.prototype.send = function (packets) {
    const connection = this.socket._socket;
    if (connection?.writableCorked === 0) {
      connection.cork();
      process.nextTick(uncork, connection);
    }
    send.call(this, packets);
    // What comes next in this turn is not to wait in the engine until these are written.
    this.writable = true;
  };
}

function uncork(connection) {
  connection.uncork();
}

/** Makes a broadcast's frame one buffer for all sockets, where Socket.IO's own adapter makes it a header and a body. */
class OneBuffer extends Adapter {
  _encode(packet, options) {
    const encoded = super._encode(packet, options);
    if (options.wsPreEncodedFrame) options.wsPreEncodedFrame = [Buffer.concat(options.wsPreEncodedFrame)];
    return encoded;
  }
}

module.exports = { joinWrites, OneBuffer };
