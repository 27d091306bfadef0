// Claims of the operator's portal, in the order of a working day. node portal.mjs URL OTHER-URL SHOTS
import {hkdfSync} from 'node:crypto';
import {join} from 'node:path';
import {browser, claim, complaints, holds, login, open, operator, outcome, patience, until, want} from './driver.mjs';

const [base, other, shots] = process.argv.slice(2);
const b = await browser();
const page = await open(b);
// shot takes a picture of a page, but not of all of a long list.
const shot = async (name, p = page) => {
  const [width, height] = await p.evaluate(() => [document.documentElement.clientWidth, document.documentElement.scrollHeight]);
  await p.screenshot({path: join(shots, `${name}.png`), fullPage: true, clip: {x: 0, y: 0, width, height: Math.min(height, 2200)}, animations: 'disabled'});
};
const to = async (name, p = page) => {
  await p.getByRole('navigation', {name: 'Pages'}).getByRole('link', {name, exact: true}).click();
  await p.getByRole('heading', {level: 1, name}).waitFor();
};
const secrets = {};

await claim('a wrong password is refused, and nothing of it stays', async () => {
  await login(page, base, 'wrong');
  await page.getByRole('alert').getByText('User name or password is wrong.').waitFor();
  want(await page.getByLabel('Password').inputValue(), '', 'the password field');
  want(await page.getByRole('navigation').count(), 0, 'navigations');
  await shot('login-wrong');
});

await claim('an operator logs in by keyboard alone', async () => {
  await page.goto(base + '/admin/');
  await page.getByRole('heading', {name: 'Log in'}).waitFor();
  await page.keyboard.type(operator.user); // the field has the focus already
  await page.keyboard.press('Tab');
  await page.keyboard.type(operator.pass);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', {level: 1, name: 'Overview'}).waitFor();
  const cookies = await page.context().cookies();
  want(cookies.length, 1, 'cookies');
  holds(cookies[0].httpOnly && cookies[0].sameSite === 'Strict', `cookie ${JSON.stringify(cookies[0])}`);
  want(await page.evaluate(() => document.cookie), '', 'what a script sees of it');
});

await claim('the overview shows the whole cluster', async () => {
  await page.getByText('2 nodes ready').waitFor();
  for (const id of ['harbour-1', 'harbour-2']) await page.getByRole('table', {name: 'Nodes'}).getByText(id).waitFor();
  await page.getByText('Live', {exact: true}).waitFor();
});

await claim('a session is made, with keys that are shown once', async () => {
  await to('Sessions');
  await page.getByText('No sessions yet').waitFor();
  await shot('sessions-empty');
  await page.getByRole('link', {name: 'New session'}).first().click();
  await page.getByLabel('Name').fill('acme-chat');
  await page.getByLabel('Accept only sealed messages').uncheck();
  await page.getByText('Delivery and expiry').click();
  await shot('session-new');
  const sent = page.waitForRequest((r) => r.url().endsWith('/api/createSession'));
  await page.getByRole('button', {name: 'Create the session'}).click();
  await page.getByRole('heading', {name: 'acme-chat is created'}).waitFor();
  secrets.password = await page.getByRole('textbox', {name: 'Password'}).inputValue();
  secrets.key = await page.getByRole('textbox', {name: 'Root key'}).inputValue();
  secrets.secretKey = await page.getByRole('textbox', {name: 'Secret key'}).inputValue();
  holds(/^[\w-]{24}$/.test(secrets.password) && Buffer.from(secrets.key, 'base64').length === 32 && /^[0-9a-f]{64}$/.test(secrets.secretKey), 'the secrets have other forms');
  holds(!(await sent).postData().includes(secrets.key), 'the root key was sent to the server');
  await shot('session-made');
  const go = page.getByRole('button', {name: 'Go to the session'});
  holds(await go.isDisabled(), 'one can go on without having kept the secrets');
  await page.getByLabel('I have kept them').check();
  await go.click();
  await page.getByRole('heading', {level: 1, name: 'acme-chat'}).waitFor();
  holds(!(await page.content()).includes(secrets.secretKey), 'the secret key is still in the page');
});

