'use strict';

// One user at one address asks for far too much; others, at other addresses, measure what their messages take.

const { Meter, crowded, OwnDelay, residentOf, summary, ms, percent, table } = require('./measure');
const { Wire } = require('./wire');
const { World, pause } = require('./world');

// The first asks for nothing and only uses CPU: it shows how much of the rest is this machine's and not the server's.
const CONTROL = 'cpu';
const KINDS = [CONTROL, 'sends', 'joins', 'handshakes', 'bodies', 'slow-bodies'];
const PAIRS = 20;
const SENDS_PER_SECOND = 2;
const STARTS_UP = 2;
// The flood comes from this machine too: it has to stand back, or it would show what a crowded machine does.
const NICE = 15;

const AT_MOST = 3;

/** Pairs of people who talk: each message is acknowledged to its sender, and that is what is measured. */
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

/** How long sends take, for so many seconds. */
async function roundTrips(talking, seconds) {
  const took = [];
  const failed = [];
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
  }
  // A message that takes longer than this counts as lost, below.
  await Promise.race([Promise.all(waiting), pause(20)]);
  return { ...summary(took), lost: waiting.length - took.length, failed, own: own.read() };
}

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

async function run(flood, seconds) {
  const world = await World.start();
  try {
    const talking = await pairs(world);
    const [flooder, victim] = world.addPeople(2);
    const { id: conversationId } = world.addRoom([flooder, victim]);
    // So that no first time is measured.
    await roundTrips(talking, STARTS_UP);
    const idleMeter = new Meter({ server: world.pid, database: world.databasePids, client: process.pid });
    const idle = await roundTrips(talking, seconds);
    const idleCpu = idleMeter.read();
    const child = world.child('flooder.js', { flood, ...flooder, address: '203.0.113.1', conversationId }, { nice: NICE });
    let done = {};
    child.on('message', (message) => (done = message.done));
    await pause(STARTS_UP);
    const meter = new Meter({ server: world.pid, database: world.databasePids, client: process.pid, flooder: child.pid });
    const flooded = await roundTrips(talking, seconds);
    const cpu = meter.read();
    const resident = residentOf(world.pid);
    child.kill('SIGKILL');
    const serves = await isServing(world).catch((error) => (console.error(error), false));
    return { flood, idle, idleCpu, flooded, cpu, done, resident, serves };
  } finally {
    await world.stop();
  }
}

/** Runs them; what was missed of the bounds. */
async function floods({ seconds, only }) {
  const kinds = KINDS.filter((kind) => only.includes('floods') || only.includes(kind));
  if (kinds.length === 0) return [];
  const each = Math.max(10, Math.round(seconds / 3));
  console.log(`\nFloods of one user from one address, and the sends of ${PAIRS} others, ${PAIRS * SENDS_PER_SECOND} a second: ${each} s idle, then ${each} s under the flood; default limits`);
  const runs = [];
  for (const flood of kinds) runs.push(await run(flood, each));
  const head = ['flood', 'idle median', 'p99', 'flooded median', 'p99', '× median', '× p99', 'lost', 'own delay p99', 'idle', 'server', 'server idle', 'database', 'client', 'flooder', 'others', 'MB'];
  console.log(table([head, ...runs.map((r) => [
    r.flood, ms(r.idle.median), ms(r.idle.p99), ms(r.flooded.median), ms(r.flooded.p99), (r.flooded.median / r.idle.median).toFixed(1), (r.flooded.p99 / r.idle.p99).toFixed(1),
    r.flooded.lost, ms(r.flooded.own.p99), ms(r.idle.own.p99), ...[r.cpu.server, r.idleCpu.server, r.cpu.database, r.cpu.client, r.cpu.flooder, r.cpu.others].map(percent), r.resident.toFixed(0),
  ])]));
  for (const r of runs) console.log(`${r.flood}: ${JSON.stringify(r.done)}`);
  console.log('own delay: how late the measuring process itself was, under the flood and idle; the round trips contain it. CPU in percent of one core; the flood costs the machine');
  console.log(`CPU too, at nice ${NICE}: what is lost to that is not the server's, and a flood from elsewhere would not take it; the row "${CONTROL}" shows about how much it is.`);
  crowded(runs.flatMap((r) => [r.cpu, r.idleCpu])).forEach((line) => console.log(line));

  const missed = [];
  for (const r of runs.filter((one) => one.flood !== CONTROL)) {
    for (const what of ['median', 'p99']) {
      const ratio = r.flooded[what] / r.idle[what];
      if (!(ratio <= AT_MOST)) missed.push(`${r.flood}: the ${what} of the others' sends is × ${ratio.toFixed(1)} (at most ${AT_MOST})`);
    }
    if (r.flooded.lost > 0) missed.push(`${r.flood}: ${r.flooded.lost} sends of others were not acknowledged: ${[...new Set(r.flooded.failed)]}`);
    if (!r.serves) missed.push(`${r.flood}: the server does not answer at the end`);
    if (Object.keys(r.done).length === 0) missed.push(`${r.flood}: the flooder did nothing`);
  }
  return missed;
}

module.exports = { floods };
