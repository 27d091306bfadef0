import {h, fill, icon} from '../dom.js';
import {admin, query} from '../api.js';
import {date} from '../format.js';
import {empty, failed, heading, loading, pill, table} from '../parts.js';

export function stateOf(s) {
  if (s.expiresAt && s.expiresAt <= Date.now()) return pill('Expired', 'bad');
  return s.suspended ? pill('Suspended', 'warn') : pill('Active', 'good');
}

export function sessions(main, {search}) {
  let match = search.get('match') ?? '';
  let pages = ['']; // where each page up to this one begins
  let asked = 0;
  const box = h('input', {id: 'match', type: 'search', placeholder: 'Search by name', value: match, 'aria-label': 'Search sessions by name', autocomplete: 'off', spellcheck: 'false', oninput: () => {
    clearTimeout(timer);
    timer = setTimeout(() => { match = box.value.trim(); pages = ['']; load(); }, 250);
  }});
  let timer;
  const list = h('div', {'aria-live': 'polite'}, loading());

  const load = async () => {
    const mine = ++asked;
    try {
      const got = await admin('GET', '/sessions' + query({match, after: pages.at(-1), limit: 25}));
      if (mine === asked) show(got);
    } catch (err) {
      if (mine === asked) fill(list, failed(err, load));
    }
  };

  const show = ({sessions, next}) => {
    if (!sessions.length) {
      fill(list, match ? empty('No session of this name', `No session's name holds “${match}”.`)
        : empty('No sessions yet', 'A session is a broker of its own: its devices, topics and keys.', h('a', {class: 'button primary', href: '#/new'}, icon('plus'), 'New session')));
      return;
    }
    const rows = sessions.map((s) => [
      h('a', {class: 'strong', href: `#/session/${encodeURIComponent(s.sessionName)}`}, s.sessionName), stateOf(s), date(s.createdAt),
      s.expiresAt ? date(s.expiresAt) : h('span', {class: 'faint'}, 'never'), s.suite === 2 ? 'Required' : h('span', {class: 'faint'}, 'Optional'), s.push ? 'Yes' : h('span', {class: 'faint'}, 'No')]);
    fill(list, table('Sessions', [{name: 'Name'}, {name: 'State'}, {name: 'Created', class: 'tab'}, {name: 'Expires', class: 'tab'}, {name: 'Sealing'}, {name: 'Push'}], rows),
      (pages.length > 1 || next) && h('div', {class: 'pager'},
        h('button', {disabled: pages.length === 1, onclick: () => { pages.pop(); load(); }}, 'Previous'),
        h('span', {class: 'note'}, `Page ${pages.length}`),
        h('button', {disabled: !next, onclick: () => { pages.push(next); load(); }}, 'Next')));
  };

  fill(main, heading('Sessions', h('a', {class: 'button primary', href: '#/new'}, icon('plus'), 'New session')),
    h('div', {class: 'toolbar'}, h('div', {class: 'searchbox'}, icon('search'), box)), list);
  load();
  return () => clearTimeout(timer);
}
