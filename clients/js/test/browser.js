// Headless Chromium for a test, and a page of another origin than the server's.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { chromium } from 'playwright-core';

/** A browser that ends with the test. */
export async function browser(t) {
  const b = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage', '--js-flags=--expose-gc'],
  });
  t.after(() => b.close());
  return b;
}

/** Serves one file, or an empty page, at a port of its own; returns its address. */
export async function serveFile(t, path) {
  const web = createServer(async (_, w) => {
    w.setHeader('Content-Type', 'text/html; charset=utf-8');
    w.end(path ? await readFile(path) : '<!doctype html><title>test</title>');
  });
  await new Promise((resolve) => web.listen(0, '127.0.0.1', resolve));
  t.after(() => web.close());
  return `http://127.0.0.1:${web.address().port}/`;
}
