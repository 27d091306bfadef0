// What the claims of portal.mjs are made with: a browser, pages that watch for complaints, and the report.
import {chromium} from 'playwright-core';

export const operator = {user: 'admin', pass: 'correct horse battery'};
export const patience = 30e3; // for anything: the machine may be busy

// complaints are what browsers said of pages that they should not have had to: broken scripts, breaches of the policy.
export const complaints = [];

export async function browser() {
  // A container has no user namespaces to make a sandbox of, and the pages are our own.
  return chromium.launch({executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage']});
}

export async function open(b, options = {}) {
  const context = await b.newContext({viewport: {width: 1280, height: 860}, reducedMotion: 'reduce', ...options});
  context.setDefaultTimeout(patience);
  const page = await context.newPage();
  page.on('pageerror', (e) => complaints.push(`script: ${e.message}`));
  page.on('console', (m) => {
    const expected = /status of (401|409|429|404|403)|ERR_CONNECTION_REFUSED|ERR_INCOMPLETE|ERR_CONNECTION_RESET/.test(m.text());
    if (m.type() === 'error' && !expected) complaints.push(`console: ${m.text()}`);
  });
  page.on('request', (r) => { if (!/^(http:\/\/127\.0\.0\.1|data:|blob:)/.test(r.url())) complaints.push(`request to ${r.url()}`); });
  return page;
}

export async function login(page, base, pass = operator.pass) {
  await page.goto(base + '/admin/');
  await page.getByLabel('User name').fill(operator.user);
  await page.getByLabel('Password').fill(pass);
  await page.getByRole('button', {name: 'Log in'}).click();
}

// until waits for a condition in this process.
export async function until(what, met, most = patience) {
  const end = Date.now() + most;
  for (;;) {
    const got = await met();
    if (got) return got;
    if (Date.now() > end) throw new Error(`not within ${most / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

export function want(got, wanted, what) {
  if (got !== wanted) throw new Error(`${what}: ${JSON.stringify(got)}, want ${JSON.stringify(wanted)}`);
}

export function holds(condition, what) {
  if (!condition) throw new Error(what);
}

let failed = false;

// claim runs a step and reports it. What comes behind a failed one is tried all the same.
export async function claim(name, run) {
  const begun = Date.now();
  let error = '';
  try { await run(); } catch (e) { error = String(e.message).split('\n').slice(0, 12).join('\n'); failed = true; }
  console.log(JSON.stringify({claim: name, error, ms: Date.now() - begun}));
}

export const outcome = () => failed ? 1 : 0;
