import assert from 'node:assert/strict';
import { canvasIn, drawn } from '../lib/flame.mjs';
import { app } from '../lib/stack.mjs';

/** States without data. The last one stops the server and starts it again. */
export const states = {
  async 'a time range without profiles says how to send some'({ page, shot }) {
    await page.goto(`/a/${app}/services?from=1600000000000&until=1600003600000`);
    const empty = page.getByTestId('hearth-empty');
    await empty.waitFor();
    assert.match(await empty.innerText(), /pyroscope/i);
    await shot('empty-services');
  },

  async 'a service without profiles says so'({ page, shot }) {
    await page.goto(`/a/${app}/explore?service=nobody&from=now-1h&until=now`);
    await page.getByTestId('hearth-empty').waitFor();
    await shot('empty-service');
  },

  async 'labels that match nothing, and labels that are wrong'({ page, shot }) {
    const path = `/a/${app}/explore?service=hearth&from=now-1h&until=now&selector=`;
    await page.goto(`${path}${encodeURIComponent('{pod="nowhere"}')}`);
    await page.getByTestId('hearth-empty').waitFor();
    await shot('empty-selector');
    await page.goto(`${path}${encodeURIComponent('{pod=')}`);
    await page.getByTestId('hearth-error').first().waitFor();
    await shot('error-selector');
  },

  async 'a stopped server is an error, and a retry when it is back helps'({ page, server, host, shot }) {
    assert.ok(await server.stop(), 'the server ends when asked to');
    try {
      await page.goto(`/a/${app}/services`);
      const error = page.getByTestId('hearth-error').first();
      await error.waitFor();
      assert.match(await error.innerText(), /server|connect|refused|unavailable/i);
      await shot('error-stopped');
    } finally {
      await server.start();
    }
    await page.getByRole('button', { name: 'Try again' }).first().click();
    await page.getByTestId('hearth-service-row-hearth').waitFor();
    await host.hasProfiles();
    await page.goto(`/a/${app}/explore?service=hearth&from=now-1h&until=now`);
    await drawn(canvasIn(page));
  },
};
