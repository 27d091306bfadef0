// The same SDK in headless Chromium, imported from the node as a page would.
import test from 'node:test';
import assert from 'node:assert/strict';
import { browser, serveFile } from './browser.js';
import { Server } from './server.js';

test('in a browser: two clients, both suites', async (t) => {
  const s = await Server.start(t);
  const o = await s.session();
  const page = await (await browser(t)).newPage();
  await page.goto(await serveFile(t));
  const got = await page.evaluate(async ({ at, o }) => {
    const { FastPort } = await import(at + '/sdk/fastport.js');
    const got = [];
    for (const suite of [1, 2]) {
      const [alice, bob] = [new FastPort({ ...o, suite }), new FastPort({ ...o, allowLegacy: true })];
      await Promise.all([alice.init(), bob.init()]);
      const came = new Promise((resolve) => bob.get('room', resolve).then(() => alice.emit('room', 'suite ' + suite)));
      got.push(await came);
      await Promise.all([alice.close(), bob.close()]);
    }
    return got;
  }, { at: s.http, o });
  assert.deepEqual(got, ['suite 1', 'suite 2']);
});
