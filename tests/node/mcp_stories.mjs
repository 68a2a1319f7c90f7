// A page that is an MCP client, for browser.mjs.
export const bundle = () => ({ entryPoints: ['mcp_page.mjs'] });

export const stories = {
  async used(open, { host, ...asked }) {
    const page = await open({}, host);
    return page.evaluate((asked) => window.use(asked), asked);
  },
};
