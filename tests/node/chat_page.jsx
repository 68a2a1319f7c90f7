// A chat as an application would have it, on the `useChat` of the version that it is bundled with.
import { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { useChat } from 'use-chat';
import * as ai from 'ai';

const query = new URLSearchParams(location.search);
const id = query.get('chat') ?? 'c1';
const api = `${query.get('gateway')}/api/agent/chat`;
const body = JSON.parse(query.get('body') ?? '{}');
const isNative = body.sdk_version !== undefined;

const post = (path, value) =>
  fetch(`${api}/${id}/${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(value),
  });

const sendAutomaticallyWhen = isNative
  ? ai.lastAssistantMessageIsCompleteWithApprovalResponses
  : ai.lastAssistantMessageIsCompleteWithToolCalls;

const name = (part) => part.toolName ?? part.type.slice('tool-'.length);

function Question({ question, answers }) {
  return (
    <p className="question">
      {question}
      {Object.entries(answers).map(([word, answer]) => (
        <button key={word} onClick={answer}>{word}</button>
      ))}
    </p>
  );
}

function Tool({ part, chat }) {
  const own = { tool: name(part), toolCallId: part.toolCallId };
  const decide = (approved) => () => chat.addToolApprovalResponse({ id: part.approval.id, approved });
  return (
    <div className="tool" data-state={part.state}>
      {name(part)} {JSON.stringify(part.input)} {part.errorText ?? JSON.stringify(part.output)}
      {part.state === 'input-available' && !part.providerExecuted && (
        <Question
          question={part.input.question}
          answers={{
            Result: () => chat.addToolResult({ ...own, output: 'because' }),
            Output: () => chat.addToolOutput({ ...own, output: 'because' }),
            Failure: () => chat.addToolOutput({ ...own, state: 'output-error', errorText: 'no idea' }),
          }}
        />
      )}
      {part.state === 'approval-requested' && (
        <Question question="May it?" answers={{ Allow: decide(true), Deny: decide(false) }} />
      )}
    </div>
  );
}

function Approval({ data }) {
  const answer = (decision) => () => post(`approval/${data.id}`, { decision });
  return (
    <div className="approval" data-state={data.state}>
      {data.state === 'pending' && (
        <Question
          question={`May it call ${data.tool_name}?`}
          answers={{ Allow: answer('allow'), Deny: answer('deny') }}
        />
      )}
    </div>
  );
}

function Part({ part, chat }) {
  if (part.type === 'text') return <p className="text">{part.text}</p>;
  if (part.type === 'reasoning') return <p className="reasoning">{part.text}</p>;
  if (part.type === 'data-approval') return <Approval data={part.data} />;
  if (part.type === 'data-notice') return <p className="notice">{part.data.message}</p>;
  if (part.type === 'dynamic-tool' || part.type.startsWith('tool-')) return <Tool part={part} chat={chat} />;
  return null;
}

function Chat({ messages }) {
  const [text, setText] = useState('');
  const [progress, setProgress] = useState('');
  const chat = useChat({
    id,
    messages,
    resume: true,
    transport: new ai.DefaultChatTransport({ api, body }),
    sendAutomaticallyWhen,
    onData: (part) => part.type === 'data-tool-progress' && setProgress(JSON.stringify(part.data.progress)),
  });
  useEffect(() => {
    window.shown = { status: chat.status, error: chat.error?.message, messages: chat.messages };
  });
  const submit = (event) => {
    event.preventDefault();
    chat.sendMessage({ text });
    setText('');
  };
  return (
    <main data-status={chat.status}>
      {chat.messages.map((message) => (
        <article key={message.id} className={message.role}>
          {message.parts.map((part, place) => <Part key={place} part={part} chat={chat} />)}
        </article>
      ))}
      {chat.error && <p role="alert">{chat.error.message}</p>}
      <output>{progress}</output>
      <form onSubmit={submit}>
        <input value={text} onChange={(event) => setText(event.target.value)} />
        <button>Send</button>
      </form>
      <button onClick={() => post('stop', {})}>Stop</button>
      <button onClick={() => chat.stop()}>Leave</button>
      <button onClick={() => chat.regenerate()}>Again</button>
    </main>
  );
}

const kept = await fetch(`${api}/${id}`);
const { messages } = kept.ok ? await kept.json() : { messages: [] };
createRoot(document.getElementById('root')).render(<Chat messages={messages} />);
