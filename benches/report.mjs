// Turns the raw results of scripts/bench into a Markdown table (on stdout) and a plot.
//
//   node report.mjs RAW.jsonl OUT-DIR POSTGRES-VERSION NODE-VERSION BUN-VERSION ROUNDS
import { readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { NAMES, growthPlot } from './plot.mjs';

const [raw, out, postgres, node, bun, rounds] = process.argv.slice(2);
const runs = readFileSync(raw, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));

const measured = Object.keys(NAMES).filter((server) => runs.some((r) => r.server === server));
const peers = measured.filter((server) => server !== 'souk');

// What the table shows of each scenario: where the figure is in the result, and whether more is better.
const more = { better: 'more' };
const less = { better: 'less' };
const sockets = (key) => runs.find((r) => r.key === key)?.result.scenario.split('-')[1];
const figures = [
  ['a1', '50 pairs, 1 in flight: acknowledged messages/s', (r) => r.acked_per_s, more],
  ['a1', '… acknowledgement, p50 ms', (r) => r.ack_ms.p50, less],
  ['a1', '… acknowledgement, p99 ms', (r) => r.ack_ms.p99, less],
  ['a8', '200 pairs, 8 in flight: acknowledged messages/s', (r) => r.acked_per_s, more],
  ['a8', '… delivered messages/s', (r) => r.delivered_per_s, more],
  ['a8', '… acknowledgement, p99 ms', (r) => r.ack_ms.p99, less],
  ['b', 'one conversation, 500 sockets: deliveries/s', (r) => r.deliveries_per_s, more],
  ['b', '… until all 500 have it, p99 ms', (r) => r.to_all_ms.p99, less],
  ['c', '5,000 sockets connect: connections/s', (r) => r.connections_per_s, more],
  ['c', '… handshake, p99 ms', (r) => r.handshake_ms.p99, less],
  ...['d', 'd20'].map((key) => [key, `${sockets(key)} idle sockets: kB each`, (r) => r.bytes_per_socket / 1000, less]),
  ['after', '5,000 sockets received 100 kB each a minute ago: memory kept, %',
    (r) => 100 * (r.after_traffic.server_bytes / r.server_bytes - 1), less],
  ...['list', 'unread', 'messages'].flatMap((call) => [
    [`e-${call}-0`, `REST ${call}, 16 callers: calls/s`, (r) => r.calls_per_s, more],
    [`e-${call}-0`, '… p99 ms', (r) => r.call_ms.p99, less],
    [`e-${call}-50`, '… 16 callers who pause 50 ms: p50 ms', (r) => r.call_ms.p50, less],
    [`e-${call}-50`, '… p99 ms', (r) => r.call_ms.p99, less],
  ]),
  ['f', '10,000 messages become read: p50 ms', (r) => r.call_ms.p50, less],
  ['g', 'mixed day, 200 users: actions/s', (r) => r.actions_per_s, more],
  ['g', '… sending, p99 ms', (r) => r.send_ms.p99, less],
];

const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};
const short = (n) => (n >= 100 ? Math.round(n).toLocaleString('en') : n >= 10 ? n.toFixed(1) : n.toFixed(2));
/** Median and, where there is more than one, the spread. */
const spread = (values, unit = '') => {
  if (values.length === 0) return '–';
  const range = values.length > 1 ? ` (${short(Math.min(...values))}–${short(Math.max(...values))})` : '';
  return `${short(median(values))}${unit}${range}`;
};

const of = (server, key, level) =>
  runs.filter((r) => r.server === server && r.key === key && (level === undefined || r.level === level));

/** Of each round Souk's figure over the peer's of the same round, turned so that above 1 is better. */
function ratios(peer, key, figure, better) {
  return of('souk', key).flatMap((souk) => {
    const beside = of(peer, key).find((p) => p.round === souk.round);
    if (!beside) return [];
    const ratio = figure(souk.result) / figure(beside.result);
    return [better === 'more' ? ratio : 1 / ratio];
  });
}

/** Souk's ratio to the strongest peer: the one to which it is least. */
function toStrongest(key, figure, better) {
  const all = peers.map((peer) => [peer, ratios(peer, key, figure, better)]).filter(([, r]) => r.length > 0);
  if (all.length === 0) return '–';
  const [peer, least] = all.reduce((a, b) => (median(b[1]) < median(a[1]) ? b : a));
  return `${spread(least, '×')}${peers.length > 1 ? ` ${NAMES[peer]}` : ''}`;
}

/** A peer's figure, and Souk's ratio to it. */
function besides(peer, key, figure, better) {
  const own = values(peer, key, figure);
  return own.length > 0 ? `${spread(own)}; ${short(median(ratios(peer, key, figure, better)))}×` : '–';
}

