// The browser of the tests: one headless Chromium, with a new profile, that talks to nobody but the page's server.

import { createRequire } from 'node:module';
import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';

// Installed below target/, where a test does not find it by itself.
const { chromium } = createRequire(resolve('target/browser/package.json'))('playwright-core');

const patience = 20_000; // milliseconds for a condition on a page to come true

const screenshots = resolve('target/screenshots');

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}

// Opens the address in a page of its own. What its script throws fails the test: see `close`.
export async function open(browser, address) {
  const context = await browser.newContext({ viewport: { width: 900, height: 700 } });
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  page.failures = [];
  page.on('pageerror', error => page.failures.push(error));
  await page.goto(address);
  return page;
}

// Keeps a picture of the page as a build output.
export async function picture(page, name) {
  mkdirSync(screenshots, { recursive: true });
  await page.screenshot({ path: resolve(screenshots, `${name}.png`) });
}

export async function close(...pages) {
  await Promise.all(pages.map(page => page.context().close()));
  const failures = pages.flatMap(page => page.failures);
  if (failures.length > 0) throw new AggregateError(failures, 'a script of the page failed');
}

// Waits until the element's text is `text`, or matches it.
export function shows(page, selector, text) {
  const pattern = text instanceof RegExp ? text : undefined;
  return page.waitForFunction(
    ([selector, text, source]) => {
      const shown = document.querySelector(selector)?.textContent;
      return shown !== undefined && (source ? new RegExp(source).test(shown) : shown === text);
    },
    [selector, pattern ? undefined : text, pattern?.source],
  );
}
