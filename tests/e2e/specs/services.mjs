import assert from 'node:assert/strict';
import { canvasIn, drawn } from '../lib/flame.mjs';
import { app } from '../lib/stack.mjs';

export const services = {
  async 'the services page lists the server itself'({ page, shot }) {
    await page.goto(`/a/${app}/services`);
    const row = page.getByTestId('hearth-service-row-hearth');
    await row.waitFor();
    await row.locator('svg path').first().waitFor({ state: 'attached' });
    await row.getByText(/\d.* CPU time/).waitFor();
    assert.match(await row.innerText(), /cpu/i, 'its profile types');
    await shot('services');
  },

  async 'a click on a service leads to its flame graph'({ page }) {
    await page.goto(`/a/${app}/services`);
    await page.getByTestId('hearth-service-row-hearth').getByRole('link', { name: 'hearth', exact: true }).click();
    await page.waitForURL(/\/explore\?.*service=hearth/);
    await drawn(canvasIn(page));
    await page.goBack();
    await page.getByTestId('hearth-services-table').waitFor();
  },

  async 'services can be filtered'({ page }) {
    await page.goto(`/a/${app}/services`);
    await page.getByTestId('hearth-service-row-hearth').waitFor();
    await page.getByPlaceholder('Filter services').fill('no such service');
    await page.getByTestId('hearth-empty').waitFor();
    await page.getByPlaceholder('Filter services').fill('HEAR');
    await page.getByTestId('hearth-service-row-hearth').waitFor();
  },
};