await claim('what was derived of the root key is what its devices derive', async () => {
  const keyCheck = await page.evaluate(({password, url}) => new Promise((resolve, reject) => {
    const ws = new WebSocket(url);
    ws.onopen = () => ws.send(JSON.stringify({type: 'init', sessionName: 'acme-chat', password, protocol: 2}));
    ws.onmessage = (e) => { resolve(JSON.parse(e.data).keyCheck); ws.close(); };
    ws.onerror = () => reject(new Error('no WebSocket'));
  }), {password: secrets.password, url: base.replace('http', 'ws') + '/ws'});
  const derived = Buffer.from(hkdfSync('sha256', Buffer.from(secrets.key, 'base64'), 'acme-chat', 'fastport/2/keycheck', 16)).toString('hex');
  want(keyCheck, derived, 'the key check');
});

// load has a page of its own publish and subscribe, so many messages a second, until it is told to stop.
async function load(rate) {
  const p = await open(b);
  await p.goto(base + '/admin/');
  await p.evaluate(({rate, password, url}) => {
    const dial = (init, got) => new Promise((resolve) => {
      const ws = new WebSocket(url);
      const send = (o) => { if (ws.readyState === WebSocket.OPEN) ws.send(JSON.stringify(o)); };
      ws.onopen = () => send({type: 'init', sessionName: 'acme-chat', password, protocol: 2, ...init});
      ws.onmessage = (e) => { const m = JSON.parse(e.data); if (m.type === 'init_response') resolve(send); else got(m, send); };
    });
    window.sent = 0;
    window.acked = 0;
    window.ready = (async () => {
      for (let i = 0; i < 8; i++) {
        const topic = `rooms/${i % 2}`;
        const send = await dial({clientId: `reader-${i}`}, (m, send) => { if (m.type === 'message' && i < 7) send({type: 'ack', messageId: m.messageId, topic}); });
        send({type: 'subscribe', topic});
      }
      const send = await dial({clientId: 'writer'}, (m) => { if (m.type === 'ack_received') window.acked++; });
      window.timer = setInterval(() => {
        for (let i = 0; i < rate / 10; i++) send({type: 'publish', topic: `rooms/${window.sent % 2}`, messageId: `m-${++window.sent}`, data: 'sealed', timestamp: Date.now()});
      }, 100);
    })();
  }, {rate, password: secrets.password, url: base.replace('http', 'ws') + '/ws'});
  await p.evaluate(() => window.ready);
  return p;
}

let publisher;
await claim('the charts and figures move under load', async () => {
  await to('Overview');
  const line = () => page.getByRole('figure', {name: 'Throughput'}).locator('path.line').last().getAttribute('d');
  const before = await line();
  publisher = await load(60);
  const figure = (name) => page.locator(`[data-tile="${name}"] dd`).first().innerText();
  await until('publishes a second', async () => Number(await figure('publishes')) >= 1);
  await until('connections', async () => Number(await figure('connections')) >= 9);
  holds(await line() !== before, 'the line has not moved');
  const said = await page.getByRole('figure', {name: 'Throughput'}).getByRole('img').getAttribute('aria-label');
  holds(/Publishes: now [1-9]/.test(said), `a screen reader hears ${said}`);
  await page.getByRole('figure', {name: 'Connections'}).getByRole('img').focus();
  await page.keyboard.press('End');
  await page.locator('.tip:visible').waitFor();
  await shot('overview');
});

await claim('charts are drawn by node as well', async () => {
  await page.getByLabel('Charts of').selectOption('harbour-2');
  await until('its connections are none', async () => /now 0/.test(await page.getByRole('figure', {name: 'Connections'}).getByRole('img').getAttribute('aria-label')));
  await page.getByLabel('Charts of').selectOption('');
});

