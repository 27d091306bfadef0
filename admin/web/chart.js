// Line charts of a few series over time, as SVG. One point a step, newest right; null is a hole.
//
//   const c = new Chart({title: 'Connections', format: count, series: [{key: 'connections', label: 'Connections', tone: 'a'}]});
//   c.update({end, step, values: {connections: [1, 2, null, 4]}});
//
// A chart is an image to a screen reader, whose label says what is to be seen; arrow keys walk its points.

import {h, fill, text, uid} from './dom.js';
import {clock} from './format.js';

const height = 168;
const edge = {top: 20, right: 8, bottom: 22, left: 8};

export class Chart {
  constructor({title, series, format, note}) {
    this.series = series;
    this.format = format;
    this.title = title;
    this.data = null;
    this.at = null; // the point that is looked at
    this.now = new Map(series.map((s) => [s.key, h('b', {class: 'num'}, '–')]));
    this.svg = h('svg', {class: 'plot', height, tabindex: '0', role: 'img', 'aria-label': `${title}: no figures yet`});
    this.tip = h('div', {class: 'tip', hidden: true});
    const heading = uid('chart');
    this.el = h('figure', {class: 'card chart', 'aria-labelledby': heading},
      h('figcaption', {},
        h('div', {}, h('h2', {id: heading}, title), note && h('span', {class: 'note'}, note)),
        h('div', {class: 'legend'}, series.map((s) => h('span', {class: 'key'}, h('i', {class: `swatch tone-${s.tone}`}), h('span', {}, s.label), this.now.get(s.key))))),
      h('div', {class: 'plotbox'}, this.svg, this.tip));
    this.svg.addEventListener('pointermove', (e) => this.look(this.indexOf(e)));
    this.svg.addEventListener('pointerleave', () => this.look(null));
    this.svg.addEventListener('blur', () => this.look(null));
    this.svg.addEventListener('keydown', (e) => this.walk(e));
    this.resized = new ResizeObserver(() => this.draw());
    this.resized.observe(this.svg);
  }

  close() { this.resized.disconnect(); }

  update(data) {
    this.data = data;
    for (const s of this.series) text(this.now.get(s.key), this.format(data.values[s.key]?.at(-1) ?? null));
    this.svg.setAttribute('aria-label', this.summary());
    this.draw();
  }

  summary() {
    const parts = this.series.map((s) => {
      const list = (this.data.values[s.key] ?? []).filter((v) => v !== null);
      if (!list.length) return `${s.label}: no figures yet`;
      return `${s.label}: now ${this.format(list.at(-1))}, between ${this.format(Math.min(...list))} and ${this.format(Math.max(...list))}`;
    });
    return `${this.title}, the last minutes. ${parts.join('. ')}.`;
  }

  get length() { return this.data ? Math.max(...this.series.map((s) => this.data.values[s.key]?.length ?? 0)) : 0; }

  x(i) {
    const n = Math.max(2, this.length);
    return edge.left + (this.width - edge.left - edge.right) * i / (n - 1);
  }

  indexOf(e) {
    const box = this.svg.getBoundingClientRect();
    const share = (e.clientX - box.left - edge.left) / (box.width - edge.left - edge.right);
    return Math.min(this.length - 1, Math.max(0, Math.round(share * (this.length - 1))));
  }

  walk(e) {
    const step = {ArrowLeft: -1, ArrowRight: 1, Home: -1e9, End: 1e9}[e.key];
    if (!step || !this.length) return;
    e.preventDefault();
    this.look(Math.min(this.length - 1, Math.max(0, (this.at ?? this.length - 1) + step)));
  }

