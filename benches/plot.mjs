// The growth plot: one panel per figure, stored messages to the right, medians as lines, spreads as bars.

const WIDTH = 360;
const HEIGHT = 230;
const LEFT = 56;
const RIGHT = 16;
const TOP = 34;
const BOTTOM = 34;
const COLOURS = { souk: '#c2410c', node: '#4b7bb5', 'node-batch': '#2f855a', bun: '#b7791f', 'bun-batch': '#6b46c1' };
/** The servers, in the order of the tables. */
export const NAMES = {
  souk: 'Souk',
  node: 'Node',
  'node-batch': 'Node, group commit',
  bun: 'Bun',
  'bun-batch': 'Bun, group commit',
};

/** Panels are `{ title, levels, lines: [{ server, points: [[value per round] per level] }] }`. */
export function growthPlot(panels, median) {
  const columns = 2;
  const height = HEIGHT * Math.ceil(panels.length / columns) + 28;
  const body = panels.map((p, i) => {
    const at = `translate(${(i % columns) * WIDTH} ${Math.floor(i / columns) * HEIGHT + 28})`;
    return `<g transform="${at}">${panel(p, median)}</g>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${columns * WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="11">
<rect width="100%" height="100%" fill="#ffffff"/>
${legend(panels)}
${body.join('\n')}
</svg>
`;
}

function legend(panels) {
  return [...new Set(panels.flatMap(({ lines }) => lines.map(({ server }) => server)))]
    .map((server, i) => {
      const [name, x] = [NAMES[server], LEFT + i * 130];
      return `<circle cx="${x}" cy="16" r="4" fill="${COLOURS[server]}"/><text x="${x + 9}" y="20" fill="#333333">${name}</text>`;
    })
    .join('');
}

function panel({ title, levels, lines }, median) {
  const top = niceMaximum(Math.max(...lines.flatMap((l) => l.points.flat())));
  // Levels are powers of ten: their logarithms are evenly spaced.
  const [first, last] = [Math.log10(levels[0]), Math.log10(levels.at(-1))];
  const x = (level) => LEFT + ((Math.log10(level) - first) / (last - first || 1)) * (WIDTH - LEFT - RIGHT - 20) + 10;
  const y = (value) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - TOP - BOTTOM);

  const parts = [`<text x="${LEFT}" y="${TOP - 14}" fill="#111111" font-weight="600">${title}</text>`];
  for (const value of [0, top / 2, top]) {
    parts.push(`<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(value)}" y2="${y(value)}" stroke="#dddddd"/>`);
    parts.push(`<text x="${LEFT - 6}" y="${y(value) + 4}" text-anchor="end" fill="#555555">${label(value)}</text>`);
  }
  for (const level of levels) {
    parts.push(`<text x="${x(level)}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle" fill="#555555">${label(level)}</text>`);
  }
  for (const { server, points } of lines) {
    const known = points.map((values, i) => ({ level: levels[i], values })).filter((p) => p.values.length > 0);
    const colour = COLOURS[server];
    const path = known.map((p) => `${x(p.level)},${y(median(p.values))}`).join(' ');
    parts.push(`<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    for (const { level, values } of known) {
      const [low, high] = [Math.min(...values), Math.max(...values)];
      parts.push(`<line x1="${x(level)}" x2="${x(level)}" y1="${y(low)}" y2="${y(high)}" stroke="${colour}"/>`);
      parts.push(`<circle cx="${x(level)}" cy="${y(median(values))}" r="3.5" fill="${colour}"/>`);
    }
  }
  return parts.join('');
}

function label(value) {
  if (value >= 1e6) return `${value / 1e6} M`;
  if (value >= 1000) return `${value / 1000} k`;
  return String(Number(value.toPrecision(3)));
}

/** The next of 1, 2, 5, 10, 20 … */
function niceMaximum(value) {
  const power = 10 ** Math.floor(Math.log10(value || 1));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= value);
}
