'use strict';

// node overload/main.js [--only NAMES] [--rounds N] [--seconds S] [--short]: see scripts/overload.

const { parseArgs } = require('node:util');
const { floods } = require('./floods');
const { slowReaders } = require('./slow-readers');

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: 'slow,floods,lock,account,nobody' },
    rounds: { type: 'string', default: '2' },
    seconds: { type: 'string', default: '40' },
    short: { type: 'boolean', default: false },
  },
});
const settings = { rounds: Number(values.rounds), seconds: Number(values.seconds), short: values.short, only: values.only.split(',') };

(async () => {
  const missed = settings.only.includes('slow') ? await slowReaders(settings) : [];
  missed.push(...(await floods(settings)));
  console.log(missed.length === 0 ? '\nwithin all bounds' : `\nmissed:\n${missed.map((m) => `  ${m}`).join('\n')}`);
  process.exit(missed.length === 0 ? 0 : 1);
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
