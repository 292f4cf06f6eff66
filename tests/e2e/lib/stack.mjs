// The programs of one run: the real server, and the plugin host with the real dist/.
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts, Program } from './processes.mjs';
import { until } from './wait.mjs';

export const root = join(import.meta.dirname, '../../..');
export const app = 'hearth-profiles-app';
export const results = join(root, 'test-results');

/** Says everything that has to be built first and is not. */
export function missingParts(versions) {
  const executable = readdirSync(join(root, 'dist'), { withFileTypes: true }).some((f) => f.name.startsWith('gpx_hearth'));
  const parts = {
    'bin/hearth (go build -o bin/hearth ./backend-server)': existsSync(join(root, 'bin/hearth')),
    'bin/hearth-host (go build -o bin/hearth-host ./tests/host)': existsSync(join(root, 'bin/hearth-host')),
    'dist/module.js (npm run build)': existsSync(join(root, 'dist/module.js')),
    'dist/gpx_hearth_* (the plugin backend)': executable,
  };
  for (const version of versions) {
    const page = `tests/host/web/${version}/dist/index.html`;
    parts[`${page} (npm --prefix tests/host/web/${version} run build)`] = existsSync(join(root, page));
  }
  return Object.keys(parts).filter((part) => !parts[part]);
}

/** The Hearth server on free ports. It profiles itself, which is all the data the tests need. */
export class HearthServer {
  constructor(folder) {
    this.folder = folder;
  }

  async start() {
    const [port] = (this.ports ??= await freePorts(1));
    this.url = `http://127.0.0.1:${port}`;
    const args = [
      '-server.http-listen-address=127.0.0.1',
      `-server.http-listen-port=${port}`,
      `-db.data-path=${join(this.folder, 'server')}`,
    ];
    this.program = new Program('hearth', join(root, 'bin/hearth'), args, { log: join(results, 'hearth.log') });
    await until(async () => this.program.alive() && (await fetch(`${this.url}/ready`)).ok, 'the server to be ready', 60_000);
  }

  stop() {
    return this.program.stop();
  }
}

/** The plugin host on a free port, with the host page of one @grafana version. */
export class PluginHost {
  constructor({ version, folder, serverUrl = '', env }) {
    mkdirSync(folder, { recursive: true });
    const args = [
      `-dist=${join(root, 'dist')}`,
      `-web=${join(root, 'tests/host/web', version, 'dist')}`,
      '-listen=127.0.0.1:0',
      `-server-url=${serverUrl}`,
      `-data=${folder}`,
      `-provisioning=${join(root, 'provisioning')}`,
    ];
    const log = join(results, `host-${version}.log`);
    this.program = new Program(`host ${version}`, join(root, 'bin/hearth-host'), args, { env, log });
  }

  async start() {
    [, this.url] = await this.program.says(/listening (\S+)/);
  }

  resource(path) {
    return this.get(`api/plugins/${app}/resources/${path}`);
  }

  async get(path) {
    const response = await fetch(`${this.url}/${path}`);
    const body = await response.text();
    if (!response.ok) {
      throw new Error(`${path}: ${response.status} ${body}`);
    }
    return JSON.parse(body);
  }

  /** Waits until the plugin lists the server's own CPU profile, and it holds samples. */
  async hasProfiles() {
    const asked = () => `from=${Date.now() - 3_600_000}&until=${Date.now()}`;
    await until(
      async () => {
        this.program.alive();
        const { services } = await this.resource(`services?${asked()}`);
        const types = services.find(({ name }) => name === 'hearth')?.profileTypes ?? [];
        const type = types.find((id) => id.startsWith('process_cpu:cpu:'));
        if (!type) {
          return false;
        }
        const graph = await this.resource(`flamegraph?${asked()}&service=hearth&type=${encodeURIComponent(type)}`);
        return graph.total > 0 && graph.levels.length > 5;
      },
      'the server to have profiled itself',
      90_000
    );
  }

  stop() {
    return this.program.stop();
  }
}