await claim('the longest figures fit their tiles, at any width', async () => {
  const longest = {connections: ['999,999', '9,999 sessions'], deliveries: ['999,999', 'within 9,999 ms (p99)'], ack: ['9,999 ms', 'p99; p50 is 9,999 ms'], stored: ['999,999', '1023 MiB in the store']};
  for (const width of [1280, 1241, 1240, 700, 360]) {
    await page.setViewportSize({width, height: 860});
    const cut = await page.evaluate((longest) => Object.entries(longest).flatMap(([tile, words]) => [...document.querySelectorAll(`[data-tile="${tile}"] dd`)].filter((dd, i) => {
      dd.textContent = words[i];
      return dd.scrollWidth > dd.clientWidth || getComputedStyle(dd).textOverflow === 'ellipsis';
    }).map((dd) => dd.textContent)), longest);
    want(cut.join('; '), '', `cut off at ${width}`);
  }
  await page.setViewportSize({width: 1280, height: 860});
});

await claim('another node shows the same', async () => {
  const p = await open(b);
  await login(p, other);
  await until('the connections of the first node', async () => Number(await p.locator('[data-tile="connections"] dd').first().innerText()) >= 9);
  await p.context().close();
});

await claim('a session shows its figures and its devices', async () => {
  await to('Sessions');
  await page.getByLabel('Search sessions by name').fill('ACME');
  await page.getByRole('link', {name: 'acme-chat'}).click();
  await until('its connections', async () => Number(await page.locator('.tile dd').first().innerText()) >= 9);
  await page.getByRole('table', {name: 'By node'}).getByText('harbour-1').waitFor();
  await page.getByText('No device has registered for pushes.').waitFor();
  await shot('session');
});

await claim('messages are watched, and one is followed from its publisher to its subscribers', async () => {
  await page.getByRole('link', {name: 'Trace'}).last().click();
  await page.getByRole('heading', {level: 1, name: 'Trace'}).waitFor();
  await page.getByRole('button', {name: 'Watch for 10 minutes'}).click();
  await page.getByText('Nodes note each step for another').waitFor();
  const row = page.getByRole('table', {name: 'Messages'}).getByRole('row').filter({hasText: 'Acked'}).filter({hasText: 'rooms/1'}).first(); // of the topic whose reader-7 acks nothing
  const before = await publisher.evaluate(() => window.sent); // were perhaps published before nodes noted anything
  await until('a message that was published behind those is acked', async () => Number((await row.getByRole('button').innerText()).slice('m-'.length)) > before);
  await shot('trace-session');
  await row.getByRole('button').click();
  for (const step of ['Published', 'Stored', 'Arrived', 'Sent', 'Acked', 'Publisher told']) await page.locator('.timeline').getByText(step, {exact: true}).first().waitFor();
  await page.getByText('Owed to 1 of').waitFor();
  await page.getByText('Who has acked it').waitFor();
  await page.getByRole('table', {name: 'Subscribers'}).getByText('reader-7').waitFor();
  holds(!(await page.locator('main').innerText()).includes('sealed'), 'the page shows data');
  await shot('trace-message');
});

await claim('the log comes from every node, at a level, and is filtered', async () => {
  await to('Log');
  await page.locator('.lines .on', {hasText: 'harbour-1'}).first().waitFor();
  const size = await page.locator('.lines li').count();
  holds(size > 1, `${size} lines`);
  await shot('log');
  await page.getByLabel('Show lines that hold a text').fill('session.create');
  await page.locator('.lines li', {hasText: 'acme-chat'}).first().waitFor();
  holds(!(await page.locator('.lines').innerText()).includes(secrets.password), 'the log holds the password');
});

