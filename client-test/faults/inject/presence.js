'use strict';

// kill -9 while some users never come back: a user who is not connected must not stay online for ever.

const { until } = require('../../lib/limits');
const { now } = require('../clock');

/** A server that comes back lets go of its earlier life's users before it serves. */
const OWN_LIFE = 2_000;
/** Others take a silent server for dead after 45 s, and look every 10 s. */
const OF_ANOTHER = 75_000;
/** "Last seen" of those whom a dead server left behind is its last heartbeat: every 10 s, late under load. */
const HEARTBEAT = 20_000;

async function check(stage, { absent, present, killed, patience }) {
  const ids = (people) => new Set(people.map((person) => person.user.id));
  const [gone, here] = [ids(absent), ids(present)];
  const wrongly = async (users, wanted) => {
    const online = await stage.world.online();
    return [...users].filter((id) => online.has(id) !== wanted);
  };
  const settled = async (users, wanted, ms) => {
    await until(async () => (await wrongly(users, wanted)).length === 0, '', ms).catch(async () => {
      const wrong = await wrongly(users, wanted);
      if (wrong.length > 0) stage.report('other', `presence: ${ms / 1000} s after the restart these are ${wanted ? 'offline and here' : 'online and gone'}: ${wrong.join(', ')}`);
    });
  };
  await settled(gone, false, patience);
  await settled(here, true, 20_000);
  for (const { user_id: id, seen } of await stage.world.sql.rows('SELECT user_id, extract(epoch FROM last_seen_at) * 1000 AS seen FROM user_online_status')) {
    if (gone.has(id) && !(seen > killed - HEARTBEAT && seen < killed + 1000)) {
      stage.report('other', `presence: ${id} was last seen ${((seen - killed) / 1000).toFixed(1)} s after the server was killed`);
    }
  }
}

module.exports = [
  {
    name: 'presence',
    short: true,
    about: 'kill -9 of the server, and some people do not come back',
    async inject(stage) {
      const { world, random, people } = stage;
      const { server } = world;
      const users = random.some(world.users, Math.ceil(world.users.length / 3));
      const absent = people.filter((person) => users.includes(person.user));
      const present = people.filter((person) => !users.includes(person.user));
      // As a server of another name, on another machine say, it has to wait until the dead one is taken for dead.
      const isAnother = !stage.short && random.chance(0.3);
      await server.kill();
      const killed = now();
      absent.forEach((person) => person.go());
      stage.nameBefore = server.env.SERVER_NAME;
      if (isAnother) server.env.SERVER_NAME = `another-${random.int(1, 1e9)}`;
      try {
        await stage.seconds(0, 3);
        await server.start();
        await check(stage, { absent, present, killed, patience: isAnother ? OF_ANOTHER : OWN_LIFE });
      } finally {
        absent.forEach((person) => person.come());
      }
      stage.note(`${users.length} users stayed away${isAnother ? ', the server came back under another name' : ''}`);
    },
    async restore({ world, nameBefore }) {
      if (world.server.env.SERVER_NAME === nameBefore) return;
      await world.server.stop();
      world.server.env.SERVER_NAME = nameBefore;
      await world.server.start();
    },
  },
];
