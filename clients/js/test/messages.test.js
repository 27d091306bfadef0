// Messages through a real server.
import test, { after } from 'node:test';
import assert from 'node:assert/strict';
import { FastPort, generateKey } from '../fastport.js';
import { connect, never } from './connect.js';
import { Relay } from './relay.js';
import { Server, until } from './server.js';

const s = await Server.start({ after });

for (const suite of [1, 2]) {
  test(`suite ${suite}: what one emits the other gets, once and in order`, async (t) => {
    const o = { ...await s.session(), suite, allowLegacy: suite === 1 };
    const [alice, bob] = [await connect(t, o), await connect(t, o)];
    const got = [];
    await bob.get('chat/room1', (message, timestamp, info) => { got.push([message, timestamp, info]); });
    const receipts = await Promise.all(Array.from({ length: 300 }, (_, i) => alice.emit('chat/room1', `${i} äöü 👋`)));
    await until('all has come', () => got.length === 300);
    assert.deepEqual(got.map(([m]) => m), Array.from({ length: 300 }, (_, i) => `${i} äöü 👋`));
    assert.ok(Math.abs(got[0][1] - Date.now()) < 60_000);
    assert.equal(got[7][2].id, receipts[7].messageId);
    assert.equal(got[0][2].legacy, suite === 1);
  });
}

test('a wrong password, an unknown session and a wrong key end the client at init', async (t) => {
  const o = await s.session();
  for (const [code, wrong] of [['unauthorized', { password: 'wrong' }], ['unauthorized', { sessionName: 'nobody' }], ['key_mismatch', { aesKey: generateKey() }]]) {
    const c = new FastPort({ ...o, ...wrong });
    await assert.rejects(c.init(), { code });
    assert.equal(c.error?.code, code);
    await assert.rejects(c.emit('t', 'x'), { code });
    await c.close();
  }
});

test('options that cannot work are refused at once, and say which', async () => {
  const o = { serverUrl: 'ws://127.0.0.1:1', sessionName: 's', password: 'p', aesKey: generateKey() };
  const counting = Buffer.from(Array.from({ length: 32 }, (_, i) => i)).toString('base64');
  for (const [code, wrong] of [
    ['bad_option', { serverUrl: 'ftp://x' }], ['bad_option', { serverUrl: [] }], ['bad_option', { password: '' }], ['bad_option', { aesKey: 'short' }],
    ['bad_option', { suite: 3 }], ['bad_option', { retryIntervall: 5 }], ['bad_option', { queueSize: -1 }], ['weak_key', { aesKey: counting }],
  ]) {
    assert.throws(() => new FastPort({ ...o, ...wrong }), { code }, JSON.stringify(wrong));
  }
});

for (const [how, signal] of [['stopped', 'SIGTERM'], ['killed', 'SIGKILL']]) {
  test(`a server that is ${how} and comes back costs nothing: all comes, and once`, async (t) => {
    const s = await Server.start(t);
    const o = await s.session();
    const [alice, bob] = [await connect(t, { ...o, clientId: 'alice' }), await connect(t, { ...o, clientId: 'bob' })];
    const got = [];
    await bob.get('t', (m) => { got.push(m); });
    for (let i = 0; i < 20; i++) await alice.emit('t', `${i}`);
    await s.stop(signal);
    const away = Array.from({ length: 20 }, (_, i) => alice.emit('t', `${20 + i}`));
    await s.start();
    await Promise.all(away);
    await alice.emit('t', '40');
    await until('all has come', () => got.includes('40'));
    // What was in flight together while both came back may come in another order.
    assert.deepEqual(got.map(Number).sort((a, b) => a - b), Array.from({ length: 41 }, (_, i) => i));
    assert.ok(bob.states.includes('disconnected') && bob.states.at(-1) === 'connected');
  });
}

test('a durable subscriber gets what was sent while it was away, without subscribing again', async (t) => {
  const o = await s.session();
  const alice = await connect(t, o);
  const first = await connect(t, { ...o, clientId: 'bob' });
  await first.get('t', () => {});
  await first.close();
  for (const m of ['a', 'b', 'c']) await alice.emit('t', m);
  const again = await connect(t, { ...o, clientId: 'bob' });
  const got = [];
  void again.get('t', (m, _timestamp, info) => { got.push([m, info.replay]); });
  await until('all has come', () => got.length === 3);
  assert.deepEqual(got, [['a', true], ['b', true], ['c', true]]);
});