await claim('a session is suspended and resumed', async () => {
  await page.goto(base + '/admin/#/session/acme-chat');
  await page.getByRole('button', {name: 'Suspend'}).click();
  await page.getByRole('dialog').getByRole('button', {name: 'Suspend'}).click();
  await page.locator('.under').getByText('Suspended').waitFor();
  await until('its connections are closed', async () => Number(await page.locator('.tile dd').first().innerText()) === 0);
  await page.getByRole('button', {name: 'Resume'}).click();
  await page.keyboard.press('Escape'); // thinks again
  want(await page.getByRole('dialog').count(), 0, 'dialogs');
  await page.getByRole('button', {name: 'Resume'}).click();
  await page.getByRole('dialog').getByRole('button', {name: 'Resume'}).click();
  await page.locator('.under').getByText('Active').waitFor();
});
await publisher?.context().close();

await claim('two devices chat in the playground, and one that was away gets what it missed', async () => {
  await to('Playground');
  await page.getByLabel('Session').fill('acme-chat');
  await page.getByLabel('Password').fill(secrets.password);
  await page.getByLabel('Root key').fill(secrets.key);
  await page.getByRole('button', {name: 'Connect both'}).click();
  const alice = page.getByRole('region', {name: 'Device alice'}), bob = page.getByRole('region', {name: 'Device bob'});
  for (const pane of [alice, bob]) await pane.getByText('Subscribed to playground.').waitFor();
  const say = async (pane, words) => {
    await pane.getByPlaceholder('Message').fill(words);
    await page.keyboard.press('Enter');
    await pane.locator('.out', {hasText: words}).getByText(/acked in \d+ ms/).waitFor();
  };
  await say(alice, 'Good morning, <b>Bob</b>');
  await bob.locator('.in', {hasText: 'Good morning, <b>Bob</b>'}).waitFor();
  await say(bob, 'Good morning, Alice');
  await alice.locator('.in', {hasText: 'Good morning, Alice'}).waitFor();

  const content = Buffer.alloc(300_000, 'fastPort ');
  await alice.locator('input[type=file]').setInputFiles({name: 'notes.txt', mimeType: 'text/plain', buffer: content});
  await bob.locator('.in').getByRole('link', {name: 'notes.txt'}).waitFor();
  await alice.locator('.out', {hasText: 'notes.txt'}).getByText('received').waitFor();
  const [got] = await Promise.all([page.waitForEvent('download'), bob.getByRole('link', {name: 'notes.txt'}).click()]);
  const pieces = [];
  for await (const piece of await got.createReadStream()) pieces.push(piece);
  holds(Buffer.concat(pieces).equals(content), 'the file came through as another');
  await shot('playground');

  await bob.getByRole('button', {name: 'Disconnect'}).click();
  await bob.getByText('Offline').waitFor();
  await say(alice, 'Are you there?');
  await bob.getByRole('button', {name: 'Connect', exact: true}).click();
  await bob.locator('.in', {hasText: 'Are you there?'}).getByText('from the store').waitFor();
  await alice.getByRole('link', {name: 'trace'}).last().click();
  await page.getByText('In the store').waitFor();
});

await claim('a wrong key is told at once', async () => {
  await to('Playground');
  await page.getByLabel('Session').fill('acme-chat');
  await page.getByLabel('Password').fill(secrets.password);
  await page.getByLabel('Root key').fill(Buffer.alloc(32, 7).map((_, i) => i * 37 + 11).toString('base64'));
  const bob = page.getByRole('region', {name: 'Device bob'});
  await bob.getByRole('button', {name: 'Connect', exact: true}).click();
  await bob.locator('.aside.bad').waitFor();
  await bob.getByText('Offline').waitFor();
});

await claim('the audit tells who did what, with what result', async () => {
  await to('Audit');
  const table = page.getByRole('table', {name: 'Audits'});
  for (const what of ['Create a session', 'Suspend a session', 'Resume a session', 'Watch messages', 'Log in']) await table.getByText(what).first().waitFor();
  await table.getByText('Unauthorized').first().waitFor();
  await shot('audit');
});

