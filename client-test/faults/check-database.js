'use strict';

// Checks the database by itself, and against what was sent.

/** The server's clock and ours are the same machine's, read in different ways. */
const SLACK = 2_000;

/** 1, 2, 3 …, to the number that the conversation's own row has; committed in that order. */
function checkNumbers(conversation, rows, counter, report) {
  const sorted = [...rows].sort((a, b) => a.seq - b.seq);
  let last = { seq: 0, committed: -Infinity };
  for (const row of sorted) {
    if (row.seq === last.seq) report('doubled', `conversation ${conversation}: ${last.id} and ${row.id} are both number ${row.seq}`);
    else if (row.seq !== last.seq + 1) report('gap', `conversation ${conversation}: after ${last.seq} comes ${row.seq} (${row.key})`);
    if (row.committed < last.committed) {
      report('disorder', `conversation ${conversation}: number ${row.seq} (${row.key}) was committed ${(last.committed - row.committed).toFixed(3)} ms before number ${last.seq} (${last.key})`);
    }
    last = row;
  }
  if (counter !== last.seq) report('gap', `conversation ${conversation}: its row says ${counter}, its last message is ${last.seq}`);
}

/** Each row is one message that somebody sent, as it was sent, at a time that is the server's. */
function checkRow(row, send, report) {
  const name = `number ${row.seq} of ${row.conversation} (${row.key})`;
  if (!send) {
    report('other', `${name} by ${row.sender} was never sent`);
    return;
  }
  if (send.text !== row.text) report('other', `${name} has another text than was sent`);
  const [first, last] = [send.attempts[0].at, send.answers[0]?.at ?? Infinity];
  if (row.at < first - SLACK || row.at > last + SLACK) {
    report('other', `${name} was written at ${new Date(row.at).toISOString()}, but sent at ${new Date(first).toISOString()}`);
  }
}

function check({ rows, counters }, index, report) {
  for (const [conversation, counter] of counters) checkNumbers(conversation, index.byConversation.get(conversation) ?? [], counter, report);
  const seen = new Map();
  for (const row of rows) {
    const key = `${row.conversation} ${row.sender} ${row.key}`;
    if (seen.has(key)) report('doubled', `${row.key} is stored twice in ${row.conversation}: as number ${seen.get(key)} and ${row.seq}`);
    seen.set(key, row.seq);
    checkRow(row, index.sends.get(key), report);
  }
}

module.exports = { check };
