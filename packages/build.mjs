// Builds the packages: node build.mjs [folder], by default the one the Python package carries.
import { spawnSync } from "node:child_process";
import { cpSync, renameSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const target = resolve(process.argv[2] ?? join(here, "../src/openbell/bridge/js"));
const made = `${target}.new`;
const typescript = dirname(createRequire(join(here, "package.json")).resolve("typescript/package.json"));

rmSync(made, { recursive: true, force: true });
const words = [join(typescript, "bin/tsc"), "--project", here, "--outDir", join(made, "@openbell")];
const { status } = spawnSync(process.execPath, words, { stdio: "inherit" });
if (status !== 0) process.exit(1);
for (const name of ["sdk", "wire", "bot", "runner"]) {
  cpSync(join(here, name, "package.json"), join(made, "@openbell", name, "package.json"));
}
for (const name of ["package.json", "package-lock.json"]) cpSync(join(here, name), join(made, name));
// What is there is replaced only by something whole.
rmSync(target, { recursive: true, force: true });
renameSync(made, target);
