'use strict';

// Runs the checker of the fault suite on made-up histories with faults: a checker that does not find them would prove nothing.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { check } = require('../faults/checker');
const { History } = require('../faults/history');

const CONVERSATION = 'c';
const OTHER = 'd';

/**
 * A world in which all is well: Anna and Ben, three messages each, sent in turns, each acknowledged before the next
 * goes out. Anna got all of Ben's live; Ben missed the first two and fetched them.
 */
function good() {
  const rows = [];
  const sends = [];
  for (let seq = 1; seq <= 6; seq++) {
    const [by, user] = seq % 2 ? ['anna', 'user-a'] : ['ben', 'user-b'];
    const at = 10_000 * seq;
    const message = { conversation: CONVERSATION, sender: user, key: `${by}.${seq}`, text: `text ${seq}` };
    rows.push({ ...message, seq, id: `id-${seq}`, at: at + 2, committed: at + 3 });
    const answer = { at: at + 5, id: `id-${seq}`, seq, text: message.text };
    sends.push({ ...message, by, attempts: [{ at, connection: 0 }], answers: [answer] });
  }
  const client = (name, user, log) => {
    const connection = { closed: undefined, ready: new Map([[CONVERSATION, 500]]), questions: [{ from: 400, to: 500 }] };
    return { name, user, conversations: [CONVERSATION], connections: [connection], log };
  };
  const told = (source, seq) => {
    const row = rows[seq - 1];
    return { source, ...row, connection: 0, at: row.at + 1 };
  };
  const anna = client('anna', 'user-a', [1, 2, 3, 4, 5, 6].map((seq) => told(seq % 2 ? 'sent' : 'live', seq)));
  const ben = client('ben', 'user-b', [told('caught up', 1), told('sent', 2), told('caught up', 3), told('sent', 4), told('live', 5), told('sent', 6)]);
  ben.connections.unshift({ closed: 35_000, ready: new Map([[CONVERSATION, 500]]), questions: [] });
  ben.connections[1].ready.set(CONVERSATION, 36_000);
  const counters = new Map([[CONVERSATION, 6]]);
  return { rows, counters, sends, clients: [anna, ben], anna, ben, told, row: (seq) => rows.find((r) => r.seq === seq), send: (seq) => sends[seq - 1] };
}

/** What the checker says of a world in which `spoil` changed something: problems of exactly these kinds. */
function finds(spoil, ...expected) {
  const world = good();
  spoil(world);
  const problems = check(world);
  const kinds = [...new Set(problems.map((problem) => problem.kind))].sort();
  assert.deepEqual(kinds, expected.sort(), JSON.stringify(problems, null, 2));
  return problems;
}

const remove = (list, matches) => list.splice(list.findIndex(matches), 1);
const swap = (list, i, j) => ([list[i], list[j]] = [list[j], list[i]]);
/** Two rows change their numbers, and every client was told so. */
function renumber(world, one, other) {
  const numbers = { [one]: other, [other]: one };
  const everything = [...world.rows, ...world.sends.flatMap((s) => s.answers), ...world.clients.flatMap((c) => c.log)];
  for (const message of everything) message.seq = numbers[message.seq] ?? message.seq;
  const [first, second] = [world.row(one), world.row(other)];
  [first.committed, second.committed] = [second.committed, first.committed];
}

test('a history without faults passes', () => finds(() => {}));

test('lost: acknowledged but not in the database', () => {
  const problems = finds((world) => {
    remove(world.rows, (row) => row.seq === 6);
    world.counters.set(CONVERSATION, 5);
  }, 'lost');
  assert.ok(problems.some((p) => /ben was told that ben\.6 is number 6/.test(p.text)), JSON.stringify(problems));
  assert.ok(problems.some((p) => /anna was told of id-6/.test(p.text)), JSON.stringify(problems));
});

test('lost: acknowledged and stored, but a client never got it', () => {
  const [problem] = finds(({ ben }) => remove(ben.log, (entry) => entry.seq === 3), 'lost');
  assert.match(problem.text, /ben never got number 3 of c \(anna\.3\)/);
});

test('lost: only the last message, which leaves no gap', () => {
  finds(({ ben, send }) => {
    remove(ben.log, (entry) => entry.seq === 5);
    ben.connections[1].ready.set(CONVERSATION, send(5).attempts[0].at + 1);
  }, 'lost');
});

test('doubled: one clientMessageId is stored twice', () => {
  finds((world) => {
    world.rows.push({ ...world.row(6), seq: 7, id: 'id-7', committed: world.row(6).committed + 1 });
    world.counters.set(CONVERSATION, 7);
    for (const client of world.clients) client.log.push({ ...world.told('caught up', 6), seq: 7, id: 'id-7' });
    world.anna.connections[0].questions.push({ from: 60_000, to: 60_100 });
  }, 'doubled');
});

test('doubled: one number is given twice', () => {
  finds((world) => {
    world.rows.push({ ...world.row(6), key: 'ben.7', id: 'id-7' });
    world.sends.push({ ...world.send(6), key: 'ben.7', attempts: [{ at: 60_000, connection: 0 }], answers: [{ ...world.send(6).answers[0], id: 'id-7' }] });
    for (const client of world.clients) client.log.push({ ...world.told('caught up', 6), key: 'ben.7', id: 'id-7' });
    world.anna.connections[0].questions.push({ from: 60_000, to: 60_100 });
  }, 'doubled');
});

test('doubled: chat:new_message twice, at once or over another connection', () => {
  finds(({ anna, told }) => anna.log.splice(2, 0, told('live', 2)), 'doubled');
  finds(({ anna, told }) => anna.log.push({ ...told('live', 2), connection: 1 }), 'doubled');
});

