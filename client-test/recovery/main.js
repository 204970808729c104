'use strict';

// What scripts/recovery runs: clients under load, without any chat:sync, whose lines are cut and whose server is killed. Each
// that reports `recovered` must have every message exactly once and in order; each that does not has been told so.

const { randomUUID } = require('node:crypto');
const { parseArgs } = require('node:util');
const { Server } = require('../lib/server');
const { Scene } = require('../lib/suite');
const { until } = require('../lib/limits');
const { sleep } = require('../faults/clock');
const { Listener } = require('./listener');
const { Talk } = require('./talk');

const number = { type: 'string' };
const { values: given } = parseArgs({ options: { short: { type: 'boolean' }, cuts: number, kills: number, clients: number } });
const CUTS = Number(given.cuts ?? (given.short ? 3 : 50));
const KILLS = Number(given.kills ?? (given.short ? 2 : 20));
const CLIENTS = Number(given.clients ?? (given.short ? 8 : 20));
const CONVERSATIONS = 3;
const TRANSPORTS = [['websocket'], ['polling', 'websocket'], ['polling']];
/** Seconds of the longest cut of a round; of each 25th a minute. */
const LONGEST = given.short ? [1, 2] : [2, 3, 5, 2, 10, 3, 2, 5, 3, 20];
/** A round of ten is so loud that who is away for long misses more than is told again. */
const LOUD = { every: 10, pause: 20 };

const isIn = (user, conversation) => user % 4 !== 3 || conversation === user % CONVERSATIONS;

/** Some conversations; most users are in all of them, every fourth in one: the database can tell only those what they missed
 * while the server was down, as something is said in the others all the time. Every fifth socket is a second tab. */
async function gather(server) {
  const scene = new Scene(server);
  const users = Array.from({ length: CLIENTS }, () => {
    const id = randomUUID();
    return { id, email: `${id}@souk.example`, role: 'customer', displayName: 'Someone' };
  });
  users.forEach((user) => server.database.addUser(user));
  const conversations = [];
  for (let n = 0; n < CONVERSATIONS; n++) {
    const id = await scene.conversation(users[0], 'seller');
    const others = JSON.stringify(users.filter((_, i) => i > 0 && isIn(i, n)).map((user) => user.id));
    server.database.sql(`UPDATE conversations SET participant_ids = participant_ids || '${others}' WHERE id = '${id}'`);
    conversations.push(id);
  }
  const talk = new Talk(await scene.connect('seller'), conversations);
  const clients = [];
  for (let n = 0; n < CLIENTS; n++) {
    const transports = TRANSPORTS[n % TRANSPORTS.length];
    const isSecondTab = n % 5 === 4;
    const user = isSecondTab ? n - 1 : n;
    const client = await Listener.open(server, users[user], { transports });
    const own = conversations.filter((_, i) => isIn(user, i));
    for (const conversationId of own) await client.ask('chat:join', { conversationId });
    client.listen(`client ${n} by ${transports.join(' and ')}${isSecondTab ? ', a second tab' : ''}`, talk, own);
    clients.push(client);
  }
  return { scene, talk, clients };
}

const chance = (share) => Math.random() < share;

/** All lines are cut at about the same time, each for a time of its own. */
async function cutRound(clients, longest) {
  await Promise.all(
    clients.map(async (client) => {
      await sleep(Math.random() * 300);
      await client.cut();
      await sleep(1000 + Math.random() * (longest - 1) * 1000);
      await client.back(chance(0.25));
    }),
  );
}

/** The server is killed while some lines are cut, and started again. */
async function killRound(clients, server) {
  const away = clients.filter(() => chance(0.3));
  await Promise.all(away.map((client) => client.cut()));
  await sleep(Math.random() * 1000);
  await server.kill();
  await until(() => clients.every((client) => !client.socket.connected), 'everybody knows that the server is gone', 60_000);
  await sleep(Math.random() * 1000);
  await server.start();
  await Promise.all(clients.map(async (client) => {
    await sleep(Math.random() * 2000);
    await client.back(chance(0.25));
  }));
}

/** How often clients came back as themselves, and how often they started anew. */
function tally(clients) {
  const sum = (of) => clients.reduce((total, client) => total + of(client), 0);
  return { recovered: sum((client) => client.recoveries), anew: sum((client) => client.lives.length - 1) };
}

async function main() {
  const server = new Server();
  await server.start();
  const { scene, talk, clients } = await gather(server);
  talk.start();
  const calm = talk.pause;
  const wrong = new Set();
  const check = async (what) => {
    const before = { ...check.before };
    check.before = tally(clients);
    for (const fault of (await Promise.all(clients.map((client) => client.faults()))).flat()) {
      if (!wrong.has(fault)) console.log(`  ${fault}`);
      wrong.add(fault);
    }
    const [recovered, anew] = ['recovered', 'anew'].map((key) => check.before[key] - (before[key] ?? 0));
    console.log(`${what}: ${recovered} recovered, ${anew} started anew; ${wrong.size} faults so far`);
  };
  for (let n = 1; n <= CUTS; n++) {
    const longest = n % 25 === 0 && !given.short ? 60 : LONGEST[n % LONGEST.length];
    talk.pause = n % LOUD.every === LOUD.every - 1 ? LOUD.pause : calm;
    await cutRound(clients, longest);
    await check(`cut ${n} of ${CUTS}, up to ${longest} s`);
  }
  const afterCuts = tally(clients);
  talk.pause = calm;
  for (let n = 1; n <= KILLS; n++) {
    await killRound(clients, server);
    await check(`kill ${n} of ${KILLS}`);
  }
  await talk.stop();
  await check('at the end');
  const all = tally(clients);
  clients.forEach((client) => client.close());
  scene.clients.forEach((client) => client.close());
  await server.dispose();
  console.log(`${CLIENTS} clients, ${talk.count} messages in ${CONVERSATIONS} conversations.`);
  console.log(`${CUTS} rounds of cuts: ${afterCuts.recovered} recovered, ${afterCuts.anew} were told that they start anew.`);
  console.log(`${KILLS} kills: ${all.recovered - afterCuts.recovered} recovered, ${all.anew - afterCuts.anew} were told that they start anew.`);
  console.log(wrong.size ? `${wrong.size} FAULTS` : 'no fault');
  process.exit(wrong.size ? 1 : 0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
