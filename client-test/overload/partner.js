'use strict';

// The other one in the flooder's conversation: reads what comes, and says so when it is cut: { url, token, address }.

const { Wire } = require('./wire');

process.on('message', async (job) => {
  const wire = new Wire(job.url, { ...job, onEvent: () => {} });
  await wire.ready;
  wire.ended.then(() => process.send({ kind: 'cut' }));
  process.send({ kind: 'ready' });
});
