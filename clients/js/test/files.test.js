// Files through a real server.
import test, { after } from 'node:test';
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toDirectory, toMemory } from '../fastport.js';
import { connect, never } from './connect.js';
import { Relay } from './relay.js';
import { Server, until } from './server.js';

const s = await Server.start({ after });

const sha256 = (b) => createHash('sha256').update(b).digest('hex');

async function folder(t) {
  const dir = await mkdtemp(join(tmpdir(), 'fastport-js-files-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

for (const suite of [1, 2]) {
  test(`suite ${suite}: files of every kind of source arrive whole`, async (t) => {
    const o = { ...await s.session(), suite, allowLegacy: suite === 1 };
    const [alice, bob] = [await connect(t, o), await connect(t, o)];
    const dir = await folder(t);
    const content = randomBytes(3 * 1024 * 1024 + 17);
    await writeFile(join(dir, 'document.pdf'), content);
    const got = [];
    await bob.onFile('files', (name, data, offer) => { got.push({ name, data, offer }); });
    async function* stream() {
      for (let at = 0; at < content.length; at += 100_000) yield content.subarray(at, at + 100_000);
    }
    const sources = [
      [join(dir, 'document.pdf'), {}],
      [new File([content], 'picture.png', { type: 'image/png' }), {}],
      [content, { name: 'bytes' }],
      [stream(), { name: 'stream', size: content.length }],
      [new Blob([]), { name: 'empty' }],
    ];
    const progress = [];
    for (const [source, more] of sources) await alice.sendFile(source, 'files', { ...more, onProgress: (p) => progress.push(p) });
    await until('all have come', () => got.length === sources.length);
    assert.deepEqual(got.map((f) => f.name), ['document.pdf', 'picture.png', 'bytes', 'stream', 'empty']);
    for (const f of got.slice(0, 4)) assert.equal(sha256(f.data), sha256(content), f.name);
    assert.equal(got[4].data.length, 0);
    assert.equal(got[1].offer.type, suite === 2 ? 'image/png' : '');
    const last = progress.filter((p) => p.fileName === 'document.pdf').at(-1);
    assert.deepEqual([last.done, last.size, last.receivers], [content.length, content.length, 1]);
  });
}

test('a file goes to disk in a stream, under a name that is safe and free', async (t) => {
  const o = await s.session();
  const [alice, bob] = [await connect(t, o), await connect(t, o)];
  const dir = await folder(t);
  const paths = [];
  await bob.onFile('files', (_name, path) => { paths.push(path); }, { save: toDirectory(dir) });
  for (const name of ['../../etc/a.txt', 'a.txt', '.hidden']) await alice.sendFile(randomBytes(100), 'files', { name });
  await until('all have come', () => paths.length === 3);
  assert.deepEqual(paths, ['a.txt', 'a (1).txt', 'hidden'].map((name) => join(dir, name)));
  assert.deepEqual((await readdir(dir)).sort(), ['a (1).txt', 'a.txt', 'hidden']);
  assert.equal((await readFile(paths[1])).length, 100);
});

test('a file that is too large for memory is not taken, and that is told', async (t) => {
  const o = await s.session();
  const [alice, bob] = [await connect(t, o), await connect(t, o)];
  await bob.onFile('files', never(t, 'it was handed over'), { save: toMemory({ limit: 1000 }) });
  await assert.rejects(alice.sendFile(randomBytes(1001), 'files', { name: 'large' }));
  await until('it is told', () => bob.errors.length > 0);
  assert.deepEqual([bob.errors[0].code, bob.errors[0].fileName], ['too_large', 'large']);
});

test('without receivers a file fails at once', async (t) => {
  const alice = await connect(t, await s.session());
  await assert.rejects(alice.sendFile(randomBytes(10), 'files', { name: 'x' }), { code: 'no_receivers' });
});

test('a file goes on where it was after the server was killed, for its sender and its receiver', async (t) => {
  const s = await Server.start(t);
  const o = await s.session();
  const [alice, bob] = [await connect(t, { ...o, clientId: 'alice' }), await connect(t, { ...o, clientId: 'bob' })];
  const content = randomBytes(24 * 1024 * 1024);
  let killed = false, written = 0;
  const pieces = [];
  const done = new Promise((resolve) => {
    bob.onFile('files', resolve, {
      save: () => ({
        async write(piece) {
          pieces.push(piece.slice());
          written += piece.length;
          if (!killed && written > content.length / 3) {
            killed = true;
            await s.stop('SIGKILL');
            await s.start();
          }
        },
        close() {},
        abort() {},
      }),
    }).then(() => alice.sendFile(content, 'files', { name: 'large' }));
  });
  await done;
  assert.ok(killed);
  assert.equal(sha256(Buffer.concat(pieces)), sha256(content));
  assert.equal(written, content.length, 'nothing was written twice');
});

test('a sender that gives up leaves nothing at its receiver', async (t) => {
  const o = await s.session();
  const [alice, bob] = [await connect(t, o), await connect(t, o)];
  const dir = await folder(t);
  const giveUp = new AbortController();
  await bob.onFile('files', never(t, 'it was handed over'), {
    save: toDirectory(dir), onProgress: () => giveUp.abort(new Error('changed my mind')),
  });
  await assert.rejects(alice.sendFile(randomBytes(20 << 20), 'files', { name: 'large', signal: giveUp.signal }), /changed my mind/);
  await until('the receiver knows', () => bob.errors.length > 0);
  assert.deepEqual(await readdir(dir), []);
});

test('a file whose hash is not that of its content is never whole, and leaves nothing', async (t) => {
  const o = { ...await s.session(), suite: 1, allowLegacy: true };
  const relay = await Relay.start(t, s.ws);
  relay.toServer = (f) => [f.type === 'end_file' ? { ...f, hash: '0'.repeat(64) } : f];
  const [alice, bob] = [await connect(t, { ...o, serverUrl: relay.ws }), await connect(t, o)];
  const dir = await folder(t);
  await bob.onFile('files', never(t, 'it was handed over'), { save: toDirectory(dir) });
  await alice.sendFile(randomBytes(100_000), 'files', { name: 'x' }); // of suite 1 the end looks the same to the sender
  await until('it is told', () => bob.errors.length > 0);
  assert.equal(bob.errors[0].code, 'corrupt');
  assert.deepEqual(await readdir(dir), []);
});

test('a file that changes while it is sent is never whole', async (t) => {
  const o = await s.session();
  const [alice, bob] = [await connect(t, o), await connect(t, o)];
  await bob.onFile('files', never(t, 'it was handed over'));
  const content = randomBytes(10 << 20);
  const sent = alice.sendFile(content, 'files', { name: 'x', onProgress: (p) => { if (p.done > 0) content.fill(0, 9 << 20); } });
  await assert.rejects(sent, { code: 'source_changed' });
});
