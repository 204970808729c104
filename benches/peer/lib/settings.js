'use strict';

const { parseArgs } = require('node:util');

/** Settings of both servers: Souk's own variables, and options. */
function settings() {
  const { values } = parseArgs({
    options: {
      // Group commit: what waits is stored by one statement.
      batch: { type: 'boolean', default: false },
    },
  });
  const { DATABASE_URL, JWT_SECRET, HOST = '127.0.0.1', PORT = '5000' } = process.env;
  if (!DATABASE_URL || !JWT_SECRET) {
    console.error('DATABASE_URL and JWT_SECRET are needed');
    process.exit(2);
  }
  return { databaseUrl: DATABASE_URL, secret: JWT_SECRET, host: HOST, port: Number(PORT), batch: values.batch };
}

module.exports = { settings };
