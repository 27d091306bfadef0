// An agent's requests and reports are lines of JSON.
import { createInterface } from 'node:readline';

export async function* requests() {
  for await (const line of createInterface({ input: process.stdin })) yield JSON.parse(line);
}

/** All requests that have come since the last batch, at a time. */
export async function* batches() {
  const list = [];
  let ended = false, wake = () => {};
  const lines = createInterface({ input: process.stdin });
  lines.on('line', (line) => { list.push(JSON.parse(line)); wake(); });
  lines.on('close', () => { ended = true; wake(); });
  while (!ended || list.length > 0) {
    if (list.length > 0) yield list.splice(0);
    else await new Promise((resolve) => { wake = resolve; });
  }
}

export const say = (report) => process.stdout.write(JSON.stringify(report) + '\n');
