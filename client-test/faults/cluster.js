'use strict';

// The Postgres cluster that scripts/faults started, and the ways to disturb it.

const { execFile } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { until } = require('../lib/limits');

/** Runs a program to its end: what it printed. */
function execute(command, args, { timeout = 120_000 } = {}) {
  return new Promise((resolve, reject) => {
    // The cluster's user cannot look into the directory that we are in.
    execFile(command, args, { cwd: '/', timeout, maxBuffer: 1 << 30 }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${path.basename(command)}: ${stderr.trim() || error.message}`));
      else resolve(stdout.trim());
    });
  });
}

/** Every process by its parent, from /proc: nothing else is there on every machine. */
function childrenOf(parent) {
  const children = [];
  for (const entry of fs.readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = fs.readFileSync(`/proc/${entry}/stat`, 'utf8');
      // The name in brackets may hold anything; the parent is the second field after it.
      if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === parent) children.push(Number(entry));
    } catch {
      // It ended meanwhile.
    }
  }
  return children;
}

function signal(pid, name) {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

class Cluster {
  constructor({ bin, directory }) {
    this.bin = bin;
    this.directory = directory;
    this.data = path.join(directory, 'data');
    this.frozen = [];
    // Whoever stops the cluster after us must find it able to listen.
    process.on('exit', () => this.thaw());
  }

  /** Runs a program as the user that the cluster runs as. */
  run(command, args, options) {
    if (process.getuid() !== 0) return execute(command, args, options);
    return execute('runuser', ['-u', 'postgres', '--', command, ...args], options);
  }

  /** With -l, because a server that inherits our pipe would keep it open. */
  control(...args) {
    return this.run(path.join(this.bin, 'pg_ctl'), ['-D', this.data, '-l', path.join(this.directory, 'server.log'), '-w', ...args]);
  }

  get pid() {
    return Number(fs.readFileSync(path.join(this.data, 'postmaster.pid'), 'utf8').split('\n')[0]);
  }

  get log() {
    return fs.readFileSync(path.join(this.directory, 'server.log'), 'utf8');
  }

  get running() {
    try {
      return fs.existsSync(`/proc/${this.pid}`);
    } catch {
      return false;
    }
  }

  /** `fast` ends the sessions and writes everything down; `immediate` is a crash, and the start recovers. */
  async stop(mode) {
    if (this.running) await this.control('-m', mode, 'stop');
  }

  /** As it was started the first time: `restart` remembers how, and starts what does not run. */
  async start() {
    await this.control('restart');
  }

  /** All of its processes stand still. */
  async freeze() {
    const postmaster = this.pid;
    signal(postmaster, 'SIGSTOP');
    this.frozen = [postmaster];
    // Children first seen in a second look were being forked during the first.
    await until(() => {
      const fresh = childrenOf(postmaster).filter((pid) => !this.frozen.includes(pid));
      fresh.forEach((pid) => signal(pid, 'SIGSTOP'));
      this.frozen.push(...fresh);
      return fresh.length === 0;
    }, 'every process of Postgres is stopped');
  }

  thaw() {
    for (const pid of this.frozen) signal(pid, 'SIGCONT');
    this.frozen = [];
  }
}

/** One database of it. Never blocks this process, whose clients must go on while Postgres thinks. */
class Sql {
  constructor(url) {
    this.url = url;
  }

  run(text, options) {
    return execute('psql', ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', this.url, '-c', text], options);
  }

  /** The rows of a query, each an object. As JSON, so that texts may hold whatever they like. */
  async rows(query) {
    const text = await this.run(`SELECT row_to_json(q) FROM (${query}) q`);
    return text === '' ? [] : text.split('\n').map((line) => JSON.parse(line));
  }

  async value(query) {
    return (await this.rows(`SELECT (${query}) AS value`))[0].value;
  }
}

module.exports = { Cluster, Sql, execute };
