'use strict';

// A change that is committed after its event has timed out is still told. Needs a lock of another session: run with
// TEST_DATABASE_URL.

const assert = require('node:assert/strict');
const { suite } = require('../lib/suite');
const { staged } = require('../lib/message-actions');
const { external } = require('../lib/postgres');
const { hold } = require('../lib/hold');

if (external) tests();
else require('node:test').test('tests that need TEST_DATABASE_URL', { skip: true }, () => {});

function tests() {
  const { test, server } = suite({ env: { REQUEST_TIMEOUT: '1' } });
  const onStage = staged(test);

  /** Acts while the message's row is locked, until the caller was told that it took too long; then lets it go on. */
  async function late(stage, message, event, payload) {
    const holder = hold(server.database.url, `BEGIN; SELECT 1 FROM messages WHERE id = '${message.id}' FOR UPDATE`);
    try {
      await holder.ready;
      const answer = await stage.customer.ask(event, { messageId: message.id, conversationId: stage.conversationId, ...payload });
      assert.equal(answer.success, false, JSON.stringify(answer));
    } finally {
      holder.release();
    }
  }

  for (const [event, payload, told, field, expected] of [
    ['chat:edit_message', { newText: 'after' }, 'chat:message_edited', 'message_text', 'after'],
    ['chat:delete_message', { deletionType: 'for_everyone' }, 'chat:message_deleted', 'deletion_type', 'for_everyone'],
    ['chat:add_reaction', { reaction: '👍' }, 'chat:reaction_added', 'user_id', '00000000-0000-4000-8000-000000000001'],
  ]) {
    onStage(`${event} that is stored after its time is told all the same`, async (stage) => {
      const message = await stage.say(stage.customer, 'before');
      await late(stage, message, event, payload);
      for (const client of [stage.seller, stage.sellerTab, stage.customerTab]) {
        assert.equal((await client.waitFor(told, (m) => (m.message_id ?? m.id) === message.id))[field], expected);
      }
    });
  }

  onStage('chat:mark_read that is stored after its event timed out is still told', async (stage, scene) => {
    await stage.say(stage.customer, 'read me');
    const holder = hold(server.database.url, `BEGIN; SELECT 1 FROM conversations WHERE id = '${stage.conversationId}' FOR UPDATE`);
    try {
      await holder.ready;
      assert.equal((await stage.seller.ask('chat:mark_read', { conversationId: stage.conversationId })).success, false);
    } finally {
      holder.release();
    }
    const read = await stage.customer.waitFor('chat:messages_read', (m) => m.conversationId === stage.conversationId && m.last_read_seq === 1);
    assert.equal(read.userId, '00000000-0000-4000-8000-000000000002');
    assert.equal((await scene.data('seller', 'GET', '/api/chat/conversations')).find((c) => c.id === stage.conversationId).unread_count, 0);
  });
}
