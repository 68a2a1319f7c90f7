// MCPB's own tools. stdin has {folder, file, home, userConfig}: packs and signs the folder, and prints what the
// manifest makes of the values.
import { getMcpConfigForManifest, packExtension, signMcpbFile } from "@anthropic-ai/mcpb";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const { folder, file, home, userConfig } = JSON.parse(readFileSync(0, "utf8"));
if (!(await packExtension({ extensionPath: folder, outputPath: file, silent: true }))) process.exit(1);
const keys = mkdtempSync(join(tmpdir(), "mcpb-"));
const [key, certificate] = [join(keys, "key.pem"), join(keys, "certificate.pem")];
const subject = ["-subj", "/CN=test", "-days", "1"];
execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, ...subject], {
  stdio: "ignore",
});
signMcpbFile(file, certificate, key);
const config = await getMcpConfigForManifest({
  manifest: JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")),
  extensionPath: "/bundle",
  systemDirs: { HOME: home, DESKTOP: join(home, "Desktop"), DOCUMENTS: join(home, "Documents") },
  userConfig,
  pathSeparator: "/",
});
console.log(JSON.stringify(config));
