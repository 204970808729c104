'use strict';

// Compares received data with what the contract's data expects. replay/README.md describes the language.

const { isDeepStrictEqual } = require('node:util');

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;
const object = (v) => v !== null && typeof v === 'object' && !Array.isArray(v);

const MATCHERS = {
  uuid: (v) => UUID.test(v),
  time: (v) => TIME.test(v) && !Number.isNaN(Date.parse(v)),
  text: (v) => typeof v === 'string',
  word: (v) => typeof v === 'string' && v.length > 0,
  count: (v) => Number.isInteger(v) && v >= 0,
  number: (v) => typeof v === 'number',
  flag: (v) => typeof v === 'boolean',
  list: (v) => Array.isArray(v),
  object,
  any: (v) => v !== undefined,
};

/** The value of a dotted path, such as `data.0.id`. */
const dig = (value, path) => path.split('.').reduce((v, key) => v?.[key], value);

/** `{{name}}` alone is the value itself; inside a longer text it is written into it. */
function fill(value, names) {
  const look = (name) => {
    const found = dig(names, name);
    if (found === undefined) throw new Error(`nothing is known as {{${name}}}`);
    return found;
  };
  if (typeof value === 'string') {
    const whole = value.match(/^\{\{([\w.]+)\}\}$/);
    return whole ? look(whole[1]) : value.replace(/\{\{([\w.]+)\}\}/g, (_, name) => look(name));
  }
  if (Array.isArray(value)) return value.map((one) => fill(one, names));
  if (object(value)) return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, fill(v, names)]));
  return value;
}

class Matcher {
  /** `shapes`: the contract's named lists of fields. `names`: what was learned so far, by name. */
  constructor(shapes, names) {
    this.shapes = shapes;
    this.names = names;
  }

  /** What differs, as texts; nothing when it matches. Names that it learns are kept only then. */
  differences(expected, actual) {
    this.learned = {};
    const problems = [];
    this.compare(expected, actual, '', problems);
    if (problems.length === 0) Object.assign(this.names, this.learned);
    return problems;
  }

  compare(expected, actual, at, problems) {
    const wrong = (what) => problems.push(`${at || 'it'} ${what}, but is ${show(actual)}`);
    if (typeof expected === 'string' && expected.startsWith('$')) return this.compareNamed(expected, actual, at, wrong, problems);
    if (typeof expected === 'string') {
      const value = fill(expected, { ...this.names, ...this.learned });
      if (!isDeepStrictEqual(actual, value)) wrong(`should be ${show(value)}`);
    } else if (Array.isArray(expected)) {
      if (!Array.isArray(actual) || actual.length !== expected.length) return wrong(`should be a list of ${expected.length}`);
      expected.forEach((one, i) => this.compare(one, actual[i], `${at}[${i}]`, problems));
    } else if (object(expected)) {
      this.compareObject(expected, actual, at, wrong, problems);
    } else if (!Object.is(expected, actual)) {
      wrong(`should be ${show(expected)}`);
    }
    return undefined;
  }

  /** `$uuid`, `$time?` (or null), `$message` (a shape), `$uuid as question` (and is known by that name from now on). */
  compareNamed(expected, actual, at, wrong, problems) {
    const [, name, orNull, as] = expected.match(/^\$(\w+)(\?)?(?: as (\w+))?$/) ?? [];
    if (name === 'absent') {
      if (actual !== undefined) wrong('should not be there');
    } else if (!(orNull && actual === null)) {
      if (this.shapes[name]) this.compare({ $is: name }, actual, at, problems);
      else if (!MATCHERS[name]) throw new Error(`no matcher and no shape is called ${expected}`);
      else if (!MATCHERS[name](actual)) wrong(`should be ${expected}`);
    }
    if (as) this.learned[as] = actual;
  }

  compareObject(expected, actual, at, wrong, problems) {
    const { $is, $one_of, $each, $some, $starts, $length, ...own } = expected;
    if ($one_of) {
      const fits = $one_of.some((one) => new Matcher(this.shapes, { ...this.names, ...this.learned }).differences(one, actual).length === 0);
      return fits ? undefined : wrong(`should be one of ${show($one_of)}`);
    }
    if ($starts !== undefined) {
      const start = fill($starts, { ...this.names, ...this.learned });
      return typeof actual === 'string' && actual.startsWith(start) ? undefined : wrong(`should start with ${show(start)}`);
    }
    if ($each !== undefined || $some !== undefined) {
      if (!Array.isArray(actual)) return wrong('should be a list');
      if ($length !== undefined && actual.length !== $length) wrong(`should have ${$length} entries`);
      if ($each !== undefined) actual.forEach((one, i) => this.compare($each, one, `${at}[${i}]`, problems));
      for (const wanted of $some ?? []) this.find(wanted, actual, wrong);
      return undefined;
    }
    if (!object(actual)) return wrong('should be an object');
    if ($is && !this.shapes[$is]) throw new Error(`no shape is called ${$is}`);
    const { $also, ...fields } = $is ? this.shapes[$is] : {};
    const all = { ...($also ? this.shapes[$also] : {}), ...fields, ...own };
    for (const [field, value] of Object.entries(all)) {
      const inside = at ? `${at}.${field}` : field;
      if (!(field in actual) && value !== '$absent') problems.push(`${inside} is missing`);
      else this.compare(value, actual[field], inside, problems);
    }
    return undefined;
  }

  /** At least one entry fits; a name in it is learned from the first that does. */
  find(wanted, actual, wrong) {
    for (const one of actual) {
      const trial = new Matcher(this.shapes, { ...this.names, ...this.learned });
      if (trial.differences(wanted, one).length > 0) continue;
      Object.assign(this.learned, trial.learned);
      return;
    }
    wrong(`should have an entry ${show(wanted)}`);
  }
}

function show(value) {
  const text = JSON.stringify(value) ?? 'not there';
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}

module.exports = { Matcher, fill, dig, show };
