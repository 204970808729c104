'use strict';

// Postgres, and the server's sessions with it.

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

module.exports = {
  END_SESSIONS,
  faults: [
    freeze,
    restart('fast', 'Postgres is stopped and started', { short: false }),
    restart('immediate', 'Postgres crashes and recovers', { short: true }),
    sessions,
  ],
};
