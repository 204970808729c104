'use strict';

// Faults of Postgres and of the server's sessions with it.

const { until } = require('../../lib/limits');
const { now } = require('../clock');

/** What it takes to look: psql starts anew each time, beside people who write. */
const LOOK = 1_000;

/** Ends the sessions of the server, and of nobody else. */
const END_SESSIONS = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'souk' AND pid <> pg_backend_pid()";

const freeze = {
  name: 'pg-freeze',
  short: true,
  about: 'SIGSTOP of all Postgres processes for up to 20 s',
  async inject(stage) {
    const { cluster } = stage.world;
    await cluster.freeze();
    await stage.seconds(2, 20);
    cluster.thaw();
  },
};

/** Sometimes longer away than the server itself tries again. */
function restart(mode, about, { short }) {
  return {
    name: `pg-restart-${mode}`,
    short,
    about,
    async inject(stage) {
      const { cluster } = stage.world;
      for (let left = stage.times(1, 2); left > 0; left--) {
        await cluster.stop(mode);
        await stage.seconds(0, 12);
        await cluster.start();
        if (left > 1) await stage.seconds(0, 3);
      }
    },
  };
}

const sessions = {
  name: 'pg-sessions',
  short: true,
  about: 'pg_terminate_backend of all sessions of the server, several times',
  async inject(stage) {
    let ended = 0;
    for (let left = stage.times(4, 12); left > 0; left--) {
      ended += Number(await stage.world.sql.run(END_SESSIONS));
      await stage.seconds(0.3, 2);
    }
    stage.note(`${ended} sessions ended`);
  },
};

/** From now on every session that is opened is read-only, or none is; those that are there stay as they are. */
async function openReadOnly(sql, isReadOnly) {
  const name = new URL(sql.url).pathname.slice(1);
  await sql.run(`BEGIN READ WRITE; ALTER DATABASE "${name}" ${isReadOnly ? 'SET default_transaction_read_only = on' : 'RESET default_transaction_read_only'}; COMMIT`);
}

/** How long after the failover is over the first message may take that a session of that time could have refused. */
const WRITABLE_AGAIN = 2_000;

const failover = {
  name: 'pg-failover',
  short: true,
  about: 'failover to a read-only server and back: sessions opened meanwhile stay read-only',
  async inject(stage) {
    const { sql } = stage.world;
    const messages = () => sql.value('SELECT COALESCE(sum(last_seq), 0) FROM conversations');
    for (let left = stage.times(2, 5); left > 0; left--) {
      await openReadOnly(sql, true);
      let back;
      try {
        await sql.run(END_SESSIONS);
        await stage.seconds(2, 12);
      } finally {
        await openReadOnly(sql, false);
        back = now();
      }
      // Nobody ends the sessions that were opened in between.
      const before = await messages();
      await until(async () => (await messages()) > before, 'messages are stored again', 30_000);
      const took = now() - back;
      if (took > WRITABLE_AGAIN + LOOK) stage.report('other', `${(took / 1000).toFixed(1)} s after the failover was over no message was stored yet`);
      stage.note(`stored again after ${(took / 1000).toFixed(1)} s`);
      if (left > 1) await stage.seconds(0.5, 3);
    }
  },
};

module.exports = {
  END_SESSIONS,
  faults: [
    freeze,
    restart('fast', 'Postgres is stopped and started', { short: false }),
    restart('immediate', 'Postgres crashes and recovers', { short: true }),
    sessions,
    failover,
  ],
};
