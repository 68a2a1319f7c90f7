// What a person does on the page of chat_page.jsx, and what it shows in the end.
import { createRequire } from 'node:module';
import { dirname } from 'node:path';

export function bundle({ version }) {
  const sdk = `use-chat-${version}`;
  const inside = createRequire(import.meta.resolve(sdk));
  const ai = dirname(inside.resolve('ai/package.json'));
  return { entryPoints: ['chat_page.jsx'], alias: { 'use-chat': sdk, ai } };
}

const query = ({ gateway, model, ...body }) => ({ gateway, body: JSON.stringify({ model, tools: ['fake'], ...body }) });

async function start(open, { gateway, model, body = {} }) {
  const page = await open(query({ gateway, model, ...body }));
  await say(page, 'Hi');
  return page;
}

async function say(page, text) {
  await page.getByRole('textbox').fill(text);
  await page.getByText('Send').click();
}

const shows = (page, text) => page.getByText(text).first().waitFor();

async function shown(page) {
  await page.waitForFunction(() => ['ready', 'error'].includes(window.shown?.status) && window.shown.messages.length);
  return page.evaluate(() => ({ ...window.shown, text: document.querySelector('main').innerText }));
}

async function settled(page, text) {
  await shows(page, text);
  return shown(page);
}

const press = (page, name) => page.getByRole('button', { name, exact: true }).click();

export const stories = {
  async answered(open, given) {
    return settled(await start(open, given), given.until);
  },
  // Buttons that the page shows on its way, one after the other.
  async pressed(open, given) {
    const page = await start(open, given);
    for (const button of given.buttons) await press(page, button);
    return settled(page, given.until);
  },
  async stopped(open, given) {
    const page = await start(open, given);
    await shows(page, 'Wait');
    await press(page, 'Stop');
    return shown(page);
  },
  async reloaded(open, given) {
    const page = await start(open, given);
    await shows(page, 'two');
    await page.reload();
    await shows(page, 'two');
    await fetch(given.release, { method: 'POST' });
    return settled(page, given.until);
  },
};
