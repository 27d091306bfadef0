// Moves to another node while the old one is still up: make before break.
import test, { after } from 'node:test';
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect, never } from './connect.js';
import { Relay } from './relay.js';
import { Server, until } from './server.js';

const s = await Server.start({ after });

for (const [who, behind] of [['ephemeral', 0], ['ephemeral', 300], ['durable', 0]]) {
  test(`${who}, its old node ${behind} ms behind: asked to reconnect under load, a client loses nothing, repeats nothing and breaks no order`, async (t) => {
    const o = await s.session();
    const relay = await Relay.start(t, s.ws);
    const id = (name) => (who === 'durable' ? { clientId: name } : {});
    const alice = await connect(t, { ...o, ...id('alice'), serverUrl: relay.ws });
    const bob = await connect(t, { ...o, ...id('bob'), serverUrl: relay.ws });
    const got = [];
    await bob.get('t', (m) => { got.push(m); });
    await alice.get('t', never(t, 'alice got her own message back'));
    const old = relay.links.slice();
    if (behind > 0) {
      relay.toClient = (f, link) => {
        if (f.type !== 'message' || !old.includes(link)) return [f];
        setTimeout(() => link.down.send(JSON.stringify(f)), behind);
        return [];
      };
    }
    const sent = [];
    for (let n = 0; old.some((l) => l.down.readyState !== l.down.CLOSED) || sent.length < 60; n++) {
      if (n === 20) for (const l of old) l.down.send(JSON.stringify({ type: 'reconnect', afterMs: 0, reason: 'drain' }));
      sent.push(alice.emit('t', `${n}`));
      await new Promise((resolve) => setTimeout(resolve, 10)); // the load, not a wait
    }
    await Promise.all(sent);
    await alice.emit('t', 'end');
    await until('all has come', () => got.includes('end'));
    assert.deepEqual(got.slice(0, -1), Array.from({ length: sent.length }, (_, i) => `${i}`));
    for (const c of [alice, bob]) assert.deepEqual(c.states, ['connected', 'moved']);
  });
}

test('a file goes on over a move of its sender and its receiver', async (t) => {
  const o = await s.session();
  const relay = await Relay.start(t, s.ws);
  const [alice, bob] = [await connect(t, { ...o, serverUrl: relay.ws }), await connect(t, { ...o, serverUrl: relay.ws })];
  const content = randomBytes(16 << 20);
  let asked = false;
  const came = new Promise((resolve) => {
    bob.onFile('files', (_name, data) => resolve(data), {
      onProgress: () => {
        if (asked) return;
        asked = true;
        for (const l of relay.links) l.down.send(JSON.stringify({ type: 'reconnect', afterMs: 0, reason: 'drain' }));
      },
    });
  });
  await until('bob is there', () => relay.links.length === 2);
  await alice.sendFile(content, 'files', { name: 'x' });
  assert.ok(content.equals(await came));
  await until('both have moved', () => [alice, bob].every((c) => c.states.includes('moved')));
});

test('nodes of a cluster that are stopped one after the other hand their clients over', async (t) => {
  const env = { REDIS_URL: process.env.FASTPORT_TEST_REDIS, DATABASE_URL: process.env.FASTPORT_TEST_POSTGRES, MASTER_KEY: Buffer.alloc(32, 7).toString('base64'), DRAIN_TIMEOUT: '6s' };
  assert.ok(env.REDIS_URL && env.DATABASE_URL, 'FASTPORT_TEST_REDIS and FASTPORT_TEST_POSTGRES name real servers');
  const [one, two] = [await Server.start(t, env), await Server.start(t, env)];
  const o = await one.session();
  const alice = await connect(t, { ...o, serverUrl: two.ws });
  const bob = await connect(t, { ...o, clientId: 'bob', serverUrl: [one.ws, two.ws] });
  const carol = await connect(t, { ...o, serverUrl: [one.ws, two.ws] });
  const got = { bob: [], carol: [] };
  await bob.get('t', (m) => { got.bob.push(m); });
  await carol.get('t', (m) => { got.carol.push(m); });
  let n = 0, stopped = false;
  const gone = one.stop('SIGTERM').then(() => { stopped = true; });
  while (!stopped) {
    await alice.emit('t', `${n++}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await gone;
  await alice.emit('t', 'end');
  await until('all has come', () => got.bob.includes('end') && got.carol.includes('end'));
  for (const name of ['bob', 'carol']) assert.deepEqual(got[name].slice(0, -1), Array.from({ length: n }, (_, i) => `${i}`), name);
  for (const c of [bob, carol]) assert.ok(!c.states.includes('disconnected'), c.states.join());
});
