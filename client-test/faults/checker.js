'use strict';

// Compares what the clients got with what the database has. Pure: facts in, problems out.
//
// It checks:
// - An acknowledged message is stored as its sender wrote it, once, and every client of the conversation has it.
// - A conversation's numbers are 1, 2, 3 …, in the order of the commits. What was acknowledged to anyone before a
//   message was first sent has a smaller number than it: so if a client waits for each answer before it sends the next
//   message, they are stored in that order.
// - Of two messages of one connection to one conversation the first has the smaller number, if it was sent only once.
//   A message that was sent again gets its number from the attempt that arrived, so later messages may have smaller ones.
// - A client gets chat:new_message in the order of the numbers, and no message twice. Over a connection that did not break it
//   misses none.
// - Times are the server's.

const { groupBy } = require('./group');
const database = require('./check-database');
const sends = require('./check-sends');
const clients = require('./check-clients');

/**
 * `facts`:
 * - `rows`: the stored messages `{ conversation, seq, id, sender, key, text, at, committed }`, times in milliseconds;
 * - `counters`: a Map of conversation → its last number, as the conversation's own row says;
 * - `sends`: `{ key, conversation, sender, by, text, attempts: [{ at, connection }], answers: [{ at, id, seq, text }] }`,
 *   `by` being the name of the client;
 * - `clients`: `{ name, user, conversations, connections, log }`, as person.js and history.js
 *   write them down.
 *
 * Returns problems `{ kind, text }`; `kind` is lost, doubled, disorder, gap, untold or other.
 */
function check(facts) {
  const problems = new Map();
  // Once each: a client may be told the same wrong thing many times.
  const report = (kind, text) => problems.set(text, { kind, text });
  const index = {
    byId: new Map(facts.rows.map((row) => [row.id, row])),
    // Of two with one key the first: the second should not be there.
    byKey: new Map([...facts.rows].reverse().map((row) => [`${row.conversation} ${row.sender} ${row.key}`, row])),
    sends: new Map(facts.sends.map((send) => [`${send.conversation} ${send.sender} ${send.key}`, send])),
    byConversation: groupBy(facts.rows, (row) => row.conversation),
  };
  database.check(facts, index, report);
  sends.check(facts, index, report);
  for (const client of facts.clients) clients.check(client, index, report);
  return [...problems.values()];
}

module.exports = { check };
