'use strict';

const nodeTest = require('node:test');
const { Server } = require('./server');
const { Scene } = require('./suite');

/** A test that starts, stops or kills servers: it gets one of its own, not started yet. */
function testWithOwnServer(name, options, body) {
  nodeTest.test(name, { skip: options.skip }, async (t) => {
    const server = new Server(options);
    const scene = new Scene(server);
    try {
      await body(server, scene);
    } catch (error) {
      server.showLog(t);
      throw error;
    } finally {
      for (const client of scene.clients) client.close();
      await server.dispose();
    }
  });
}

module.exports = { testWithOwnServer };
