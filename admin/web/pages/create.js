import {h, fill, icon, copy, uid} from '../dom.js';
import {call} from '../api.js';
import {base64, canDerive, derived, newKey, newPassword} from '../keys.js';
import {field, heading} from '../parts.js';
import {hand} from './playground.js';

const second = 1000, minute = 60 * second, hour = 60 * minute, day = 24 * hour;

export function create(main) {
  let made = null;
  const warn = (e) => { if (made) e.preventDefault(); };
  addEventListener('beforeunload', warn);

  const input = (props) => h('input', {id: uid('in'), autocomplete: 'off', spellcheck: 'false', autocapitalize: 'off', ...props});
  const name = input({required: true, maxlength: 128, pattern: '[A-Za-z0-9][A-Za-z0-9._@\\-]*', placeholder: 'acme-chat'});
  const password = input({required: true, maxlength: 1024, value: newPassword(), class: 'mono'});
  const suite = h('input', {id: uid('in'), type: 'checkbox', checked: true});
  const choose = (options, chosen) => h('select', {id: uid('in')}, options.map(([label, value]) => h('option', {value: value ?? '', selected: value === chosen}, label)));
  const retry = choose([['1 second', second], ['5 seconds', 5 * second], ['30 seconds', 30 * second], ['5 minutes', 5 * minute]], 5 * second);
  const limit = input({type: 'number', min: 0, max: 10000, value: 100, required: true});
  const message = choose([['After 10 minutes', 10 * minute], ['After 1 hour', hour], ['After 1 day', day], ['After 7 days', 7 * day], ['When the server says', null]], hour);
  const subscription = choose([['After 1 day unused', day], ['After 7 days unused', 7 * day], ['After 30 days unused', 30 * day]], 7 * day);
  const expiry = choose([['Never', null], ['In an hour', hour], ['In a day', day], ['In a week', 7 * day], ['In 30 days', 30 * day]], null);
  const error = h('p', {class: 'error', role: 'alert'});
  const button = h('button', {class: 'primary', type: 'submit'}, 'Create the session');
  const sealed = canDerive();

  const submit = async (e) => {
    e.preventDefault();
    button.disabled = true;
    error.textContent = '';
    try {
      const key = sealed ? newKey() : null;
      const body = {sessionName: name.value, password: password.value, retryInterval: Number(retry.value), maxRetryLimit: Number(limit.value),
        messageExpiryTime: message.value ? Number(message.value) : null, subscriptionExpiry: Number(subscription.value), suite: suite.checked ? 2 : 0};
      if (expiry.value) body.sessionExpiry = Number(expiry.value);
      if (key) Object.assign(body, await derived(key, name.value));
      const answer = await call('POST', '/api/createSession', body);
      made = {session: answer.sessionName, url: location.origin, key: key ? base64(key) : '', password: password.value, secretKey: answer.secretKey};
      secrets(main, made, () => { made = null; });
    } catch (err) {
      error.textContent = err.message;
      button.disabled = false;
      if (err.code === 'conflict') name.focus();
    }
  };

  fill(main, h('a', {class: 'crumb', href: '#/sessions'}, icon('back'), 'Sessions'), heading('New session'),
    h('form', {class: 'card form', onsubmit: submit},
      field('Name', name, 'Letters, digits and . _ @ -, at most 128. Devices log in with it.'),
      field('Password', password, 'Drawn at random. Devices need it to log in; the server keeps a hash.'),
      sealed ? h('p', {class: 'banner'}, 'A root key for end-to-end encryption is drawn in this browser. It is shown once, and the server never gets it.')
        : h('p', {class: 'banner warn'}, 'This page came over plain HTTP, where browsers derive no keys: the session is made without a key check. Use https, or ', h('code', {}, 'fastport session create'), '.'),
      h('div', {class: 'check'}, suite, h('label', {for: suite.id}, 'Accept only sealed messages', h('span', {class: 'hint'}, 'The server refuses data that is not sealed with suite 2.'))),
      h('details', {}, h('summary', {}, 'Delivery and expiry'),
        h('div', {class: 'grid'},
          field('Send again after', retry), field('Tries', limit), field('A message expires', message),
          field('A subscription expires', subscription), field('The session expires', expiry))),
      error, h('div', {class: 'actions'}, h('a', {class: 'button', href: '#/sessions'}, 'Cancel'), button)));
  name.focus();
  return () => removeEventListener('beforeunload', warn);
}

// secrets shows what is shown once.
function secrets(main, made, kept) {
  const row = (label, value, hint) => {
    const id = uid('secret');
    return h('div', {class: 'secret'}, h('div', {}, h('label', {for: id}, label), h('p', {class: 'hint'}, hint)),
      h('div', {class: 'value'}, h('input', {id, class: 'mono', readonly: true, value, onfocus: (e) => e.target.select()}),
        h('button', {type: 'button', 'aria-label': `Copy the ${label.toLowerCase()}`, onclick: () => copy(value, label)}, icon('copy'), 'Copy')));
  };
  const sure = h('input', {id: uid('in'), type: 'checkbox', onchange: () => { done.disabled = !sure.checked; if (sure.checked) kept(); }});
  const done = h('button', {class: 'primary', disabled: true, onclick: () => { location.hash = `#/session/${encodeURIComponent(made.session)}`; }}, 'Go to the session');
  const title = heading(`${made.session} is created`);
  fill(main, title,
    h('p', {class: 'banner warn'}, h('b', {}, 'These are shown this once.'), ' Keep them now: nobody can show them again, the server does not have them.'),
    h('section', {class: 'card', 'aria-label': 'Secrets'},
      row('Password', made.password, 'Devices log in with it.'),
      made.key && row('Root key', made.key, 'Seals and opens messages. It stays with the devices: the server never had it.'),
      row('Secret key', made.secretKey, 'Suspends and drops the session, together with the password. For its owner alone.'),
      h('div', {class: 'actions start'}, h('button', {onclick: () => download(made)}, 'Download as a profile'), h('span', {class: 'hint'}, 'for the fastport command: put it into its folder of profiles, readable by you alone'))),
    h('div', {class: 'actions start'}, h('div', {class: 'check'}, sure, h('label', {for: sure.id}, 'I have kept them')), done,
      made.key && h('button', {onclick: () => { if (!sure.checked) { sure.focus(); return; } hand(made); location.hash = '#/playground'; }}, 'Try it in the playground')));
  title.querySelector('h1').focus();
}

function download(made) {
  const url = URL.createObjectURL(new Blob([JSON.stringify(made, null, 2) + '\n'], {type: 'application/json'}));
  h('a', {href: url, download: `${made.session}.json`}).click();
  setTimeout(() => URL.revokeObjectURL(url), 10e3);
}
