import assert from 'node:assert/strict';
import { app } from '../lib/stack.mjs';
import { until } from '../lib/wait.mjs';

export const settings = {
  async 'the settings page says which server is in use'({ page, server, shot }) {
    await page.goto(`/plugins/${app}`);
    const status = page.getByTestId('hearth-status');
    await status.waitFor();
    assert.equal(await status.getAttribute('data-mode'), 'remote');
    assert.equal(await status.getAttribute('data-ready'), 'true');
    assert.ok((await status.innerText()).includes(server.url));
    assert.equal(await page.getByTestId('hearth-config-url').inputValue(), server.url);
    await shot('settings');
  },

  async 'a URL that is none is refused, another is saved'({ page, server }) {
    await page.goto(`/plugins/${app}`);
    const url = page.getByTestId('hearth-config-url');
    await url.fill('not a url');
    assert.ok(await page.getByRole('button', { name: 'Save' }).isDisabled());
    await url.fill('http://127.0.0.1:1');
    await page.getByRole('button', { name: 'Save' }).click();
    const status = page.getByTestId('hearth-status');
    await until(async () => (await status.getAttribute('data-ready')) === 'false', 'the other server to be in use');

    await url.fill(server.url);
    await page.getByRole('button', { name: 'Save' }).click();
    await until(async () => (await status.getAttribute('data-ready')) === 'true', 'the first server to be in use again');
  },

  async 'the data source is configured and tested'({ page, shot }) {
    const [{ uid }] = await (await page.request.get('/api/datasources')).json();
    await page.goto(`/connections/datasources/edit/${uid}`);
    await page.getByTestId('hearth-config-url').waitFor();
    await page.getByTestId('host-save-and-test').click();
    const result = page.getByTestId('host-test-result');
    await result.waitFor();
    await shot('data-source');
    assert.doesNotMatch(await result.innerText(), /error|fail|refused/i);
  },
};
