// Prints how @gleanwork/mcp-config-schema would configure each client it knows: paths, and entries by transport.
import { MCPConfigRegistry } from "@gleanwork/mcp-config-schema";

const registry = new MCPConfigRegistry();
const http = {
  transport: "http",
  serverUrl: "http://localhost:54587/mcp",
  serverName: "archestra",
  headers: { Authorization: "Bearer token" },
};
const told = {};
for (const client of registry.getAllConfigs()) {
  if (!client.userConfigurable) continue;
  const builder = registry.createBuilder(client.id);
  told[client.id] = { paths: client.configPath, transports: client.transports, http: builder.buildConfiguration(http) };
}
console.log(JSON.stringify(told));
