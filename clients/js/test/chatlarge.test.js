// examples/chat: a large file.
import test from 'node:test';
import assert from 'node:assert/strict';
import { MiB, digest, largeFile, said, stall, tabs } from './tabs.js';

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

  await stall(ann, 80 * MiB);
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

/** In a page: what lies in its disk space. */
async function folder() {
  const names = [];
  for await (const name of (await (await navigator.storage.getDirectory()).getDirectoryHandle('fastport')).keys()) names.push(name);
  return names;
}
