// The portal's frame: who is logged in, which page is shown, and the way between pages.

import {h, fill, icon, toast} from './dom.js';
import {admin, onLoggedOut} from './api.js';
import {login} from './pages/login.js';
import {overview} from './pages/overview.js';
import {nodes} from './pages/nodes.js';
import {sessions} from './pages/sessions.js';
import {session} from './pages/session.js';
import {create} from './pages/create.js';
import {trace} from './pages/trace.js';
import {log} from './pages/log.js';
import {audit} from './pages/audit.js';
import {playground} from './pages/playground.js';

// A page is a function of (main, params): it fills main, and may return what ends it.
const pages = {overview, nodes, sessions, session, new: create, trace, log, audit, playground};
const menu = [['overview', 'Overview'], ['nodes', 'Nodes'], ['sessions', 'Sessions'], ['trace', 'Trace'], ['playground', 'Playground'], ['log', 'Log'], ['audit', 'Audit']];
const within = {session: 'sessions', new: 'sessions'};

const app = document.getElementById('app');
let me = null;
let end = null; // of the page that is shown
let main = null;

export function go(page, ...rest) {
  location.hash = '#/' + [page, ...rest].map(encodeURIComponent).join('/');
}

function where() {
  const [path, search] = location.hash.replace(/^#\/?/, '').split('?');
  const [page, ...rest] = path.split('/').map(decodeURIComponent);
  return {page: pages[page] ? page : 'overview', rest, search: new URLSearchParams(search)};
}

function leave() {
  if (typeof end === 'function') end();
  end = null;
}

function show() {
  if (!me) return;
  leave();
  const {page, rest, search} = where();
  for (const a of app.querySelectorAll('nav a')) {
    if (a.dataset.page === (within[page] ?? page)) a.setAttribute('aria-current', 'page');
    else a.removeAttribute('aria-current');
  }
  closeMenu();
  main.replaceChildren();
  end = pages[page](main, {rest, search, me});
  const title = main.querySelector('h1');
  document.title = `${title?.textContent ?? 'Portal'} · fastPort`;
  if (shown) { title?.focus({preventScroll: true}); scrollTo(0, 0); }
  shown = true;
}
let shown = false; // the first page takes no focus from the browser

function closeMenu() {
  app.querySelector('.frame')?.classList.remove('open');
  app.querySelector('.menu')?.setAttribute('aria-expanded', 'false');
}

function frame() {
  main = h('main', {id: 'main', tabindex: '-1'});
  const menuButton = h('button', {class: 'menu quiet', 'aria-expanded': 'false', 'aria-controls': 'nav', 'aria-label': 'Menu', onclick: () => {
    const open = app.querySelector('.frame').classList.toggle('open');
    menuButton.setAttribute('aria-expanded', String(open));
  }}, icon('menu'));
  fill(app,
    h('a', {class: 'skip', href: '#main', onclick: (e) => { e.preventDefault(); main.focus(); }}, 'Skip to the page'),
    h('div', {class: 'frame'},
      h('div', {class: 'bar'},
        h('a', {class: 'brand', href: '#/overview'}, h('img', {src: 'icon.svg', alt: '', width: 24, height: 24}), 'fastPort'),
        menuButton,
        h('nav', {id: 'nav', 'aria-label': 'Pages'},
          h('ul', {}, menu.map(([page, label]) => h('li', {}, h('a', {href: `#/${page}`, 'data-page': page}, icon(page), label)))),
          h('div', {class: 'foot'},
            h('div', {class: 'who'}, h('b', {}, me.user), h('span', {title: me.version}, `via ${me.node}`)),
            h('button', {class: 'quiet', 'aria-label': 'Change between light and dark', title: 'Light or dark', onclick: theme}, icon('theme')),
            h('button', {class: 'quiet', 'aria-label': 'Log out', title: 'Log out', onclick: logout}, icon('logout'))))),
      main));
}

function theme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = dark ? 'light' : 'dark';
  localStorage.setItem('fastport.theme', root.dataset.theme);
}

async function logout() {
  try {
    await admin('POST', '/logout', {});
  } catch (err) {
    if (err.status !== 401) { toast(err.message, 'bad'); return; }
  }
  ask();
}

// ask shows the log-in; the page that was asked for comes after it.
function ask(reason) {
  leave();
  me = null;
  shown = false;
  document.title = 'Log in · fastPort';
  for (const d of document.querySelectorAll('dialog')) d.remove();
  login(app, reason, start);
}

async function start() {
  try {
    me = await admin('GET', '/me');
    if (!me.user) { ask(); return; }
  } catch (err) {
    fill(app, h('div', {class: 'gate'}, h('div', {class: 'card', role: 'alert'}, h('h1', {}, 'No answer'), h('p', {}, err.message), h('button', {class: 'primary', onclick: start}, 'Try again'))));
    return;
  }
  frame();
  show();
}

addEventListener('hashchange', show);
addEventListener('keydown', (e) => { if (e.key === 'Escape') closeMenu(); });
onLoggedOut(() => { if (me) ask('You were logged out. Log in to go on.'); });
start();
