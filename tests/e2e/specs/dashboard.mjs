import assert from 'node:assert/strict';
import { canvasIn, drawn, paint } from '../lib/flame.mjs';

export const dashboard = {
  async 'the provisioned dashboard draws every panel'({ page, host, shot }) {
    const [{ uid }] = await (await fetch(`${host.url}/api/search`)).json();
    await page.goto(`/d/${uid}`);
    const panels = page.locator('[data-type="hearth-flamegraph-panel"]');
    await panels.first().waitFor();
    const count = await panels.count();
    for (let i = 0; i < count; i++) {
      const canvas = canvasIn(panels.nth(i));
      await drawn(canvas, 2);
      assert.ok((await paint(canvas)).colours > 5);
    }
    const lines = page.getByTestId('host-series');
    await lines.first().waitFor();
    assert.equal(await page.getByTestId('host-query-error').count(), 0, 'panels with an error');
    await shot('dashboard');
  },
};