  draw() {
    this.width = this.svg.clientWidth;
    if (!this.data || !this.width) return;
    const lists = this.series.map((s) => this.data.values[s.key] ?? []);
    const top = scale(Math.max(0, ...lists.flat().filter((v) => v !== null)));
    this.y = (v) => height - edge.bottom - (height - edge.top - edge.bottom) * v / top;
    const marks = [];
    for (const share of top === 1 ? [0, 1] : [0, 0.5, 1]) {
      const y = this.y(top * share);
      marks.push(h('line', {class: 'grid', x1: edge.left, x2: this.width - edge.right, y1: y, y2: y}));
      if (share) marks.push(h('text', {class: 'tick', x: edge.left, y: y - 4}, this.format(top * share)));
    }
    const minutes = Math.round((this.length - 1) * this.data.step / 60e3);
    marks.push(h('text', {class: 'tick', x: edge.left, y: height - 6}, minutes > 0 ? `${minutes} min ago` : ''));
    marks.push(h('text', {class: 'tick end', x: this.width - edge.right, y: height - 6}, 'now'));
    const lines = this.series.map((s, k) => {
      const line = this.path(lists[k]);
      return h('g', {class: `tone-${s.tone}`}, k === 0 && h('path', {class: 'area', d: this.area(lists[k])}), h('path', {class: 'line', d: line}));
    });
    this.cursor = h('g', {class: 'cursor'});
    this.svg.setAttribute('viewBox', `0 0 ${this.width} ${height}`);
    fill(this.svg, marks, lines.reverse(), this.cursor);
    this.look(this.at);
  }

  runs(list) {
    const runs = [];
    let run = null;
    list.forEach((v, i) => {
      if (v === null || v === undefined) { run = null; return; }
      if (!run) runs.push(run = []);
      run.push([this.x(i), this.y(v)]);
    });
    return runs;
  }

  path(list) {
    return this.runs(list).map((run) => run.length === 1
      ? `M${run[0][0] - 1} ${run[0][1].toFixed(1)}h2`
      : 'M' + run.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join('L')).join('');
  }

  area(list) {
    const base = this.y(0);
    return this.runs(list).map((run) => `M${run[0][0].toFixed(1)} ${base}L` + run.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join('L') + `L${run.at(-1)[0].toFixed(1)} ${base}Z`).join('');
  }

  // look shows the values of one point; null: of none.
  look(i) {
    this.at = i;
    if (!this.cursor) return;
    this.cursor.replaceChildren();
    this.tip.hidden = i === null;
    if (i === null) return;
    const x = this.x(i);
    this.cursor.append(h('line', {x1: x, x2: x, y1: edge.top, y2: height - edge.bottom}));
    const rows = this.series.map((s) => {
      const v = this.data.values[s.key]?.[i] ?? null;
      if (v !== null) this.cursor.append(h('circle', {class: `tone-${s.tone}`, cx: x, cy: this.y(v), r: 3.5}));
      return h('div', {class: 'key'}, h('i', {class: `swatch tone-${s.tone}`}), h('span', {}, s.label), h('b', {class: 'num'}, this.format(v)));
    });
    fill(this.tip, h('time', {class: 'num'}, clock(this.data.end - (this.length - 1 - i) * this.data.step)), rows);
    this.tip.classList.toggle('left', x > this.width / 2);
    this.tip.style.left = x > this.width / 2 ? '' : `${x + 10}px`;
    this.tip.style.right = x > this.width / 2 ? `${this.width - x + 10}px` : '';
  }
}

// scale is a round number at or above the highest value.
function scale(most) {
  if (most <= 0) return 1;
  const unit = 10 ** Math.floor(Math.log10(most));
  return unit * [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((n) => n * unit >= most * 1.02 || n === 10);
}

// sparkline is a chart's little sister: one series, no words.
export function sparkline(list, tone = 'a') {
  const w = 96, tall = 24;
  const known = list.filter((v) => v !== null);
  const top = Math.max(1, ...known);
  let d = '', pen = 'M';
  list.forEach((v, i) => {
    if (v === null) { pen = 'M'; return; }
    d += `${pen}${(i * w / Math.max(1, list.length - 1)).toFixed(1)} ${(tall - 2 - (tall - 4) * v / top).toFixed(1)}`;
    pen = 'L';
  });
  return h('svg', {class: `spark tone-${tone}`, viewBox: `0 0 ${w} ${tall}`, 'aria-hidden': 'true', preserveAspectRatio: 'none'}, h('path', {class: 'line', d}));
}
