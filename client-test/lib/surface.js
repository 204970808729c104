'use strict';

// Reads the event names and routes from the server's source, so that a test can check that it covers all of them.

const fs = require('node:fs');
const path = require('node:path');
const { REPOSITORY } = require('./server');

const source = (file) => fs.readFileSync(path.join(REPOSITORY, file), 'utf8');

/** The names in the table of socket/events.rs. */
function events() {
  return [...source('src/socket/events.rs').matchAll(/\brule\("(chat:[^"]+)"/g)].map(([, name]) => name);
}

/** From an opening bracket to its closing one. */
function bracketed(text, start) {
  let depth = 0;
  for (let i = start; i < text.length; i++) {
    if (text[i] === '(') depth++;
    if (text[i] === ')' && --depth === 0) return text.slice(start + 1, i);
  }
  throw new Error(`unbalanced: ${text.slice(start, start + 80)}`);
}

/** The routes of rest/mod.rs as `METHOD /path/{parameter}`. */
function routes() {
  const folder = path.join(REPOSITORY, 'src/rest');
  for (const file of fs.readdirSync(folder)) {
    // Here nobody would look for it.
    if (file !== 'mod.rs' && /\.route\(/.test(source(`src/rest/${file}`))) throw new Error(`src/rest/${file} has routes of its own`);
  }
  const text = source('src/rest/mod.rs');
  const found = [];
  const pieces = text.split('Router::new()');
  for (let i = 1; i < pieces.length; i++) {
    // A router that is nested is bound to a name.
    const name = pieces[i - 1].match(/let (\w+)(?:: [^=;]+)? = $/)?.[1];
    const prefix = (name && text.match(new RegExp(`\\.nest\\("([^"]+)", ${name}\\)`))?.[1]) ?? '';
    for (const match of pieces[i].matchAll(/\.route(?=\()/g)) {
      const call = bracketed(pieces[i], match.index + match[0].length);
      const at = call.match(/"([^"]+)"/)[1];
      const methods = [...call.matchAll(/\b(get|post|put|patch|delete|head|options|any)\(/g)].map(([, method]) => method.toUpperCase());
      if (methods.length === 0) throw new Error(`no method in .route(${call})`);
      for (const method of methods) found.push(`${method} ${prefix}${at}`);
    }
  }
  return found;
}

module.exports = { events, routes };
