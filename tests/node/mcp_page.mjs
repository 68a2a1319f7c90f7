// A page that uses an MCP server through the SDK: window.use({ era, url, tool, change }).
import * as sdk2 from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ToolListChangedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';

const INFO = { name: 'page', version: '1' };
const CHANGED = 'notifications/tools/list_changed';

/** Every exchange as the page sees it, headers included: what CORS does not expose is not there. */
function recording(exchanges) {
  return async (url, init) => {
    const answer = await fetch(url, init);
    const exposed = Object.fromEntries(answer.headers);
    exchanges.push({ method: init?.method ?? 'GET', status: answer.status, exposed });
    return answer;
  };
}

/** A client and its transport's class; `changed` hears that the tools are others now. */
const eras = {
  session(changed) {
    const client = new Client(INFO);
    client.setNotificationHandler(ToolListChangedNotificationSchema, changed);
    return [client, StreamableHTTPClientTransport];
  },
  '2026-07-28'(changed) {
    const client = new sdk2.Client(INFO, { versionNegotiation: { mode: { pin: '2026-07-28' } } });
    client.setNotificationHandler(CHANGED, changed);
    return [client, sdk2.StreamableHTTPClientTransport];
  },
};

async function connect(era, url, changed, exchanges) {
  const [client, Transport] = eras[era](changed);
  const transport = new Transport(new URL(url), { fetch: recording(exchanges) });
  await client.connect(transport);
  return { client, transport };
}

async function until(holds) {
  const since = Date.now();
  while (!holds()) {
    if (Date.now() - since > 15000) throw new Error('it did not happen');
    await new Promise((resume) => setTimeout(resume, 10));
  }
}

async function use({ era, url, tool, change }, exchanges) {
  let changes = 0;
  const { client, transport } = await connect(era, url, () => (changes += 1), exchanges);
  const subscription = await client.listen?.({ toolsListChanged: true });
  if (!subscription) await until(() => exchanges.some(({ method }) => method === 'GET'));
  const { tools } = await client.listTools();
  const called = await client.callTool({ name: tool, arguments: { text: 'hello' } });
  const other = await connect(era, url, () => {}, []);
  await other.client.callTool({ name: change, arguments: {} });
  await until(() => changes > 0);
  await subscription?.close();
  await transport.terminateSession?.();
  await Promise.all([client.close(), other.client.close()]);
  return { tools: tools.map(({ name }) => name), said: called.content[0].text };
}

window.use = async (asked) => {
  const exchanges = [];
  try {
    return { ...(await use(asked, exchanges)), exchanges };
  } catch (error) {
    return { error: String(error), exchanges };
  }
};
