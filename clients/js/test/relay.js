// A relay between a client and a real server, for what a network or a server may do to frames: lose, repeat, change, hold.
import { WebSocket, WebSocketServer } from 'ws';

export class Relay {
  /** What goes to the server, and what comes from it, frame by frame: return the frames that are to go on. Binary frames pass. */
  toServer = (f) => [f];
  toClient = (f) => [f];
  deaf = false; // nothing passes any more
  lingers = false; // a client that goes away stays with the server
  links = [];

  static async start(t, upstream) {
    const r = new Relay();
    r.server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    r.server.on('connection', (down) => r.#link(down, upstream));
    await new Promise((resolve) => r.server.on('listening', resolve));
    t.after(() => {
      for (const { down, up } of r.links) [down, up].forEach((s) => s.terminate());
      r.server.close();
    });
    r.ws = `ws://127.0.0.1:${r.server.address().port}`;
    return r;
  }

  #link(down, upstream) {
    const up = new WebSocket(upstream);
    const link = { down, up };
    this.links.push(link);
    const waiting = [];
    up.on('open', () => waiting.splice(0).forEach((send) => send()));
    const when = (send) => (up.readyState === WebSocket.OPEN ? send() : waiting.push(send));
    const pass = (from, to, change) => (data, binary) => when(() => {
      if (this.deaf) return;
      if (binary) to.send(data);
      else for (const f of change(JSON.parse(data), link)) to.send(JSON.stringify(f));
    });
    down.on('message', pass(down, up, (f, l) => this.toServer(f, l)));
    up.on('message', pass(up, down, (f, l) => this.toClient(f, l)));
    const code = (c) => (c === 1005 || c === 1006 ? 1001 : c);
    down.on('close', (c) => { if (!this.lingers) up.close(code(c)); });
    up.on('close', (c) => down.close(code(c)));
    up.on('error', () => down.terminate());
    down.on('error', () => up.terminate());
  }

  /** Says something to the client that no server said. */
  say(f) {
    this.links.at(-1).down.send(JSON.stringify(f));
  }

  /** Breaks every connection without a word. */
  cut() {
    for (const { down, up } of this.links.splice(0)) [down, up].forEach((s) => s.terminate());
  }
}
