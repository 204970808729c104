'use strict';

// scripts/faults runs this: rounds of faults, one after the other, then a table of the results.

const faults = require('./inject');
const { parse, USAGE, UsageError } = require('./options');
const { Random } = require('./random');
const { showRound, showTable } = require('./report');

async function play(options) {
  for (const name of ['TEST_DATABASE_URL', 'PG_BIN', 'PG_DIR']) {
    if (!process.env[name]) throw new UsageError(`${name} is not set: start this with scripts/faults`);
  }
  // Only now, because they look for the database when they are loaded.
  const { Round } = require('./round');
  const { World } = require('./world');
  const world = await new World(options).start();
  const results = [];
  try {
    for (const fault of options.faults) {
      const unavailable = await fault.unavailable?.();
      if (unavailable) {
        console.log(`${fault.name}: skipped, ${unavailable}`);
        continue;
      }
      for (let number = 1; number <= options.rounds; number++) {
        // Named, so that a fault alone does with the same seed what it did among others.
        const random = new Random(options.seed).fork(`${fault.name} ${number}`);
        const result = await new Round({ world, fault, options, random }).play();
        showRound(number, options.rounds, result);
        results.push(result);
      }
    }
  } finally {
    await world.dispose();
  }
  showTable(results);
  return results.every((result) => result.problems.length === 0);
}

async function main() {
  const options = parse(process.argv.slice(2), faults);
  if (options.help) return console.log(USAGE);
  if (options.list) return faults.forEach(({ name, about }) => console.log(`${name.padEnd(20)} ${about}`));
  console.log(`seed ${options.seed}: ${options.users} users, ${options.rate} messages/s, ${options.rounds} rounds of ${options.faults.map((f) => f.name).join(', ')}`);
  const fine = await play(options);
  console.log(fine ? 'nothing lost, doubled or out of order' : `something is wrong (--seed ${options.seed})`);
  process.exitCode = fine ? 0 : 1;
}

main().catch((error) => {
  console.error(error instanceof UsageError ? error.message : error);
  // Whatever still waits is of no use any more.
  process.exit(error instanceof UsageError ? 2 : 1);
});