await claim('the portal is used by keyboard alone', async () => {
  await page.goto(base + '/admin/#/overview');
  await page.reload();
  await page.getByRole('heading', {level: 1, name: 'Overview'}).waitFor();
  const focused = () => page.evaluate(() => document.activeElement.textContent.trim() || document.activeElement.getAttribute('aria-label') || document.activeElement.id);
  await page.keyboard.press('Tab');
  want(await focused(), 'Skip to the page', 'the first stop');
  const reach = async (name) => { for (let i = 0; i < 40; i++) { await page.keyboard.press('Tab'); if (await focused() === name) return; } throw new Error(`Tab never reaches ${name}`); };
  await reach('Sessions');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', {level: 1, name: 'Sessions'}).waitFor();
  want(await focused(), 'Sessions', 'the focus after the way to a page');
  await page.getByRole('link', {name: 'acme-chat'}).waitFor();
  await reach('acme-chat');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', {level: 1, name: 'acme-chat'}).waitFor();
  await page.getByRole('button', {name: 'Drop'}).waitFor();
  await reach('Drop');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  want(await page.evaluate(() => document.activeElement.tagName), 'INPUT', 'the focus in the dialog');
  await page.keyboard.press('Escape');
  want(await focused(), 'Drop', 'the focus behind the dialog');
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  want(outline, 'solid', 'the mark of the focus');
});

await claim('every control has a name, every picture a text, every page one heading', async () => {
  for (const at of ['overview', 'nodes', 'sessions', 'session/acme-chat', 'new', 'trace', 'playground', 'log', 'audit']) {
    await page.goto(`${base}/admin/#/${at}`);
    await page.locator('main h1').waitFor();
    await page.waitForLoadState('networkidle').catch(() => {});
    const faults = await page.evaluate(() => {
      const named = (el) => el.getAttribute('aria-label') || el.getAttribute('aria-labelledby') || el.textContent.trim() || el.labels?.length;
      const list = [...document.querySelectorAll('button, a, input, select, textarea, [role=img]')].filter((el) => el.checkVisibility() && !named(el)).map((el) => el.outerHTML.slice(0, 120));
      if (document.querySelectorAll('h1').length !== 1) list.push('headings: ' + document.querySelectorAll('h1').length);
      const ids = [...document.querySelectorAll('[id]')].map((el) => el.id);
      if (new Set(ids).size !== ids.length) list.push('an id twice');
      return list;
    });
    want(faults.join('; '), '', at);
  }
});

for (const [name, options] of [['phone', {viewport: {width: 360, height: 740}, deviceScaleFactor: 2, hasTouch: true, isMobile: true}], ['dark', {colorScheme: 'dark'}]]) {
  await claim(`the portal fits ${name === 'phone' ? 'a phone of 360 pixels' : 'the dark'}`, async () => {
    const p = await open(b, options);
    await p.goto(base + '/admin/');
    await p.getByLabel('User name').waitFor();
    await shot(`${name}-login`, p);
    await login(p, base);
    for (const at of ['overview', 'nodes', 'sessions', 'session/acme-chat', 'new', 'trace?session=acme-chat', 'playground', 'log', 'audit']) {
      await p.goto(`${base}/admin/#/${at}`);
      await p.locator('main h1').waitFor();
      await p.locator('main .loading').waitFor({state: 'detached'});
      if (at === 'overview') await p.getByText('2 nodes ready').waitFor();
      const [wide, room] = await p.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
      holds(wide <= room, `${at} is ${wide} pixels wide, and there are ${room}`);
      await shot(`${name}-${at.split(/[/?]/)[0]}`, p);
    }
    if (name === 'phone') {
      await p.getByRole('button', {name: 'Menu'}).tap();
      await shot('phone-menu', p);
      await p.getByRole('link', {name: 'Nodes'}).tap();
      await p.getByRole('heading', {level: 1, name: 'Nodes'}).waitFor();
      want(await p.getByRole('navigation').isVisible(), false, 'the menu behind its use');
      const small = await p.evaluate(() => [...document.querySelectorAll('button, .button')].filter((el) => el.checkVisibility() && el.getBoundingClientRect().height < 40).map((el) => el.textContent));
      want(small.join(), '', 'buttons too small for a finger');
    }
    await p.context().close();
  });
}

