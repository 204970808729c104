'use strict';

// Faults of the connections between clients and server, and between server and Postgres.

/** Connections end with an RST: all of them, or some. */
function resets(name, proxyOf, about, { short }) {
  return {
    name,
    short,
    about,
    async inject(stage) {
      const proxy = proxyOf(stage.world);
      let ended = 0;
      for (let left = stage.times(2, 10); left > 0; left--) {
        const pairs = [...proxy.pairs];
        const hit = stage.random.chance(0.5) ? pairs : stage.random.some(pairs, Math.ceil(pairs.length / 3));
        proxy.reset(hit);
        ended += hit.length;
        await stage.seconds(0.5, 3);
      }
      stage.note(`${ended} connections reset`);
    },
  };
}

/** Nothing comes through for a while; then what waited goes on, or the connections end. */
function stalls(name, proxyOf, about, { short }) {
  return {
    name,
    short,
    about,
    async inject(stage) {
      const proxy = proxyOf(stage.world);
      proxy.stall();
      await stage.seconds(3, 20);
      const reset = stage.random.chance(0.5);
      if (reset) proxy.reset();
      proxy.resume();
      stage.note(reset ? 'ended by a reset' : 'went on');
    },
  };
}

const toServer = (world) => world.toServer;
const toPostgres = (world) => world.toPostgres;

module.exports = [
  resets('net-reset', toServer, 'connections of clients are reset', { short: true }),
  stalls('net-stall', toServer, 'nothing gets through between clients and server for up to 20 s', { short: false }),
  resets('db-reset', toPostgres, "the server's connections to Postgres are reset", { short: false }),
  stalls('db-stall', toPostgres, 'nothing gets through between server and Postgres for up to 20 s', { short: true }),
];
