'use strict';

// What scripts/recovery runs: clients under load whose lines are cut, without any chat:sync. Each that reports `recovered` must
// have every message exactly once and in order; each that does not has been told so.

const { Server } = require('../lib/server');
const { Scene, USERS } = require('../lib/suite');
const { LineClient } = require('../lib/line');
const { until } = require('../lib/limits');

const short = process.argv.includes('--short');
const given = process.argv.indexOf('--rounds');
const ROUNDS = given > 0 ? Number(process.argv[given + 1]) : short ? 5 : 50;
const CLIENTS = short ? 8 : 20;
const TRANSPORTS = [['websocket'], ['polling', 'websocket'], ['polling']];
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** The numbers that a client is owed from its last fresh start on, in one conversation. */
function faults(client, last) {
  const seqs = client.all('chat:new_message').map((m) => m.seq).slice(client.from);
  const first = seqs[0] ?? last;
  const right = seqs.every((seq, i) => seq === first + i);
  return right && (seqs.length === 0 || seqs.at(-1) === last) ? [] : [`has ${seqs.join(' ')}, the last is ${last}`];
}

async function main() {
  const server = new Server();
  await server.start();
  const scene = new Scene(server);
  const conversationId = await scene.conversation();
  const seller = await scene.connect('seller');
  const clients = [];
  for (let i = 0; i < CLIENTS; i++) {
    const client = await LineClient.open(server, USERS.customer, { transports: TRANSPORTS[i % TRANSPORTS.length] });
    clients.push(Object.assign(client, { from: 0, name: `client ${i} by ${TRANSPORTS[i % TRANSPORTS.length].join(' and ')}` }));
  }
  let [running, last, recovered, anew, wrong] = [true, 0, 0, 0, 0];
  const load = (async () => {
    while (running) {
      last = (await scene.say(seller, conversationId)).seq;
      await sleep(10);
    }
  })();
  for (let round = 1; round <= ROUNDS; round++) {
    await Promise.all(clients.map(async (client) => {
      await sleep(Math.random() * 200);
      await client.cut();
      // Every tenth round is as long as it takes to miss more than is told again.
      await sleep(round % 10 === 0 && !short ? Math.random() * 60_000 : Math.random() * 3000);
      const had = client.count('chat:new_message');
      if (await client.comeBack()) recovered += 1;
      else [client.from, anew] = [had, anew + 1];
    }));
    console.log(`round ${round} of ${ROUNDS}: ${recovered} recovered, ${anew} started anew so far`);
  }
  running = false;
  await load;
  for (const client of clients) {
    await until(() => client.count('chat:new_message', (m) => m.seq === last), `${client.name} has the last message`).catch((e) => console.log(e.message));
    for (const fault of faults(client, last)) {
      wrong += 1;
      console.log(`${client.name} ${fault}`);
    }
    client.close();
  }
  seller.close();
  await server.dispose();
  console.log(`${ROUNDS} rounds of ${CLIENTS} clients, ${last} messages: ${recovered} recovered, ${anew} were told that they start anew, ${wrong} wrong`);
  process.exit(wrong ? 1 : 0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
