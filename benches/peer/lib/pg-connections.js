'use strict';

const { Pool, types } = require('pg');

const CONNECTIONS = 10;

// Sequence numbers and counts fit a JavaScript number.
types.setTypeParser(types.builtins.INT8, Number);

/** Runs statements over a pool of pg's: `(statement, values)` to rows. */
function pgConnections(connectionString) {
  // Statements are planned once, as Souk's are.
  const pool = new Pool({ connectionString, max: CONNECTIONS, options: '-c plan_cache_mode=force_generic_plan' });
  return async (statement, values) => (await pool.query({ ...statement, values })).rows;
}

module.exports = { pgConnections };
