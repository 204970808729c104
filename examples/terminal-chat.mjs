#!/usr/bin/env node
// A two-way chat in the terminal. It shows who is online, who types, and what was read.
//
//   node examples/terminal-chat.mjs --token <JWT> --with <USER UUID> [--url http://localhost:5000]
//
// The socket.io-client of client-test/ is used: run `npm ci` there first.

import { createRequire } from 'node:module';
import readline from 'node:readline';
import { parseArgs } from 'node:util';

const require = createRequire(new URL('../client-test/package.json', import.meta.url));
const { io } = require('socket.io-client');

const { values: options } = parseArgs({
  options: {
    token: { type: 'string' },
    with: { type: 'string' },
    url: { type: 'string', default: 'http://localhost:5000' },
  },
});
if (!options.token || !options.with) {
  console.error('usage: terminal-chat.mjs --token <JWT> --with <USER UUID> [--url http://localhost:5000]');
  process.exit(2);
}

async function rest(method, path, body) {
  const response = await fetch(`${options.url}/api/chat${path}`, {
    method,
    headers: { authorization: `Bearer ${options.token}`, 'content-type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.message);
  return answer.data;
}

// The conversation with that person: created now, unless there is one.
async function open() {
  const { id } = await rest('POST', '/conversations', { participantId: options.with });
  const conversation = (await rest('GET', '/conversations')).find((one) => one.id === id);
  return { id, other: conversation.participantDetails[0] };
}

const { id: conversationId, other } = await open().catch((error) => {
  console.error(`Cannot open the conversation: ${error.message}`);
  process.exit(1);
});

const terminal = process.stdin.isTTY;
const input = readline.createInterface({ input: process.stdin, output: terminal ? process.stdout : undefined, prompt: '> ' });

/** Prints a line above the one that is being typed. */
function show(line) {
  if (terminal) {
    readline.clearLine(process.stdout, 0);
    readline.cursorTo(process.stdout, 0);
  }
  console.log(line);
  if (terminal) input.prompt(true);
}

const time = (message) => new Date(message.created_at).toLocaleTimeString();
const showMessage = (message) => {
  const name = message.sender_id === other.id ? other.displayName : 'You';
  show(`${time(message)} ${name}: ${message.message_text}`);
};

const socket = io(options.url, { auth: { token: options.token } });
let lastSeq = 0;
// What comes while the history is being fetched waits here, so that everything is shown in order.
let waiting = [];

socket.on('connect', () => {
  waiting = [];
  socket.emit('chat:join', { conversationId });
  // On a reconnect only what was missed.
  const query = lastSeq > 0 ? { after: lastSeq, limit: 200 } : { limit: 20 };
  socket.emit('chat:get_messages', { conversationId, ...query });
});

socket.on('chat:messages', ({ messages }) => {
  for (const message of [...messages, ...waiting]) received(message);
  waiting = undefined;
});

socket.on('chat:new_message', (message) => {
  if (message.conversation_id !== conversationId) return;
  if (waiting) waiting.push(message);
  else received(message);
});

function received(message) {
  if (message.seq <= lastSeq) return;
  lastSeq = message.seq;
  showMessage(message);
  if (message.sender_id === other.id) socket.emit('chat:mark_read', { conversationId });
}

socket.on('chat:user_typing', (event) => {
  if (event.conversationId === conversationId && event.isTyping) show(`  … ${event.displayName} is typing`);
});
socket.on('chat:messages_read', (event) => {
  if (event.conversationId === conversationId && event.userId === other.id) show(`  ✓ read by ${other.displayName}`);
});
socket.on('chat:user_status', (event) => {
  if (event.userId === other.id) show(`  ${other.displayName} is ${event.is_online ? 'online' : 'offline'}`);
});
socket.on('chat:error', (error) => show(`  ! ${error.message}`));
socket.on('disconnect', (reason) => show(`  ! disconnected (${reason})`));
socket.on('connect_error', (error) => {
  show(`  ! ${error.message}`);
  // Refused, as opposed to not reached: the client does not try again.
  if (!socket.active) process.exit(1);
});

// "Is typing" holds for 10 seconds, so one word every few seconds is enough.
let toldAt = 0;
process.stdin.on('keypress', () => {
  if (input.line === '' || Date.now() - toldAt < 3000) return;
  toldAt = Date.now();
  socket.emit('chat:typing', { conversationId, isTyping: true });
});

// One after the other, and awaited before leaving: what was typed last must not be lost with the connection.
let sending = Promise.resolve();

input.on('line', (line) => {
  toldAt = 0;
  if (!line.trim()) return input.prompt();
  sending = sending.then(async () => {
    // Without a tempId the message comes back as chat:new_message, which shows it.
    const answer = await socket
      .timeout(10_000)
      .emitWithAck('chat:send_message', { conversationId, message: line })
      .catch((error) => ({ success: false, message: error.message }));
    if (!answer.success) show(`  ! not sent: ${answer.message}`);
  });
});
input.on('close', async () => {
  await sending;
  socket.disconnect();
  process.exit(0);
});

show(`Talking with ${other.displayName} (${other.role}), who is ${other.isOnline ? 'online' : 'offline'}. Ctrl-D ends.`);
if (terminal) input.prompt();
