'use strict';

const { Chat } = require('./chat');
const { verifier } = require('./token');
const { rest } = require('./rest');

/** Puts the chat behind a Socket.IO server, whatever engine is under it. The answer handles REST calls. */
function serve(io, store, { secret, batch }) {
  const chat = new Chat(io, store, batch);
  const verify = verifier(secret);

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

  return rest(chat, store, verify);
}

module.exports = { serve };
