import { FastPortError } from './errors.js';

/**
 * Opens a WebSocket: the browser's own; on Node that of the package `ws`, or Node's own where that is not installed.
 * @param {string} url
 * @param {((url: string) => WebSocket) | undefined} make
 * @returns {Promise<WebSocket>}
 */
export async function openSocket(url, make) {
  const socket = make ? make(url) : new (await implementation())(url);
  socket.binaryType = 'arraybuffer';
  return socket;
}

/** @returns {Promise<new (url: string) => WebSocket>} */
async function implementation() {
  const onNode = typeof process === 'object' && typeof process.versions?.node === 'string';
  if (!onNode) return globalThis.WebSocket;
  try {
    const { WebSocket } = await import('ws');
    return /** @type {new (url: string) => any} */ (WebSocket);
  } catch (cause) {
    if (globalThis.WebSocket) return globalThis.WebSocket;
    throw new FastPortError('unsupported', 'no WebSocket here: install the package ws', { cause });
  }
}
