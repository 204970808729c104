'use strict';

const { groupBy } = require('./group');

const KINDS = ['lost', 'doubled', 'disorder', 'gap', 'untold', 'other'];
const MOST_OF_A_KIND = 8;
const LOG_LINES = 30;

const sum = (list) => list.reduce((total, one) => total + one, 0);
const seconds = (ms) => (ms === undefined ? '-' : (ms / 1000).toFixed(1));

/** One line as soon as a round is over, and all there is to know if something was wrong. */
function showRound(number, rounds, result) {
  const { fault, acknowledged, repeated, recovery, problems, notes } = result;
  const verdict = problems.length === 0 ? 'ok' : `${problems.length} PROBLEMS`;
  const extra = notes.length > 0 ? ` (${notes.join('; ')})` : '';
  console.log(`${fault} ${number}/${rounds}: ${verdict}; ${acknowledged} acknowledged, ${repeated} sent more than once; well after ${seconds(recovery)} s${extra}`);
  if (problems.length === 0) return;
  for (const [kind, all] of groupBy(problems, (problem) => problem.kind)) {
    for (const { text } of all.slice(0, MOST_OF_A_KIND)) console.log(`  ${kind}: ${text}`);
    if (all.length > MOST_OF_A_KIND) console.log(`  ${kind}: and ${all.length - MOST_OF_A_KIND} more`);
  }
  const troubles = (result.log ?? '').split('\n').filter((line) => /WARN|ERROR|panic/.test(line));
  // A line that comes again and again, but for its numbers, is shown once.
  for (const all of [...groupBy(troubles, (line) => line.replace(/[0-9a-f-]*\d[0-9a-f-]*/g, '#')).values()].slice(-LOG_LINES)) {
    console.log(`  server: ${all[0]}${all.length > 1 ? ` (and ${all.length - 1} like it, the last ${all.at(-1).slice(0, 27)})` : ''}`);
  }
}

/** The table at the end: a line per fault. */
function showTable(results) {
  const header = ['fault', 'rounds', 'offered', 'acked', 'rate/s', ...KINDS, 'recovery s'];
  const lines = [...groupBy(results, (result) => result.fault)].map(([fault, all]) => [
    fault,
    all.length,
    sum(all.map((r) => r.offered)),
    sum(all.map((r) => r.acknowledged)),
    Math.round(sum(all.map((r) => r.rate ?? 0)) / all.length),
    ...KINDS.map((kind) => sum(all.map((r) => r.problems.filter((p) => p.kind === kind).length))),
    all.every((r) => r.recovery !== undefined) ? seconds(Math.max(...all.map((r) => r.recovery))) : 'never',
  ]);
  const table = [header, ...lines].map((line) => line.map(String));
  const widths = header.map((_, i) => Math.max(...table.map((line) => line[i].length)));
  console.log();
  for (const line of table) console.log(line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  '));
  console.log();
}

module.exports = { showRound, showTable };