test('a subscriber without a clientId subscribes again with each new connection', async (t) => {
  const o = await s.session();
  const relay = await Relay.start(t, s.ws);
  const [alice, bob] = [await connect(t, o), await connect(t, { ...o, serverUrl: relay.ws })];
  const got = [];
  await bob.get('t', (m) => { got.push(m); });
  relay.cut();
  await until('a message comes again', async () => (await alice.emit('t', 'x'), got.length > 0));
  assert.ok(bob.states.includes('disconnected'));
});

test('a publish whose ack is lost goes out again, flagged, and is delivered once', async (t) => {
  const o = await s.session();
  const relay = await Relay.start(t, s.ws);
  const sent = [];
  let lose = 1;
  relay.toServer = (f) => (f.type === 'publish' && sent.push(f), [f]);
  relay.toClient = (f) => (f.type === 'ack_received' && lose-- > 0 ? [] : [f]);
  const [alice, bob] = [await connect(t, { ...o, serverUrl: relay.ws, retryInterval: 100 }), await connect(t, o)];
  const got = [];
  await bob.get('t', (m) => { got.push(m); });
  const receipt = await alice.emit('t', 'x');
  await alice.emit('t', 'y');
  await until('all has come', () => got.includes('y'));
  assert.ok(receipt.tries > 1);
  assert.equal(sent[0].retry, undefined);
  assert.equal(sent[1].retry, true);
  assert.equal(sent[1].messageId, sent[0].messageId);
  assert.notEqual(sent[1].data, sent[0].data, 'it is sealed anew');
  assert.deepEqual(got, ['x', 'y']);
});

test('a publish that is never acked fails after its last retry', async (t) => {
  const relay = await Relay.start(t, s.ws);
  let sent = 0;
  relay.toServer = (f) => (f.type === 'publish' ? (sent++, []) : [f]);
  const alice = await connect(t, { ...await s.session(), serverUrl: relay.ws, retryInterval: 50, maxRetries: 3 });
  await assert.rejects(alice.emit('t', 'x'), { code: 'no_answer' });
  assert.equal(sent, 4);
});

test('a message that comes often is handed over once, and acked each time', async (t) => {
  const o = await s.session();
  const relay = await Relay.start(t, s.ws);
  const acked = [];
  relay.toClient = (f) => (f.type === 'message' ? [f, { ...f, retry: 1 }, { ...f, replay: true }] : [f]);
  relay.toServer = (f) => (f.type === 'ack' && acked.push(...(f.messageIds ?? [f.messageId])), [f]);
  const [alice, bob] = [await connect(t, o), await connect(t, { ...o, serverUrl: relay.ws })];
  const got = [];
  await bob.get('t', (m) => { got.push(m); });
  const ids = [];
  for (const m of ['a', 'b', 'c']) ids.push((await alice.emit('t', m)).messageId);
  await until('all has come', () => got.includes('c'));
  relay.say({ type: 'message', messageId: ids[0], topic: 't', timestamp: 1, data: '2.AAAA', retry: 2 });
  await until('the repeat is acked', () => acked.filter((id) => id === ids[0]).length > 1);
  assert.deepEqual(got, ['a', 'b', 'c']);
  assert.deepEqual(bob.errors, []);
});

test('a message that was accepted before is refused even where its id is forgotten', async (t) => {
  const o = await s.session();
  const relay = await Relay.start(t, s.ws);
  const came = [];
  relay.toClient = (f) => (f.type === 'message' && came.push(f), [f]);
  const [alice, bob] = [await connect(t, o), await connect(t, { ...o, serverUrl: relay.ws, dedupeSize: 1 })];
  const got = [];
  await bob.get('t', (m) => { got.push(m); });
  await alice.emit('t', 'a');
  await alice.emit('t', 'b');
  await until('all has come', () => got.includes('b'));
  relay.say(came[0]);
  await until('it is told', () => bob.errors.length > 0);
  assert.equal(bob.errors[0].code, 'replayed');
  assert.deepEqual(got, ['a', 'b']);
});

