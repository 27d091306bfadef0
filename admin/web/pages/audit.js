import {h, fill} from '../dom.js';
import {admin, query, sentence} from '../api.js';
import {date, clock} from '../format.js';
import {empty, failed, heading, loading, pill, table} from '../parts.js';

const actions = {
  'login': 'Log in', 'logout': 'Log out', 'logout.everywhere': 'Log out everywhere', 'session.create': 'Create a session', 'session.drop': 'Drop a session',
  'session.suspend': 'Suspend a session', 'session.resume': 'Resume a session', 'node.drain': 'Drain a node', 'trace.watch': 'Watch messages', 'trace.end': 'Stop watching',
};

export function audit(main) {
  const list = h('div', {}, loading());
  let pages = [''];
  const load = async () => {
    try {
      const got = await admin('GET', '/audits' + query({before: pages.at(-1), limit: 25}));
      if (!got.audits.length) { fill(list, empty('Nothing yet', 'What operators do is listed here: who, what, when and from where.')); return; }
      fill(list, table('Audits', [{name: 'When', class: 'tab'}, {name: 'Who'}, {name: 'What'}, {name: 'Target'}, {name: 'From'}, {name: 'Through'}, {name: 'Result'}],
        got.audits.map((a) => [`${date(a.at)}:${clock(a.at).slice(-2)}`, a.user, actions[a.action] ?? a.action, a.target ? h('code', {}, a.target) : '', h('span', {class: 'tab'}, a.from), a.node,
          a.result === 'ok' ? pill('Done', 'good') : pill(sentence(a.result.replaceAll('_', ' ')), 'bad')])),
      (pages.length > 1 || got.next) && h('div', {class: 'pager'},
        h('button', {disabled: pages.length === 1, onclick: () => { pages.pop(); load(); }}, 'Newer'),
        h('span', {class: 'note'}, `Page ${pages.length}`),
        h('button', {disabled: !got.next, onclick: () => { pages.push(got.next); load(); }}, 'Older')));
    } catch (err) {
      fill(list, failed(err, load));
    }
  };
  fill(main, heading('Audit', h('button', {onclick: () => { pages = ['']; load(); }}, 'Refresh')), list);
  load();
}
