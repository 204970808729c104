'use strict';

// The ways in which a client fetches what it missed. Each gives every message after `upTo` to `learn`.

const { request } = require('../lib/rest');
const { tokenFor } = require('../lib/jwt');

const PAGE = 200;

/** One conversation's part of an answer to chat:sync or chat:join. */
function learnFrom(person, id, part) {
  if (part.success === false) throw new Error(`${id}: ${part.code}`);
  // Nobody misses so much here that the server may say "start again": it would mean that it lost numbers it had given.
  if (part.reset) person.complain('lost', `the server says that history up to ${person.history.upTo(id)} of ${id} is to be forgotten (it is at ${part.last_seq})`);
  for (const message of part.messages) person.learn('caught up', message);
  return part.has_more;
}

async function sync(person, ids) {
  for (let behind = ids; behind.length > 0; ) {
    const asked = Object.fromEntries(behind.map((id) => [id, person.history.upTo(id)]));
    const { conversations } = await person.ask('chat:sync', { conversations: asked, limit: PAGE });
    behind = behind.filter((id) => learnFrom(person, id, conversations[id]));
  }
}

/** Enters the rooms, and goes on with chat:sync where one answer does not hold everything. */
async function join(person, ids) {
  const behind = [];
  for (const id of ids) {
    const { sync: part } = await person.ask('chat:join', { conversationId: id, lastSeq: person.history.upTo(id) });
    if (learnFrom(person, id, part)) behind.push(id);
    person.joined(id, part.messages.at(-1)?.seq ?? 0);
  }
  await sync(person, behind);
}

async function rest(person, ids) {
  for (const id of ids) {
    if (person.joins) await person.ask('chat:join', { conversationId: id });
    for (let page = [0]; page.length > 0; ) {
      const url = `${person.url}/api/chat/conversations/${id}/messages?limit=${PAGE}&after=${person.history.upTo(id)}`;
      const { status, body } = await request(url, { token: tokenFor(person.user) });
      if (status !== 200) throw new Error(`${status} ${body?.code}`);
      page = body.data;
      for (const message of page) person.learn('caught up', message);
    }
  }
}

module.exports = { sync, join, rest };