test('a changed message is told, acked and does not block its topic', async (t) => {
  const o = await s.session({ retryInterval: 100 });
  const relay = await Relay.start(t, s.ws);
  let came = 0, changed = false;
  relay.toClient = (f) => {
    if (f.type !== 'message' || changed) return [f];
    changed = true;
    came++;
    return [{ ...f, timestamp: f.timestamp + 1 }];
  };
  const [alice, bob] = [await connect(t, o), await connect(t, { ...o, serverUrl: relay.ws })];
  const got = [];
  await bob.get('t', (m) => { got.push(m); });
  await alice.emit('t', 'a');
  await alice.emit('t', 'b');
  await until('the good one has come', () => got.length === 1);
  assert.equal(bob.errors[0].code, 'authentication');
  assert.deepEqual([got, came], [['b'], 1]);
});

test('a message whose handler fails comes again', async (t) => {
  const o = await s.session({ retryInterval: 100 });
  const [alice, bob] = [await connect(t, o), await connect(t, o)];
  const tries = [];
  await bob.get('t', (_m, _timestamp, info) => {
    tries.push(info.retry);
    if (tries.length < 3) throw new Error('not yet');
  });
  await alice.emit('t', 'x');
  await until('it is taken', () => tries.length === 3);
  assert.deepEqual(bob.errors.map((err) => err.code), ['handler_failed', 'handler_failed']);
  assert.deepEqual(tries, [0, 1, 2]);
});

test('a message under a key that is not held waits until the key is there', async (t) => {
  const o = await s.session({ retryInterval: 100 });
  const newer = generateKey();
  const alice = await connect(t, { ...o, aesKey: [newer, o.aesKey] });
  const bob = await connect(t, { ...o, clientId: 'bob' });
  await bob.get('t', never(t, 'it opened'));
  await alice.emit('t', 'x');
  await until('it is told', () => bob.errors.length > 0);
  assert.equal(bob.errors[0].code, 'unknown_key');
  await bob.close();
  const again = await connect(t, { ...o, clientId: 'bob', aesKey: [newer, o.aesKey] });
  assert.equal(await new Promise((resolve) => again.get('t', resolve)), 'x');
});

test('suite 1 is refused unless it is allowed, and acked all the same', async (t) => {
  const o = await s.session({ retryInterval: 100 });
  const [alice, bob] = [await connect(t, { ...o, suite: 1 }), await connect(t, o)];
  await bob.get('t', never(t, 'it was handed over'));
  await alice.emit('t', 'x');
  await until('it is told', () => bob.errors.length > 0);
  assert.deepEqual(bob.errors.map((err) => err.code), ['legacy_refused']);
});

test('a server that falls silent is left for another connection', async (t) => {
  const relay = await Relay.start(t, s.ws);
  const alice = await connect(t, { ...await s.session(), serverUrl: relay.ws, pingInterval: 50, pongTimeout: 300, connectTimeout: 1000 });
  relay.deaf = true;
  await until('it is noticed', () => alice.errors.length > 0);
  relay.deaf = false;
  await alice.emit('t', 'x');
  assert.equal(alice.errors[0].code, 'no_answer');
});

test('a newer connection of a clientId ends the older client', async (t) => {
  const o = { ...await s.session(), clientId: 'bob' };
  const first = await connect(t, o);
  await connect(t, o);
  await until('the first has ended', () => first.error);
  assert.equal(first.error.code, 'taken_over');
  assert.equal(first.states.at(-1), 'closed');
  await assert.rejects(first.emit('t', 'x'), { code: 'taken_over' });
});

test('a login of its own that was given up, and is dealt with late, does not end a client', async (t) => {
  const relay = await Relay.start(t, s.ws);
  const held = [];
  relay.lingers = true;
  relay.toServer = (f, link) => {
    if (f.type !== 'init' || held.length > 0) return [f];
    held.push(() => link.up.send(JSON.stringify(f)));
    return [];
  };
  const o = { ...await s.session(), clientId: 'bob' };
  const bob = await connect(t, { ...o, serverUrl: relay.ws, wait: true, connectTimeout: 1500 });
  held[0](); // its server takes the second connection over
  await until('it has another connection', () => bob.states.filter((state) => state === 'connected').length === 2);
  assert.equal(bob.error, null);
  await connect(t, o); // somebody else
  await until('it has ended', () => bob.error);
  assert.equal(bob.error.code, 'taken_over');
});

test('a login of its own that its server could not finish does not end a client', async (t) => {
  const relay = await Relay.start(t, s.ws);
  let failed = false;
  relay.toClient = (f, link) => {
    if (f.type !== 'init_response' || link === relay.links[0] || failed) return [f];
    failed = true; // behind the take-over: the store is away just then
    return [{ type: 'init_response', success: false, code: 'unavailable', error: 'try again' }];
  };
  const bob = await connect(t, { ...await s.session(), clientId: 'bob', serverUrl: relay.ws });
  relay.say({ type: 'reconnect', afterMs: 0, reason: 'draining' });
  await until('it has another connection', () => bob.error || bob.states.filter((state) => state === 'connected').length === 2);
  assert.equal(bob.error, null);
  assert(failed);
});

