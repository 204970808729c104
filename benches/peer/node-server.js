'use strict';

const http = require('node:http');
const { Server } = require('socket.io');
const { Store } = require('./lib/store');
const { pgConnections } = require('./lib/pg-connections');
const { serve } = require('./lib/sockets');
const { joinWrites, OneBuffer } = require('./lib/node-writes');
const { settings } = require('./lib/settings');
const parser = require('./lib/parser');

joinWrites();
const options = settings();
const server = http.createServer();
const io = new Server(server, {
  parser,
  adapter: OneBuffer,
  transports: ['websocket'],
  perMessageDeflate: false,
  httpCompression: false,
  serveClient: false,
  pingInterval: 25_000,
  pingTimeout: 20_000,
});
const answer = serve(io, new Store(pgConnections(options.databaseUrl)), options);

server.on('request', async (req, res) => {
  if (req.url.startsWith('/socket.io/')) return;
  const { status, body } = await answer(req.method, req.url, req.headers.authorization);
  const json = Buffer.from(body);
  res.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': json.length });
  res.end(json);
});

server.listen(options.port, options.host, 4096, () => console.log(`Server running on port ${server.address().port}`));

process.on('SIGTERM', () => process.exit(0));
