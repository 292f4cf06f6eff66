import assert from 'node:assert/strict';
import { canvasIn, drawn } from '../lib/flame.mjs';
import { app } from '../lib/stack.mjs';
import { until } from '../lib/wait.mjs';

/** The plugin without a server URL runs the server itself. */
export const embedded = {
  async 'the settings page says that the plugin runs the server'({ page, port, shot }) {
    await page.goto(`/plugins/${app}`);
    const status = page.getByTestId('hearth-status');
    await status.waitFor();
    await until(async () => (await status.getAttribute('data-ready')) === 'true', 'the embedded server');
    assert.match(await status.getAttribute('data-mode'), /^embedded/);
    assert.ok((await status.innerText()).includes(String(port)));
    await shot('settings');
  },

  async 'its own profiles appear, in the app and by the data source'({ page, host, shot }) {
    await host.hasProfiles();
    await page.goto(`/a/${app}/services`);
    await page.getByTestId('hearth-service-row-hearth').waitFor();
    await page.goto('/explore?from=now-1h&to=now');
    await page.getByTestId('host-run-query').click();
    await drawn(canvasIn(page.getByTestId('host-answer')));
    await shot('query');
  },

  async 'when the process that serves dies, the other takes over'({ page, host }) {
    const [first, second] = await until(() => servingFirst(host), 'one process to serve and one to follow');
    const { processes } = await host.get('api/health');
    process.kill(processes[first.plugin], 'SIGKILL');
    await until(async () => {
      const status = await host.get(second.status);
      return status.mode === 'embedded' && status.ready;
    }, `${second.plugin} to take over`);

    await page.goto(`/a/${app}/services`);
    await page.getByTestId('hearth-service-row-hearth').waitFor();
    await page.goto('/explore?from=now-1h&to=now');
    await page.getByTestId('host-run-query').click();
    await drawn(canvasIn(page.getByTestId('host-answer')));
  },
};

/** The two plugin processes, the one that runs the server first. */
async function servingFirst(host) {
  const [{ uid, type }] = await host.get('api/datasources');
  const two = [
    { plugin: app, status: `api/plugins/${app}/resources/status` },
    { plugin: type, status: `api/datasources/uid/${uid}/resources/status` },
  ];
  const modes = await Promise.all(two.map(async ({ status }) => (await host.get(status)).mode));
  if (!modes.includes('embedded') || !modes.includes('embedded-peer')) {
    throw new Error(`they are ${modes.join(' and ')}`);
  }
  return modes[0] === 'embedded' ? two : two.reverse();
}
