// A real authorization server: node authorization_server.mjs RESOURCE ACCESS_TOKEN_SECONDS
// Dynamic registration, PKCE, resource indicators, revocation. Prints its issuer. `/test/…` is for the tests:
// token?value= (what a token is worth, as introspection would say), issued, revoke, hold?seconds= and
// withhold?seconds=, which do what the token endpoints were asked for later, or at once and answer later.
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const [, , resource, seconds] = process.argv;
const server = createServer();
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  features: {
    registration: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => resource,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, wanted) => {
        if (wanted !== resource) throw new Error(`unknown resource ${wanted}`);
        return { scope: 'read write', audience: resource, accessTokenTTL: Number(seconds), accessTokenFormat: 'opaque' };
      },
    },
  },
  scopes: ['openid', 'offline_access', 'read', 'write'],
  pkce: { required: () => true },
  rotateRefreshToken: true,
  ttl: { RefreshToken: 3600, Session: 3600, Grant: 3600, Interaction: 600, AuthorizationCode: 60 },
  cookies: { keys: ['only-for-tests'] },
});

const issued = [];
const grants = new Set();
let holding = 0;
let withholding = 0;
for (const kind of ['access_token', 'refresh_token']) {
  provider.on(`${kind}.saved`, (token) => {
    issued.push(token.jti);
    grants.add(token.grantId);
  });
}

async function answer(url) {
  switch (url.pathname) {
    case '/test/token': {
      const token = await provider.AccessToken.find(url.searchParams.get('value'));
      if (!token || !(await provider.Grant.find(token.grantId))) return {};
      return { client_id: token.clientId, scope: token.scope, aud: token.aud, exp: token.exp };
    }
    case '/test/issued':
      return issued;
    case '/test/revoke':
      for (const id of grants) {
        for (const kind of ['AccessToken', 'RefreshToken', 'AuthorizationCode']) await provider[kind].revokeByGrantId(id);
      }
      return {};
    case '/test/hold':
      holding = Number(url.searchParams.get('seconds'));
      return {};
    case '/test/withhold':
      withholding = Number(url.searchParams.get('seconds'));
      return {};
  }
}

const handle = provider.callback();
server.on('request', async (request, response) => {
  const url = new URL(request.url, issuer);
  if (url.pathname.startsWith('/test/')) {
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify(await answer(url)));
    return;
  }
  if (url.pathname.startsWith('/token') && holding) {
    process.stdout.write('held\n');
    await new Promise((resolve) => setTimeout(resolve, holding * 1000));
  }
  if (url.pathname.startsWith('/token') && withholding) {
    const end = response.end.bind(response);
    const delay = withholding * 1000;
    response.end = (...said) => {
      process.stdout.write('held\n');
      setTimeout(() => end(...said), delay);
      return response;
    };
  }
  handle(request, response);
});
process.stdout.write(`${issuer}\n`);
