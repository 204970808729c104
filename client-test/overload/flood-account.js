'use strict';

// One user who makes the requests that cost the others most, as often as the limits allow.

const { randomUUID } = require('node:crypto');
const { FORM, LIMIT, head, large } = require('../lib/upload');
const { atOnce, call, count, enter, hold, paced, raw, request, sleep } = require('./flood-tools');

// The limits of one user by default.
const SEARCHES_PER_SECOND = 20;
const ACTIONS_PER_SECOND = 50;

// As long as a message may be, three bytes a character.
const LONG_TEXT = '€'.repeat(4990);
const UNREAD_ANSWERS = 15;
const ENDLESS_HEADERS = 15;
// Of 100 MB each: more would fill the disk of a machine that has none to spare.
const WHOLE_UPLOADS = 10;
const REQUESTS_AT_ONCE = 200;

/** A new message of the job's user: its id. */
async function message(job, conversationId = job.conversationId) {
  const wire = await enter(job);
  const answer = await wire.ask('chat:send_message', { conversationId, message: 'the first' });
  wire.close();
  if (!answer.success) throw new Error(JSON.stringify(answer));
  return answer.data.id;
}

/** `event` so many times a second on one socket, which is opened again when it is cut. */
async function often(job, perSecond, event, payload) {
  let entering;
  let wire = await enter(job);
  const send = async (i) => {
    if (!wire.isOpen) {
      count('cut');
      entering ??= enter(job).finally(() => (entering = undefined));
      wire = await entering;
    }
    const answer = await Promise.race([wire.ask(event, payload(i)), wire.ended]);
    count(answer?.success ? event : `${event} ${answer?.code}`);
  };
  return paced(perSecond, send);
}

// Combining marks, in some number and order: each made another reaction of the same emoji.
const MARKS = Array.from({ length: 16 }, (_, i) => String.fromCodePoint(0x300 + i));
const marked = (i) => `👍${[12, 8, 4, 0].map((shift) => MARKS[(i >> shift) & 15]).join('')}`;
// And what is a reaction beyond doubt.
const EMOJI = [...'👍👏🙏🔥🎉😂😮😢😡🤝🚀👀💯✅🍀🌍🐶🐱🍎🍕⚽🎵📷💡'];

/** The start of an upload whose first part's header has no end. */
const endlessHeader = (job) =>
  `POST /api/chat/upload HTTP/1.1\r\nhost: x\r\nx-forwarded-for: ${job.address}\r\nauthorization: Bearer ${job.token}\r\n` +
  `content-type: ${FORM}\r\ncontent-length: ${LIMIT * 10}\r\n\r\n${String(head({ name: 'a' })).split('filename="')[0]}filename="`;

const PIECE = Buffer.alloc(1 << 16, 0x61);

async function wholeUploads(job) {
  for (let i = 0; i < WHOLE_UPLOADS; i++) {
    const body = async (outgoing) => {
      for (const piece of large(10, LIMIT)) {
        if (outgoing.destroyed) return;
        if (!outgoing.write(piece)) await Promise.race([new Promise((go) => outgoing.once('drain', go)), sleep(5000)]);
      }
      outgoing.end();
    };
    await request(job, { method: 'POST', path: '/api/chat/upload', headers: { 'content-type': FORM }, body });
    await sleep(1000);
  }
}

const FLOODS = {
  people: (job) => {
    const paths = ['/users/search?search=user', '/support-user', ...Array(8).fill('/users/available')];
    return paced(SEARCHES_PER_SECOND, (i) => call(job, 'GET', `/api/chat${paths[i % paths.length]}`));
  },

  edits: async (job) => {
    const messageId = await message(job);
    const { conversationId } = job;
    const editing = often(job, ACTIONS_PER_SECOND, 'chat:edit_message', (i) => ({ messageId, conversationId, newText: `${i} ${LONG_TEXT}` }));
    // First a history, then what drags it along.
    await sleep(job.warmUp * 1000);
    const replying = often(job, 2, 'chat:send_reply', (i) => ({ conversationId, message: `reply ${i}`, replyToMessageId: messageId, tempId: `t${i}` }));
    const head = `GET /api/chat/messages/${messageId}/details HTTP/1.1\r\nhost: x\r\nx-forwarded-for: ${job.address}\r\nauthorization: Bearer ${job.token}\r\n\r\n`;
    // Many requests on each, none of whose answers is read.
    const unread = atOnce(UNREAD_ANSWERS, () => raw(job, { head: head.repeat(20), reads: false }));
    await Promise.all([editing, replying, unread]);
  },

  reactions: async (job) => {
    const messageId = await message(job);
    const { conversationId } = job;
    const emoji = (i) => ({ messageId, conversationId, reaction: EMOJI[i % EMOJI.length] });
    await Promise.all([
      often(job, ACTIONS_PER_SECOND / 2, 'chat:add_reaction', (i) => ({ messageId, conversationId, reaction: marked(i) })),
      often(job, ACTIONS_PER_SECOND / 4, 'chat:add_reaction', emoji),
      often(job, ACTIONS_PER_SECOND / 4, 'chat:remove_reaction', (i) => emoji(i + EMOJI.length - 4)),
    ]);
  },

  inbox: (job) =>
    paced(ACTIONS_PER_SECOND, (i) =>
      call(job, 'POST', '/api/chat/conversations', {
        participantId: job.victimId,
        relatedEntityType: 'product',
        relatedEntityId: randomUUID(),
        // Half of them with as much as is allowed.
        metadata: { note: 'x'.repeat(i % 2 ? 4_000 : 16_000) },
      }),
    ),

  uploads: (job) => {
    const endless = atOnce(ENDLESS_HEADERS, () => raw(job, { head: endlessHeader(job), more: () => PIECE }));
    return Promise.all([endless, wholeUploads(job)]);
  },

  // They wait for a lock, so that all of them are there at once.
  requests: async (job) => {
    const messageId = await message(job, job.otherId);
    await hold(job, job.otherId);
    const calls = [
      ['POST', `/api/chat/conversations/${job.otherId}/read`],
      ['PUT', `/api/chat/messages/${messageId}`, { message: 'changed' }],
      ['POST', `/api/chat/messages/${messageId}/reactions`, { reaction: '👍' }],
      ['POST', `/api/chat/conversations/${job.otherId}/messages`, { message: 'one more' }],
    ];
    await atOnce(REQUESTS_AT_ONCE, async (i) => {
      await call(job, ...calls[i % calls.length]);
      await sleep(50);
    });
  },
};

module.exports = { ...FLOODS, everything: (job) => Promise.all(Object.values(FLOODS).map((flood) => flood(job))) };
