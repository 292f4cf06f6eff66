import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { results } from './stack.mjs';

const places = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', '/usr/bin/google-chrome-stable'];

/** The browser to use: $CHROME_PATH, else one of the usual places. */
export function findBrowser() {
  return [process.env.CHROME_PATH, ...places].find((path) => path && existsSync(path));
}

export function openBrowser(executablePath, headless) {
  return chromium.launch({
    executablePath,
    headless,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/** A profile of the browser for the tests on one host; they share its cache. */
export function openContext(browser, baseURL) {
  return browser.newContext({ baseURL, viewport: { width: 1440, height: 900 } });
}

/** A page that remembers what went wrong in it: exceptions, console errors, missing files of the plugin. */
export async function openPage(context) {
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const faults = [];
  page.on('pageerror', (error) => faults.push(`exception: ${error.message}`));
  page.on('console', (message) => {
    // The browser reports every refused request as an error; tests that want one check it themselves.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
      faults.push(`console: ${message.text()}`);
    }
  });
  page.on('response', (response) => {
    if (response.status() === 404 && response.url().includes('/public/plugins/')) {
      faults.push(`not found: ${response.url()}`);
    }
  });
  return { page, faults };
}

/** Saves what the page looks like as test-results/<name>.png. */
export function shooter(page, prefix) {
  return (name) => page.screenshot({ path: join(results, `${prefix}-${name}.png`) });
}
