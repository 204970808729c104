'use strict';

// A thousand sockets in rooms with traffic, of which a hundred stop reading. The others must lose nothing and see almost no delay,
// and the server must not keep the data that the hundred did not read.

const { Meter, crowded, residentOf, median, ms, percent, table } = require('./measure');
const { Wire } = require('./wire');
const { World, said, pause } = require('./world');

// Two rooms with so much traffic that a sleeper's buffers fill within the run, and forty with a little.
const HOT = { rooms: 2, readers: 50, sleepers: 50, perSecond: 12, text: '😀'.repeat(4000) };
const CALM = { rooms: 40, readers: 20, sleepers: 0, perSecond: 1, text: 'x'.repeat(100) };
const PEOPLE_PER_ROOM = 10;
// Long enough that memory has grown to what this traffic takes.
const WARM_UP = 15;
const SEND_BUFFER_BYTES = 2 * 1024 * 1024;
const MEMORY_SETTLES_WITHIN = 60;

const P99_AT_MOST = 2;
const MEMORY_AT_MOST = 1.2;

function rooms(world) {
  return [HOT, CALM].flatMap((kind) =>
    Array.from({ length: kind.rooms }, () => {
      const people = world.addPeople(PEOPLE_PER_ROOM);
      return { ...world.addRoom(people), kind, last: 0 };
    }),
  );
}

const sockets = (room, n) => Array.from({ length: n }, (_, i) => ({ ...room.people[i % PEOPLE_PER_ROOM], room: room.id }));

/** One sender in each room, spread over the second so that they do not all speak at once. */
async function traffic(world, all) {
  const senders = [];
  for (const [i, room] of all.entries()) {
    const wire = new Wire(world.url, room.people[0]);
    await wire.ready;
    const every = 1000 / room.kind.perSecond;
    senders.push({ wire, room, every, next: performance.now() + (every * i) / all.length });
  }
  let speaking = true;
  const say = ({ wire, room }) => {
    room.asked = (room.asked ?? 0) + 1;
    wire.ask('chat:send_message', { conversationId: room.id, message: `${process.hrtime.bigint()} ${room.kind.text}` }).then((answer) => {
      if (!answer.success) throw new Error(JSON.stringify(answer));
      room.last++;
    });
  };
  const timer = setInterval(() => {
    if (!speaking) return;
    const now = performance.now();
    for (const sender of senders) {
      for (; sender.next <= now; sender.next += sender.every) say(sender);
    }
  }, 5);
  const stop = async () => {
    speaking = false;
    clearInterval(timer);
    for (let i = 0; all.some((room) => room.last !== room.asked); i++) {
      if (i > 300) throw new Error('messages were not acknowledged in 30 s');
      await pause(0.1);
    }
    senders.forEach(({ wire }) => wire.close());
  };
  return { stop };
}

/** Until everybody has everything; what is missing then. */
async function missing(readers, last) {
  for (let i = 0; ; i++) {
    readers.send({ do: 'missing', last });
    const { complaints } = await said(readers, 'missing');
    if (complaints.length === 0 || i === 100) return complaints;
    await pause(0.2);
  }
}

async function run(withSleepers, seconds) {
  const world = await World.start({ SOCKET_SEND_BUFFER_BYTES: String(SEND_BUFFER_BYTES) });
  try {
    const all = rooms(world);
    const readers = world.child('crowd.js', { sockets: all.flatMap((room) => sockets(room, room.kind.readers)) });
    await said(readers, 'ready');
    const { stop } = await traffic(world, all);
    await pause(WARM_UP);
    const before = residentOf(world.pid);
    let sleepers;
    if (withSleepers) {
      sleepers = world.child('crowd.js', { sockets: all.flatMap((room) => sockets(room, room.kind.sleepers)), sleep: true });
      await said(sleepers, 'ready');
    }
    readers.send({ do: 'measure' });
    const meter = new Meter({ server: world.pid, database: world.databasePids, readers: readers.pid, senders: process.pid, sleepers: sleepers?.pid ?? [] });
    let peak = before;
    for (let i = 0; i < seconds * 4; i++) {
      await pause(0.25);
      peak = Math.max(peak, residentOf(world.pid));
    }
    const cpu = meter.read();
    readers.send({ do: 'stop' });
    const { latency, own } = await said(readers, 'measured');
    await stop();
    const lost = await missing(readers, Object.fromEntries(all.map((room) => [room.id, room.last])));
    const cut = world.server.log.match(/disconnecting a socket that is too slow/g)?.length ?? 0;
    sleepers?.kill('SIGKILL');
    let after = residentOf(world.pid);
    for (let i = 0; i < MEMORY_SETTLES_WITHIN && after > before * MEMORY_AT_MOST; i++) {
      await pause(1);
      after = residentOf(world.pid);
    }
    return { withSleepers, latency, own, cpu, lost, cut, before, peak, after };
  } finally {
    await world.stop();
  }
}

/** Runs it; what was missed of the bounds. */
async function slowReaders({ rounds, seconds }) {
  console.log(`\nSockets that do not read: 900 readers in ${HOT.rooms + CALM.rooms} rooms, without (A) and with (B) 100 more that stop reading; ${seconds} s each`);
  const runs = [];
  for (let i = 0; i < rounds; i++) {
    for (const withSleepers of [false, true]) runs.push(await run(withSleepers, seconds));
  }
  const head = ['run', 'received', 'median', 'p99', 'max', 'own delay p99', 'lost', 'cut', 'MB before', 'peak', 'after', 'server', 'database', 'readers', 'senders', 'others'];
  console.log(table([head, ...runs.map((r) => [
    r.withSleepers ? 'B, 100 sleep' : 'A', r.latency.count, ms(r.latency.median), ms(r.latency.p99), ms(r.latency.max), ms(r.own.p99), r.lost.length, r.cut,
    r.before.toFixed(0), r.peak.toFixed(0), r.after.toFixed(0), ...[r.cpu.server, r.cpu.database, r.cpu.readers, r.cpu.senders, r.cpu.others].map(percent),
  ])]));
  const p99 = (withSleepers) => median(runs.filter((r) => r.withSleepers === withSleepers).map((r) => r.latency.p99));
  const ratio = p99(true) / p99(false);
  console.log(`p99 from sending to receiving, medians of the runs: A ${ms(p99(false))}, B ${ms(p99(true))}: × ${ratio.toFixed(2)} (at most ${P99_AT_MOST})`);
  console.log('own delay: how late the reading process itself was; the latencies contain it. CPU in percent of one core; others: whatever else ran on the machine.');
  crowded(runs.map((r) => r.cpu)).forEach((line) => console.log(line));

  const missed = runs.flatMap((r) => r.lost.slice(0, 3));
  if (!(ratio <= P99_AT_MOST)) missed.push(`p99 with sleepers is × ${ratio.toFixed(2)}`);
  for (const r of runs.filter((one) => one.withSleepers)) {
    if (r.cut === 0) missed.push('no sleeper was cut: the run was too short to show anything');
    if (r.after > r.before * MEMORY_AT_MOST) missed.push(`memory ${r.before.toFixed(0)} MB before, ${r.after.toFixed(0)} MB afterwards`);
  }
  return missed;
}

module.exports = { slowReaders };
