// examples/chat in two tabs of headless Chromium, as two people use it.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { browser, serveFile } from './browser.js';
import { Server } from './server.js';

export const MiB = 1 << 20;

/** Two tabs of the chat in one room. */
export async function tabs(t) {
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

/** Waits until a tab's log has a text. */
export async function said(p, text) {
  try {
    await p.waitForFunction((text) => document.getElementById('log').textContent.includes(text), text, { timeout: 120_000 });
  } catch (err) {
    throw new Error(`"${text}" is not in ${JSON.stringify(await p.textContent('#log'))}`, { cause: err });
  }
}

/** Has a tab's line take no more than so many bytes of files until the tab is loaded anew, so that none is through before that. */
export const stall = (p, bytes) => p.evaluate((bytes) => {
  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (data) {
    if (typeof data === 'string' || (bytes -= data.byteLength) > 0) send.call(this, data);
  };
}, bytes);

/** Says something in a tab. */
export async function say(p, text) {
  await p.fill('#text', text);
  await p.press('#text', 'Enter');
}

/** A large.bin of random bytes, which goes with the test. */
export async function largeFile(t, size) {
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
export async function digest() {
  const file = await (await fetch(document.querySelector('#log a[download]').href)).arrayBuffer();
  return [...new Uint8Array(await crypto.subtle.digest('SHA-256', file))].map((b) => b.toString(16).padStart(2, '0')).join('');
}
