// Completes package-lock.json with the optional platform packages that a
// registry mirror may not serve, so that `npm ci` accepts the lock everywhere.
//
// npm writes a lock entry only for optional packages whose metadata it could
// read. A mirror that serves just its own platform thus yields a lock that
// `npm ci` refuses ("Missing: … from lock file"). The entries added here carry
// version, os and cpu, which is all npm needs to skip them, and no integrity.
//
// Run after every `npm install`; `--check` only reports. A folder given as an
// argument is looked at instead of the plugin's own.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = process.argv.slice(2).find((arg) => !arg.startsWith('--')) ?? join(import.meta.dirname, '..');
const file = join(folder, 'package-lock.json');
const lock = JSON.parse(readFileSync(file, 'utf8'));
const systems = ['darwin', 'linux', 'win32', 'freebsd', 'netbsd', 'openbsd', 'android', 'openharmony', 'sunos', 'aix'];
const processors = ['arm64', 'x64', 'ia32', 'arm', 'riscv64', 's390x', 'ppc64', 'loong64', 'mips64el', 'wasm32'];

/** The platform that a package like @rspack/binding-linux-x64-gnu says it is for. */
function platform(name) {
  const parts = name.split(/[-/]/);
  const system = systems.find((os) => parts.includes(os));
  const processor = processors.find((cpu) => parts.includes(cpu));
  const libc = parts.includes('musl') ? ['musl'] : parts.includes('gnu') ? ['glibc'] : undefined;
  return {
    ...(processor && { cpu: [processor] }),
    ...(system === 'linux' && libc && { libc }),
    ...(system && { os: [system] }),
  };
}

/** Node's own look-up: the nearest node_modules above the package that asks. */
function isLocked(from, name) {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
    if (`${at ? `${at}/` : ''}node_modules/${name}` in lock.packages) {
      return true;
    }
    if (!at) {
      return false;
    }
    if (!at.includes('/node_modules/')) {
      return `node_modules/${name}` in lock.packages;
    }
  }
}

const missing = Object.entries(lock.packages).flatMap(([from, entry]) =>
  Object.entries(entry.optionalDependencies ?? {})
    .filter(([name]) => !isLocked(from, name))
    .map(([name, version]) => ({ name, version, dev: entry.dev }))
);

if (process.argv.includes('--check')) {
  missing.forEach(({ name, version }) => process.stderr.write(`package-lock.json lacks ${name}@${version}: run npm run lockfix\n`));
  process.exit(missing.length ? 1 : 0);
}

for (const { name, version, dev } of missing) {
  lock.packages[`node_modules/${name}`] = { version, ...(dev && { dev }), optional: true, ...platform(name) };
}
const [top, ...rest] = Object.keys(lock.packages);
lock.packages = Object.fromEntries([top, ...rest.sort()].map((key) => [key, lock.packages[key]]));
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
process.stdout.write(`package-lock.json: ${missing.length} platform packages added\n`);
