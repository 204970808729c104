'use strict';

const parser = require('socket.io-parser');

/** A value whose JSON is known already. */
class Json {
  constructor(text) {
    this.text = text;
  }
}

/** Socket.IO's own encoder, but for what the chat never sends: it does not search every packet for binary data. */
class Encoder {
  encode({ type, nsp, id, data }) {
    const head = `${type}${nsp && nsp !== '/' ? `${nsp},` : ''}${id ?? ''}`;
    if (data == null) return [head];
    return [head + (Array.isArray(data) ? `[${data.map(json)}]` : JSON.stringify(data))];
  }
}

function json(value) {
  return value instanceof Json ? value.text : (JSON.stringify(value) ?? 'null');
}

module.exports = { ...parser, Encoder, Json };
