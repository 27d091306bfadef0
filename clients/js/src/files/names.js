import { text, utf8 } from '../crypto/bytes.js';

// The longest name that file systems take, in bytes, less what numbered adds.
const MAX_NAME = 255 - ' (9999)'.length;
// Windows gives these to devices, whatever their extension.
const devices = /^(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?$/i;

/**
 * A name of one path element of what a stranger chose: neither hidden nor a path, on any system.
 * @param {string} name
 * @returns {string}
 */
export function safeName(name) {
  name = name.slice(Math.max(name.lastIndexOf('/'), name.lastIndexOf('\\')) + 1);
  name = text(utf8(name)).replace(/[\p{Cc}\p{Cf}<>:"|?*\ufffd]/gu, '_').replace(/^[. ]+|[. ]+$/g, '');
  const bytes = utf8(name);
  if (bytes.length > MAX_NAME) {
    const [, ext] = split(name);
    const keep = utf8(ext).length > 16 ? '' : ext;
    name = text(bytes.subarray(0, MAX_NAME - utf8(keep).length)).replace(/\ufffd+$/, '') + keep;
  }
  return name === '' || devices.test(name) ? 'file' : name;
}

/**
 * The name, or the name with a number before its extension.
 * @param {string} name
 * @param {number} n
 */
export function numbered(name, n) {
  const [stem, ext] = split(name);
  return n === 0 ? name : `${stem} (${n})${ext}`;
}

/** @param {string} name */
function split(name) {
  const dot = name.lastIndexOf('.');
  return dot <= 0 ? [name, ''] : [name.slice(0, dot), name.slice(dot)];
}

/** How many numbers are tried. */
export const MAX_NUMBER = 10_000;
