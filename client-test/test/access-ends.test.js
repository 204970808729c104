'use strict';

// Access that ends while a socket is open: its user is suspended or gone. Needs a database to write to.

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { suite } = require('../lib/suite');
const { external } = require('../lib/postgres');
const { tokenFor } = require('../lib/jwt');

/** The contract's limit. */
const WITHIN = 60_000;

if (external) tests();
else require('node:test').test('tests that need TEST_DATABASE_URL', { skip: true }, () => {});

function tests() {
  const { test, server } = suite();

  const ends = {
    'is suspended': (user) => `UPDATE users SET status = 'suspended' WHERE id = '${user.id}'`,
    'is deleted': (user) => `DELETE FROM users WHERE id = '${user.id}'`,
  };

  for (const [what, sql] of Object.entries(ends)) {
    test(`the sockets of a user who ${what} are disconnected and cannot reconnect; other sockets stay`, async (scene) => {
      const id = randomUUID();
      const user = { id, email: `${id}@souk.example`, role: 'customer', displayName: 'Leaving' };
      server.database.addUser(user);
      const auth = { token: tokenFor(user) };
      const tabs = [await scene.connect(null, { auth }), await scene.connect(null, { auth })];
      const other = await scene.connect('seller');
      server.database.sql(sql(user));
      for (const tab of tabs) await tab.waitFor('disconnect', undefined, WITHIN);
      for (const tab of tabs) {
        const refusal = await tab.waitFor('connect_error', (e) => /^(Account not active|User not found)$/.test(e.message), WITHIN);
        assert.ok(refusal);
      }
      assert.equal(other.count('disconnect'), 0);
    });
  }
}
