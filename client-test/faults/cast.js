'use strict';

const { Person } = require('./person');
const { Sender } = require('./sender');

/** Every so many users one has a second tab, which only listens. */
const TAB_EVERY = 4;

function transportsOf(random) {
  const draw = random.next();
  if (draw < 0.6) return ['websocket'];
  return draw < 0.92 ? ['polling', 'websocket'] : ['polling'];
}

/**
 * The people of one round, each with habits that chance gives them. Some wait for each answer before they
 * send the next message: for those, the order in which they wrote is the order in which it is stored.
 */
function makeCast({ world, conversations, random, catchUp }) {
  const people = [];
  const senders = [];
  world.users.forEach((user, i) => {
    const chance = random.fork(user.name);
    const own = conversations.filter((c) => c.users.includes(user)).map((c) => c.id);
    const client = (name, { joins }) => {
      const how = catchUp === 'rest' ? 'rest' : joins ? 'join' : 'sync';
      const person = new Person({ name, user, url: world.url, conversations: own, transports: transportsOf(chance), joins, catchUp: how });
      people.push(person);
      return person;
    };
    const person = client(user.name, { joins: chance.chance(0.5) });
    const window = chance.chance(0.25) ? 1 : chance.int(2, 16);
    senders.push(new Sender(person, { window, draws: chance.chance(0.5), repeats: 0.02, random: chance.fork('sender') }));
    // Only in a conversation's room does a tab hear what its user says in another.
    if (i % TAB_EVERY === 0) client(`${user.name}-tab`, { joins: true });
  });
  return { people, senders };
}

module.exports = { makeCast };
