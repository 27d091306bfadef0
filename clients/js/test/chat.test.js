// examples/chat in two tabs of headless Chromium, as two people use it.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { browser, serveFile } from './browser.js';
import { Server } from './server.js';

const MiB = 1 << 20;

test('two tabs talk over a reload of one', async (t) => {
  const [ann, ben] = await tabs(t);
  await ann.fill('#name', 'Ann');
  await say(ann, 'Hello, <b>Ben</b>!');
  await said(ben, 'Ann: Hello, <b>Ben</b>!');

  await ben.goto('about:blank');
  await say(ann, 'Are you there?');
  await ann.waitForFunction(() => !document.getElementById('log').textContent.includes('…'));
  await ben.goBack();
  await said(ben, 'Are you there?');
  await ben.waitForSelector('body[data-ready]');
  await say(ben, 'I am');
  await said(ann, 'I am');
});

test('100 MiB go from tab to tab in little memory, over a reload of either in the middle', async (t) => {
  const [ann, ben] = await tabs(t);
  const { path, sha256 } = await largeFile(t, 100 * MiB);
  const heaps = await Promise.all([ann, ben].map((p) => p.context().newCDPSession(p)));
  let most = 0;
  const watch = setInterval(() => heaps.forEach((h) => h.send('Runtime.getHeapUsage').then((h) => { most = Math.max(most, h.usedSize + (h.backingStorageSize ?? 0)); }, () => {})), 100);
  t.after(() => clearInterval(watch));
  // The first figure that a progress bar shows from so many bytes on.
  const beyond = async (p, kind, bytes) => (await p.waitForFunction(([kind, bytes]) => {
    const value = document.querySelector(`#log ${kind} progress`)?.value ?? 0;
    return value >= bytes && value;
  }, [kind, bytes], { timeout: 120_000, polling: 20 })).jsonValue();

  await ann.setInputFiles('#file', path);
  const before = await beyond(ben, 'li', 20 * MiB);
  await ben.reload();
  const after = await beyond(ben, 'li', 1);
  assert.ok(after >= before, `Ben had ${before} bytes, and after the reload goes on at ${after}`);

  const sent = await beyond(ann, '.own', 60 * MiB);
  await ann.reload();
  await ann.waitForSelector('body[data-ready]');
  await said(ann, 'large.bin (stopped at ');
  await ann.setInputFiles('#file', path);
  const again = await beyond(ann, '.own', 1);
  assert.ok(again >= sent, `Ann had sent ${sent} bytes, and after the reload goes on at ${again}`);

  await ben.waitForSelector('#log a[download="large.bin"]', { timeout: 120_000 });
  await said(ann, 'large.bin (sent)');
  clearInterval(watch); // what follows has it whole in memory
  assert.equal(await ben.evaluate(digest), sha256);
  assert.deepEqual(await ben.evaluate(folder), ['large.bin'], 'nothing but the file is left');
  t.diagnostic(`heap of a tab at most ${(most / MiB).toFixed(1)} MiB`);
  assert.ok(most > 0 && most < 64 * MiB, `heap of ${most} bytes`);
});

test('a file of the same name and size, chosen after a reload, is another file', async (t) => {
  const [ann, ben] = await tabs(t);
  const first = await largeFile(t, 40 * MiB), second = await largeFile(t, 40 * MiB);
  await ann.setInputFiles('#file', first.path);
  await ben.waitForSelector('#log progress');
  await ann.reload();
  await said(ann, 'large.bin (stopped at ');
  await ann.waitForSelector('body[data-ready]');
  await ann.setInputFiles('#file', second.path);
  await said(ann, 'it is another file now');
  await said(ann, 'large.bin (sent)');
  assert.equal(await ben.evaluate(digest), second.sha256);
});

/** Two tabs of the chat in one room. */
async function tabs(t) {
  const s = await Server.start(t);
  const context = await (await browser(t)).newContext();
  const page = async (address) => {
    const p = await context.newPage();
    p.on('pageerror', (err) => assert.fail(err));
    p.on('dialog', (d) => d.accept()); // to leave while a file is under way
    await p.goto(address);
    await p.waitForSelector('body[data-ready]');
    return p;
  };
  const at = await serveFile(t, fileURLToPath(new URL('../../../examples/chat/index.html', import.meta.url)));
  const ann = await page(at + '#server=' + s.http);
  return [ann, await page(ann.url())];
}

const said = (p, text) => p.waitForFunction((text) => document.getElementById('log').textContent.includes(text), text, { timeout: 120_000 });

async function say(p, text) {
  await p.fill('#text', text);
  await p.press('#text', 'Enter');
}

/** A large.bin of random bytes, which goes with the test. */
async function largeFile(t, size) {
  const dir = await mkdtemp(join(tmpdir(), 'fastport-js-browser-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const path = join(dir, 'large.bin'), hash = createHash('sha256');
  const f = await open(path, 'w');
  for (let i = 0; i < size / MiB; i++) {
    const piece = randomBytes(MiB);
    hash.update(piece);
    await f.write(piece);
  }
  await f.close();
  return { path, sha256: hash.digest('hex') };
}

/** In a page: the SHA-256 of the file that came. */
async function digest() {
  const file = await (await fetch(document.querySelector('#log a[download]').href)).arrayBuffer();
  return [...new Uint8Array(await crypto.subtle.digest('SHA-256', file))].map((b) => b.toString(16).padStart(2, '0')).join('');
}

/** In a page: what lies in its disk space. */
async function folder() {
  const names = [];
  for await (const name of (await (await navigator.storage.getDirectory()).getDirectoryHandle('fastport')).keys()) names.push(name);
  return names;
}