function table(head, rows) {
  return [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

const values = (server, key, figure, level) => of(server, key, level).map((r) => figure(r.result));
const rows = figures
  .filter(([key]) => of('souk', key).length > 0)
  .map(([key, name, figure, { better }]) => [
    name,
    spread(values('souk', key, figure)),
    toStrongest(key, figure, better),
    ...peers.map((peer) => besides(peer, key, figure, better)),
  ]);

const bare = of('postgres', 'bare').map((r) => r.result.rows_per_s);
if (bare.length > 0) {
  const ofBare = of('souk', 'a8').map((r) => (100 * r.result.acked_per_s) / median(bare));
  const blank = ['', ...peers.map(() => '')];
  rows.push(['bare batched inserts of the same rows/s', spread(bare), ...blank]);
  if (ofBare.length > 0) rows.push(['… of which 200 pairs, 8 in flight reach, %', spread(ofBare), ...blank]);
}

const cpu = (server, key, who) => {
  const used = values(server, key, (r) => r.cpu?.[who]).filter((n) => n !== undefined && n !== null);
  return used.length > 0 ? median(used).toFixed(2) : '–';
};
const keys = [...new Set(runs.map((r) => r.key))].filter((key) => !key.startsWith('growth') && of('souk', key).some((r) => r.result.cpu));
const users = ['server', 'postgres', 'load'];
const shares = keys.map((key) => [key, ...measured.map((server) => users.map((who) => cpu(server, key, who)).join(' / '))]);

const faults = { postgres: {}, ...Object.fromEntries(measured.map((server) => [server, {}])) };
for (const { server, result } of runs) {
  const { refused, unanswered, broken, failed, lost: cut } = result;
  const found = { ...result.faults, refused, unanswered, 'connections broken': broken, 'handshakes failed': failed, 'idle sockets cut': cut };
  for (const [fault, n] of Object.entries(found)) {
    if (n !== undefined) faults[server][fault] = (faults[server][fault] ?? 0) + n;
  }
}
const words = (server) => Object.entries(faults[server]).map(([fault, n]) => `${n} ${fault.replaceAll('_', ' ')}`).join(', ');

const [core] = os.cpus();
console.log(`${os.cpus().length} cores (${core.model.trim()}), ${Math.round(os.totalmem() / 2 ** 30)} GB; ${postgres}; Node ${node}, Bun ${bun}; \
fsync and synchronous_commit on; ${rounds} rounds, the servers in turns; medians, with the least and the most in parentheses. \
A ratio is that of two runs of one round, turned so that above 1 is better for Souk; the strongest peer is the one to which it is least. \
A peer's column has its figure and Souk's ratio to it.\n`);
console.log(table(['', 'Souk', 'to the strongest peer', ...peers.map((peer) => NAMES[peer])], rows));
console.log(`\nFaults over all runs: ${measured.map((server) => `${NAMES[server]} ${words(server) || 'none'}`).join('; ')}.`);
console.log('\nProcessors used (1 is one of them all the time): the server, Postgres, the load generator.\n');
console.log(table(['', ...measured.map((server) => NAMES[server])], shares));

const grown = runs.filter((r) => r.key.startsWith('growth'));
if (grown.length > 0) {
  const levels = [...new Set(grown.map((r) => r.level))].sort((a, b) => a - b);
  const panels = [
    ['growth-a1', '50 pairs, 1 in flight: messages/s', (r) => r.acked_per_s],
    ['growth-a8', '200 pairs, 8 in flight: messages/s', (r) => r.acked_per_s],
    ['growth-e-list-50', 'conversation list: p50 ms', (r) => r.call_ms.p50],
    ['growth-e-unread-50', 'unread count: p50 ms', (r) => r.call_ms.p50],
    ['growth-e-messages-50', 'newest page: p50 ms', (r) => r.call_ms.p50],
  ].map(([key, title, figure]) => ({
    title,
    levels,
    lines: measured
      .map((server) => ({ server, points: levels.map((level) => values(server, key, figure, level)) }))
      .filter(({ points }) => points.flat().length > 0),
  })).filter(({ lines }) => lines.some(({ points }) => points.flat().length > 0));
  console.log('\nGrowth, by messages stored:\n');
  console.log(table(['', ...levels.map((l) => l.toLocaleString('en'))], panels.flatMap(({ title, lines }) =>
    lines.map(({ server, points }) => [`${title} (${NAMES[server]})`, ...points.map((p) => spread(p))]))));
  writeFileSync(join(out, 'growth.svg'), growthPlot(panels, median));
}