test('what is published and not acked is bounded', async (t) => {
  const s = await Server.start(t);
  const o = await s.session();
  const alice = await connect(t, { ...o, queueSize: 2, queueBytes: 1000 });
  await s.stop('SIGKILL');
  const waiting = [alice.emit('t', 'a', { messageId: 'a' }), alice.emit('t', 'b')];
  for (const p of waiting) p.catch(() => {});
  await assert.rejects(alice.emit('t', 'c'), { code: 'queue_full' });
  await alice.close({ timeout: 200 });
  for (const p of waiting) await assert.rejects(p, { code: 'closed' });
});

test('calls that cannot succeed fail with a code', async (t) => {
  const alice = await connect(t, await s.session());
  await alice.get('t', () => {});
  await assert.rejects(alice.get('t', () => {}), { code: 'subscribed' });
  await assert.rejects(alice.get('', () => {}), { code: 'bad_request' });
  await assert.rejects(alice.emit('$sys', 'x'), { code: 'bad_request' });
  await assert.rejects(alice.emit('t', { not: 'text' }), { code: 'bad_request' });
  await assert.rejects(alice.emit('t', new Uint8Array(8 << 20)), { code: 'too_large' });
  const twice = [alice.emit('t', 'a', { messageId: 'one' }), alice.emit('t', 'b', { messageId: 'one' })];
  await assert.rejects(twice[1], { code: 'duplicate' });
  await twice[0];
  await assert.rejects(alice.emit('t', 'x', { signal: AbortSignal.abort(new Error('enough')) }), /enough/);
});

test('bytes, qos 0, unsubscribe and a loop over messages', async (t) => {
  const o = await s.session();
  const [alice, bob] = [await connect(t, o), await connect(t, o)];
  const got = [];
  await bob.get('t', (_m, _timestamp, info) => { got.push(info); });
  await alice.emit('t', new Uint8Array([0, 255, 1]));
  await alice.emit('t', 'now', { qos: 0 });
  await until('both have come', () => got.length === 2);
  assert.deepEqual([...got[0].payload], [0, 255, 1]);
  assert.equal(got[1].qos, 0);
  await bob.unsubscribe('t');
  await alice.emit('t', 'to nobody');
  const loop = (async () => {
    const texts = [];
    for await (const m of bob.messages('t')) {
      texts.push(m.text);
      if (m.text === 'c') break;
    }
    return texts;
  })();
  await until('the loop is there', async () => (await alice.emit('t', 'a'), true));
  for (const m of ['b', 'c']) await alice.emit('t', m);
  const texts = await loop;
  assert.deepEqual(texts.slice(-2), ['b', 'c']);
  assert.equal(got.length, 2);
});

test('devices are registered, listed and forgotten', async (t) => {
  const alice = await connect(t, await s.session());
  const userId = 'alice@example.com';
  await alice.registerFCMToken({ userId, fcmToken: 'token-1', deviceId: 'phone', platform: 'android' });
  await alice.registerFCMToken({ userId, fcmToken: 'token-2', deviceId: 'laptop' });
  const devices = await alice.getRegisteredDevices(userId);
  assert.deepEqual(devices.map((d) => [d.deviceId, d.platform]).sort(), [['laptop', 'web'], ['phone', 'android']]);
  assert.ok(!JSON.stringify(devices).includes('token-'));
  await alice.unregisterFCMToken({ userId, deviceId: 'phone' });
  assert.deepEqual((await alice.getRegisteredDevices(userId)).map((d) => d.deviceId), ['laptop']);
});

test('close waits for what was published', async (t) => {
  const o = await s.session();
  const [alice, bob] = [await connect(t, o), await connect(t, o)];
  const got = [];
  await bob.get('t', (m) => { got.push(m); });
  const sent = Array.from({ length: 50 }, (_, i) => alice.emit('t', `${i}`));
  await alice.close();
  await Promise.all(sent);
  await until('all has come', () => got.length === 50);
  await assert.rejects(alice.emit('t', 'x'), { code: 'closed' });
  await alice.close();
});
