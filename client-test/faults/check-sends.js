'use strict';

// Checks what senders were told about their messages.

const { groupBy } = require('./group');

/** Every answer names the message that is stored, the same one each time. */
function checkAnswers(send, row, report) {
  for (const answer of send.answers) {
    const told = `${send.by} was told that ${send.key} is number ${answer.seq} of ${send.conversation} (${answer.id})`;
    if (!row) report('lost', `${told}, and it is not in the database`);
    else if (row.id !== answer.id || row.seq !== answer.seq) report('other', `${told}, but it is number ${row.seq} (${row.id})`);
    else if (answer.text !== send.text) report('other', `${told}, with another text than it sent`);
  }
}

/** What anyone had the acknowledgement of before a message was first sent comes before it. */
function checkAgainstAcknowledged(stored, report) {
  const acknowledged = stored.filter(({ send }) => send.answers.length > 0).sort((a, b) => a.send.answers[0].at - b.send.answers[0].at);
  const sent = [...stored].sort((a, b) => a.send.attempts[0].at - b.send.attempts[0].at);
  let highest;
  let i = 0;
  for (const one of sent) {
    for (; i < acknowledged.length && acknowledged[i].send.answers[0].at < one.send.attempts[0].at; i++) {
      if (!highest || acknowledged[i].row.seq > highest.row.seq) highest = acknowledged[i];
    }
    if (highest && highest.row.seq > one.row.seq) {
      report('disorder', `${highest.send.key} was acknowledged before ${one.send.key} was first sent, but has number ${highest.row.seq} and not one below ${one.row.seq} (${one.send.conversation})`);
    }
  }
}

/** On one connection, what went out once comes before what went out later for the first time. */
function checkWithinConnections(stored, report) {
  const connections = groupBy(stored, ({ send }) => `${send.by} ${send.attempts[0].connection}`);
  for (const together of connections.values()) {
    together.sort((a, b) => a.send.attempts[0].at - b.send.attempts[0].at);
    let highest;
    for (const one of together) {
      if (highest && highest.row.seq > one.row.seq) {
        report('disorder', `${one.send.by} sent ${highest.send.key} once and then ${one.send.key}, but they are numbers ${highest.row.seq} and ${one.row.seq} of ${one.send.conversation}`);
      }
      const wasSentOnce = one.send.attempts.length === 1 && one.send.answers.length > 0;
      if (wasSentOnce && (!highest || one.row.seq > highest.row.seq)) highest = one;
    }
  }
}

function check({ sends }, index, report) {
  const stored = [];
  for (const send of sends) {
    const row = index.byKey.get(`${send.conversation} ${send.sender} ${send.key}`);
    checkAnswers(send, row, report);
    if (row) stored.push({ send, row });
  }
  for (const together of groupBy(stored, ({ row }) => row.conversation).values()) {
    checkAgainstAcknowledged(together, report);
    checkWithinConnections(together, report);
  }
}

module.exports = { check };
