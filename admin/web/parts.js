// Pieces that several pages show.

import {h, icon} from './dom.js';

export function heading(title, ...aside) {
  return h('header', {class: 'head'}, h('h1', {tabindex: '-1'}, title), h('div', {class: 'aside'}, aside));
}

export function pill(label, tone) {
  return h('span', {class: `pill ${tone}`}, h('i', {'aria-hidden': 'true'}), label);
}

export function empty(title, text, ...actions) {
  return h('div', {class: 'empty'}, icon('empty'), h('h2', {}, title), h('p', {}, text), actions);
}

export function failed(err, again) {
  return h('div', {class: 'empty bad', role: 'alert'}, icon('warn'), h('h2', {}, 'This could not be loaded'), h('p', {}, err.message),
    again && h('button', {onclick: again}, 'Try again'));
}

export function loading() {
  return h('div', {class: 'loading', role: 'status'}, h('span', {class: 'hidden'}, 'Loading'), h('i'), h('i'), h('i'));
}

export function tile(label, value, note) {
  return h('div', {class: 'tile'}, h('dt', {}, label), h('dd', {class: 'num'}, value), note && h('dd', {class: 'note'}, note));
}

// table is a list with headings; on a phone each row becomes a card, whose cells say what they are.
export function table(label, columns, rows) {
  return h('div', {class: 'tablebox'}, h('table', {'aria-label': label},
    h('thead', {}, h('tr', {}, columns.map((c) => h('th', {scope: 'col', class: c.num && 'num'}, c.name || h('span', {class: 'hidden'}, c.hidden ?? ''))))),
    h('tbody', {}, rows.map((cells) => h('tr', {}, cells.map((cell, i) => h('td', {class: columns[i].num ? 'num' : columns[i].class, 'data-label': columns[i].name || null}, cell)))))));
}

export function field(label, input, hint) {
  if (hint) input.setAttribute('aria-describedby', `${input.id}-hint`);
  return h('div', {class: 'field'}, h('label', {for: input.id}, label), input, hint && h('p', {class: 'hint', id: `${input.id}-hint`}, hint));
}

export function liveState() {
  const el = h('span', {class: 'live', role: 'status'});
  const words = {wait: 'Connecting…', live: 'Live', lost: 'Reconnecting…', idle: 'Paused: press any key'};
  const set = (state) => { el.className = `live ${state}`; el.textContent = words[state]; };
  set('wait');
  return {el, set};
}
