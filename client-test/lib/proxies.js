'use strict';

// Starts nginx, HAProxy or Caddy with its file of examples/proxies. Only names, ports and the certificate are replaced:
// the tests use the same file that operators copy.

const { execFileSync, spawn } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { REPOSITORY } = require('./server');
const { until, within } = require('./limits');

const EXAMPLES = path.join(REPOSITORY, 'examples', 'proxies');
// Debian keeps two of them where only root's PATH has them.
const PATHS = `${process.env.PATH}:/usr/sbin:/usr/local/sbin`;

const SOUK = '127.0.0.1:5000';
const SHOP = '127.0.0.1:4000';

/** What each of them is started with; `fill` replaces what a shop would, `files` are written beside it. */
const KINDS = {
  nginx: {
    file: 'nginx.conf',
    fill: (own) => ({
      'listen 443 ssl': `listen 127.0.0.1:${own.port} ssl`,
      '/etc/ssl/shop.example/fullchain.pem': own.at('cert.pem'),
      '/etc/ssl/shop.example/privkey.pem': own.at('key.pem'),
    }),
    // As /etc/nginx/nginx.conf includes it, but in the foreground and with all files in one folder.
    files: (own) => ({
      'main.conf': [
        process.getuid() === 0 ? 'user root;' : '',
        `daemon off; pid ${own.at('pid')}; error_log stderr;`,
        'events { worker_connections 768; }',
        'http {',
        'access_log off;',
        ...['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${own.at(name)};`),
        `include ${own.at('nginx.conf')};`,
        '}',
      ].join('\n'),
    }),
    start: (own) => ['nginx', '-c', own.at('main.conf')],
  },
  haproxy: {
    file: 'haproxy.cfg',
    fill: (own) => ({ 'bind :443': `bind 127.0.0.1:${own.port}`, '/etc/ssl/shop.example/shop.pem': own.at('both.pem') }),
    start: (own) => ['haproxy', '-db', '-f', own.at('haproxy.cfg')],
  },
  caddy: {
    file: 'Caddyfile',
    fill: (own) => ({ 'shop.example {': `https://127.0.0.1:${own.port} {\n\ttls ${own.at('cert.pem')} ${own.at('key.pem')}` }),
    before: '{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}\n',
    start: (own) => ['caddy', 'run', '--adapter', 'caddyfile', '--config', own.at('Caddyfile')],
  },
};

/** A certificate for 127.0.0.1 in `directory`: cert.pem, key.pem, and both.pem as HAProxy wants it. */
function certify(directory) {
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => path.join(directory, name));
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  execFileSync('openssl', [...request, '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert], { stdio: 'pipe' });
  fs.writeFileSync(path.join(directory, 'both.pem'), fs.readFileSync(cert, 'utf8') + fs.readFileSync(key, 'utf8'));
}

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The text with each of `replacements` made; one that finds nothing is a mistake. */
function replaced(text, replacements) {
  for (const [from, to] of Object.entries(replacements)) {
    if (!text.includes(from)) throw new Error(`the example has no "${from}"`);
    text = text.replaceAll(from, to);
  }
  return text;
}

class Proxy {
  /** `souk` and `shop` are ports behind it. */
  static async start(name, { souk, shop }) {
    const proxy = new Proxy();
    const kind = KINDS[name];
    proxy.directory = fs.mkdtempSync(path.join(os.tmpdir(), `souk-${name}-`));
    proxy.port = await freePort();
    certify(proxy.directory);
    const example = fs.readFileSync(path.join(EXAMPLES, kind.file), 'utf8');
    const text = replaced(example, { [SOUK]: `127.0.0.1:${souk}`, [SHOP]: `127.0.0.1:${shop}`, ...kind.fill(proxy) });
    fs.writeFileSync(proxy.at(kind.file), (kind.before ?? '') + text);
    for (const [file, content] of Object.entries(kind.files?.(proxy) ?? {})) fs.writeFileSync(proxy.at(file), content);
    await proxy.run(kind.start(proxy));
    return proxy;
  }

  async run([command, ...args]) {
    this.log = '';
    const env = { ...process.env, PATH: PATHS, HOME: this.directory, XDG_DATA_HOME: this.directory, XDG_CONFIG_HOME: this.directory };
    this.child = spawn(command, args, { env, cwd: this.directory, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of ['stdout', 'stderr']) this.child[stream].setEncoding('utf8').on('data', (text) => (this.log += text));
    this.ended = new Promise((resolve) => this.child.on('close', resolve));
    process.on('exit', () => this.child.kill('SIGKILL'));
    const failed = new Promise((_, reject) => {
      this.child.on('error', (error) => reject(new Error(`${command} is needed (scripts/test installs it): ${error.message}`)));
      this.child.on('close', (code) => reject(new Error(`${command} ended with ${code}:\n${this.log}`)));
    });
    failed.catch(() => {});
    await Promise.race([until(() => this.accepts(), `${command} to listen`), failed]);
  }

  accepts() {
    return new Promise((resolve) => {
      const socket = net.connect(this.port, '127.0.0.1');
      socket.on('connect', () => (socket.destroy(), resolve(true))).on('error', () => resolve(false));
    });
  }

  at(file) {
    return path.join(this.directory, file);
  }

  get url() {
    return `https://127.0.0.1:${this.port}`;
  }

  get ca() {
    return fs.readFileSync(this.at('cert.pem'));
  }

  /** For connections that come from this address. */
  agent(localAddress = '127.0.0.1') {
    return new https.Agent({ ca: this.ca, localAddress });
  }

  /**
   * One request: `{ status, headers, text, body }`, `body` where it is JSON. `pieces` are written as the line takes them;
   * the answer may come before all of them are.
   */
  request(target, { method = 'GET', headers = {}, pieces = [], from, patience } = {}) {
    const answer = new Promise((resolve, reject) => {
      const request = https.request(this.url + target, { method, headers, agent: this.agent(from) }, (response) => {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk)).on('error', reject);
        response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, ...bodyOf(Buffer.concat(chunks)) }));
      });
      request.on('error', reject);
      write(request, pieces).catch(reject);
    });
    return within(answer, `${method} ${target}`, patience);
  }

  async stop() {
    this.child?.kill('SIGTERM');
    const force = setTimeout(() => this.child?.kill('SIGKILL'), 2000);
    await this.ended;
    clearTimeout(force);
    fs.rmSync(this.directory, { recursive: true, force: true });
  }
}

async function write(request, pieces) {
  let goOn;
  for (const event of ['drain', 'close']) request.on(event, () => goOn?.());
  for await (const piece of pieces) {
    if (request.destroyed) return;
    if (!request.write(piece)) await new Promise((go) => (goOn = go));
  }
  request.end();
}

function bodyOf(bytes) {
  const text = bytes.toString();
  try {
    return { bytes, text, body: JSON.parse(text) };
  } catch {
    return { bytes, text };
  }
}

/** A stub of the shop: answers every request with what it was. */
async function startShop() {
  const server = http.createServer((request, response) => {
    request.resume().on('end', () => {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ shop: true, method: request.method, url: request.url, headers: request.headers }));
    });
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return { port: server.address().port, stop: () => (server.closeAllConnections(), server.close()) };
}

module.exports = { Proxy, startShop, NAMES: Object.keys(KINDS) };
