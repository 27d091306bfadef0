// Files on Node's disks. Only Node loads this module.
import { randomUUID } from 'node:crypto';
import { link, open, rename, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { release } from '../crypto/bytes.js';
import { FastPortError } from '../errors.js';
import { MAX_NUMBER, numbered, safeName } from './names.js';

/** @typedef {import('../crypto/bytes.js').Bytes} Bytes */

/**
 * @param {string} path
 * @returns {Promise<import('./source.js').Reader>}
 */
export async function openDiskSource(path) {
  const f = await open(path, 'r');
  const info = await f.stat();
  if (!info.isFile()) {
    await f.close();
    throw new FastPortError('bad_request', `file: ${path} is no file`);
  }
  return {
    name: basename(path), size: info.size, type: '', seekable: true, owned: true,
    read: async (at, n) => {
      const b = new Uint8Array(n);
      let have = 0;
      while (have < n) {
        const { bytesRead } = await f.read(b, have, n - have, at + have);
        if (bytesRead === 0) break;
        have += bytesRead;
      }
      return b.subarray(0, have);
    },
    close: () => f.close(),
  };
}

/**
 * @param {string} directory one that exists
 * @param {string} name
 * @param {boolean} overwrite
 * @returns {Promise<import('./sinks.js').FileSink>}
 */
export async function diskSink(directory, name, overwrite) {
  if (!(await stat(directory)).isDirectory()) throw new FastPortError('bad_option', `${directory} is no directory`);
  const temp = join(directory, `.fastport-${randomUUID()}.part`);
  const f = await open(temp, 'wx', 0o600);
  return {
    async write(piece) {
      for (let at = 0; at < piece.length;) at += (await f.write(piece, at)).bytesWritten;
      release(piece);
    },
    async close() {
      try {
        await f.chmod(0o644);
        await f.sync();
        await f.close();
        return await place(temp, directory, safeName(name), overwrite);
      } catch (err) {
        await rm(temp, { force: true });
        throw err;
      }
    },
    async abort() {
      await f.close().catch(() => {});
      await rm(temp, { force: true });
    },
  };
}

/**
 * Gives a file its name, or that with a number where it is taken.
 * @param {string} temp
 * @param {string} directory
 * @param {string} name
 * @param {boolean} overwrite
 * @returns {Promise<string>}
 */
async function place(temp, directory, name, overwrite) {
  if (overwrite) {
    await rename(temp, join(directory, name));
    return join(directory, name);
  }
  for (let n = 0; n < MAX_NUMBER; n++) {
    const path = join(directory, numbered(name, n));
    try {
      await link(temp, path); // unlike a rename, it fails where the name is taken
      await rm(temp);
      return path;
    } catch (err) {
      if (codeOf(err) === 'EEXIST') continue;
      // A file system without links: take the name, then replace what took it.
      const taken = await open(path, 'wx', 0o600).catch((err) => { if (codeOf(err) !== 'EEXIST') throw err; });
      if (!taken) continue;
      await taken.close();
      await rename(temp, path);
      return path;
    }
  }
  throw new FastPortError('conflict', `file: there are too many of the name ${name}`);
}

/** @param {unknown} err */
const codeOf = (err) => /** @type {NodeJS.ErrnoException} */ (err)?.code;
