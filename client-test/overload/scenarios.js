'use strict';

// The scenarios, by the name of the flood (flood-*.js).

const HALF_A_MILLION = 500_000;
const strangers = (world, { short }) => world.addStrangers(short ? HALF_A_MILLION / 5 : HALF_A_MILLION);

/**
 * `group`: what --only calls it besides its name. `seconds`: how long it lasts, where that is not for --seconds to say.
 * `warmUp`: how long it goes on before the others are measured. `victim`: the role of the other in the flooder's
 * conversation, who is connected where `partner` says so, and must stay connected.
 */
const SCENARIOS = {
  // Asks for nothing and only uses CPU: it shows how much of the rest is this machine's and not the server's.
  cpu: { group: 'floods' },
  sends: { group: 'floods' },
  joins: { group: 'floods' },
  handshakes: { group: 'floods' },
  bodies: { group: 'floods' },
  'slow-bodies': { group: 'floods' },
  lock: { group: 'lock', seconds: 120 },
  people: { group: 'account', prepare: strangers },
  edits: { group: 'account', warmUp: 60, partner: true },
  reactions: { group: 'account', warmUp: 10, partner: true },
  inbox: { group: 'account', warmUp: 5, victim: 'seller', partner: true },
  uploads: { group: 'account' },
  requests: { group: 'account' },
  everything: { group: 'account', warmUp: 60, victim: 'seller', partner: true, prepare: strangers },
  packets: { group: 'nobody', warmUp: 10 },
};

const CONTROL = 'cpu';

/** With --short nothing takes longer than this, and the rest as said here. */
const SHORT = { idle: 4, flooded: 10, warmUp: 6 };

/** The names of what `only` asks for: names, or groups. */
const chosen = (only) => Object.keys(SCENARIOS).filter((name) => only.includes(name) || only.includes(SCENARIOS[name].group));

/** How many seconds each part of a scenario takes. */
function times(name, { seconds, short }) {
  if (short) return SHORT;
  const each = Math.max(10, Math.round(seconds / 3));
  const { warmUp = 0, seconds: flooded = each } = SCENARIOS[name];
  return { idle: each, flooded, warmUp };
}

module.exports = { SCENARIOS, CONTROL, chosen, times };
