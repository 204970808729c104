'use strict';

// No space left on the device: for the tables, and for the write-ahead log.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { execute } = require('../cluster');
const { until } = require('../../lib/limits');

// Nothing stays mounted, not even when the run is broken off.
const mounted = new Set();
process.on('exit', () => {
  for (const directory of mounted) {
    execFileSync('umount', ['-l', directory]);
    fs.rmdirSync(directory);
  }
});

/** A disk of its own, in memory, as large as it is told to be. Only root may make one. */
class Disk {
  static async make(name) {
    const disk = new Disk();
    disk.directory = fs.mkdtempSync(path.join(os.tmpdir(), `souk-${name}-`));
    await execute('mount', ['-t', 'tmpfs', '-o', 'size=2g,mode=0777', 'tmpfs', disk.directory]);
    mounted.add(disk.directory);
    return disk;
  }

  resize(bytes) {
    return execute('mount', ['-o', `remount,size=${bytes}`, this.directory]);
  }

  /** No more than `left` bytes are free from now on. */
  async fill(left) {
    const { blocks, bfree, bsize } = fs.statfsSync(this.directory);
    await this.resize((blocks - bfree) * bsize + left);
  }

  async free() {
    await this.resize('2g');
  }

  async remove() {
    await execute('umount', ['-l', this.directory]);
    mounted.delete(this.directory);
    fs.rmdirSync(this.directory);
  }
}

/** The reason why there can be no small disk here, if there is one. */
async function noDisk() {
  if (process.getuid() !== 0) return 'only root can mount a small disk';
  try {
    await (await Disk.make('trial')).remove();
    return undefined;
  } catch (error) {
    return `a small disk cannot be mounted here (${error.message})`;
  }
}

const REFUSED = /No space left on device/;

const table = {
  name: 'disk-full',
  short: false,
  about: 'no space left where the messages are stored',
  unavailable: noDisk,
  async prepare(stage) {
    const { sql } = stage.world;
    stage.disk = await Disk.make('messages');
    await stage.world.cluster.run('mkdir', [path.join(stage.disk.directory, 'space')]);
    await sql.run(`CREATE TABLESPACE small LOCATION '${stage.disk.directory}/space'`);
    await sql.run('ALTER TABLE messages SET TABLESPACE small');
  },
  async inject(stage) {
    const { server } = stage.world;
    const logged = server.log.length;
    await stage.disk.fill(64 * 1024);
    await until(() => REFUSED.test(server.log.slice(logged)), 'the disk is full', 30_000);
    await stage.seconds(2, 15);
    await stage.disk.free();
  },
  async restore(stage) {
    const { sql } = stage.world;
    if (!stage.disk) return;
    await stage.disk.free();
    await sql.run('ALTER TABLE messages SET TABLESPACE pg_default');
    await sql.run('DROP TABLESPACE IF EXISTS small');
    await stage.disk.remove();
  },
};

/** Moves the write-ahead log there, or back; Postgres is stopped meanwhile. */
async function moveLog(cluster, target) {
  const log = path.join(cluster.data, 'pg_wal');
  // Not `fast`: what had no space for its log may not come to an end by itself.
  await cluster.stop('immediate');
  const from = fs.realpathSync(log);
  await cluster.run('cp', ['-a', `${from}/.`, target]);
  if (from === log) await cluster.run('rm', ['-r', log]);
  else await cluster.run('rm', [log]);
  if (target.startsWith(cluster.directory)) await cluster.run('mv', [target, log]);
  else await cluster.run('ln', ['-s', target, log]);
  await cluster.start();
}

const log = {
  name: 'wal-full',
  short: false,
  about: "no space left for Postgres' write-ahead log: it stops until there is",
  unavailable: noDisk,
  async prepare(stage) {
    const { cluster } = stage.world;
    stage.disk = await Disk.make('wal');
    stage.away = path.join(stage.disk.directory, 'pg_wal');
    await cluster.run('mkdir', ['-m', '0700', stage.away]);
    await moveLog(cluster, stage.away);
  },
  async inject(stage) {
    const { cluster, sql } = stage.world;
    const logged = cluster.log.length;
    await stage.disk.fill(0);
    // Segments that are there already still serve. Each switch takes one, until a new one is needed.
    await until(async () => {
      await sql.run('SELECT pg_switch_wal() FROM (SELECT pg_logical_emit_message(false, $$faults$$, $$next$$)) one', { timeout: 5_000 }).catch(() => {});
      return REFUSED.test(cluster.log.slice(logged));
    }, 'Postgres has no space for its log', 60_000);
    await stage.seconds(2, 15);
    await stage.disk.free();
    await cluster.stop('immediate');
    await cluster.start();
  },
  async restore(stage) {
    const { cluster } = stage.world;
    if (!stage.disk) return;
    await stage.disk.free();
    const back = path.join(cluster.directory, 'pg_wal_back');
    await cluster.run('mkdir', ['-m', '0700', back]);
    await moveLog(cluster, back);
    await stage.disk.remove();
  },
};

module.exports = [table, log];
