'use strict';

// scripts/recovery runs this: clients under load that never use chat:sync, whose connections are cut and whose server is killed. A
// client that reports `recovered` must have every message exactly once and in order, and every change. Any other client was told that
// it was not recovered.

const { parseArgs } = require('node:util');
const { Server } = require('../lib/server');
const { gather, CONVERSATIONS } = require('./cast');
const { sleep, until } = require('./patience');
const { Report } = require('./report');

const number = { type: 'string' };
const { values: given } = parseArgs({ options: { short: { type: 'boolean' }, cuts: number, kills: number, clients: number, longest: number } });
const CUTS = Number(given.cuts ?? (given.short ? 4 : 50));
const KILLS = Number(given.kills ?? (given.short ? 2 : 20));
const CLIENTS = Number(given.clients ?? (given.short ? 10 : 20));
/** Seconds. */
const SHORTEST = 1;
const LONGEST = Number(given.longest ?? (given.short ? 4 : 60));
/** Now and then it is so loud that who is away for long misses more than is told again. Milliseconds. */
const LOUD = { every: 120_000, lasts: 8_000, pause: 20 };

/** Where the server is killed one conversation is lively, the others are less so: a client of several can be told what it missed
 * where nothing was said in the others at about the time of its last event. */
const SLOWNESS = [1, 8, 24];

const chance = (share) => Math.random() < share;

/** Seconds of each cut of one client: spread evenly from the shortest to the longest, in any order. */
function lengths() {
  const of = (n) => SHORTEST + ((LONGEST - SHORTEST) * (n + Math.random())) / CUTS;
  const all = Array.from({ length: CUTS }, (_, n) => ({ seconds: of(n), at: Math.random() }));
  return all.sort((a, b) => a.at - b.at).map(({ seconds }) => seconds);
}

/** The line of one client is cut again and again, whatever those of the others do. */
async function cutAgainAndAgain(client, report) {
  for (const seconds of lengths()) {
    await sleep(300 + Math.random() * 1700);
    const end = performance.now() + seconds * 1000;
    await client.cut();
    await sleep(end - performance.now());
    await client.back(client.again ?? chance(0.25));
    await report.check(client);
  }
}

async function cutRounds(clients, talk, report) {
  const calm = talk.pause;
  const isLoud = (at) => at % LOUD.every > LOUD.every - LOUD.lasts;
  const begun = performance.now();
  const timer = setInterval(() => (talk.pause = isLoud(performance.now() - begun) ? LOUD.pause : calm), 500);
  const cut = clients.filter((client) => !client.stays);
  const news = setInterval(() => {
    const rounds = Math.min(...cut.map((client) => client.cuts));
    console.log(`after ${Math.round((performance.now() - begun) / 1000)} s each line was cut ${rounds} times of ${CUTS} or more; ${report.faultCount} faults`);
  }, 60_000);
  await Promise.all(cut.map((client) => cutAgainAndAgain(client, report)));
  clearInterval(timer);
  clearInterval(news);
  talk.pause = calm;
}

/** The server is killed while some lines are cut, and started again. */
async function killRound(clients, server, report) {
  const away = clients.filter((client) => !client.stays && chance(0.3));
  await Promise.all(away.map((client) => client.cut()));
  await sleep(Math.random() * 1000);
  // Those whose line is to break while they come back do that below.
  clients.forEach((client) => client.again && client.stayAway());
  await server.kill();
  await until(() => clients.every((client) => !client.socket.connected), 'everybody knows that the server is gone', 60_000);
  await sleep(Math.random() * 1000);
  await server.start();
  await Promise.all(clients.map(async (client) => {
    await sleep(Math.random() * 2000);
    await client.back(client.again ?? chance(0.25));
    await report.check(client);
  }));
}

const checkAll = (clients, report) => Promise.all(clients.map((client) => report.check(client)));

async function main() {
  const server = new Server();
  await server.start();
  const { scene, talk, clients } = await gather(server, CLIENTS);
  const report = new Report(clients);
  talk.start();
  if (CUTS > 0) {
    talk.removes = true;
    await cutRounds(clients, talk, report);
    talk.removes = false;
    await checkAll(clients, report);
    report.print(`${CUTS} cuts of ${SHORTEST} to ${LONGEST} s of each line`);
    report.reset();
  }
  talk.slowness = SLOWNESS;
  for (let n = 1; n <= KILLS; n++) {
    await killRound(clients, server, report);
    const { recovered, anew } = report.sum(clients);
    console.log(`kill ${n} of ${KILLS}: ${recovered} recovered, ${anew} told that they start anew, since the first; ${report.faultCount} faults`);
  }
  await talk.stop();
  await checkAll(clients, report);
  if (KILLS > 0) report.print(`${KILLS} kills of the server`);
  clients.forEach((client) => client.close());
  scene.clients.forEach((client) => client.close());
  await server.dispose();
  console.log(`${CLIENTS} clients, ${talk.count} messages and ${talk.changes.length} changes and reads in ${CONVERSATIONS} conversations.`);
  console.log(report.faultCount ? `${report.faultCount} FAULTS` : 'no fault');
  process.exit(report.faultCount ? 1 : 0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
