import assert from 'node:assert/strict';
import { canvasIn, drawn } from '../lib/flame.mjs';
import { until } from '../lib/wait.mjs';

const answer = (page) => page.getByTestId('host-answer');
const series = (page) => answer(page).getByTestId('host-series');

function path(query) {
  return `/explore?from=now-1h&to=now&left=${encodeURIComponent(JSON.stringify(query))}`;
}

async function choose(page, type) {
  // Grafana lays the label over the radio button, or the other way round, depending on its version.
  await page.getByTestId('hearth-query-type').getByRole('radio', { name: type }).check({ force: true });
}

export const queries = {
  async 'the editor asks for flame graph, series, or both'({ page, shot }) {
    await page.goto('/explore?from=now-1h&to=now');
    await page.getByTestId('hearth-query-editor').waitFor();
    await page.getByTestId('host-run-query').click();
    await drawn(canvasIn(answer(page)));
    await series(page).waitFor();
    await shot('query');

    await choose(page, 'Time series');
    await canvasIn(answer(page)).waitFor({ state: 'hidden' });
    assert.ok(Number(await series(page).getAttribute('data-points')) > 0, 'points');

    await choose(page, 'Flame graph');
    await drawn(canvasIn(answer(page)));
    await series(page).waitFor({ state: 'hidden' });
  },

  async 'labels narrow the query, suggestions help'({ page, shot }) {
    await page.goto('/explore?from=now-1h&to=now');
    const labels = page.getByTestId('hearth-selector').first();
    const input = (await labels.locator('input').count()) > 0 ? labels.locator('input') : labels;
    await input.click();
    await input.fill('{serv');
    await page.getByRole('option', { name: 'service_name' }).first().waitFor();
    await shot('suggestions');
    await input.fill('{service_name="nobody"}');
    await input.press('Enter');
    await until(async () => (await answer(page).getAttribute('data-state')) === 'done', 'an answer');
    await canvasIn(answer(page)).waitFor({ state: 'hidden' });

    await input.fill('{service_name="hearth"}');
    await input.press('Enter');
    await drawn(canvasIn(answer(page)));
  },

  async 'series can be grouped by a label'({ page }) {
    await page.goto(path({
      queryType: 'series',
      profileTypeId: 'process_cpu:cpu:nanoseconds:cpu:nanoseconds',
      labelSelector: '{}',
      groupBy: ['service_name'],
    }));
    await series(page).waitFor();
    assert.match(await series(page).innerText(), /hearth/);
  },

  async 'a selector that is wrong is answered with a reason'({ page, shot }) {
    await page.goto(path({
      queryType: 'flamegraph',
      profileTypeId: 'process_cpu:cpu:nanoseconds:cpu:nanoseconds',
      labelSelector: '{service_name=',
    }));
    const error = page.getByTestId('host-query-error');
    await error.waitFor();
    assert.match(await error.innerText(), /selector|matcher|label/i);
    await shot('query-error');
  },
};
