'use strict';

const http = require('node:http');
const { Server } = require('socket.io');
const { Store } = require('./lib/store');
const { Chat } = require('./lib/chat');
const { rest } = require('./lib/rest');
const { verifier } = require('./lib/token');

const { DATABASE_URL, JWT_SECRET, HOST = '127.0.0.1', PORT = '5000' } = process.env;
if (!DATABASE_URL || !JWT_SECRET) {
  console.error('DATABASE_URL and JWT_SECRET are needed');
  process.exit(2);
}

const store = new Store(DATABASE_URL);
const verify = verifier(JWT_SECRET);
const server = http.createServer();
const io = new Server(server, {
  transports: ['websocket'],
  perMessageDeflate: false,
  httpCompression: false,
  serveClient: false,
  pingInterval: 25_000,
  pingTimeout: 20_000,
});
const chat = new Chat(io, store);
server.on('request', rest(chat, store, verify));

io.use(async (socket, next) => {
  try {
    const token = socket.handshake.auth.token;
    if (!token) return next(new Error('No token provided'));
    const userId = verify(token);
    if (!userId) return next(new Error('Invalid or expired token'));
    const user = await store.user(userId);
    if (!user) return next(new Error('User not found'));
    if (user.status !== 'active') return next(new Error('Account not active'));
    socket.data.user = user;
    next();
  } catch (e) {
    console.error('handshake', e);
    next(new Error('Database connection error'));
  }
});

io.on('connection', (socket) => {
  // Kept until the socket goes otherwise, headers and all.
  socket.conn.request = null;
  socket.handshake = null;
  chat.connected(socket);
});

server.listen(Number(PORT), HOST, 4096, () => console.log(`Server running on port ${server.address().port}`));

process.on('SIGTERM', () => process.exit(0));
