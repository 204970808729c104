'use strict';

// Checks what one client got of the messages.

const { groupBy } = require('./group');

/** chat:new_message comes in the order of the numbers, and once; nothing that chat:joined brought comes again. */
function checkLive(client, conversation, log, report) {
  const ids = new Set();
  let last = 0;
  let joined = { seq: 0 };
  for (const entry of log) {
    if (entry.source === 'joined') joined = entry;
    if (entry.source !== 'live') continue;
    const name = `${client.name} got number ${entry.seq} of ${conversation} (${entry.key})`;
    if (ids.has(entry.id)) report('doubled', `${name} twice by chat:new_message`);
    else if (entry.seq <= last) report('disorder', `${name} after number ${last}`);
    if (joined.connection === entry.connection && entry.seq <= joined.seq) {
      report('doubled', `${name} by chat:new_message after chat:joined had brought everything up to ${joined.seq}`);
    }
    ids.add(entry.id);
    last = Math.max(last, entry.seq);
  }
}

/** Whatever it was told is so in the database, and none has two numbers. */
function checkAgainstRows(client, conversation, log, index, report) {
  const numbers = new Map();
  for (const entry of log) {
    if (entry.source === 'joined') continue;
    const name = `${client.name} was told of ${entry.id} (${entry.key}) as number ${entry.seq} of ${conversation}`;
    if (numbers.has(entry.id) && numbers.get(entry.id) !== entry.seq) report('doubled', `${name}, and before as number ${numbers.get(entry.id)}`);
    numbers.set(entry.id, entry.seq);
    const row = index.byId.get(entry.id);
    if (!row) report('lost', `${name}, and it is not in the database`);
    else if (row.seq !== entry.seq || row.conversation !== conversation) report('other', `${name}, but it is number ${row.seq} of ${row.conversation}`);
    else if (row.text !== entry.text || row.sender !== entry.sender) report('other', `${name} with another text or sender than is stored`);
  }
}

/** After it caught up, it has every message of its conversations. */
function checkComplete(client, conversation, log, index, report) {
  const had = new Set(log.filter((entry) => entry.source !== 'joined').map((entry) => entry.id));
  for (const row of index.byConversation.get(conversation) ?? []) {
    if (had.has(row.id)) continue;
    const acknowledged = index.sends.get(`${conversation} ${row.sender} ${row.key}`)?.answers.length > 0;
    const name = `${client.name} never got number ${row.seq} of ${conversation} (${row.key})`;
    report(acknowledged ? 'lost' : 'gap', `${name}, which is stored${acknowledged ? ' and acknowledged' : ''}`);
  }
}

/**
 * What others sent while its last connection was up and complete came over that connection by itself. Unless the
 * client was just asking what it missed: what such an answer holds does not come again.
 */
function checkUntold(client, conversation, log, index, report) {
  const connection = client.connections.at(-1);
  const ready = connection?.closed === undefined ? connection?.ready.get(conversation) : undefined;
  if (ready === undefined) return;
  const live = new Set(log.filter((entry) => entry.source === 'live').map((entry) => entry.id));
  for (const row of index.byConversation.get(conversation) ?? []) {
    const send = index.sends.get(`${conversation} ${row.sender} ${row.key}`);
    if (!send || send.by === client.name || send.attempts[0].at < ready || live.has(row.id)) continue;
    const [sent, acknowledged] = [send.attempts[0].at, send.answers[0]?.at ?? Infinity];
    if (connection.questions.some((question) => question.from <= acknowledged && question.to >= sent)) continue;
    const since = (at) => (Number.isFinite(at) ? `after ${((at - sent) / 1000).toFixed(3)} s` : 'never');
    const caughtUp = log.find((entry) => entry.id === row.id)?.at ?? Infinity;
    report('untold', `${client.name} was connected when ${send.by} sent number ${row.seq} of ${conversation} (${row.key}), and was not told by itself: sent ${send.attempts.length} times, acknowledged ${since(acknowledged)}, fetched ${since(caughtUp)}`);
  }
}

function check(client, index, report) {
  const logs = groupBy(client.log, (entry) => entry.conversation);
  for (const conversation of logs.keys()) {
    if (!client.conversations.includes(conversation)) report('other', `${client.name} was told of ${conversation}, where it takes no part`);
  }
  for (const conversation of client.conversations) {
    const log = logs.get(conversation) ?? [];
    checkLive(client, conversation, log, report);
    checkAgainstRows(client, conversation, log, index, report);
    checkComplete(client, conversation, log, index, report);
    checkUntold(client, conversation, log, index, report);
  }
}

module.exports = { check };
