// What the seed documents promise, held against a running server: FASTPORT_URL is its http:// address.
import test from 'node:test';
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { SeedClient } from './client.mjs';

const http = process.env.FASTPORT_URL;
const ws = http.replace(/^http/, 'ws');
const aesKey = crypto.randomBytes(32).toString('base64');
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function createSession(more = {}) {
  const sessionName = 'seed_' + crypto.randomBytes(6).toString('hex');
  const answer = await fetch(http + '/api/createSession', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ sessionName, password: 'secure_pass_123', retryInterval: 5000, maxRetryLimit: 100,
      encryptionKey: aesKey, messageExpiryTime: 3600000, ...more }),
  });
  const body = await answer.json();
  assert.equal(answer.status, 200, JSON.stringify(body));
  assert.equal(body.success, true);
  assert.equal(body.sessionName, sessionName);
  return sessionName;
}

async function connect(t, sessionName, more = {}) {
  const c = new SeedClient({ url: ws, sessionName, password: 'secure_pass_123', aesKey, ...more });
  await c.init();
  t.after(() => c.close());
  return c;
}

const count = (c, id) => c.log.filter((f) => f.type === 'message' && f.messageId === id);

test('publish, receive, ack', async (t) => {
  const s = await createSession({ retryInterval: 200 });
  const [alice, bob] = [await connect(t, s), await connect(t, s)];
  const got = [];
  await bob.get('chat/room1', (message, timestamp) => got.push([message, timestamp]));
  const { ack, response, messageId } = await alice.emit('chat/room1', 'Hello Bob! äöü 👋');
  assert.equal(ack.messageId, messageId);
  assert.equal(response.success, true);
  assert.equal(response.deliveredTo, 1);
  await sleep(700); // three retry intervals: an ack ends the retries
  assert.equal(got.length, 1);
  assert.equal(got[0][0], 'Hello Bob! äöü 👋');
  assert.ok(Math.abs(got[0][1] - Date.now()) < 60000);
  assert.equal(alice.log.filter((f) => f.type === 'message').length, 0);
});

test('retry 1, 2, 3, then give up', async (t) => {
  const s = await createSession({ retryInterval: 200, maxRetryLimit: 3 });
  const [alice, bob] = [await connect(t, s), await connect(t, s, { autoAck: false })];
  await bob.get('t', () => {});
  const { messageId } = await alice.emit('t', 'x');
  await sleep(2000);
  const tries = count(bob, messageId);
  assert.deepEqual(tries.map((f) => f.retry), [undefined, 1, 2, 3]);
  for (let i = 1; i < tries.length; i++) assert.ok(tries[i].at - tries[i - 1].at >= 150, 'a retry came too early');
});

test('a late ack ends the retries', async (t) => {
  const s = await createSession({ retryInterval: 200 });
  const [alice, bob] = [await connect(t, s), await connect(t, s, { autoAck: false })];
  await bob.get('t', () => {});
  const again = bob.next((f) => f.type === 'message' && f.retry === 2);
  const { messageId } = await alice.emit('t', 'x');
  await again;
  bob.send({ type: 'ack', messageId });
  await sleep(800);
  assert.equal(count(bob, messageId).length, 3);
});

test('the same messageId is delivered once and acked twice', async (t) => {
  const s = await createSession();
  const [alice, bob] = [await connect(t, s), await connect(t, s)];
  await bob.get('t', () => {});
  const { messageId } = await alice.emit('t', 'x');
  await alice.emit('t', 'x', messageId);
  await sleep(300);
  assert.equal(count(bob, messageId).length, 1);
});

test('sessions are isolated', async (t) => {
  const [one, two] = [await createSession(), await createSession()];
  const [alice, bob] = [await connect(t, one), await connect(t, two)];
  await bob.get('t', () => {});
  const { response } = await alice.emit('t', 'x');
  assert.equal(response.deliveredTo, 0);
  await sleep(300);
  assert.equal(bob.log.filter((f) => f.type === 'message').length, 0);
});

test('a wrong password and an unknown session are refused alike', async (t) => {
  const s = await createSession();
  const texts = [];
  for (const [sessionName, password] of [[s, 'wrong'], ['no_such_session', 'secure_pass_123']]) {
    const c = new SeedClient({ url: ws, sessionName, password, aesKey });
    await assert.rejects(c.init(), (e) => { texts.push(e.message); return true; });
    assert.equal(await c.closed, 4004);
  }
  assert.equal(texts[0], texts[1]);
});

test('files arrive whole', async (t) => {
  const s = await createSession();
  const [alice, bob] = [await connect(t, s), await connect(t, s)];
  const content = crypto.randomBytes(3 * 1024 * 1024 + 17);
  const done = new Promise((resolve) => bob.onFile('files/shared', (name, data) => resolve([name, data])).then(() => alice.sendFile('document.pdf', content, 'files/shared')));
  const [name, data] = await done;
  assert.equal(name, 'document.pdf');
  assert.ok(content.equals(data));
});

test('a user who was offline gets what waits for it after its own subscribe', async (t) => {
  const s = await createSession();
  const alice = await connect(t, s);
  let ann = await connect(t, s, { userId: 'ann@example.com' });
  await ann.get('t', () => {});
  ann.close();
  await ann.closed;
  await alice.emit('t', 'while you were away');
  ann = await connect(t, s, { userId: 'ann@example.com' });
  const got = new Promise((resolve) => ann.get('t', (message) => resolve(message)));
  assert.equal(await got, 'while you were away');
});
