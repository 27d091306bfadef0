// testdata/vectors.json, which every SDK's tests read: each entry comes out, and what must be refused is refused in just that way.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { hex, unhex } from '../src/crypto/bytes.js';
import { sealDevice } from '../src/crypto/device.js';
import { chunkNonce, fileCipher, openMeta } from '../src/crypto/file.js';
import { parseKey } from '../src/crypto/key.js';
import { KeyRing } from '../src/crypto/keyring.js';
import { openChunk, openLegacy, sealChunk, sealLegacy } from '../src/crypto/legacy.js';
import { Sealer, aad, nonce, openMessage } from '../src/crypto/message.js';
import { hashOf } from '../src/crypto/sha256.js';

const v = JSON.parse(readFileSync(new URL('../../../testdata/vectors.json', import.meta.url), 'utf8'));
const ring = (session, ...keys) => KeyRing.create(session, keys);
const refused = (code) => (err) => assert.equal(err.code, code) ?? true;

test('sessions: kid, key check and push key', async () => {
  assert.ok(v.sessions.length > 0);
  for (const s of v.sessions) {
    const r = await ring(s.session, s.key);
    assert.equal(hex(r.newest.kid), s.kid);
    assert.equal(await r.newest.keyCheck(s.session), s.keyCheck);
    assert.equal(await r.newest.fcmKey(s.session), s.fcmKey);
    assert.ok(await r.holds(s.keyCheck));
  }
});

test('weak keys are refused', () => {
  assert.ok(v.weakKeys.length > 0);
  for (const k of v.weakKeys) assert.throws(() => parseKey(k), refused('weak_key'));
});

test('suite 1: messages', async () => {
  for (const m of v.suite1.messages) {
    const r = await ring('any', m.key);
    const data = await sealLegacy(r, unhex(m.plaintext), unhex(m.iv));
    assert.equal(data, m.data, m.name);
    assert.equal(hashOf(data), m.hash, m.name);
    assert.equal(hex(await openLegacy(r, m.data, m.hash)), m.plaintext, m.name);
  }
});

test('suite 1: chunks', async () => {
  for (const c of v.suite1.chunks) {
    const { cbc } = (await ring('any', c.key)).newest;
    const payload = await sealChunk(cbc, unhex(c.plaintext), unhex(c.iv));
    assert.equal(hex(payload), c.payload);
    assert.equal(hex(await openChunk(cbc, payload)), c.plaintext);
  }
});

test('suite 1: what must be refused', async () => {
  assert.ok(v.suite1.refused.length > 0);
  for (const m of v.suite1.refused) {
    await assert.rejects(openLegacy(await ring('any', m.key), m.data, hashOf(m.data)), refused(m.error), m.name);
  }
  const [m] = v.suite1.messages;
  await assert.rejects(openLegacy(await ring('any', m.key), m.data, hashOf(m.data + 'x')), refused('authentication'), 'a wrong hash');
});

test('suite 2: messages', async () => {
  for (const m of v.suite2.messages) {
    const r = await ring(m.session, m.key);
    const header = { topic: m.topic, messageId: m.messageId, timestamp: m.timestamp };
    assert.equal(hex(aad(m.session, header)), m.aad, m.name);
    assert.equal(hex(nonce(BigInt(m.counter))), m.nonce, m.name);
    const { plaintext, mark } = await openMessage(r, header, m.data);
    assert.equal(hex(plaintext), m.plaintext, m.name);
    assert.deepEqual(mark, { sender: m.sender, counter: BigInt(m.counter) }, m.name);
    if (m.counter >= 2 ** 31) continue; // opens, but no sealer of ours gets there
    const sealer = new Sealer(r, { random: () => unhex(m.sender), counter: m.counter });
    assert.equal(await sealer.seal(header, unhex(m.plaintext)), m.data, m.name);
  }
});

test('suite 2: what must be refused', async () => {
  assert.ok(v.suite2.refused.length > 0);
  for (const m of v.suite2.refused) {
    const header = { topic: m.topic, messageId: m.messageId, timestamp: m.timestamp };
    await assert.rejects(openMessage(await ring(m.session, m.key), header, m.data), refused(m.error), m.name);
  }
});

test('push envelopes', async () => {
  assert.ok(v.fcm.length > 0);
  for (const f of v.fcm) {
    const r = await ring(f.session, f.key);
    const sealed = await sealDevice(r, f.userId, JSON.parse(f.plaintext), unhex(f.nonce));
    assert.equal(sealed, f.encryptedData);
    assert.equal(hashOf(sealed), f.hash);
  }
});

test('suite 2: files', async () => {
  for (const f of v.suite2.files) {
    const r = await ring(f.session, f.key);
    const cipher = await fileCipher(r, f.fileId, 2);
    const meta = JSON.parse(f.metaJson);
    assert.equal(await cipher.sealMeta(meta), f.meta);
    const opened = await openMeta(r, f.fileId, f.meta);
    assert.deepEqual(opened.meta, { type: undefined, sha256: undefined, ...meta });
    for (const c of f.chunks ?? []) {
      assert.equal(hex(chunkNonce(c.index, c.last)), c.nonce);
      const payload = await cipher.seal(c.index, c.last, unhex(c.plaintext));
      assert.equal(hex(payload), c.payload);
      assert.equal(hex(await opened.cipher.open(c.index, c.last, payload)), c.plaintext);
      await assert.rejects(opened.cipher.open(c.index + 1, c.last, payload), refused('authentication'));
      await assert.rejects(opened.cipher.open(c.index, !c.last, payload), refused('authentication'));
    }
  }
});
