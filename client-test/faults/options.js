'use strict';

const { parseArgs } = require('node:util');

const USAGE = `scripts/faults: causes faults under a running server, and compares every client's history with the database.

  --seed N          seed of the random choices; printed at the start, so that a run can be repeated
  --rounds N        rounds of each fault (3; with --short 1)
  --fault a,b       only these faults
  --rate N          messages per second offered, all clients together (500; with --short 100)
  --users N         users, half of them customers and half sellers (40; with --short 16)
  --catch-up how    socket (chat:sync and chat:join with lastSeq) or rest (GET …/messages?after=)
  --short           one quick round of each of the main faults
  --list            prints the names of the faults
  --help`;

class UsageError extends Error {}

/** A whole number of at least `least`. */
function whole(name, text, least) {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < least) throw new UsageError(`--${name} must be a whole number of at least ${least}`);
  return value;
}

function parse(args, faults) {
  let given;
  try {
    const text = { type: 'string' };
    const flag = { type: 'boolean', default: false };
    const options = { seed: text, rounds: text, fault: text, rate: text, users: text, 'catch-up': text, short: flag, list: flag, help: flag };
    given = parseArgs({ args, options }).values;
  } catch (error) {
    throw new UsageError(error.message);
  }
  const { short } = given;
  const catchUp = given['catch-up'] ?? 'socket';
  if (!['socket', 'rest'].includes(catchUp)) throw new UsageError('--catch-up is socket or rest');
  const names = given.fault?.split(',');
  const unknown = names?.find((name) => !faults.some((fault) => fault.name === name));
  if (unknown !== undefined) throw new UsageError(`there is no fault ${unknown}; there are ${faults.map((f) => f.name).join(', ')}`);
  return {
    seed: whole('seed', given.seed ?? Math.floor(Math.random() * 1e9), 0),
    rounds: whole('rounds', given.rounds ?? (short ? 1 : 3), 1),
    rate: whole('rate', given.rate ?? (short ? 100 : 500), 1),
    users: whole('users', given.users ?? (short ? 16 : 40), 4),
    faults: faults.filter((fault) => (names ? names.includes(fault.name) : !short || fault.short)),
    catchUp,
    short,
    list: given.list,
    help: given.help,
  };
}

module.exports = { parse, USAGE, UsageError };
