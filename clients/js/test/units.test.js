// Parts by themselves, where a server would not bring them to their bounds.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { Backoff } from '../src/backoff.js';
import { base64, base64url } from '../src/crypto/bytes.js';
import { generateKey } from '../src/crypto/key.js';
import { KeyRing } from '../src/crypto/keyring.js';
import { Sealer, openMessage } from '../src/crypto/message.js';
import { ReplayGuard } from '../src/crypto/replay.js';
import { Sha256 } from '../src/crypto/sha256.js';
import { Dedupe } from '../src/dedupe.js';
import { Sending } from '../src/files/sending.js';
import { numbered, safeName } from '../src/files/names.js';

test('SHA-256 is that of Node, however its input is cut', () => {
  for (const n of [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000, 100_000]) {
    const b = randomBytes(n);
    const h = new Sha256();
    for (let at = 0; at < n;) h.update(b.subarray(at, at += 1 + Math.floor(Math.random() * 200)));
    assert.equal(h.hex(), createHash('sha256').update(b).digest('hex'));
    assert.equal(h.hex(), h.hex());
  }
});

test('base64 is that of Node, and takes nothing that is only almost base64', () => {
  for (let n = 0; n < 70; n++) {
    const b = randomBytes(n);
    assert.equal(base64.encode(b), b.toString('base64'));
    assert.equal(base64url.encode(b), b.toString('base64url'));
    assert.deepEqual(Buffer.from(base64.decode(b.toString('base64'))), b);
    assert.deepEqual(Buffer.from(base64url.decode(b.toString('base64url'))), b);
  }
  for (const bad of ['A', 'AA', 'AAA', 'AAAA\n', 'AA==AA==', 'AB==', 'AAB=', 'A-_=', '====', 'AAA\u0100']) assert.equal(base64.decode(bad), null, bad);
  for (const bad of ['A', 'AB', 'AAB', 'AA==', 'A+/A', 'AA\nA']) assert.equal(base64url.decode(bad), null, bad);
});

test('a sealer draws a new sender before its numbers run out, and each day', async () => {
  const ring = await KeyRing.create('s', generateKey());
  let now = 0;
  const sealer = new Sealer(ring, { now: () => now, counter: 2 ** 31 - 2 });
  const header = { topic: 't', messageId: 'm', timestamp: 1 };
  const mark = async () => (await openMessage(ring, header, await sealer.seal(header, new Uint8Array(1)))).mark;
  const [a, b, c] = [await mark(), await mark(), await mark()];
  assert.deepEqual([a.counter, b.counter, c.counter], [2n ** 31n - 2n, 2n ** 31n - 1n, 0n]);
  assert.equal(a.sender, b.sender);
  assert.notEqual(b.sender, c.sender);
  now += 24 * 3600 * 1000;
  const d = await mark();
  assert.notEqual(c.sender, d.sender);
  assert.equal(d.counter, 0n);
});

test('seals made at once never share a number', async () => {
  const ring = await KeyRing.create('s', generateKey());
  const sealer = new Sealer(ring);
  const header = { topic: 't', messageId: 'm', timestamp: 1 };
  const all = await Promise.all(Array.from({ length: 200 }, () => sealer.seal(header, new Uint8Array(1))));
  const marks = await Promise.all(all.map(async (data) => (await openMessage(ring, header, data)).mark.counter));
  assert.equal(new Set(marks).size, 200);
});

test('a replay guard agrees with a plain set, and keeps its bound', () => {
  const guard = new ReplayGuard(1 << 16), model = new Set();
  for (let i = 0; i < 5000; i++) {
    const mark = { sender: String(Math.floor(Math.random() * 3)), counter: BigInt(Math.floor(Math.random() * 2000)) };
    const name = mark.sender + mark.counter;
    assert.equal(guard.seen(mark), model.has(mark.sender + ' ' + name));
    assert.equal(guard.accept(mark), !model.has(mark.sender + ' ' + name));
    model.add(mark.sender + ' ' + name);
  }
  const small = new ReplayGuard(3);
  for (const n of [0n, 2n, 4n, 6n]) small.accept({ sender: 'a', counter: n });
  assert.equal(small.seen({ sender: 'a', counter: 0n }), false, 'the lowest is forgotten');
  assert.equal(small.seen({ sender: 'a', counter: 6n }), true);
  small.accept({ sender: 'b', counter: 1n });
  assert.equal(small.seen({ sender: 'a', counter: 6n }), false, 'who was heard longest ago is forgotten');
  assert.equal(small.seen({ sender: 'b', counter: 1n }), true);
});

