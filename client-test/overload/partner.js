'use strict';

// The other member of the flooder's conversation: reads its events, and reports if it is disconnected: { url, token, address }.

const { Wire } = require('./wire');

process.on('message', async (job) => {
  const wire = new Wire(job.url, { ...job, onEvent: () => {} });
  await wire.ready;
  wire.ended.then(() => process.send({ kind: 'cut' }));
  process.send({ kind: 'ready' });
});
