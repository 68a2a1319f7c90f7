// What a person does on the page of chat_page.jsx, and what it shows in the end.
import { createRequire } from 'node:module';
import { dirname } from 'node:path';

export function bundle({ version }) {
  const sdk = `use-chat-${version}`;
  const inside = createRequire(import.meta.resolve(sdk));
  const ai = dirname(inside.resolve('ai/package.json'));
  return { entryPoints: ['chat_page.jsx'], alias: { 'use-chat': sdk, ai } };
}

const query = ({ gateway, model, body = {} }) => ({
  gateway,
  body: JSON.stringify({ model, tools: ['fake'], ...body }),
});

async function start(open, given) {
  const page = await open(query(given));
  await say(page, 'Hi');
  return page;
}

async function say(page, text) {
  await page.getByRole('textbox').fill(text);
  await press(page, 'Send');
}

const press = (page, name) => page.getByRole('button', { name, exact: true }).click();

const shows = (page, text) => page.getByText(text).first().waitFor();

const released = (given) => fetch(given.release, { method: 'POST' });

async function shown(page) {
  await page.waitForFunction(() => ['ready', 'error'].includes(window.shown?.status) && window.shown.messages.length);
  return page.evaluate(() => ({ ...window.shown, text: document.querySelector('main').innerText }));
}

async function settled(page, text) {
  await shows(page, text);
  return shown(page);
}

const isAnew = (page, old) =>
  page.waitForFunction((id) => window.shown.messages[1]?.id !== id, old.messages[1].id);

export const stories = {
  // The buttons that the page shows on its way are pressed one after the other.
  async answered(open, given) {
    const page = await start(open, given);
    for (const button of given.buttons ?? []) await press(page, button);
    return settled(page, given.until);
  },
  async stopped(open, given) {
    const page = await start(open, given);
    await shows(page, 'Wait');
    await press(page, 'Stop');
    return shown(page);
  },
  async 'answered again'(open, given) {
    const page = await start(open, given);
    const old = await settled(page, given.until);
    await press(page, 'Again');
    await isAnew(page, old);
    return settled(page, given.until);
  },
  // Loaded again when `seen` is there; then what waits goes on, or buttons are pressed.
  async reloaded(open, given) {
    const page = await start(open, given);
    await shows(page, given.seen);
    await page.reload();
    await shows(page, given.seen);
    if (!given.buttons) await released(given);
    for (const button of given.buttons ?? []) await press(page, button);
    return settled(page, given.until);
  },
  async 'left and loaded again'(open, given) {
    const page = await start(open, given);
    await shows(page, 'two');
    await press(page, 'Leave');
    await released(given);
    await page.waitForFunction(() => window.shown.status === 'ready');
    await page.reload();
    return settled(page, given.until);
  },
  async 'seen twice'(open, given) {
    const page = await start(open, given);
    await shows(page, 'two');
    const other = await open(query(given));
    await shows(other, 'two');
    await released(given);
    return { one: await settled(page, given.until), other: await settled(other, given.until) };
  },
  async 'stopped elsewhere'(open, given) {
    const page = await start(open, given);
    await shows(page, 'Wait');
    const other = await open(query(given));
    await shows(other, 'Wait');
    await press(other, 'Stop');
    return { one: await shown(page), other: await shown(other) };
  },
  async 'said twice'(open, given) {
    const other = await open(query(given));
    const page = await start(open, given);
    await shows(page, 'Wait');
    await say(other, 'Hello');
    await other.getByRole('alert').waitFor();
    const refused = await shown(other);
    await press(page, 'Stop');
    await shown(page);
    return refused;
  },
  // The gateway is killed in the middle of the answer, and somebody starts it again.
  async outlived(open, given) {
    const page = await start(open, given);
    await shows(page, 'two');
    process.kill(given.pid, 'SIGKILL');
    await page.getByRole('alert').waitFor();
    const { status } = await shown(page);
    while (!(await fetch(`${given.gateway}/healthz`).catch(() => null))) await page.waitForTimeout(50);
    await page.reload();
    const kept = await shown(page);
    await press(page, 'Again');
    await isAnew(page, kept);
    await shows(page, 'two');
    await released(given);
    return { status, kept, again: await settled(page, given.until) };
  },
  // No SDK: an EventSource that listens to names, on a page that has nothing but the browser's own means.
  async 'read by names'(open, given) {
    const page = await open(query(given));
    const reading = page.evaluate(async ({ gateway, release, body }) => {
      const api = `${gateway}/api/agent/chat`;
      const headers = { 'Content-Type': 'application/json' };
      await fetch(api, { method: 'POST', headers, body: JSON.stringify(body) });
      const source = new EventSource(`${api}/c1/stream`);
      const heard = [];
      const names = ['message_start', 'content_delta', 'tool_call_start', 'tool_call_result', 'data_part', 'ping'];
      for (const name of names) {
        source.addEventListener(name, ({ data, lastEventId }) => {
          heard.push({ name, number: Number(lastEventId), ...JSON.parse(data) });
          if (data.includes('two')) fetch(release, { method: 'POST', mode: 'no-cors' });
        });
      }
      await new Promise((resume) => source.addEventListener('message_complete', resume, { once: true }));
      await new Promise((resume) => (source.onerror = () => source.readyState === EventSource.CLOSED && resume()));
      return heard;
    }, given);
    return reading;
  },
};
