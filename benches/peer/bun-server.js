'use strict';

const { Server } = require('socket.io');
const { JoinedWrites } = require('./lib/bun-writes');
const { Store } = require('./lib/store');
const { bunConnections } = require('./lib/bun-connections');
const { serve } = require('./lib/sockets');
const { settings } = require('./lib/settings');
const parser = require('./lib/parser');

const JSON_TYPE = { 'Content-Type': 'application/json' };

const options = settings();
const io = new Server({ parser, serveClient: false });
const engine = new JoinedWrites({ path: '/socket.io/', pingInterval: 25_000, pingTimeout: 20_000 });
io.bind(engine);
const answer = serve(io, new Store(bunConnections(options.databaseUrl)), options);
const { websocket, maxRequestBodySize, idleTimeout } = engine.handler();

const server = Bun.serve({
  port: options.port,
  hostname: options.host,
  maxRequestBodySize,
  idleTimeout,
  websocket: {
    ...websocket,
    perMessageDeflate: false,
    // The engine does not look whether a packet was taken. Bun drops what is more than this; a socket so far behind is closed.
    backpressureLimit: 64 << 20,
    closeOnBackpressureLimit: true,
  },
  async fetch(req, bun) {
    const at = req.url.indexOf('/', 'http://'.length);
    if (req.url.startsWith('/socket.io/', at)) return engine.handleRequest(req, bun);
    const { status, body } = await answer(req.method, req.url.slice(at), req.headers.get('authorization') ?? undefined);
    return new Response(body, { status, headers: JSON_TYPE });
  },
});
console.log(`Server running on port ${server.port}`);

process.on('SIGTERM', () => process.exit(0));
