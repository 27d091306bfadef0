// Numbers and times as people read them.

const whole = new Intl.NumberFormat('en-US', {maximumFractionDigits: 0});
const compact = new Intl.NumberFormat('en-US', {notation: 'compact', maximumFractionDigits: 1});

export function count(n) {
  if (n === null || n === undefined || Number.isNaN(n)) return '–';
  return Math.abs(n) < 1e6 ? whole.format(n) : compact.format(n);
}

export function rate(n) {
  if (n === null || n === undefined) return '–';
  return n > 0 && n < 10 ? n.toFixed(1) : count(n);
}

export function millis(n) {
  if (n === null || n === undefined) return '–';
  if (n === 0) return '0 ms';
  if (n < 10) return `${n.toFixed(1)} ms`;
  return n < 10000 ? `${whole.format(n)} ms` : `${(n / 1000).toFixed(1)} s`;
}

// latency is millis of a quantile: 0 says that there was nothing to measure.
export const latency = (n) => n ? millis(n) : '–';

export function bytes(n) {
  if (n === null || n === undefined) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let i = 0;
  while (n >= 1024 && i < units.length - 1) { n /= 1024; i++; }
  return `${i === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${units[i]}`;
}

// span is a length of time in its two largest units.
export function span(seconds) {
  const parts = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  seconds = Math.max(0, Math.round(seconds));
  const i = parts.findIndex(([size]) => seconds >= size);
  if (i < 0) return '0 s';
  const [size, unit] = parts[i];
  const first = `${Math.floor(seconds / size)} ${unit}`;
  const next = parts[i + 1];
  const rest = next ? Math.floor((seconds % size) / next[0]) : 0;
  return rest ? `${first} ${rest} ${next[1]}` : first;
}

const pad = (n, size = 2) => String(n).padStart(size, '0');

export function clock(ms) {
  const d = new Date(ms);
  return `${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`;
}

export function precise(ms) {
  return `${clock(ms)}.${pad(new Date(ms).getMilliseconds(), 3)}`;
}

export function date(ms) {
  if (!ms) return '–';
  const d = new Date(ms);
  return `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())} ${pad(d.getHours())}:${pad(d.getMinutes())}`;
}

export function plural(n, one, many = `${one}s`) {
  return `${count(n)} ${n === 1 ? one : many}`;
}
