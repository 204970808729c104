'use strict';

// Compares what a client got with what was sent. A life is the time between two starts anew: `floors` has each conversation's last
// number when the life began, `seen` the numbers that came after that, in the order of arrival.

/** The numbers of one conversation in one life; `before` has those of its earlier lives. */
function faultsOfNumbers(floor, numbers, before, until) {
  const faults = [];
  const seen = new Set();
  let last = 0;
  for (const number of numbers) {
    if (seen.has(number)) faults.push({ kind: 'doubled', what: `${number} came twice` });
    else if (before.has(number)) faults.push({ kind: 'doubled', what: `${number} came in an earlier life too` });
    else if (number < last) faults.push({ kind: 'out of order', what: `${number} came after ${last}` });
    seen.add(number);
    last = Math.max(last, number);
  }
  // A message that was being stored when the life began may have come before it.
  const first = numbers.length > 0 ? Math.min(floor, numbers[0] - 1) : floor;
  for (let number = first + 1; number <= Math.max(last, until ?? 0); number++) {
    if (!seen.has(number)) faults.push({ kind: 'lost', what: `${number} never came` });
  }
  return faults;
}

/** The faults of all lives of one client. Only the last one must go up to the numbers in `until`: it is the one that goes on. */
function faultsOf(lives, until) {
  const faults = [];
  const before = new Map();
  lives.forEach(({ floors, seen }, i) => {
    for (const [conversation, numbers] of seen) {
      const earlier = before.get(conversation) ?? new Set();
      const end = i === lives.length - 1 ? until.get(conversation) : undefined;
      const found = faultsOfNumbers(floors.get(conversation), numbers, earlier, end);
      faults.push(...found.map(({ kind, what }) => ({ kind, what: `conversation ${conversation}: ${what}` })));
      numbers.forEach((number) => earlier.add(number));
      before.set(conversation, earlier);
    }
  });
  return faults;
}

module.exports = { faultsOf };
