'use strict';

// One process at one address floods the server, or holds a lock. Other users at other addresses measure how long their sends take.

const { Meter, crowded, ms, percent, table } = require('./measure');
const { PAIRS, SENDS_PER_SECOND, pairs, roundTrips } = require('./others');
const { CONTROL, SCENARIOS, chosen, times } = require('./scenarios');
const { Watch } = require('./watch');
const { Wire } = require('./wire');
const { World, said, pause } = require('./world');

const STARTS_UP = 2;
// The flood comes from this machine too: it has to stand back, or it would show what a crowded machine does.
const NICE = 15;

const AT_MOST = 3;
const MEGABYTES_AT_MOST = 1024;
// DATABASE_MAX_CONNECTIONS by default.
const BACKENDS_AT_MOST = 10;
const RESTS_WITHIN = 60;

async function isServing(world) {
  const health = await fetch(`${world.url}/api/v1/health`, { signal: AbortSignal.timeout(10_000) });
  const [person, other] = world.addPeople(2);
  const room = world.addRoom([person, other]);
  const wire = new Wire(world.url, person);
  await wire.ready;
  const answer = await wire.ask('chat:send_message', { conversationId: room.id, message: 'still here' });
  wire.close();
  return health.status === 200 && answer.success;
}

/** The flooder, and whoever is in its conversation. */
async function startFlood(world, flood, warmUp) {
  const scenario = SCENARIOS[flood];
  const [flooder] = world.addPeople(1);
  const [victim] = world.addPeople(1, scenario.victim);
  const [conversationId, otherId] = [1, 2].map(() => world.addRoom([flooder, victim]).id);
  const state = { done: {}, partnerCut: false };
  if (scenario.partner) {
    const partner = world.child('partner.js', victim);
    await said(partner, 'ready');
    partner.on('message', () => (state.partnerCut = true));
  }
  const job = { flood, ...flooder, address: '203.0.113.1', conversationId, otherId, victimId: victim.id, databaseUrl: world.server.database.url, warmUp };
  state.child = world.child('flooder.js', job, { nice: NICE });
  state.child.on('message', (message) => (state.done = message.done));
  return state;
}

async function run(flood, settings) {
  const world = await World.start();
  let watch;
  try {
    const { idle: idleSeconds, flooded: floodedSeconds, warmUp } = times(flood, settings);
    SCENARIOS[flood].prepare?.(world, settings);
    const talking = await pairs(world);
    watch = new Watch(world);
    // So that no first time is measured.
    await roundTrips(world, talking, STARTS_UP);
    const idleMeter = new Meter({ server: world.pid, database: world.databasePids, client: process.pid });
    const idle = await roundTrips(world, talking, idleSeconds);
    const idleCpu = idleMeter.read();
    watch.markIdle();
    const state = await startFlood(world, flood, warmUp);
    await pause(STARTS_UP + warmUp);
    const meter = new Meter({ server: world.pid, database: world.databasePids, client: process.pid, flooder: state.child.pid });
    const flooded = await roundTrips(world, talking, floodedSeconds);
    const cpu = meter.read();
    state.child.kill('SIGKILL');
    const rest = await watch.rests(RESTS_WITHIN);
    const serves = await isServing(world).catch((error) => (console.error(error), false));
    return { flood, idle, idleCpu, flooded, cpu, done: state.done, partnerCut: state.partnerCut, peak: watch.peak, before: watch.before, backends: watch.backends, rest, serves };
  } finally {
    await watch?.stop();
    await world.stop();
  }
}

/** What a run missed of the bounds. */
function missedBy(r) {
  const missed = [];
  const bound = (holds, what) => holds || missed.push(`${r.flood}: ${what}`);
  if (r.flood !== CONTROL) {
    for (const what of ['median', 'p99']) {
      const ratio = r.flooded[what] / r.idle[what];
      bound(ratio <= AT_MOST, `the ${what} of the others' sends is × ${ratio.toFixed(1)} (at most ${AT_MOST})`);
    }
  }
  bound(r.flooded.lost === 0, `${r.flooded.lost} sends of others were not acknowledged: ${[...new Set(r.flooded.failed)]}`);
  bound(r.flooded.unread.length === 0, `${r.flooded.unread.length} reads of others failed: ${[...new Set(r.flooded.unread)]}`);
  bound(!r.partnerCut, "the flooder's partner was cut");
  bound(r.peak < MEGABYTES_AT_MOST, `the server held ${r.peak.toFixed(0)} MB (less than ${MEGABYTES_AT_MOST})`);
  bound(r.backends <= BACKENDS_AT_MOST, `the server had ${r.backends} backends (at most ${BACKENDS_AT_MOST})`);
  bound(!r.rest.wrong, `${RESTS_WITHIN} s later the server still ${r.rest.wrong}`);
  bound(r.serves, 'the server does not answer at the end');
  bound(Object.keys(r.done).length > 0, 'the flooder did nothing');
  return missed;
}

function show(runs) {
  const head = ['flood', 'idle median', 'p99', 'flooded median', 'p99', 'max', '× median', '× p99', 'lost', 'reads failed', 'own delay p99', 'idle'];
  console.log(table([head, ...runs.map((r) => [
    r.flood, ms(r.idle.median), ms(r.idle.p99), ms(r.flooded.median), ms(r.flooded.p99), ms(r.flooded.max), (r.flooded.median / r.idle.median).toFixed(1), (r.flooded.p99 / r.idle.p99).toFixed(1),
    r.flooded.lost, r.flooded.unread.length, ms(r.flooded.own.p99), ms(r.idle.own.p99),
  ])]));
  const resources = ['flood', 'server', 'server idle', 'database', 'client', 'flooder', 'others', 'MB idle', 'MB most', 'backends', 'at rest after', 'partner'];
  console.log(`\n${table([resources, ...runs.map((r) => [
    r.flood, ...[r.cpu.server, r.idleCpu.server, r.cpu.database, r.cpu.client, r.cpu.flooder, r.cpu.others].map(percent),
    r.before.toFixed(0), r.peak.toFixed(0), r.backends, r.rest.wrong ? 'never' : `${r.rest.seconds} s`, r.partnerCut ? 'cut' : '',
  ])])}`);
  for (const r of runs) console.log(`${r.flood}: ${JSON.stringify(r.done)}`);
}

/** Runs them; what was missed of the bounds. */
async function floods(settings) {
  const kinds = chosen(settings.only);
  if (kinds.length === 0) return [];
  console.log(`\nFloods from one address, and the sends of ${PAIRS} others, ${PAIRS * SENDS_PER_SECOND} a second: first idle, then under the flood; default limits`);
  const runs = [];
  for (const flood of kinds) runs.push(await run(flood, settings));
  show(runs);
  console.log('own delay: how late the measuring process itself was, under the flood and idle; the round trips contain it. CPU in percent of one core; the flood costs the machine');
  console.log(`CPU too, at nice ${NICE}: what is lost to that is not the server's, and a flood from elsewhere would not take it; the row "${CONTROL}" shows about how much it is.`);
  crowded(runs.flatMap((r) => [r.cpu, r.idleCpu])).forEach((line) => console.log(line));
  return runs.flatMap(missedBy);
}

module.exports = { floods };
