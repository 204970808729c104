'use strict';

const { spawn } = require('node:child_process');
const { within } = require('./limits');

/** One psql that stays open, for tests that look at the database hundreds of times. */
class Psql {
  constructor(url) {
    this.child = spawn('psql', ['-X', '-q', '-A', '-t', url], { stdio: ['pipe', 'pipe', 'inherit'] });
    // What is left of it ends with the test's process.
    this.child.unref();
    this.text = '';
    this.child.stdout.setEncoding('utf8').on('data', (text) => {
      this.text += text;
      this.wake?.();
    });
  }

  /** The lines of one statement's answer. One at a time. */
  async lines(sql) {
    const end = 'that was all\n';
    this.text = '';
    const answered = new Promise((resolve) => {
      this.wake = () => this.text.endsWith(end) && resolve();
    });
    this.child.stdin.write(`${sql};\n\\echo ${end}`);
    await within(answered, `psql: ${sql.slice(0, 200)}`);
    return this.text.slice(0, -end.length).split('\n').filter(Boolean);
  }

  close() {
    this.child.stdin.end();
  }
}

module.exports = { Psql };
