'use strict';

// For tests that are faster than any person may be: what they would meet is tested in limits.test.js.
const NO_LIMITS = Object.fromEntries(
  [
    'MAX_CONNECTIONS', 'MAX_CONNECTIONS_PER_IP', 'MAX_CONNECTIONS_PER_USER', 'MAX_HANDSHAKES_PER_SECOND', 'MAX_HANDSHAKES_PER_SECOND_PER_IP',
    'MAX_BAD_TOKENS_PER_MINUTE', 'MAX_REFUSALS_PER_SECOND_PER_IP', 'MAX_MESSAGES_PER_SECOND', 'MAX_TYPING_PER_SECOND', 'MAX_JOINS_PER_SECOND', 'MAX_SEARCHES_PER_SECOND',
    'MAX_UPLOADS_PER_MINUTE', 'MAX_ACTIONS_PER_SECOND', 'MAX_READS_PER_SECOND', 'MAX_REQUESTS_PER_USER',
  ].map((name) => [name, '0']),
);

module.exports = { NO_LIMITS };
