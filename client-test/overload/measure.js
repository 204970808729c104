'use strict';

// Measures the machine and the processes, and formats the results.

const fs = require('node:fs');
const { monitorEventLoopDelay } = require('node:perf_hooks');

const TICKS_PER_SECOND = 100;

/** Seconds of CPU that a process has used so far. */
function cpuOf(pid) {
  const [, fields] = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').match(/^.*\) (.*)$/s);
  const [utime, stime] = fields.split(' ').slice(11, 13).map(Number);
  return (utime + stime) / TICKS_PER_SECOND;
}

/** Resident megabytes of a process. */
const residentOf = (pid) => Number(fs.readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]) / 1024;

/** Seconds that all cores together were busy so far, whoever it was for. */
function busy() {
  const [user, nice, system, , , irq, softirq] = fs.readFileSync('/proc/stat', 'utf8').split('\n')[0].split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq) / TICKS_PER_SECOND;
}

/**
 * CPU of each of these (a process, or several) in percent of one core since the meter was made, and of all that runs
 * besides: what the machine does for others is no fault of the server's.
 */
class Meter {
  constructor(pids) {
    this.pids = Object.entries(pids).map(([name, pid]) => [name, [pid].flat()]);
    this.begun = process.hrtime.bigint();
    this.before = this.look();
  }

  look() {
    const each = new Map(this.pids.flatMap(([, pids]) => pids.map((pid) => [pid, used(pid)])));
    return { each, busy: busy() };
  }

  read() {
    const wall = Number(process.hrtime.bigint() - this.begun) / 1e9;
    const now = this.look();
    const share = (pids) => pids.reduce((sum, pid) => sum + Math.max(0, now.each.get(pid) - this.before.each.get(pid)), 0) * (100 / wall);
    const shares = Object.fromEntries(this.pids.map(([name, pids]) => [name, share(pids)]));
    const known = Object.values(shares).reduce((a, b) => a + b, 0);
    return { ...shares, others: Math.max(0, ((now.busy - this.before.busy) * 100) / wall - known) };
  }
}

/** A process that has ended meanwhile counts for what it had used when it was last seen. */
function used(pid) {
  try {
    return cpuOf(pid);
  } catch {
    return 0;
  }
}

/** Past this share of a core for others, what was measured says more of them. */
const CROWDED = 30;

const crowded = (shares) =>
  shares.some((cpu) => cpu.others > CROWDED)
    ? [`Other work on this machine took up to ${percent(Math.max(...shares.map((cpu) => cpu.others)))} of a core meanwhile: run it again on a quiet one before you believe the times.`]
    : [];

const RESOLUTION_MS = 5;

/** How late this process comes to what it has to do: what it measures is wrong by about as much. */
class OwnDelay {
  constructor() {
    this.histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    this.histogram.enable();
  }

  read() {
    this.histogram.disable();
    const over = (p) => Math.max(0, this.histogram.percentile(p) / 1e6 - RESOLUTION_MS);
    return { median: over(50), p99: over(99) };
  }
}

function percentile(sorted, p) {
  return sorted.length === 0 ? NaN : sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * p) / 100))];
}

/** Median and p99 of milliseconds in any order. */
function summary(values) {
  const sorted = Float64Array.from(values).sort();
  return { count: sorted.length, median: percentile(sorted, 50), p99: percentile(sorted, 99), max: percentile(sorted, 100) };
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const ms = (value) => `${value.toFixed(value < 10 ? 2 : 0)} ms`;
const percent = (value) => `${value.toFixed(0)} %`;

/** Rows of cells as a table, the first row being its head. */
function table(rows) {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => String(row[i]).length)));
  const line = (row) => row.map((cell, i) => (i === 0 ? String(cell).padEnd(widths[i]) : String(cell).padStart(widths[i]))).join('  ');
  return [line(rows[0]), widths.map((w) => '-'.repeat(w)).join('  '), ...rows.slice(1).map(line)].join('\n');
}

module.exports = { Meter, crowded, OwnDelay, residentOf, summary, median, ms, percent, table };
