// A real fastport for a test: the binary that FASTPORT_BIN names, on a free port, with its data in a folder of its own.
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSession, generateKey } from '../fastport.js';

const bin = process.env.FASTPORT_BIN;
if (!bin) throw new Error('FASTPORT_BIN names no fastport binary: run the tests with go test ./clients/js');

const clean = { PATH: process.env.PATH, HOME: process.env.HOME, TMPDIR: process.env.TMPDIR };

export class Server {
  /** Starts a broker, which ends with the test. */
  static async start(t, env = {}) {
    const s = new Server();
    s.dir = await mkdtemp(join(tmpdir(), 'fastport-js-'));
    s.port = await freePort();
    s.env = env;
    t.after(async () => {
      await s.stop('SIGKILL');
      await rm(s.dir, { recursive: true, force: true });
    });
    await s.start();
    return s;
  }

  get http() { return `http://127.0.0.1:${this.port}`; }
  get ws() { return `ws://127.0.0.1:${this.port}`; }

  /** Starts it where it was, and returns once it is ready. */
  async start() {
    const child = spawn(bin, ['serve'], {
      cwd: this.dir, stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...clean, PORT: String(this.port), DRAIN_TIMEOUT: '3s', API_RATE_LIMIT: '100000', ...this.env },
    });
    this.child = child;
    this.log = '';
    child.stdout.on('data', (d) => { this.log += d; });
    child.stderr.on('data', (d) => { this.log += d; });
    this.gone = new Promise((resolve) => child.on('exit', resolve));
    await until('the server is ready', async () => {
      if (child.exitCode !== null) throw new Error('the server ended by itself:\n' + this.log);
      return (await fetch(this.http + '/readyz').catch(() => null))?.ok;
    });
  }

  async stop(signal = 'SIGTERM') {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill(signal);
    await this.gone;
  }

  /** A session with a name and a key of its own: what a FastPort needs to connect. */
  async session(more = {}) {
    const o = { sessionName: 's_' + crypto.randomUUID(), password: 'secure_pass_123', aesKey: generateKey() };
    await createSession(this.http, { ...o, ...more });
    return { serverUrl: this.ws, ...o };
  }
}

/** Waits until done() is true; a busy machine takes seconds, a broken one for ever. */
export async function until(what, done, patience = 30_000) {
  for (const end = Date.now() + patience; Date.now() < end;) {
    if (await done()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`waited ${patience} ms in vain until ${what}`);
}

// Below the range from which the kernel takes ports for outgoing connections.
async function freePort() {
  for (let tries = 0; tries < 100; tries++) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const ln = createServer();
    const free = await new Promise((resolve) => ln.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true)));
    await new Promise((resolve) => ln.close(resolve));
    if (free) return port;
  }
  throw new Error('no free port from 20000 to 32000');
}
