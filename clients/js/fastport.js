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

/** @typedef {import('./src/options.js').Options} Options */
/** @typedef {import('./src/options.js').State} State */
/** @typedef {import('./src/subscriptions.js').Message} Message */
/** @typedef {import('./src/subscriptions.js').Handler} Handler */
/** @typedef {import('./src/outbox.js').Receipt} Receipt */
/** @typedef {import('./src/frames.js').Limits} Limits */
/** @typedef {import('./src/frames.js').RegisteredDevice} RegisteredDevice */
/** @typedef {import('./src/files/incoming.js').FileOffer} FileOffer */
/** @typedef {import('./src/files/sending.js').FileProgress} FileProgress */
/** @typedef {import('./src/files/sinks.js').FileSink} FileSink */
/** @typedef {import('./src/files/source.js').FileSource} FileSource */
/** @typedef {import('./src/session.js').SessionSpec} SessionSpec */
