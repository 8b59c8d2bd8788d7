import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** What a first visit may load at most, gzipped. */
const FIRST_LOAD_LIMIT = 150 * 1024;

/**
 * Empties dist/ but for the placeholder, which git has and `go build` needs, and says
 * what a first visit loads: index.html, all that it names, and the list of servers.
 */
function dist(): Plugin {
  let dir = "";
  return {
    name: "left4med-dist",
    apply: "build",
    configResolved(config) {
      dir = join(config.root, config.build.outDir);
    },
    buildStart() {
      for (const name of readdirSync(dir)) {
        if (name !== "README") rmSync(join(dir, name), { recursive: true });
      }
    },
    closeBundle() {
      const html = readFileSync(join(dir, "index.html"), "utf8");
      const named = [...html.matchAll(/(?:src|href)="\/([^"]+)"/g)].map((m) => m[1]!);
      // The list of servers is what the address without a path shows.
      for (const name of readdirSync(join(dir, "assets"))) {
        if (name.startsWith("Servers-")) named.push(join("assets", name));
      }
      const sizes = ["index.html", ...named].map(
        (name) => gzipSync(readFileSync(join(dir, name)), { level: 9 }).length,
      );
      const first = sizes.reduce((a, b) => a + b, 0);
      const all = readdirSync(join(dir, "assets"))
        .map((name) => statSync(join(dir, "assets", name)).size)
        .reduce((a, b) => a + b, 0);
      const kib = (n: number) => `${(n / 1024).toFixed(1)} KiB`;
      console.log(`first load ${kib(first)} gzipped of at most ${kib(FIRST_LOAD_LIMIT)}; all files ${kib(all)}`);
      if (first > FIRST_LOAD_LIMIT) throw new Error("the first load is too large: load a part of it later");
    },
  };
}

/** Writes dist/licences.txt: the licences of the packages whose code is in what was built. */
function licences(): Plugin {
  return {
    name: "left4med-licences",
    apply: "build",
    generateBundle(_, bundle) {
      const dirs = new Set<string>();
      for (const chunk of Object.values(bundle)) {
        if (chunk.type !== "chunk") continue;
        for (const id of chunk.moduleIds) {
          const dir = /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0];
          if (dir) dirs.add(dir);
        }
      }
      const texts = [...dirs].sort().map((dir) => {
        const { name, version } = JSON.parse(readFileSync(join(dir, "package.json"), "utf8"));
        const file = readdirSync(dir).find((f) => /^(licen[cs]e|copying)/i.test(f));
        if (!file) this.error(`${name} has no licence file in ${dir}`);
        return `======== ${name} ${version}: ${file}\n\n${readFileSync(join(dir, file), "utf8")}\n`;
      });
      this.emitFile({ type: "asset", fileName: "licences.txt", source: texts.join("") });
    },
  };
}

// The page's policy allows its own files alone: nothing may become inline or a data: address.
export default defineConfig(({ mode }) => ({
  plugins: [svelte(), licences(), dist()],
  // Tests run in node, but want the browser's half of Svelte.
  resolve: mode === "test" ? { conditions: ["browser"] } : {},
  build: {
    outDir: "dist",
    emptyOutDir: false,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
    reportCompressedSize: false,
  },
  server: {
    proxy: { "/api": "http://127.0.0.1:8000" },
  },
  test: {
    // A test that needs a document says so: making one for each file takes longer than the tests.
    environment: "node",
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
  },
}));
