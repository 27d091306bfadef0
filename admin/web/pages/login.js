import {h, fill, text} from '../dom.js';
import {admin} from '../api.js';

// login shows the way in, and calls done once it is passed.
export function login(app, reason, done) {
  const error = h('p', {class: 'error', role: 'alert'}, reason ?? '');
  const user = h('input', {id: 'user', name: 'username', autocomplete: 'username', required: true, autocapitalize: 'off', spellcheck: 'false'});
  const pass = h('input', {id: 'pass', name: 'password', type: 'password', autocomplete: 'current-password', required: true});
  const button = h('button', {class: 'primary wide', type: 'submit'}, 'Log in');
  let timer;

  // locked counts down: the broker takes no more tries from this address until then.
  const locked = (seconds) => {
    const until = Date.now() + seconds * 1000;
    const tell = () => {
      const left = Math.ceil((until - Date.now()) / 1000);
      button.disabled = left > 0;
      if (left <= 0) { clearInterval(timer); error.textContent = 'You can try again now.'; text(button, 'Log in'); return; }
      text(button, `Wait ${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}`);
    };
    error.textContent = 'Too many failed log-ins from this address. The account is locked for a while; other addresses are not.';
    clearInterval(timer);
    timer = setInterval(tell, 1000);
    tell();
  };

  const submit = async (e) => {
    e.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    error.textContent = '';
    try {
      await admin('POST', '/login', {username: user.value, password: pass.value});
      done();
    } catch (err) {
      button.disabled = false;
      if (err.code === 'rate_limited') { locked(err.retryAfter || 60); return; }
      error.textContent = err.status === 401 ? 'User name or password is wrong.' : err.message;
      pass.value = '';
      pass.focus();
    }
  };

  fill(app, h('main', {class: 'gate'},
    h('form', {class: 'card', onsubmit: submit},
      h('div', {class: 'brand'}, h('img', {src: 'icon.svg', alt: '', width: 36, height: 36}), 'fastPort'),
      h('h1', {}, 'Log in'),
      h('div', {class: 'field'}, h('label', {for: 'user'}, 'User name'), user),
      h('div', {class: 'field'}, h('label', {for: 'pass'}, 'Password'), pass),
      error, button)));
  user.focus();
}
