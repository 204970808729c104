'use strict';

const CONNECTIONS = 10;
const BIGINTS = [
  'seq', 'last_seq', 'last_read_seq', 'last_delivered_seq', 'read_seq', 'marked', 'unread_count', 'n', 'version',
];

/** Runs statements over Bun's own client: `(statement, values)` to rows. */
function bunConnections(url) {
  const sql = new Bun.SQL({
    url,
    max: CONNECTIONS,
    // Statements are planned once, as Souk's are.
    connection: { plan_cache_mode: 'force_generic_plan' },
  });
  return async (statement, values) => numbers(await sql.unsafe(statement.text, values.map(parameter)));
}

/** Sequence numbers and counts fit a JavaScript number; the client gives a bigint as text. */
function numbers(rows) {
  if (rows.length === 0) return rows;
  const columns = BIGINTS.filter((name) => typeof rows[0][name] === 'string');
  for (const row of rows) for (const name of columns) row[name] = Number(row[name]);
  return rows;
}

function parameter(value) {
  return Array.isArray(value) ? literal(value) : (value ?? null);
}

/** An array in Postgres's own words. */
function literal(values) {
  return `{${values.map(element)}}`;
}

function element(value) {
  if (value === null || value === undefined) return 'NULL';
  return typeof value === 'string' ? `"${value.replace(/["\\]/g, '\\$&')}"` : String(value);
}

module.exports = { bunConnections };
