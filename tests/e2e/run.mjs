// Browser tests of the plugin: real server, real plugin backend, real dist/, headless Chromium, one host page per
// supported major of the @grafana packages. Usage: node tests/e2e/run.mjs [--hosts v11,v13] [--only text] [--headed]
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findBrowser, openBrowser, openContext, openPage, shooter } from './lib/browser.mjs';
import { freePorts, Program } from './lib/processes.mjs';
import { HearthServer, missingParts, PluginHost, results } from './lib/stack.mjs';
import { dashboard } from './specs/dashboard.mjs';
import { embedded } from './specs/embedded.mjs';
import { explore } from './specs/explore.mjs';
import { queries } from './specs/queries.mjs';
import { services } from './specs/services.mjs';
import { settings } from './specs/settings.mjs';
import { states } from './specs/states.mjs';

const { values: options } = parseArgs({
  options: {
    hosts: { type: 'string', default: 'v11,v13' },
    only: { type: 'string', default: '' },
    headed: { type: 'boolean', default: false },
  },
});
const versions = options.hosts.split(',');
const tally = { passed: 0, failed: 0 };

async function runTests(tests, group, { browser, ...stack }) {
  const context = await openContext(browser, stack.host.url);
  for (const [name, test] of Object.entries(tests)) {
    const title = `${group}: ${name}`;
    if (title.includes(options.only)) {
      await runTest(title, test, { ...stack, context }, group);
    }
  }
  await context.close();
}

async function runTest(title, test, stack, group) {
  const began = Date.now();
  const { page, faults } = await openPage(stack.context);
  const shot = shooter(page, group);
  try {
    await test({ ...stack, page, shot });
    if (faults.length > 0) {
      throw new Error(`the page complained: ${faults.join('; ')}`);
    }
    tally.passed++;
    console.log(`ok    ${title} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
  } catch (error) {
    tally.failed++;
    await shot(`failed-${title.replace(/\W+/g, '-')}`).catch(() => {});
    console.log(`FAIL  ${title}\n      ${error.stack.replaceAll('\n', '\n      ')}`);
    faults.forEach((fault) => console.log(`      page: ${fault}`));
  } finally {
    await page.close();
  }
}

/** All tests on one version of the host page, on a server that runs; the last ones stop and start it. */
async function runVersion(version, browser, server, folder) {
  const host = new PluginHost({ version, folder: join(folder, version), serverUrl: server.url });
  await host.start();
  await host.hasProfiles();
  const stack = { browser, server, host, version };
  await runTests({ ...services, ...explore, ...queries, ...dashboard, ...settings, ...states }, version, stack);
  await host.stop();
}

/** The plugin without a server URL: it runs the server itself. */
async function runEmbedded(version, browser, folder) {
  const [port] = await freePorts(1);
  const env = { HEARTH_EMBEDDED_ADDR: `127.0.0.1:${port}` };
  const host = new PluginHost({ version, folder: join(folder, 'embedded'), env });
  await host.start();
  await runTests(embedded, `${version}-embedded`, { browser, host, version, port });
  await host.stop();
}

async function main() {
  const missing = missingParts(versions);
  const executable = findBrowser();
  if (!executable) {
    missing.push('Chromium (apt-get install chromium, or set $CHROME_PATH)');
  }
  if (missing.length > 0) {
    throw new Error(`cannot run without:\n  ${missing.join('\n  ')}`);
  }
  rmSync(results, { recursive: true, force: true });
  mkdirSync(results, { recursive: true });
  const folder = mkdtempSync(join(tmpdir(), 'hearth-e2e-'));
  const browser = await openBrowser(executable, !options.headed);
  try {
    const server = new HearthServer(folder);
    await server.start();
    for (const version of versions) {
      await runVersion(version, browser, server, folder);
    }
    await server.stop();
    await runEmbedded(versions[0], browser, folder);
  } finally {
    await browser.close();
    await Program.stopAll();
    rmSync(folder, { recursive: true, force: true });
  }
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => Program.stopAll().then(() => process.exit(1)));
}
try {
  await main();
} catch (error) {
  tally.failed++;
  console.log(`FAIL  ${error.stack}`);
}
console.log(`${tally.passed} passed, ${tally.failed} failed`);
process.exitCode = tally.failed === 0 ? 0 : 1;
