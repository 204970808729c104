'use strict';

// Helpers for floods. `done` counts a flood's requests by their result.

const http = require('node:http');
const net = require('node:net');
const { Psql } = require('../lib/psql');
const { Wire } = require('./wire');

const done = {};
const count = (what) => (done[what] = (done[what] ?? 0) + 1);

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const MOST_UNSENT = 1 << 20;

/** So many at a time, each begun again when it ends, for ever. */
function atOnce(n, one) {
  const forever = async (i) => {
    for (;;) await one(i);
  };
  return Promise.all(Array.from({ length: n }, (_, i) => forever(i)));
}

/** So many a second, spread evenly, for ever; none is begun while `most` are under way. */
async function paced(perSecond, one, most = 64) {
  let underWay = 0;
  for (let i = 0, next = performance.now(); ; i++, next += 1000 / perSecond) {
    await sleep(Math.max(0, next - performance.now()));
    if (underWay >= most) continue;
    underWay++;
    Promise.resolve(one(i)).catch((error) => count(error.code ?? error.message)).finally(() => underWay--);
  }
}

/** A socket in the namespace, opened again and again until it is let in. */
async function enter({ url, token, address }, onEvent) {
  for (;;) {
    try {
      return await new Wire(url, { token, address, onEvent }).ready;
    } catch {
      count('not let in');
      await sleep(500);
    }
  }
}

/** Sockets that send this event without pause, and come back when they are cut. */
function emit(job, event, payload, sockets = 4) {
  return atOnce(sockets, async () => {
    const wire = await enter(job, (frame) => frame.includes('rate_limited') && count('refused'));
    while (wire.isOpen) {
      for (let i = 0; i < 100 && wire.isOpen && wire.ws.bufferedAmount < MOST_UNSENT; i++) {
        wire.emit(event, payload());
        count('sent');
      }
      await sleep(1);
    }
    count('cut');
    wire.close();
  });
}

/** One request, counted by its status; `body` is text, or writes it by itself. Resolves to the status and the text. */
function request({ url, address, token }, { agent, body, path, method = 'GET', headers }) {
  const all = { 'x-forwarded-for': address, ...(token && { authorization: `Bearer ${token}` }), ...headers };
  return new Promise((resolve) => {
    const outgoing = http.request(url + path, { agent, method, headers: all }, (response) => {
      count(response.statusCode);
      let text = '';
      response.setEncoding('utf8').on('data', (more) => (text += more));
      response.on('end', () => resolve({ status: response.statusCode, text })).on('error', () => resolve({}));
    });
    outgoing.on('error', (error) => (count(error.code), setTimeout(resolve, 5, {})));
    // The server may answer and hang up before it has all of the body.
    outgoing.on('close', () => resolve({}));
    if (typeof body === 'function') body(outgoing);
    else outgoing.end(body);
  });
}

/** The same with JSON. */
const call = (job, method, path, body) =>
  request(job, { method, path, body: body && JSON.stringify(body), headers: body && { 'content-type': 'application/json' } });

/** Requests without pause, so many at a time, on connections that are kept. */
function ask(job, n, options) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: n });
  return atOnce(n, () => request(job, { agent, ...options() }));
}

/**
 * A connection on which `head` is written, and then what `more` gives as fast as it is taken until it gives nothing. What
 * comes is read where `reads`, and counted by its status. Resolves when the connection ends, or after `seconds`.
 */
function raw({ url }, { head, more = () => undefined, reads = true, seconds = 3600 }) {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = net.connect(Number(port), hostname);
    const write = () => {
      while (!socket.destroyed) {
        const piece = more();
        if (!piece) return;
        count('pieces');
        if (!socket.write(piece)) return socket.once('drain', write);
      }
    };
    socket.on('connect', () => (count('connections'), socket.write(head), write()));
    if (reads) socket.on('data', (data) => String(data).startsWith('HTTP/1.1 ') && count(String(data).slice(9, 12)));
    else socket.pause();
    const end = setTimeout(() => socket.destroy(), seconds * 1000);
    socket.on('error', () => {});
    socket.on('close', () => (clearTimeout(end), count('ended'), setTimeout(resolve, 100)));
  });
}

/** Locks a conversation with its members and messages, as somebody with a psql, for as long as this process lives. */
async function hold({ databaseUrl }, conversationId) {
  const psql = new Psql(databaseUrl);
  await psql.lines('BEGIN');
  await psql.lines(`SELECT 1 FROM conversations WHERE id = '${conversationId}' FOR UPDATE`);
  for (const table of ['conversation_members', 'messages']) {
    await psql.lines(`SELECT 1 FROM ${table} WHERE conversation_id = '${conversationId}' FOR UPDATE`);
  }
  count('locks');
}

module.exports = { done, count, sleep, atOnce, paced, enter, emit, request, call, ask, raw, hold };
