'use strict';

const { spawn } = require('node:child_process');
const { within } = require('./limits');

/** A database session that runs `sql` and stays open until it is released: for locks. */
function hold(url, sql) {
  const child = spawn('psql', ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', url], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ready = within(
    new Promise((resolve, reject) => {
      child.stdout.on('data', (text) => String(text).includes('held') && resolve());
      child.on('error', reject);
      child.on('exit', () => reject(new Error('psql ended before it held the lock')));
    }),
    'the lock',
  );
  child.stdin.write(`${sql};\nSELECT 'held';\n`);
  return { ready, release: () => child.kill() };
}

module.exports = { hold };
