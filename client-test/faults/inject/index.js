'use strict';

// The faults, each `{ name, short, about, unavailable?(), prepare?(stage), inject(stage), restore?(stage) }`.
// `inject` breaks something while people write, and resolves once it is whole again. `unavailable` says why it cannot
// be done here; `prepare` and `restore` run before anyone comes and after everyone went.

module.exports = [
  ...require('./server'),
  ...require('./postgres').faults,
  ...require('./network'),
  ...require('./clients'),
  ...require('./locks'),
  ...require('./presence'),
  ...require('./disk'),
];
