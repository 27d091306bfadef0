/**
 * What the application gave to onFile.
 * @typedef {object} FileHandler
 * @property {string} topic
 */
export {};
