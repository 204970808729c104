'use strict';

// An S3 store, with a proxy in front that can make it fail for a while. It is moto's server, from PyPI:
// `python3 -m venv …; pip install 'moto[server]'`, and MOTO_SERVER names its moto_server.

const { spawn } = require('node:child_process');
const http = require('node:http');
const net = require('node:net');
const { until } = require('./limits');

const MOTO_SERVER = process.env.MOTO_SERVER;
const BUCKET = 'souk-files';
const PREFIX = 'shop/chat';

const freePort = () =>
  new Promise((resolve) => {
    const probe = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });

// The store wants to see a signature, and does not check it.
const authorization = 'AWS4-HMAC-SHA256 Credential=souk/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0';

/** A request to the store itself: status and text. */
function ask(port, method, path) {
  return new Promise((resolve, reject) => {
    const req = http.request({ host: '127.0.0.1', port, method, path, headers: { authorization }, agent: false }, (res) => {
      let text = '';
      res.setEncoding('utf8').on('data', (part) => (text += part));
      res.on('end', () => resolve({ status: res.statusCode, text }));
    });
    req.on('error', reject);
    req.end();
  });
}

class S3 {
  /** Requests that it is to fail, by method, path and query; none, unless a test says so. */
  fails = () => false;

  /** What came, as `METHOD path`. */
  requests = [];

  async start() {
    this.storePort = await freePort();
    this.child = spawn(MOTO_SERVER, ['-H', '127.0.0.1', '-p', String(this.storePort)], { stdio: 'ignore' });
    this.child.on('error', (error) => console.error(`# ${MOTO_SERVER}: ${error.message}`));
    await until(() => ask(this.storePort, 'PUT', `/${BUCKET}`).then((answer) => answer.status === 200, () => false), 'the store has a bucket', 60_000);
    this.proxy = http.createServer((req, res) => this.pass(req, res));
    await new Promise((resolve) => this.proxy.listen(0, '127.0.0.1', resolve));
    return this;
  }

  pass(req, res) {
    const what = `${req.method} ${req.url}`;
    this.requests.push(what);
    if (this.fails(what)) {
      req.resume();
      res.writeHead(500, { 'content-type': 'application/xml' });
      res.end('<Error><Code>InternalError</Code><Message>try again</Message></Error>');
      return;
    }
    const on = http.request({ host: '127.0.0.1', port: this.storePort, method: req.method, path: req.url, headers: req.headers }, (answer) => {
      res.writeHead(answer.statusCode, answer.headers);
      answer.pipe(res);
    });
    on.on('error', () => res.destroy());
    req.pipe(on);
  }

  /** What a server needs to keep its files here. */
  env() {
    return {
      UPLOAD_STORE: `s3://${BUCKET}/${PREFIX}`,
      AWS_ENDPOINT: `http://127.0.0.1:${this.proxy.address().port}`,
      AWS_ALLOW_HTTP: 'true',
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'souk',
      AWS_SECRET_ACCESS_KEY: 'souk-secret',
    };
  }

  /** The paths of all that is stored, as the server names them. */
  async stored() {
    const { status, text } = await ask(this.storePort, 'GET', `/${BUCKET}?list-type=2`);
    if (status !== 200) throw new Error(`the store says ${status}: ${text}`);
    return [...text.matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key]) => key.replace(`${PREFIX}/`, '')).sort();
  }

  /** Takes a file away behind the server's back. */
  remove(path) {
    return ask(this.storePort, 'DELETE', `/${BUCKET}/${PREFIX}/${path}`);
  }

  /** How many uploads in parts were begun and neither finished nor given up. */
  async unfinished() {
    const { text } = await ask(this.storePort, 'GET', `/${BUCKET}?uploads`);
    return [...text.matchAll(/<Upload>/g)].length;
  }

  stop() {
    this.proxy?.close();
    this.child?.kill();
  }
}

module.exports = { S3, MOTO_SERVER };
