import assert from 'node:assert/strict';
import { FastPort } from '../fastport.js';

/** A client that is logged in, and ends with the test. What it reports is in `errors`, its states in `states`. */
export async function connect(t, options) {
  const errors = [], states = [];
  const c = new FastPort({ backoffMin: 20, backoffMax: 300, onError: (err) => errors.push(err), onState: (s) => states.push(s), ...options });
  Object.assign(c, { errors, states });
  t.after(() => c.close({ timeout: 100 }));
  await c.init();
  return c;
}

/** A handler that must never be called. It only notes it: what a handler throws is the client's to catch. */
export function never(t, what) {
  let called = false;
  t.after(() => assert.ok(!called, what));
  return () => { called = true; };
}
