'use strict';

// The other users: pairs who send and read at a normal rate, and measure how long that takes.

const { OwnDelay, summary } = require('./measure');
const { Wire } = require('./wire');
const { pause } = require('./world');

const PAIRS = 20;
const SENDS_PER_SECOND = 2;
const SENDS_A_READ = 10;
// What takes longer than this counts as lost.
const PATIENCE = 20;

/** Pairs of users who talk: each message is acknowledged to its sender, and that is what is measured. */
async function pairs(world) {
  const made = [];
  for (let i = 0; i < PAIRS; i++) {
    const people = world.addPeople(2);
    const room = world.addRoom(people);
    const [from, to] = people.map((person) => new Wire(world.url, person));
    await Promise.all([from.ready, to.ready]);
    made.push({ from, to, room });
  }
  return made;
}

/** A REST call of one of them: nothing, or what went wrong. */
async function read(world, { token, address }) {
  const headers = { authorization: `Bearer ${token}`, 'x-forwarded-for': address };
  try {
    const answer = await fetch(`${world.url}/api/chat/conversations`, { headers, signal: AbortSignal.timeout(PATIENCE * 1000) });
    await answer.arrayBuffer();
    return answer.status === 200 ? undefined : answer.status;
  } catch (error) {
    return error.name;
  }
}

/** How long sends take, for so many seconds, and which sends and reads failed. */
async function roundTrips(world, talking, seconds) {
  const took = [];
  const failed = [];
  const reads = [];
  const own = new OwnDelay();
  const waiting = [];
  const every = 1000 / SENDS_PER_SECOND / talking.length;
  let next = performance.now();
  const end = next + seconds * 1000;
  for (let i = 0; next < end; i++, next += every) {
    await pause(Math.max(0, (next - performance.now()) / 1000));
    const { from, room } = talking[i % talking.length];
    const begun = performance.now();
    const answered = from.ask('chat:send_message', { conversationId: room.id, message: `text ${i}` }).then((answer) => {
      if (answer.success) took.push(performance.now() - begun);
      else failed.push(answer.code);
    });
    waiting.push(Promise.race([answered, from.ended]));
    if (i % SENDS_A_READ === 0) reads.push(read(world, room.people[1]));
  }
  await Promise.race([Promise.all(waiting), pause(PATIENCE)]);
  const unread = (await Promise.all(reads)).filter(Boolean);
  return { ...summary(took), lost: waiting.length - took.length, failed, unread, own: own.read() };
}

module.exports = { PAIRS, SENDS_PER_SECOND, pairs, roundTrips };
