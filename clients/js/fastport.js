/**
 * fastPort in the browser and on Node: sealed messages and files between devices, over one connection that mends itself.
 *
 *     import { FastPort } from 'fastport-client'; // in a page: from '/sdk/fastport.js'
 */
export { FastPort } from './src/client.js';
export { FastPortError } from './src/errors.js';
export { generateKey } from './src/crypto/key.js';
export { createSession, dropSession, suspendSession } from './src/session.js';
export { toBrowserStorage, toDirectory, toMemory } from './src/files/sinks.js';
