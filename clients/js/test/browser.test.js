// The same SDK in headless Chromium, imported from the node as a page would, by a page of another origin.
import test from 'node:test';
import assert from 'node:assert/strict';
import { browser, serveFile } from './browser.js';
import { Relay } from './relay.js';
import { Server, until } from './server.js';

test('in a browser: both suites, a wrong key, a killed server, files, a move', async (t) => {
  const s = await Server.start(t);
  const o = await s.session();
  const page = await (await browser(t)).newPage();
  await page.goto(await serveFile(t));
  await page.evaluate(async ({ at, o }) => {
    Object.assign(globalThis, await import(at + '/sdk/fastport.js'), { o, errors: [], states: [] });
    globalThis.connect = async (more = {}) => {
      const c = new FastPort({ ...o, backoffMin: 20, backoffMax: 300, onError: (err) => errors.push(err.code), onState: (state) => states.push(state), ...more });
      await c.init();
      return c;
    };
  }, { at: s.http, o });

  await t.test('both suites', async () => {
    const got = await page.evaluate(async () => {
      const got = [];
      for (const suite of [1, 2]) {
        const [alice, bob] = [await connect({ suite }), await connect({ allowLegacy: true })];
        got.push(await new Promise((resolve) => bob.get('room', resolve).then(() => alice.emit('room', `suite ${suite} 👋`))));
        await Promise.all([alice.close(), bob.close()]);
      }
      return got;
    });
    assert.deepEqual(got, ['suite 1 👋', 'suite 2 👋']);
  });

  await t.test('a wrong key', async () => {
    assert.equal(await page.evaluate(() => connect({ aesKey: generateKey() }).catch((err) => err.code)), 'key_mismatch');
  });

  await t.test('a file to the disk space of the page, read back', async () => {
    const [sent, came] = await page.evaluate(async () => {
      const [alice, bob] = [await connect(), await connect()];
      const content = crypto.getRandomValues(new Uint8Array(60_000));
      const came = new Promise((resolve) => bob.onFile('files', (name, file) => resolve(file), { save: toBrowserStorage() })
        .then(() => alice.sendFile(new File([content, content, content], 'a/b.bin'), 'files')));
      const file = await came;
      const same = new Uint8Array(await file.arrayBuffer()).every((b, i) => b === content[i % 60_000]);
      await Promise.all([alice.close(), bob.close()]);
      return [180_000, same && file.name === 'b.bin' && file instanceof File ? file.size : file.name];
    });
    assert.equal(came, sent);
  });

  await t.test('a server that is killed and comes back', async () => {
    await page.evaluate(async () => {
      globalThis.got = [];
      globalThis.alice = await connect({ clientId: 'alice' });
      globalThis.bob = await connect({ clientId: 'bob' });
      await bob.get('t', (m) => { got.push(m); });
      await alice.emit('t', '0');
    });
    await s.stop('SIGKILL');
    const sent = page.evaluate(() => Promise.all(Array.from({ length: 20 }, (_, i) => alice.emit('t', `${i + 1}`))).then(() => true));
    await s.start();
    assert.ok(await sent);
    await until('all has come', () => page.evaluate(() => got.length === 21));
    assert.deepEqual((await page.evaluate(() => got)).map(Number).sort((a, b) => a - b), Array.from({ length: 21 }, (_, i) => i));
    await page.evaluate(() => Promise.all([alice.close(), bob.close()]));
  });

  await t.test('a node that asks its clients to leave', async (t) => {
    const relay = await Relay.start(t, s.ws);
    await page.evaluate(async (serverUrl) => {
      states.length = got.length = 0;
      [globalThis.alice, globalThis.bob] = [await connect({ serverUrl }), await connect({ serverUrl })];
      await bob.get('t', (m) => { got.push(m); });
    }, relay.ws);
    for (const l of relay.links.slice()) l.down.send(JSON.stringify({ type: 'reconnect', afterMs: 0, reason: 'drain' }));
    await page.evaluate(async () => {
      for (let n = 0; states.filter((state) => state === 'moved').length < 2; n++) await alice.emit('t', `${n}`);
      await alice.emit('t', 'end');
    });
    await until('all has come', () => page.evaluate(() => got.includes('end')));
    const [got, states] = await page.evaluate(() => [got, states]);
    assert.deepEqual(got.slice(0, -1), Array.from({ length: got.length - 1 }, (_, i) => `${i}`));
    assert.deepEqual(states, ['connected', 'connected', 'moved', 'moved']);
  });
});
