// The agent of the JavaScript SDK in headless Chromium: a page of another origin than the node's, which imports the SDK from the node that
// the first argument names.
import { readFile } from 'node:fs/promises';
import { browser, serveFile } from '../../js/test/browser.js';
import { batches, say } from './lines.js';

const ends = [];
const t = { after: (end) => ends.unshift(end) };
const page = await (await browser(t)).newPage();
page.on('pageerror', (err) => { console.error(err); process.exit(1); });
await page.exposeFunction('sayAll', (reports) => reports.forEach(say));
await page.goto(await serveFile(t));
await page.addScriptTag({
  type: 'module',
  content: `import * as sdk from '${process.argv[2]}/sdk/fastport.js';
    ${await readFile(new URL('agent.js', import.meta.url), 'utf8')}
    const reports = []; // each call out of the page takes its time
    globalThis.agent = new Agent(sdk, (report) => {
      if (reports.push(report) === 1) setTimeout(() => sayAll(reports.splice(0)));
    });`,
});
await page.waitForFunction(() => globalThis.agent);
for await (const list of batches()) await page.evaluate((list) => list.forEach((r) => globalThis.agent.take(r)), list);
for (const end of ends) await end();
process.exit(0);