test('doubled: chat:new_message for a message that chat:joined already had, over the same connection', () => {
  const joined = (connection) => ({ source: 'joined', conversation: CONVERSATION, seq: 2, connection, at: 1 });
  finds(({ anna }) => anna.log.unshift(joined(0)), 'doubled');
  finds(({ anna }) => anna.log.unshift(joined(7)));
});

test('a client may fetch messages that it already has', () => {
  finds(({ anna, told }) => anna.log.push(told('caught up', 2), told('caught up', 3)));
});

test('disorder: chat:new_message out of order', () => {
  const [problem] = finds(({ anna }) => swap(anna.log, 1, 3), 'disorder');
  assert.match(problem.text, /anna got number 2 of c \(ben\.2\) after number 4/);
});

test('disorder: the numbers do not follow the order of the commits', () => {
  finds(({ row }) => {
    row(3).committed = row(4).committed + 1;
  }, 'disorder');
});

test('disorder: a message that was acknowledged before another was sent has the larger number, from any sender', () => {
  const [problem] = finds((world) => {
    renumber(world, 4, 5);
    // That the live one comes late is not the news here.
    world.ben.log.find((entry) => entry.seq === 4).source = 'caught up';
    world.ben.connections[1].questions.push({ from: 50_000, to: 50_100 });
  }, 'disorder');
  assert.match(problem.text, /ben\.4 was acknowledged before anna\.5 was first sent/);
});

/** Anna sent 3 and 5 without waiting, and they are stored the other way round. */
function overtaken(world) {
  world.send(5).attempts[0].at = world.send(3).attempts[0].at + 1;
  world.send(4).attempts[0].at = world.send(3).attempts[0].at;
  world.row(4).at = world.row(5).at = world.row(3).at;
  renumber(world, 3, 5);
  world.send(4).answers[0].at = world.send(5).answers[0].at = world.send(3).answers[0].at += 1000;
  world.ben.connections[1].ready.set(CONVERSATION, 500);
  for (const entry of world.ben.log) if (entry.source === 'live') entry.source = 'caught up';
  world.ben.connections[1].questions.push({ from: 0, to: 100_000 });
}

test('disorder: the first of two messages of one connection, sent once, has the larger number', () => {
  const [problem] = finds(overtaken, 'disorder');
  assert.match(problem.text, /anna sent anna\.3 once and then anna\.5/);
});

test('a message that was sent again may have a larger number than later ones', () => {
  finds((world) => {
    overtaken(world);
    world.send(3).attempts.push({ at: world.send(3).attempts[0].at + 2, connection: 0 });
  });
  finds((world) => {
    overtaken(world);
    world.send(5).attempts[0].connection = 1;
  });
});

test('gap: a number is missing in the database', () => {
  const [problem] = finds((world) => {
    for (const message of [...world.rows, ...world.sends.flatMap((s) => s.answers), ...world.clients.flatMap((c) => c.log)]) if (message.seq === 6) message.seq = 7;
    world.counters.set(CONVERSATION, 7);
  }, 'gap');
  assert.match(problem.text, /after 5 comes 7/);
});

test("gap: the conversation's row has another count", () => {
  finds(({ counters }) => counters.set(CONVERSATION, 7), 'gap');
  finds(({ counters }) => counters.set(OTHER, 1), 'gap');
});

test('gap: a client lacks a message that is stored, even if its sender does not know that', () => {
  const [problem] = finds(({ ben, send }) => {
    remove(ben.log, (entry) => entry.seq === 3);
    send(3).answers = [];
  }, 'gap');
  assert.match(problem.text, /ben never got number 3/);
});

test('untold: a client that was connected had to fetch the message', () => {
  const fetched = ({ ben }) => (ben.log.find((entry) => entry.seq === 5).source = 'caught up');
  const [problem] = finds(fetched, 'untold');
  assert.match(problem.text, /ben was connected when anna sent number 5/);
  // It was fetching just then, was not there yet, or was gone since.
  finds((world) => fetched(world) && world.ben.connections[1].questions.push({ from: 49_000, to: 50_001 }));
  finds((world) => fetched(world) && world.ben.connections[1].ready.set(CONVERSATION, 50_001));
  finds((world) => {
    fetched(world);
    world.ben.connections[1].closed = 70_000;
  });
});

test('other: the stored text, sender or time is not what was sent', () => {
  finds(({ row }) => (row(1).text = 'another text'), 'other');
  finds(({ row }) => (row(1).at -= 86_400_000), 'other');
  finds(({ row }) => (row(1).at += 86_400_000), 'other');
  finds(({ sends }) => remove(sends, (send) => send.key === 'ben.6'), 'other');
});

test('other: a client got something else than is stored', () => {
  finds(({ anna }) => (anna.log[1].text = 'another text'), 'other');
  finds(({ anna }) => (anna.log[1].sender = 'user-a'), 'other');
  finds(({ send }) => (send(1).answers[0].id = 'id-2'), 'other');
  finds(({ send }) => send(1).answers.push({ ...send(1).answers[0], seq: 2 }), 'other');
  finds(({ anna, told }) => anna.log.push({ ...told('live', 2), conversation: OTHER }), 'other');
});

test('a history knows up to which number it is complete', () => {
  const history = new History([CONVERSATION]);
  const add = (seq) => history.add('live', { conversation_id: CONVERSATION, seq, id: `id-${seq}` }, 0);
  add(1);
  add(3);
  add(4);
  assert.deepEqual([history.upTo(CONVERSATION), history.hasHole(CONVERSATION)], [1, true]);
  add(1);
  add(2);
  assert.deepEqual([history.upTo(CONVERSATION), history.hasHole(CONVERSATION)], [4, false]);
});
