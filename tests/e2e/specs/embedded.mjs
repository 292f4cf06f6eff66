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
    const pids = host.program.children();
    assert.equal(pids.length, 2, 'one process for the app, one for the data source');
    for (const pid of pids) {
      process.kill(pid, 'SIGKILL');
      await until(async () => (await host.resource('status')).ready, 'a server after one process died');
    }
    await page.goto(`/a/${app}/services`);
    await page.getByTestId('hearth-service-row-hearth').waitFor();
  },
};
