// The AI SDK's own chat, as `useChat` has it, against a gateway: node use_chat.mjs VERSION URL STORY
// Prints what a page would show in the end.
import { createRequire } from 'node:module';

const [, , version, url, story] = process.argv;
const { Chat } = await import(`use-chat-${version}`);
const inside = createRequire(import.meta.resolve(`use-chat-${version}`));
const ai = await import(inside.resolve('ai'));

const api = `${url}/api/agent/chat`;
const post = (path, body) =>
  fetch(`${api}${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });

function open(model, options = {}, body = {}) {
  const transport = new ai.DefaultChatTransport({ api, body: { model, tools: ['fake'], ...body } });
  return new Chat({ id: 'c1', transport, onError: () => {}, ...options });
}

async function until(holds) {
  const since = Date.now();
  while (!holds()) {
    if (Date.now() - since > 15000) throw new Error('it did not happen');
    await new Promise((resume) => setTimeout(resume, 10));
  }
}

const parts = (chat) => chat.messages.flatMap((message) => message.parts);
const idle = (chat) => ['ready', 'error'].includes(chat.status);

const stories = {
  async words() {
    const chat = open('words');
    await chat.sendMessage({ text: 'Hi' });
    return chat;
  },
  async thinks() {
    const chat = open('thinks');
    await chat.sendMessage({ text: 'Hi' });
    return chat;
  },
  async sealed() {
    await fetch(`${url}/api/llm_provider`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ name: 'claude', kind: 'anthropic', base_url: new URL(process.argv[5]).origin }),
    });
    const chat = open('old', {}, { provider: 'claude', thinking: true });
    await chat.sendMessage({ text: 'Hi' });
    return chat;
  },
  async echoes() {
    const chat = open('echoes');
    await chat.sendMessage({ text: 'Hi' });
    return chat;
  },
  async 'crash-tool'() {
    const chat = open('crash-tool');
    await chat.sendMessage({ text: 'Hi' });
    return chat;
  },
  async 'no-tools'() {
    const chat = open('no-tools');
    await chat.sendMessage({ text: 'Hi' });
    return chat;
  },
  async broken() {
    const chat = open('error-line');
    await chat.sendMessage({ text: 'Hi' });
    return chat;
  },
  async regenerate() {
    const chat = open('words');
    await chat.sendMessage({ text: 'Hi' });
    await chat.regenerate();
    return chat;
  },
  async edit() {
    const chat = open('words');
    await chat.sendMessage({ text: 'Hi' });
    await chat.sendMessage({ text: 'Hello', messageId: chat.messages[0].id });
    return chat;
  },
  async 'client-tool'() {
    const tools = [{ name: 'ask_user', description: 'Ask', inputSchema: { type: 'object' } }];
    const chat = open(
      'client-tool',
      {
        sendAutomaticallyWhen: ai.lastAssistantMessageIsCompleteWithToolCalls,
        onToolCall: ({ toolCall }) => {
          const answer = { tool: 'ask_user', toolCallId: toolCall.toolCallId, output: 'because' };
          void (chat.addToolOutput ?? chat.addToolResult)(answer);
        },
      },
      { tools },
    );
    await chat.sendMessage({ text: 'Hi' });
    await until(() => idle(chat) && parts(chat).some((part) => part.text?.startsWith('The tool said')));
    return chat;
  },
  async approval() {
    await fetch(`${url}/api/agent/permission`, {
      method: 'PUT',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ server_name: 'fake', decision: 'ask' }),
    });
    const chat = open('echoes');
    const sent = chat.sendMessage({ text: 'Hi' });
    await until(() => parts(chat).some((part) => part.type === 'data-approval'));
    const { data } = parts(chat).find((part) => part.type === 'data-approval');
    await post(`/c1/approval/${data.id}`, { decision: 'allow' });
    await sent;
    return chat;
  },
  async 'native-approval'() {
    await fetch(`${url}/api/agent/permission`, {
      method: 'PUT',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ server_name: 'fake', decision: 'ask' }),
    });
    const chat = open(
      'echoes',
      { sendAutomaticallyWhen: ai.lastAssistantMessageIsCompleteWithApprovalResponses },
      { sdk_version: Number(version.split('.')[0]) },
    );
    await chat.sendMessage({ text: 'Hi' });
    const asked = parts(chat).find((part) => part.state === 'approval-requested');
    await chat.addToolApprovalResponse({ id: asked.approval.id, approved: true });
    await until(() => idle(chat) && parts(chat).some((part) => part.text?.startsWith('The tool said')));
    return chat;
  },
  async stop() {
    const chat = open('stalls');
    const sent = chat.sendMessage({ text: 'Hi' });
    await until(() => parts(chat).some((part) => part.text === 'Wait'));
    await post('/c1/stop', {});
    await sent;
    return chat;
  },
  // A page is left and loaded again in the middle of an answer; another one looks on.
  async resume() {
    const left = open('waits');
    void left.sendMessage({ text: 'Hi' });
    await until(() => parts(left).some((part) => part.text?.includes('two')));
    await left.stop();
    const { messages } = await (await fetch(`${api}/c1`)).json();
    const chat = open('waits', { messages });
    const other = open('waits', { messages: structuredClone(messages) });
    const resumed = [chat.resumeStream(), other.resumeStream()];
    await until(() => [chat, other].every((each) => parts(each).some((part) => part.text?.includes('two'))));
    await fetch(process.argv[5], { method: 'POST' });
    await Promise.all(resumed);
    if (JSON.stringify(chat.messages) !== JSON.stringify(other.messages)) throw new Error('not the same');
    return chat;
  },
  async idle() {
    const chat = open('words');
    await chat.resumeStream();
    return chat;
  },
};

const chat = await stories[story]();
await until(() => idle(chat));
const { status, error, messages } = chat;
console.log(JSON.stringify({ status, error: error?.message, messages }));
process.exit(0);
