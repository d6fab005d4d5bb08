// Builds the packages: node build.mjs [folder], by default the one the Python package carries.
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const target = resolve(process.argv[2] ?? join(here, "../src/openbell/bridge/js"));
const compiler = createRequire(join(here, "package.json")).resolve("typescript/package.json");

rmSync(target, { recursive: true, force: true });
const words = [join(dirname(compiler), "bin/tsc"), "--project", here, "--outDir", join(target, "@openbell")];
const { status } = spawnSync(process.execPath, words, { stdio: "inherit" });
if (status !== 0) process.exit(1);
for (const name of ["sdk", "wire", "bot", "runner"]) {
  const folder = join(target, "@openbell", name);
  mkdirSync(folder, { recursive: true });
  cpSync(join(here, name, "package.json"), join(folder, "package.json"));
}
for (const name of ["package.json", "package-lock.json"]) cpSync(join(here, name), join(target, name));
