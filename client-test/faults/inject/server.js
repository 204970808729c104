'use strict';

// Faults of the server's process.

const kill = {
  name: 'kill',
  short: false,
  about: 'kill -9 of the server, and a start after a while',
  async inject(stage) {
    const { server } = stage.world;
    for (let left = stage.times(1, 3); left > 0; left--) {
      await server.kill();
      await stage.seconds(0, 4);
      await server.start();
      if (left > 1) await stage.seconds(0, 4);
    }
  },
};

const terminate = {
  name: 'terminate',
  short: true,
  about: 'SIGTERM of the server, as at a deployment, and a start',
  async inject(stage) {
    const { server } = stage.world;
    for (let left = stage.times(1, 3); left > 0; left--) {
      const { code } = await server.stop('SIGTERM');
      if (code !== 0) stage.report('other', `after SIGTERM the server ended with ${code}`);
      await server.start();
      if (left > 1) await stage.seconds(0, 4);
    }
  },
};

const freeze = {
  name: 'server-freeze',
  short: false,
  about: 'SIGSTOP of the server for some seconds',
  async inject(stage) {
    const { child } = stage.world.server;
    child.kill('SIGSTOP');
    try {
      await stage.seconds(2, 15);
    } finally {
      child.kill('SIGCONT');
    }
  },
};

module.exports = [kill, terminate, freeze];
