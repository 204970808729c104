'use strict';

// The clients of each kind, and the conversations of which they are members.

const { randomUUID } = require('node:crypto');
const { Scene } = require('../lib/suite');
const { Listener } = require('./listener');
const { Talk } = require('./talk');

const CONVERSATIONS = 3;
const BOTH = ['polling', 'websocket'];
/** The clients of ten. `tab` is a second socket of the user of the client before. */
const KINDS = {
  'WebSocket': { transports: ['websocket'] },
  'polling': { transports: ['polling'] },
  'upgrade, cut again in it': { transports: BOTH, again: 'in the upgrade' },
  'two tabs, both cut': { transports: BOTH },
  'two tabs, this one cut': { transports: BOTH },
  'two tabs, the other cut': { transports: BOTH, stays: true },
};
const [WEBSOCKET, POLLING, UPGRADE, BOTH_CUT, ONE_CUT, OTHER_CUT] = Object.keys(KINDS);
const TEN = [WEBSOCKET, POLLING, UPGRADE, BOTH_CUT, BOTH_CUT, WEBSOCKET, POLLING, UPGRADE, ONE_CUT, OTHER_CUT];
const SECOND_TABS = [4, 9];

/** Half of the clients of each kind are in one conversation alone: after a restart the database can always tell those what they
 * missed, while something is said in the other conversations all the time. */
const isInOne = (n) => n % 10 >= 5 !== n % 20 >= 10;
const isIn = (user, conversation) => !isInOne(user) || conversation === user % CONVERSATIONS;

const newUser = () => {
  const id = randomUUID();
  return { id, email: `${id}@souk.example`, role: 'customer', displayName: 'Someone' };
};

async function makeConversations(server, scene, users, reader) {
  const conversations = [];
  for (let n = 0; n < CONVERSATIONS; n++) {
    const id = await scene.conversation(reader, 'seller');
    const others = JSON.stringify(users.filter((_, i) => isIn(i, n)).map((user) => user.id));
    server.database.sql(`UPDATE conversations SET participant_ids = participant_ids || '${others}' WHERE id = '${id}'`);
    conversations.push(id);
  }
  return conversations;
}

/** `{ scene, talk, clients }` with so many clients, ten of which have all kinds. */
async function gather(server, count) {
  const scene = new Scene(server);
  const users = Array.from({ length: count }, newUser);
  const reader = newUser();
  [...users, reader].forEach((user) => server.database.addUser(user));
  const conversations = await makeConversations(server, scene, users, reader);
  const talk = new Talk(await scene.connect('seller'), await scene.connect(reader), reader.id, conversations);
  const clients = [];
  for (let n = 0; n < count; n++) {
    const kind = TEN[n % TEN.length];
    const user = SECOND_TABS.includes(n % TEN.length) ? n - 1 : n;
    const client = await Listener.open(server, users[user], { transports: KINDS[kind].transports });
    const own = conversations.filter((_, i) => isIn(user, i));
    for (const conversationId of own) await client.ask('chat:join', { conversationId });
    client.listen(`client ${n} (${kind})`, kind, talk, own);
    Object.assign(client, { again: KINDS[kind].again, stays: KINDS[kind].stays });
    clients.push(client);
  }
  return { scene, talk, clients };
}

module.exports = { gather, KINDS: Object.keys(KINDS), CONVERSATIONS };
