// Files in a directory that a browser has given a handle to: the user's own disk, or the page's private space.
import { release } from '../crypto/bytes.js';
import { newUUID } from '../frames.js';
import { FastPortError } from '../errors.js';
import { MAX_NUMBER, numbered, safeName } from './names.js';

/**
 * @param {FileSystemDirectoryHandle} directory
 * @param {string} name
 * @param {boolean} overwrite
 * @returns {Promise<import('./sinks.js').FileSink>}
 */
export async function handleSink(directory, name, overwrite) {
  const temp = `fastport-${newUUID()}.part`;
  const handle = await directory.getFileHandle(temp, { create: true });
  const to = await handle.createWritable();
  return {
    async write(piece) {
      await to.write(piece);
      release(piece);
    },
    async close() {
      try {
        await to.close();
        return await (await place(directory, handle, safeName(name), overwrite)).getFile();
      } catch (err) {
        await directory.removeEntry(temp).catch(() => {});
        throw err;
      }
    },
    async abort(reason) {
      await to.abort(reason).catch(() => {});
      await directory.removeEntry(temp).catch(() => {});
    },
  };
}

/**
 * Gives a file its name, or that with a number where it is taken.
 * @param {FileSystemDirectoryHandle} directory
 * @param {FileSystemFileHandle} handle
 * @param {string} name
 * @param {boolean} overwrite
 * @returns {Promise<FileSystemFileHandle>}
 */
export async function place(directory, handle, name, overwrite) {
  let free = name;
  for (let n = 1; !overwrite && await exists(directory, free); n++) {
    if (n === MAX_NUMBER) throw new FastPortError('conflict', `file: there are too many of the name ${name}`);
    free = numbered(name, n);
  }
  const movable = /** @type {FileSystemFileHandle & { move?: (name: string) => Promise<void> }} */ (handle);
  if (movable.move) {
    await movable.move(free);
    return directory.getFileHandle(free);
  }
  // A browser that cannot rename: copy, in a stream. What is closed last replaces the empty file at once.
  const copy = await directory.getFileHandle(free, { create: true });
  await (await handle.getFile()).stream().pipeTo(await copy.createWritable());
  await directory.removeEntry(handle.name);
  return copy;
}

/**
 * @param {FileSystemDirectoryHandle} directory
 * @param {string} name
 */
async function exists(directory, name) {
  try {
    await directory.getFileHandle(name);
    return true;
  } catch (err) {
    return /** @type {DOMException} */ (err).name !== 'NotFoundError'; // a folder of that name counts
  }
}
