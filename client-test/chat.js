#!/usr/bin/env node
'use strict';

// The smallest client: joins a conversation, sends one message, prints what comes.
// It stays open, and sends each line that is typed. Ctrl-C ends it.

const readline = require('node:readline');
const { parseArgs } = require('node:util');
const { io } = require('socket.io-client');

const USAGE = `usage: node chat.js --token <JWT> --conversation <UUID> [--url http://localhost:5000] [--message 'Hello!']`;

function fail(message, code) {
  console.error(message);
  process.exit(code);
}

function options() {
  try {
    const { values } = parseArgs({
      options: {
        token: { type: 'string' },
        conversation: { type: 'string' },
        url: { type: 'string', default: 'http://localhost:5000' },
        message: { type: 'string', default: 'Hello!' },
      },
    });
    if (values.token && values.conversation) return values;
    return fail(USAGE, 2);
  } catch (error) {
    return fail(`${error.message}\n${USAGE}`, 2);
  }
}

const { token, conversation: conversationId, url, message } = options();
const socket = io(url, { auth: { token } });
let greeted = false;

const send = (text) => socket.emit('chat:send_message', { conversationId, message: text });

socket.on('connect', () => {
  console.log('Connected!');
  // After a reconnect too: rooms belong to the connection, not to the user.
  socket.emit('chat:join', { conversationId });
});

socket.on('chat:joined', () => {
  if (greeted) return;
  greeted = true;
  send(message);
});

socket.on('chat:new_message', (data) => {
  if (data.conversation_id !== conversationId) return;
  console.log(`${data.senderName}: ${data.message_text}`);
});

socket.on('chat:error', (error) => {
  console.error(`Error: ${error.message}`);
  // The conversation cannot be entered, so there is nothing to stay for.
  if (!greeted) process.exit(1);
});

socket.on('connect_error', (error) => {
  // The client tries again by itself when the server was not there, but not when it said no.
  if (!socket.active) fail(`Refused: ${error.message}`, 1);
  console.error(`No connection to ${url} (${error.message}), trying again …`);
});

socket.on('disconnect', (reason) => console.error(`Disconnected (${reason})`));

const input = readline.createInterface({ input: process.stdin });
input.on('line', (line) => {
  if (line.trim()) send(line);
});
