// A server of the TypeScript SDK. --reject: of 2026-07-28 alone, else of both eras; --http: on a port that it prints.

import { createServer } from 'node:http';
import { Readable } from 'node:stream';

import { acceptedContent, createMcpHandler, inputRequired, McpServer } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { z } from 'zod';

const legacy = process.argv.includes('--reject') ? 'reject' : undefined;
const answerSchema = z.object({ name: z.string() });

function makeServer() {
    const server = new McpServer({ name: 'sdk', version: '1.0.0' }, { capabilities: { tools: { listChanged: true } } });
    server.registerTool('echo', { inputSchema: z.object({ text: z.string() }) }, async ({ text }) => ({
        content: [{ type: 'text', text }]
    }));
    server.registerTool('ask_name', { inputSchema: z.object({}) }, async (_, context) => {
        const answer = acceptedContent(context.mcpReq.inputResponses, 'who', answerSchema);
        return answer === undefined
            ? inputRequired({ inputRequests: { who: inputRequired.elicit({ message: 'Who?', requestedSchema: answerSchema }) } })
            : { content: [{ type: 'text', text: `Hello ${answer.name}` }] };
    });
    return server;
}

async function answer(handler, incoming, outgoing) {
    const body = incoming.method === 'POST' ? Readable.toWeb(incoming) : undefined;
    const request = new Request(`http://localhost${incoming.url}`, {
        method: incoming.method,
        headers: incoming.headers,
        body,
        duplex: 'half'
    });
    const response = await handler.fetch(request);
    outgoing.writeHead(response.status, Object.fromEntries(response.headers));
    outgoing.flushHeaders();
    if (response.body !== null) for await (const chunk of response.body) outgoing.write(chunk);
    outgoing.end();
}

if (process.argv.includes('--http')) {
    const handler = createMcpHandler(makeServer, legacy && { legacy });
    const http = createServer((incoming, outgoing) => void answer(handler, incoming, outgoing));
    http.listen(0, '127.0.0.1', () => console.log(http.address().port));
} else {
    serveStdio(makeServer, legacy && { legacy });
}
