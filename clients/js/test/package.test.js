// What npm would publish.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';

const run = promisify(execFile);
const here = fileURLToPath(new URL('..', import.meta.url));

test('npm pack makes a package that TypeScript and Node can use', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'fastport-js-pack-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const from = join(dir, 'from');
  await cp(here, from, { recursive: true, filter: (path) => !path.includes('node_modules') });
  await symlink(join(here, 'node_modules'), join(from, 'node_modules'));
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', dir], { cwd: from });
  const [{ filename, files }] = JSON.parse(stdout.slice(stdout.indexOf('[')));
  const names = files.map((f) => f.path);
  for (const name of ['fastport.js', 'src/client.js', 'types/fastport.d.ts', 'types/src/client.d.ts', 'README.md', 'CHANGELOG.md', 'LICENSE', 'package.json']) {
    assert.ok(names.includes(name), `${name} is missing`);
  }
  assert.deepEqual(names.filter((name) => /test|\.go$|tsconfig|node_modules/.test(name)), []);

  const user = join(dir, 'node_modules', 'fastport-client');
  await run('mkdir', ['-p', user]);
  await run('tar', ['xzf', join(dir, filename), '--strip-components=1', '-C', user]);
  await symlink(join(here, 'node_modules', 'ws'), join(dir, 'node_modules', 'ws'));
  await writeFile(join(dir, 'package.json'), '{"type":"module"}');
  await writeFile(join(dir, 'use.mjs'), `import { FastPort, generateKey } from 'fastport-client';
    const c = new FastPort({ serverUrl: 'ws://127.0.0.1:1', sessionName: 's', password: 'p', aesKey: generateKey() });
    await c.init().catch((err) => console.log(err.code));`);
  assert.equal((await run(process.execPath, ['use.mjs'], { cwd: dir })).stdout, 'disconnected\n');
  await writeFile(join(dir, 'use.ts'), `import { FastPort, FastPortError, toDirectory, type Options } from 'fastport-client';
    const options: Options = { serverUrl: 'ws://x', sessionName: 's', password: 'p', aesKey: 'k', onError: (err: Error) => { void err; } };
    const c = new FastPort(options);
    const receipt: Promise<{ messageId: string, seq: number | null }> = c.emit('t', new Uint8Array(1), { qos: 0 });
    void c.get('t', (message: string, timestamp: number) => { void message; void timestamp; });
    void c.onFile('t', () => {}, { save: toDirectory('x') });
    // @ts-expect-error a topic is a text
    void c.emit(1, 'x');
    void receipt; void new FastPortError('closed', 'x').code;`);
  await run(process.execPath, [join(here, 'node_modules', 'typescript', 'bin', 'tsc'), '--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022',
    '--lib', 'es2022,dom,dom.iterable', '--types', '', 'use.ts'], { cwd: dir }).catch((err) => assert.fail(err.stdout));
  assert.ok((await readFile(join(user, 'types', 'fastport.d.ts'), 'utf8')).includes('FastPort'));
});
