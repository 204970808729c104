'use strict';

// Locks that other sessions of the shop's database hold.

const { now, sleep } = require('../clock');
const { END_SESSIONS } = require('./postgres');

/** One transaction that locks the rows of conversations in the wrong order, with pauses in between. */
function lockInBadOrder(conversations, patience) {
  const locks = conversations.map((id) => `SELECT FROM conversations WHERE id = '${id}' FOR UPDATE; SELECT pg_sleep(0.05);`);
  // Whose patience ends first is the victim: we with 20 ms, the server with 10 s.
  return `BEGIN; SET LOCAL deadlock_timeout = '${patience}'; ${locks.join(' ')} COMMIT`;
}

const DEADLOCKS = 'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()';

const deadlocks = {
  name: 'deadlocks',
  short: true,
  about: 'sessions that lock the rows of conversations in the wrong order',
  async inject(stage) {
    const { sql } = stage.world;
    const ids = [...new Set(stage.people.flatMap((person) => person.conversations))].sort().reverse();
    const before = await sql.value(DEADLOCKS);
    let isOver = false;
    const session = async (random) => {
      while (!isOver) {
        const few = new Set(random.some(ids, 4));
        // Being the victim is what half of them are there for.
        await sql.run(lockInBadOrder(ids.filter((id) => few.has(id)), random.chance(0.5) ? '20ms' : '10s')).catch(() => {});
        await sleep(random.between(20, 200));
      }
    };
    const sessions = [1, 2, 3, 4].map((n) => session(stage.random.fork(`session ${n}`)));
    await stage.seconds(3, 12);
    isOver = true;
    await Promise.all(sessions);
    // Sessions tell of them with a delay.
    await sleep(1000);
    stage.note(`${(await sql.value(DEADLOCKS)) - before} deadlocks`);
  },
};

/** Every session of the database from now on has this isolation; those that are there end. */
async function isolate(sql, level) {
  const name = new URL(sql.url).pathname.slice(1);
  await sql.run(`ALTER DATABASE "${name}" ${level ? `SET default_transaction_isolation = '${level}'` : 'RESET default_transaction_isolation'}`);
  await sql.run(END_SESSIONS);
}

const isolation = {
  name: 'isolation',
  short: false,
  about: 'the database is made serializable, or repeatable read, for a while: transactions fail for each other',
  async inject(stage) {
    const { sql } = stage.world;
    const level = stage.random.pick(['serializable', 'repeatable read']);
    const started = now();
    await isolate(sql, level);
    try {
      await stage.seconds(4, 15);
    } finally {
      await isolate(sql, undefined);
    }
    stage.note(`${level} for ${((now() - started) / 1000).toFixed(1)} s`);
  },
};

module.exports = [deadlocks, isolation];
