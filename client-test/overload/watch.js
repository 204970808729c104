'use strict';

// Watches the server during a scenario: its peak memory, its peak number of backends, and when it is idle again.

const fs = require('node:fs');
const { Psql } = require('../lib/psql');
const { Meter, residentOf } = require('./measure');

const EVERY_MS = 250;
const BACKENDS = `SELECT count(*), count(*) FILTER (WHERE state <> 'idle') FROM pg_stat_activity
  WHERE datname = current_database() AND application_name LIKE 'souk%'`;

// A server at rest: percent of one core, and megabytes that may have stayed beyond a fifth of what there was.
const IDLE_CPU = 10;
const IDLE_MB = 16;

/** The most megabytes that a process has held so far. */
const peakOf = (pid) => Number(fs.readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmHWM:\s+(\d+)/)[1]) / 1024;

class Watch {
  constructor(world) {
    this.pid = world.pid;
    this.psql = new Psql(world.server.database.url);
    this.backends = 0;
    this.before = residentOf(this.pid);
    this.watching = this.watch();
  }

  async watch() {
    while (!this.over) {
      await this.look();
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    }
  }

  /** How many of the server's backends are at work. */
  async look() {
    const [line] = await this.psql.lines(BACKENDS);
    const [all, working] = line.split('|').map(Number);
    this.backends = Math.max(this.backends, all);
    this.working = working;
  }

  /** The memory from which it is judged later whether the server has come to rest. */
  markIdle() {
    this.before = residentOf(this.pid);
  }

  get peak() {
    return peakOf(this.pid);
  }

  /** Waits until the server rests: after how many seconds it did, or what was wrong in the last of `most`. */
  async rests(most) {
    const memory = this.before * 1.2 + IDLE_MB;
    for (let second = 1; ; second++) {
      const meter = new Meter({ server: this.pid });
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const cpu = meter.read().server;
      const resident = residentOf(this.pid);
      const wrong = [
        cpu > IDLE_CPU && `uses ${cpu.toFixed(0)} % of a core`,
        this.working > 0 && `has ${this.working} backends at work`,
        resident > memory && `holds ${resident.toFixed(0)} MB (${this.before.toFixed(0)} MB before)`,
      ].filter(Boolean);
      if (wrong.length === 0) return { seconds: second };
      if (second >= most) return { seconds: Infinity, wrong: wrong.join(', ') };
    }
  }

  async stop() {
    this.over = true;
    await this.watching;
    this.psql.close();
  }
}

module.exports = { Watch };
