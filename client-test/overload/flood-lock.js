'use strict';

// A psql session locks the rows of one conversation while its members go on writing.

const { call, count, enter, hold, paced } = require('./flood-tools');

const SENDS_PER_SECOND = 5;

module.exports = {
  lock: async (job) => {
    const wire = await enter(job);
    const { conversationId } = job;
    await hold(job, conversationId);
    const send = async (i) => {
      const answer = await Promise.race([wire.ask('chat:send_message', { conversationId, message: `waits ${i}` }), wire.ended]);
      count(answer?.success ? 'stored' : `not stored: ${answer?.code}`);
    };
    const sending = paced(SENDS_PER_SECOND, send, 10_000);
    const reading = paced(1, () => call(job, 'POST', `/api/chat/conversations/${conversationId}/read`));
    await Promise.all([sending, reading]);
  },
};
