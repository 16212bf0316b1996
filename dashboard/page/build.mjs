// Builds the page into dist/, which is checked in: `node build.mjs`.
// With --check it builds in memory and compares; with --unit it bundles and runs unit/*.test.ts.
import { spawnSync } from "node:child_process";
import { mkdtemp, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");

/** The three files of the page, by name. */
async function page() {
  const { outputFiles } = await build({
    absWorkingDir: here,
    entryPoints: { app: "src/main.tsx" },
    outdir: dist,
    bundle: true,
    write: false,
    format: "iife",
    target: ["es2022"],
    jsx: "automatic",
    jsxImportSource: "preact",
    minifySyntax: true,
    legalComments: "inline",
    charset: "utf8",
  });
  const files = new Map(outputFiles.map((file) => [file.path.slice(dist.length + 1), Buffer.from(file.contents)]));
  files.set("index.html", await readFile(join(here, "src/index.html")));
  return files;
}

async function write() {
  await mkdir(dist, { recursive: true });
  for (const [name, contents] of await page()) {
    await writeFile(join(dist, name), contents);
    console.log(`dist/${name}: ${(contents.length / 1024).toFixed(0)} KiB`);
  }
}

async function check() {
  const different = [];
  for (const [name, contents] of await page()) {
    const there = await readFile(join(dist, name)).catch(() => Buffer.alloc(0));
    if (!there.equals(contents)) different.push(`dist/${name}`);
  }
  if (different.length > 0) {
    console.error(`${different.join(", ")}: not what the source builds to; run: npm run build`);
    process.exitCode = 1;
  }
}

async function unit() {
  const out = await mkdtemp(join(here, "node_modules/.unit-"));
  try {
    const tests = (await readdir(join(here, "unit"))).filter((name) => name.endsWith(".test.ts"));
    await build({
      absWorkingDir: here,
      entryPoints: tests.map((name) => `unit/${name}`),
      outdir: out,
      outExtension: { ".js": ".mjs" },
      bundle: true,
      platform: "node",
      format: "esm",
      target: ["node18"],
      logLevel: "warning",
    });
    const files = tests.map((name) => join(out, name.replace(/\.ts$/, ".mjs")));
    process.exitCode = spawnSync(process.execPath, ["--test", ...files], { stdio: "inherit" }).status ?? 1;
  } finally {
    await rm(out, { recursive: true, force: true });
  }
}

const modes = { undefined: write, "--check": check, "--unit": unit };
const mode = modes[process.argv[2]];
if (mode === undefined) {
  console.error("usage: node build.mjs [--check|--unit]");
  process.exitCode = 2;
} else {
  await mode();
}
