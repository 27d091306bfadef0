// examples/chat: what two people do with it.
import test from 'node:test';
import assert from 'node:assert/strict';
import { MiB, digest, largeFile, said, say, stall, tabs } from './tabs.js';

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

test('a file of the same name and size, chosen after a reload, is another file', async (t) => {
  const [ann, ben] = await tabs(t);
  const first = await largeFile(t, 32 * MiB), second = await largeFile(t, 32 * MiB);
  await stall(ann, 16 * MiB);
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
