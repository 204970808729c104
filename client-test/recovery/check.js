'use strict';

// Holds what a client was told against what was said. A life is the time from a fresh start to the next one: `floors` has each
// conversation's last number when it began, `seen` the numbers that came since, in their order.

/** What is wrong with a life that goes on, or went on, up to the numbers in `until`; an ended one has none. */
function faultsOfLife({ floors, seen }, until) {
  const faults = [];
  for (const [conversation, numbers] of seen) {
    const say = (what) => faults.push(`conversation ${conversation}: ${what}`);
    numbers.forEach((number, i) => {
      // What was being stored when it began may come or not: that one was said to the life before.
      if (i === 0 && number > floors.get(conversation) + 1) say(`begins with ${number}, after ${floors.get(conversation)}`);
      if (i > 0 && number !== numbers[i - 1] + 1) say(`${number} follows ${numbers[i - 1]}`);
    });
    const known = numbers.at(-1) ?? floors.get(conversation);
    if (until && known < until.get(conversation)) say(`ends with ${known}, the last is ${until.get(conversation)}`);
  }
  return faults;
}

/** The faults of all lives of one client: nothing is told again in a later one either. */
function faultsOf(lives, until) {
  const faults = lives.flatMap((life, i) => faultsOfLife(life, i === lives.length - 1 ? until : undefined));
  const last = new Map();
  for (const { seen } of lives) {
    for (const [conversation, numbers] of seen) {
      if (numbers[0] <= last.get(conversation)) faults.push(`conversation ${conversation}: ${numbers[0]} is told again after ${last.get(conversation)}`);
      if (numbers.length > 0) last.set(conversation, numbers.at(-1));
    }
  }
  return faults;
}

module.exports = { faultsOf };
