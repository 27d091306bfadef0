// What one SDK seals the other opens: this one and the Go tools, both suites, messages and files.
import test, { after } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from './connect.js';
import { Server, until } from './server.js';

const s = await Server.start({ after });

const text = 'äöü 👋 "quoted"';

/** Runs a tool of the Go SDK to its end, and returns what it printed. `meanwhile` is called as long as it runs. */
async function tool(o, args, meanwhile = async () => {}) {
  const child = spawn(process.env.FASTPORT_BIN, args, {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, FASTPORT_KEY: o.aesKey, FASTPORT_PASSWORD: o.password, FASTPORT_URL: o.serverUrl.replace('ws', 'http') },
  });
  let out = '', told = '', code = null;
  child.stdout.on('data', (d) => { out += d; });
  child.stderr.on('data', (d) => { told += d; });
  const ended = new Promise((resolve) => child.on('close', (c) => { code = c; resolve(); }));
  try {
    await until(`fastport ${args[0]} ends`, async () => (await meanwhile(), code !== null));
  } finally {
    child.kill('SIGKILL');
  }
  await ended;
  assert.equal(code, 0, told);
  return out;
}

for (const suite of [1, 2]) {
  const legacy = suite === 1 ? ['--allow-legacy'] : [];
  const setUp = async (t) => {
    const o = { ...await s.session(), suite, allowLegacy: suite === 1 };
    const dir = await mkdtemp(join(tmpdir(), 'fastport-js-cross-'));
    t.after(() => rm(dir, { recursive: true, force: true }));
    return { o, dir, client: await connect(t, o) };
  };

  test(`suite ${suite}, messages: Go opens what JavaScript sealed`, async (t) => {
    const { o, client } = await setUp(t);
    const out = await tool(o, ['sub', o.sessionName, 't', '--count', '1', '--json', ...legacy], () => client.emit('t', text));
    assert.equal(JSON.parse(out).data, text);
  });

  test(`suite ${suite}, messages: JavaScript opens what Go sealed`, async (t) => {
    const { o, client } = await setUp(t);
    const got = [];
    await client.get('t', (m) => { got.push(m); });
    await tool(o, ['pub', o.sessionName, 't', '--suite', `${suite}`, text]);
    await until('it has come', () => got.length > 0);
    assert.deepEqual(got, [text]);
  });

  test(`suite ${suite}, files: Go opens what JavaScript sealed`, async (t) => {
    const { o, dir, client } = await setUp(t);
    const content = randomBytes(1_000_001);
    let sent = false;
    await tool(o, ['recv', o.sessionName, 'f', '--count', '1', '--dir', dir, ...legacy], async () => {
      if (sent) return;
      await client.sendFile(content, 'f', { name: 'from js.bin' }).then(() => { sent = true; }, (err) => assert.equal(err.code, 'no_receivers'));
    });
    assert.ok(content.equals(await readFile(join(dir, 'from js.bin'))));
  });

  test(`suite ${suite}, files: JavaScript opens what Go sealed`, async (t) => {
    const { o, dir, client } = await setUp(t);
    const content = randomBytes(1_000_001);
    await writeFile(join(dir, 'from go.bin'), content);
    const came = new Promise((resolve) => client.onFile('f', (name, data) => resolve([name, data])));
    await tool(o, ['send', o.sessionName, 'f', join(dir, 'from go.bin'), '--wait', '--suite', `${suite}`]);
    const [name, data] = await came;
    assert.equal(name, 'from go.bin');
    assert.equal(createHash('sha256').update(data).digest('hex'), createHash('sha256').update(content).digest('hex'));
  });
}
