'use strict';

// The faults, each `{ name, short, about, unavailable?(), prepare?(stage), inject(stage), restore?(stage) }`.
// `inject` breaks something while users write, and resolves when it works again. `unavailable` says why the fault cannot
// be caused here; `prepare` and `restore` run before the users connect and after they have disconnected.

module.exports = [
  ...require('./server'),
  ...require('./postgres').faults,
  ...require('./network'),
  ...require('./clients'),
  ...require('./locks'),
  ...require('./presence'),
  ...require('./disk'),
];
