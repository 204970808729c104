'use strict';

const { KINDS } = require('./cast');

const FAULTS = ['lost', 'doubled', 'out of order', 'change lost', 'not told'];

/** Numbers of clients by kind, as a table. */
class Report {
  constructor(clients) {
    this.clients = clients;
    this.faults = new Map(clients.map((client) => [client, []]));
    this.reset();
  }

  /** From here on counts start at nothing. */
  reset() {
    this.start = new Map(this.clients.map((client) => [client, this.countsOf(client)]));
  }

  countsOf(client) {
    const faults = this.faults.get(client);
    return {
      'cuts': client.cuts,
      'in an upgrade': client.cutsInUpgrade,
      'recovered': client.recoveries,
      'anew': client.lives.length - 1,
      'messages': client.messages,
      'changes': client.changesChecked,
      ...Object.fromEntries(FAULTS.map((kind) => [kind, faults.filter((fault) => fault.kind === kind).length])),
    };
  }

  /** Checks one client, and prints what was not printed before. */
  async check(client) {
    const printed = new Set(this.faults.get(client).map((fault) => fault.what));
    const faults = await client.faults();
    for (const { kind, what } of faults) if (!printed.has(what)) console.log(`  ${new Date().toISOString()} ${client.name}: ${kind}: ${what}`);
    this.faults.set(client, faults);
  }

  get faultCount() {
    return [...this.faults.values()].flat().length;
  }

  /** A row for each kind, and the sum. */
  print(title) {
    const rows = KINDS.map((kind) => [kind, this.sum(this.clients.filter((client) => client.kind === kind))]);
    rows.push(['all', this.sum(this.clients)]);
    const columns = Object.keys(rows[0][1]);
    console.log(`\n${title}\n\n| | ${columns.join(' | ')} |\n|---|${columns.map(() => '--:|').join('')}`);
    for (const [kind, counts] of rows) console.log(`| ${kind} | ${columns.map((column) => counts[column]).join(' | ')} |`);
    console.log();
  }

  sum(clients) {
    const total = { clients: clients.length };
    for (const client of clients) {
      const start = this.start.get(client);
      for (const [name, n] of Object.entries(this.countsOf(client))) total[name] = (total[name] ?? 0) + n - start[name];
    }
    return total;
  }
}

module.exports = { Report };