test('a dedupe hands over once, knows its last ones, and forgets the oldest', () => {
  const d = new Dedupe(2);
  assert.equal(d.begin('a'), 'fresh');
  assert.equal(d.begin('a'), 'inHand');
  d.finish('a', false);
  assert.equal(d.begin('a'), 'fresh', 'given back, it may come again');
  for (const key of ['a', 'b', 'c']) {
    d.begin(key);
    d.finish(key, true);
  }
  assert.deepEqual(['a', 'b', 'c'].map((key) => d.knows(key)), [false, true, true]);
  assert.equal(d.begin('c'), 'acked');
});

test('a backoff doubles, is jittered and bounded', () => {
  const b = new Backoff(100, 1000);
  for (const most of [100, 200, 400, 800, 1000, 1000]) {
    const ms = b.next();
    assert.ok(ms >= 0 && ms <= most, `${ms} of ${most}`);
  }
  for (let i = 0; i < 2000; i++) assert.ok(b.next() <= 1000);
  b.reset();
  assert.ok(b.next() <= 100);
});

test('names of files are of one path element, not hidden, and fit every system', () => {
  for (const [name, want] of [
    ['photo.jpg', 'photo.jpg'], ['../../etc/passwd', 'passwd'], ['C:\\x\\y.txt', 'y.txt'], ['.bashrc', 'bashrc'], ['..', 'file'], ['', 'file'], ['a/', 'file'],
    ['a\u0000b\u202etxt.exe', 'a_b_txt.exe'], ['what?*.txt', 'what__.txt'], ['NUL.txt', 'file'], ['com1', 'file'], ['x. . ', 'x'], ['ä 👋.txt', 'ä 👋.txt'],
  ]) assert.equal(safeName(name), want, name);
  const long = safeName('👋'.repeat(100) + '.jpeg');
  assert.ok(Buffer.byteLength(long) <= 248 && long.endsWith('👋.jpeg'), long);
  assert.equal(numbered('a.tar.gz', 2), 'a.tar (2).gz');
  assert.equal(numbered('hidden', 1), 'hidden (1)');
});

test('a stream that comes back keeps what the last receiver to do so may miss', async () => {
  const chunks = { total: 100, seekable: false, sha256: '', frame: async (_id, index) => Uint8Array.of(index), end: () => undefined };
  const line = () => ({ isDown: false, out: [], wake() {}, send(f) { this.out.push(f.type); }, sendBinary(b) { this.out.push(b[0]); } });
  const span = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);
  const sending = new Sending({ type: 'init_file', fileId: 'f', topic: 't' }, chunks, 'film', 6_553_600, false);
  const done = sending.produce(undefined);
  let k = line();
  const tell = async (receivers, acked, done = false) => {
    sending.progress(k, { fileId: 'f', receivers, acked, done });
    for (let still = 0; still < 20;) { // turns of the loop in which nothing more goes out
      const before = k.out.length;
      await new Promise(setImmediate);
      while (sending.pull(k));
      still = k.out.length === before ? still + 1 : 0;
    }
    return k.out.splice(0);
  };
  sending.move(k);
  sending.pull(k);
  assert.deepEqual(await tell(2, 0), ['init_file', ...span(0, 64)]);
  assert.deepEqual(await tell(2, 20), span(64, 84));
  k.isDown = true;
  sending.move(k = line());
  sending.pull(k);
  assert.deepEqual(await tell(1, 35), ['init_file', ...span(35, 84)]); // and no more: chunks 20 to 83 may be asked for
  assert.deepEqual(await tell(2, 20), span(20, 84));
  // Its own connection stays, and the server loses the file behind it, and makes it go back to tell it so.
  assert.deepEqual(await tell(1, 36), []);
  assert.deepEqual(await tell(1, 35), span(35, 84));
  assert.deepEqual(await tell(2, 20), span(20, 84));
  // One that leaves holds nothing up.
  assert.deepEqual(await tell(1, 20), []);
  assert.deepEqual(await tell(1, 40), [...span(84, 100), 'end_file']);
  await tell(1, 100, true);
  await done;
});
