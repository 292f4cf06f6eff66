import assert from 'node:assert/strict';
import { canvasIn, drawn, focusOf, paint, pointAtBox } from '../lib/flame.mjs';
import { app } from '../lib/stack.mjs';
import { until } from '../lib/wait.mjs';

const cpu = 'process_cpu:cpu:nanoseconds:cpu:nanoseconds';
const path = `/a/${app}/explore?service=hearth&type=${cpu}&from=now-1h&until=now`;

async function open(page, more = '') {
  await page.goto(path + more);
  const canvas = canvasIn(page);
  await drawn(canvas);
  return canvas;
}

const rowsOf = (page) => page.getByTestId('hearth-top-table').locator('tbody tr:not([aria-hidden])');

export const explore = {
  async 'flame graph, table and timeline show the CPU profile'({ page, shot }) {
    const canvas = await open(page);
    const { share, colours } = await paint(canvas);
    assert.ok(share > 0.05 && colours > 10, `painted ${share} of the canvas in ${colours} colours`);

    const first = rowsOf(page).first();
    await first.waitFor();
    assert.match(await first.innerText(), /\d+(\.\d+)? ?(ns|µs|ms|s|min)[\s\S]*\d ?%/, 'self and total with unit and share');
    const timeline = page.getByTestId('hearth-timeline');
    assert.ok(Number(await timeline.getAttribute('data-points')) > 0, 'points in the timeline');
    await shot('explore');
  },

  async 'the mouse brings up a tooltip'({ page, shot }) {
    const canvas = await open(page);
    const { text } = await pointAtBox(page, canvas, 2);
    assert.match(text, /\w+/);
    assert.match(text, /\d ?%/, 'a share');
    await shot('tooltip');
    await page.mouse.move(2, 2);
    await page.getByTestId('hearth-tooltip').waitFor({ state: 'hidden' });
  },

  async 'a click zooms, the button and the URL know of it'({ page, shot }) {
    const canvas = await open(page);
    assert.equal(await focusOf(canvas), '');
    const { position, text } = await pointAtBox(page, canvas, 2);
    await canvas.click({ position });
    const focus = await until(() => focusOf(canvas), 'a zoomed function');
    assert.ok(text.includes(focus), `zoomed into ${focus}, pointed at ${text}`);
    await shot('zoomed');

    await page.reload();
    await drawn(canvas, 1);
    await until(async () => (await focusOf(canvas)) === focus, 'the zoom to be kept by the URL');
    await page.getByTestId('hearth-zoom-reset').click();
    await until(async () => (await focusOf(canvas)) === '', 'the zoom to be reset');
  },

  async 'the keyboard moves, zooms and resets'({ page }) {
    const canvas = await open(page);
    await canvas.focus();
    for (const key of ['ArrowDown', 'ArrowDown', 'ArrowDown', 'Enter']) {
      await page.keyboard.press(key);
    }
    await until(() => focusOf(canvas), 'a zoomed function');
    await page.keyboard.press('Escape');
    await until(async () => (await focusOf(canvas)) === '', 'the zoom to be reset');
  },

  async 'search marks matches and narrows the table'({ page, shot }) {
    const canvas = await open(page);
    const search = page.getByTestId('hearth-flamegraph-search');
    await search.fill('runtime');
    await until(async () => Number(await canvas.getAttribute('data-matches')) > 0, 'matches');
    await until(async () => (await page.getByTestId('hearth-search-share').innerText()).includes('%'), 'the share they have');
    const names = await rowsOf(page).getByRole('button').allInnerTexts();
    const others = names.filter((name) => name && !/runtime/i.test(name));
    assert.deepEqual(others, [], 'functions in the table that do not match');
    await shot('search');

    await search.fill('nothing is called like this');
    await until(async () => (await canvas.getAttribute('data-matches')) === '0', 'no matches');
    await search.press('Escape');
    assert.equal(await search.inputValue(), '');
  },

  async 'the table searches and sorts'({ page }) {
    await open(page);
    const first = rowsOf(page).first().getByRole('button').first();
    await first.click();
    const search = page.getByTestId('hearth-flamegraph-search');
    await until(async () => (await search.inputValue()) !== '', 'the clicked function as search');
    await first.click();
    await until(async () => (await search.inputValue()) === '', 'the search to be cleared');

    const header = page.getByTestId('hearth-top-table').getByRole('columnheader', { name: 'Total' });
    await header.getByRole('button').click();
    await until(async () => (await header.getAttribute('aria-sort')) === 'descending', 'the order');
  },

  async 'dragging over the timeline narrows the time range'({ page }) {
    await open(page);
    const box = await page.getByTestId('hearth-timeline').boundingBox();
    const y = box.y + box.height / 2;
    await page.mouse.move(box.x + box.width * 0.5, y);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.9, y, { steps: 5 });
    await page.mouse.up();
    await page.waitForURL(/from=\d{13}/);
  },

  async 'another profile type and view, in the light theme'({ page, shot }) {
    const canvas = await open(page, '&theme=light&view=flamegraph');
    assert.equal(await page.getByTestId('hearth-top-table').count(), 0);
    await shot('light');

    await page.getByTestId('hearth-profile-type').locator('input').click();
    const options = page.getByRole('option');
    await options.first().waitFor();
    await shot('profile-types');
    await options.filter({ hasText: /inuse_space|in.use.space/i }).first().click();
    await page.waitForURL(/type=memory/);
    await drawn(canvas);
  },
};
