// A real Chromium for tests: node browser.mjs CHROMIUM
// Each line of stdin, {"module", "story", …given}, is a story of a module in this folder, told in a browser context
// of its own; the answer is one line, {"result", "complaints"} or {"error"}.
//
// Such a module exports `bundle(given)`, esbuild's options of its page (`entryPoints`, `alias` …), and `stories`,
// each `async (open, given) => result`; `open({name: value})` is a new tab with that page and that query; a second
// argument is the host that it seems to come from: `localhost`, or any name that ends in `.example`.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';

const FLAGS = ['--disable-gpu', '--disable-quic', '--disable-background-networking', '--disable-component-update',
  '--disable-sync', '--host-resolver-rules=MAP *.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost'];
const PATIENCE = 30_000;

const scripts = new Map();

async function bundled(options) {
  const key = createHash('sha256').update(JSON.stringify(options)).digest('hex').slice(0, 16);
  if (!scripts.has(key)) {
    const built = await build({
      bundle: true,
      write: false,
      format: 'esm',
      platform: 'browser',
      jsx: 'automatic',
      define: { 'process.env.NODE_ENV': '"production"' },
      logLevel: 'silent',
      absWorkingDir: import.meta.dirname,
      ...options,
    });
    scripts.set(key, built.outputFiles[0].contents);
  }
  return key;
}

const server = createServer((request, response) => {
  const [, key, name] = request.url.split(/[/?]/);
  const isScript = name === 'page.js';
  response.setHeader('Content-Type', isScript ? 'text/javascript' : 'text/html; charset=utf-8');
  response.end(
    isScript
      ? scripts.get(key)
      : '<!doctype html><link rel="icon" href="data:,"><div id="root"></div><script type="module" src="page.js"></script>',
  );
});
await new Promise((resume) => server.listen(0, '127.0.0.1', resume));
const browser = await chromium.launch({ executablePath: process.argv[2], args: FLAGS, chromiumSandbox: false });

async function tell({ module, story, ...given }) {
  const { bundle, stories } = await import(`./${module}`);
  const folder = `${server.address().port}/${await bundled(await bundle(given))}/`;
  const context = await browser.newContext();
  context.setDefaultTimeout(PATIENCE);
  const complaints = [];
  const open = async (query = {}, host = 'localhost') => {
    const page = await context.newPage();
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(String(error)));
    await page.goto(`http://${host}:${folder}?${new URLSearchParams(query)}`);
    return page;
  };
  try {
    return { result: await stories[story](open, given), complaints };
  } catch (error) {
    return { error: `${error.stack}\n${complaints.join('\n')}` };
  } finally {
    await context.close();
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await tell(JSON.parse(line))));
}
await browser.close();
server.close();
