// The examples run as they stand.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import { Server } from './server.js';

test('examples/chat.js: two clients, a message and a file', async (t) => {
  const s = await Server.start(t);
  const dir = await mkdtemp(join(tmpdir(), 'fastport-js-chat-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const document = randomBytes(200_000);
  await writeFile(join(dir, 'document.pdf'), document);
  const { stdout } = await promisify(execFile)(process.execPath, [fileURLToPath(new URL('../examples/chat.js', import.meta.url))], {
    cwd: dir, env: { ...process.env, FASTPORT_URL: s.http },
  });
  assert.equal(stdout, '[Bob received]: Hello Bob!\n[Bob received file]: document.pdf (200000 bytes)\n');
  assert.ok(document.equals(await readFile(join(dir, 'received_document.pdf'))));
});
