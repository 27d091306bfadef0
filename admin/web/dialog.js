// Modal dialogs: the browser keeps the focus inside and Escape closes.

import {h, uid} from './dom.js';

// confirm asks before something is done. type: what has to be typed first. act may throw; its error is shown inside.
// The answer is what act returned, or undefined.
export function confirm({title, body, action, danger, type, act}) {
  return new Promise((resolve) => {
    const heading = uid('dialog'), label = uid('typed');
    const error = h('p', {class: 'error', role: 'alert'});
    const button = h('button', {class: danger ? 'danger' : 'primary', type: 'submit', disabled: type ? true : undefined}, action);
    const typed = type && h('input', {id: label, autocomplete: 'off', spellcheck: 'false', autocapitalize: 'off', oninput: () => { button.disabled = typed.value !== type; }});
    let answer;
    const dialog = h('dialog', {'aria-labelledby': heading, onclose: () => { dialog.remove(); resolve(answer); }},
      h('form', {method: 'dialog', onsubmit: async (e) => {
        e.preventDefault();
        if (button.disabled) return;
        button.disabled = true;
        error.textContent = '';
        try {
          answer = await act() ?? true;
          dialog.close();
        } catch (err) {
          error.textContent = err.message;
          button.disabled = false;
        }
      }},
        h('h2', {id: heading}, title),
        body.map((line) => h('p', {}, line)),
        type && h('div', {class: 'field'}, h('label', {for: label}, 'Type ', h('code', {}, type), ' to confirm'), typed),
        error,
        h('div', {class: 'actions'}, h('button', {type: 'button', onclick: () => dialog.close()}, 'Cancel'), button)));
    document.body.append(dialog);
    dialog.showModal();
    (typed ?? button).focus();
  });
}
