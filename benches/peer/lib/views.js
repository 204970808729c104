'use strict';

const { randomFillSync } = require('node:crypto');

/** What is the same in every message that was just stored. */
const FRESH = JSON.stringify({
  message_type: 'text',
  delivered_to: [],
  is_edited: false,
  is_deleted: false,
  edited_at: null,
  deleted_at: null,
  status: 'sent',
  delivered_at: null,
  read_at: null,
  reply_to_message_id: null,
  reply_to: null,
  deletion_type: null,
  deleted_by: null,
  edit_count: 0,
  last_edited_at: null,
  reactions: [],
}).slice(1, -1);

/** The JSON of a message that was just stored, with every field that the wire has. Ids need no quoting. */
function newMessage(m, { seq, created_at }, sender) {
  const at = created_at.toISOString();
  return `{"id":"${m.id}","conversation_id":"${m.conversation_id}","sender_id":"${m.sender_id}","seq":${seq},\
"message_text":${JSON.stringify(m.message_text)},"attachments":${JSON.stringify(m.attachments)},"read_by":["${m.sender_id}"],\
"created_at":"${at}","updated_at":"${at}",${FRESH},"client_message_id":${JSON.stringify(m.client_message_id)},\
"senderName":${JSON.stringify(name(sender))},"senderRole":${JSON.stringify(sender.role)}}`;
}

/** A stored message; who read it and whom it reached is what the watermarks say. */
function message(row, watermarks) {
  const { temp_id: _tempId, changed_at: _changedAt, ...m } = row;
  const others = watermarks.filter((w) => w.user_id !== m.sender_id);
  const readers = others.filter((w) => w.last_read_seq >= m.seq);
  const reached = others.filter((w) => Math.max(w.last_read_seq, w.last_delivered_seq) >= m.seq);
  return {
    ...m,
    message_text: m.is_deleted ? '' : m.message_text,
    attachments: m.is_deleted ? [] : m.attachments,
    read_by: union([m.sender_id], m.read_by, readers),
    delivered_to: union([], m.delivered_to, reached),
    status: readers.length > 0 ? 'read' : reached.length > 0 ? 'delivered' : m.status,
    read_at: m.read_at ?? readers[0]?.last_read_at ?? null,
    delivered_at: m.delivered_at ?? reached[0]?.last_delivered_at ?? reached[0]?.last_read_at ?? null,
    reply_to: null,
  };
}

function union(first, stored, watermarks) {
  return [...new Set([...first, ...stored, ...watermarks.map((w) => w.user_id)])];
}

function conversation(row, others, isOnline) {
  return {
    ...row,
    participantDetails: others.map((p) => ({
      id: p.id,
      displayName: name(p),
      email: p.email,
      role: p.role,
      isOnline: isOnline(p.id),
      lastSeenAt: p.last_seen_at,
    })),
  };
}

function name(user) {
  return user.display_name || user.email.split('@')[0];
}

const random = Buffer.alloc(16 * 256);
let used = random.length;

/** A UUID of version 7: in the order of time, so that the primary key's index grows at its end. */
function newId() {
  if (used === random.length) {
    randomFillSync(random);
    used = 0;
  }
  const id = random.subarray(used, (used += 16));
  id.writeUIntBE(Date.now(), 0, 6);
  id[6] = 0x70 | (id[6] & 0x0f);
  id[8] = 0x80 | (id[8] & 0x3f);
  const hex = id.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

module.exports = { newMessage, message, conversation, name, newId };
