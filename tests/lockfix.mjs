// Completes package-lock.json files that were written against a registry which does not serve the optional
// packages of foreign platforms: npm leaves those out of the lock, and `npm ci` then refuses the lock.
// An entry needs only a version and the platform it is for; npm skips it everywhere else.
//
//   node tests/lockfix.mjs [--check] <folder> ...
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const systems = { darwin: 'darwin', linux: 'linux', win32: 'win32', freebsd: 'freebsd', android: 'android' };
const processors = ['arm64', 'arm', 'x64', 'ia32', 'ppc64', 'riscv64', 's390x', 'wasm32'];

/** Reads system, processor and C library from a package name such as @x/binding-linux-arm64-musl. */
export function platformOf(name) {
  const words = name.split(/[/-]/);
  const entry = {};
  const cpu = words.find((w) => processors.includes(w));
  const os = words.find((w) => w in systems);
  const libc = { gnu: 'glibc', musl: 'musl' }[words.at(-1)];
  if (cpu) {
    entry.cpu = [cpu];
  }
  if (os) {
    entry.os = [systems[os]];
  }
  if (os === 'linux' && libc) {
    entry.libc = [libc];
  }
  return entry;
}

/** Adds the missing optional packages to a parsed lock file and returns their names. */
export function complete(lock) {
  const added = [];
  for (const owner of Object.values(lock.packages)) {
    for (const [name, version] of Object.entries(owner.optionalDependencies ?? {})) {
      const key = `node_modules/${name}`;
      const platform = platformOf(name);
      if (lock.packages[key] || (!platform.os && !platform.cpu)) {
        continue;
      }
      const dev = owner.dev ? { dev: true } : {};
      lock.packages[key] = { version: version.replace(/^[\^~]/, ''), ...platform, ...dev, optional: true };
      added.push(name);
    }
  }
  const entries = Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, 'en'));
  lock.packages = Object.fromEntries(entries);
  return added;
}

const args = process.argv.slice(2);
const check = args.includes('--check');
let incomplete = 0;
for (const folder of args.filter((a) => !a.startsWith('--'))) {
  const file = join(folder, 'package-lock.json');
  const lock = JSON.parse(readFileSync(file, 'utf8'));
  const added = complete(lock);
  incomplete += added.length;
  if (added.length > 0 && !check) {
    writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
  }
  console.log(`${file}: ${added.length === 0 ? 'complete' : `${check ? 'missing' : 'added'} ${added.join(', ')}`}`);
}
process.exitCode = check && incomplete > 0 ? 1 : 0;