await claim('light and dark are chosen by hand, and remembered', async () => {
  await page.goto(base + '/admin/#/overview');
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.getByRole('button', {name: 'Change between light and dark'}).click();
  const dark = await ground();
  holds(light !== dark, 'nothing changed');
  await page.reload();
  await page.getByRole('heading', {level: 1, name: 'Overview'}).waitFor();
  want(await ground(), dark, 'the ground after a reload');
  await page.getByRole('button', {name: 'Change between light and dark'}).click();
});

await claim('a session is dropped only by typing its name', async () => {
  await page.goto(base + '/admin/#/session/acme-chat');
  await page.getByRole('button', {name: 'Drop'}).click();
  const dialog = page.getByRole('dialog');
  const drop = dialog.getByRole('button', {name: 'Drop it for good'});
  await dialog.getByRole('textbox').fill('acme-chatt');
  holds(await drop.isDisabled(), 'another name is taken');
  await dialog.getByRole('textbox').fill('acme-chat');
  await shot('session-drop');
  await drop.click();
  await page.getByRole('heading', {level: 1, name: 'Sessions'}).waitFor();
  await page.getByText('No sessions yet').waitFor();
});

await claim('a node is drained through another, and leaves', async () => {
  await to('Nodes');
  await page.getByRole('article', {name: 'harbour-2'}).waitFor();
  await shot('nodes');
  await page.getByRole('button', {name: 'Drain harbour-2'}).click();
  await shot('node-drain');
  await page.getByRole('dialog').getByRole('button', {name: 'Drain'}).click();
  await page.getByRole('article', {name: 'harbour-2'}).waitFor({state: 'detached', timeout: 2 * patience});
  await page.getByRole('button', {name: 'Drain harbour-1'}).click();
  holds(await page.getByRole('dialog').getByRole('button', {name: 'Drain'}).isDisabled(), 'the last node needs no second thought');
  await page.keyboard.press('Escape');
});

await claim('who logs out everywhere is out on every page', async () => {
  const p = await open(b);
  await login(p, base);
  await p.getByRole('heading', {level: 1, name: 'Overview'}).waitFor();
  await page.evaluate(() => fetch('/api/admin/logout', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: '{"everywhere":true}'}));
  await p.getByText('You were logged out').waitFor(); // by its stream
  await p.context().close();
  await page.reload();
  await page.getByRole('heading', {name: 'Log in'}).waitFor();
});

await claim('five failures lock the way in, and say for how long', async () => {
  const p = await open(b);
  await p.goto(base + '/admin/');
  for (let i = 0; i < 6; i++) {
    await p.getByLabel('User name').fill(operator.user);
    await p.getByLabel('Password').fill(`guess ${i}`);
    const answered = p.waitForResponse((r) => r.url().endsWith('/login'));
    await p.getByRole('button', {name: 'Log in'}).click();
    if ((await answered).status() === 429) break;
    await p.getByRole('alert').getByText('wrong').waitFor();
  }
  await p.getByText('Too many failed log-ins').waitFor();
  holds(/^Wait 1[45]:\d\d$/.test(await p.getByRole('button').innerText()), 'no time is told');
  await shot('login-locked', p);
  await p.context().close();
});

await claim('no page broke, breached its policy or asked another host', async () => {
  want([...new Set(complaints)].join('\n'), '', 'complaints');
});

await b.close();
process.exitCode = outcome();
