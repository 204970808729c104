'use strict';

// A message with invisible text only is refused: by socket and by REST, as a message, a reply and an edit.

const assert = require('node:assert/strict');
const { suite } = require('../lib/suite');
const { assertFailure, assertFields } = require('../lib/shapes');
const { ATTACHMENT, failure, staged } = require('../lib/message-actions');

const { test } = suite();
const onStage = staged(test);

const BLANK = [
  ['U+200B, a space without width', '\u200b'],
  ['U+2800, a Braille pattern without dots', '\u2800'],
  ['U+3164, a Hangul filler', '\u3164'],
  ['U+FFA0, a half-width Hangul filler', '\uffa0'],
  ['U+115F, a Hangul filler for a first letter', '\u115f'],
  ['U+00AD, a soft hyphen', '\u00ad'],
  ['U+2060, a word joiner', '\u2060'],
  ['U+FEFF, a byte order mark', '\ufeff'],
  ['U+FE0F, a variation selector alone', '\ufe0f'],
  ['U+E0061, a tag alone', '\u{e0061}'],
  ['U+202E, a change of direction', '\u202e'],
  ['U+034F, a joiner of letters', '\u034f'],
  ['U+0001, a control character', '\u0001'],
  ['all of them, with spaces and line breaks', ' \u200b\n\u2800\t\u3164\u00a0\u3000'],
];

for (const [name, text] of BLANK) {
  onStage(`refused as invisible: ${name}`, async (stage, scene) => {
    const { conversationId } = stage;
    const shown = await stage.say(stage.customer, 'seen');
    const at = `/api/chat/conversations/${conversationId}/messages`;
    assertFailure(await stage.customer.ask('chat:send_message', { conversationId, message: text, tempId: 't1' }), 'message_required', 'Message content is required');
    assertFields(await stage.customer.waitFor('chat:message_failed'), { tempId: 't1', conversationId, message: 'Message content is required' });
    assertFailure(await stage.customer.ask('chat:send_reply', { conversationId, message: text, replyToMessageId: shown.id, tempId: 't2' }), 'message_required');
    assertFailure(await stage.customer.ask('chat:edit_message', { messageId: shown.id, newText: text }), 'message_required');
    failure(await scene.rest('customer', 'POST', at, { message: text }), 400, 'message_required', 'Message text is required');
    failure(await scene.rest('customer', 'POST', `${at}/reply`, { message: text, replyToMessageId: shown.id }), 400, 'message_required');
    failure(await scene.rest('customer', 'PUT', `/api/chat/messages/${shown.id}`, { message: text }), 400, 'message_required');
    assert.deepEqual((await stage.messages('seller')).map((m) => m.message_text), ['seen']);
  });
}

onStage('a text with a visible character among invisible ones is sent unchanged', async (stage) => {
  for (const text of ['\u200bok', '👩\u200d👧', 'می\u200cخواهم', '\u2800.', '\u3164a', '❤\ufe0f', '🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}']) {
    assert.equal((await stage.say(stage.customer, text)).message_text, text);
  }
});

onStage('an attachment needs no visible text', async (stage) => {
  assert.equal((await stage.say(stage.customer, '\u200b', { attachments: [ATTACHMENT] })).message_type, 'image');
});
