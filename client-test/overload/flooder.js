'use strict';

// A process that floods the server as one user from one address: { url, flood, token, address, conversationId … }. It reports
// its counts once a second, and stops when it is killed.

const { done } = require('./flood-tools');

const FLOODS = { ...require('./flood-volume'), ...require('./flood-account'), ...require('./flood-lock'), ...require('./flood-nobody') };

setInterval(() => process.send({ kind: 'done', done }), 1000);
process.on('message', (job) => FLOODS[job.flood](job).catch((error) => (console.error(error), process.exit(1))));
