// The examples in headless Chromium: each application in a process of its own, each page a user of it.
//
// Nothing sleeps here: a test waits for what a page shows, or fails after chromium.mjs's patience.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { Application } from './application.mjs';
import { close, launch, open, picture, shows } from './chromium.mjs';

const limit = { timeout: 120_000 };
let browser;

before(async () => { browser = await launch(); });
after(() => browser?.close());
afterEach(() => Promise.all(browser.contexts().map(context => context.close()))); // what a failed test left open

// Returns the application `name`, started before the tests of this suite and stopped after them.
function application(name) {
  const handle = {};
  before(async () => { handle.application = await Application.start(name); });
  after(() => handle.application?.stop('SIGKILL'));
  return handle;
}

describe('tour', () => {
  const tour = application('tour');

  test('the page names its server and uploads a file', limit, async () => {
    const { address } = tour.application;
    const page = await open(browser, address);
    await shows(page, 'h1', 'A tour of httpkit-rs');
    assert.match(await page.textContent('pre'), new RegExp(`^curl '${address}hello\\?name=Ada'$`));
    await page.setInputFiles('#file', { name: 'abc.txt', mimeType: 'text/plain', buffer: Buffer.from('abc') });
    await shows(page, '#uploaded', /^3 bytes, sha256 ba7816bf/);
    await picture(page, 'tour');
    await close(page);
  });
});

describe('chat', () => {
  const chat = application('chat');
  const people = count => `${count} people here`;

  async function enter(name) {
    const page = await open(browser, chat.application.address);
    await page.fill('#name', name);
    await shows(page, '#state', /here|alone/);
    return page;
  }

  async function say(page, text) {
    await page.fill('#text', text);
    await page.click('#send');
  }

  const said = page => page.$$eval('#messages li', messages => messages.map(message => [
    message.querySelector('b').textContent, message.lastChild.textContent, message.classList.contains('mine')]));

  async function hears(page, text) {
    await page.waitForFunction(text => document.querySelector('#messages li:last-child')?.lastChild.textContent === text, text);
  }

  test('two pages talk to each other', limit, async () => {
    const [ada, bob] = [await enter('Ada'), await enter('Bob')];
    await Promise.all([shows(ada, '#state', people(2)), shows(bob, '#state', people(2))]);
    await say(ada, 'Hello Bob');
    await Promise.all([hears(ada, 'Hello Bob'), hears(bob, 'Hello Bob')]);
    await say(bob, '<b>Grüße</b> 🙂');
    await Promise.all([hears(ada, '<b>Grüße</b> 🙂'), hears(bob, '<b>Grüße</b> 🙂')]);
    assert.deepEqual(await said(ada), [['Ada', 'Hello Bob', true], ['Bob', '<b>Grüße</b> 🙂', false]]);
    assert.deepEqual(await said(bob), [['Ada', 'Hello Bob', false], ['Bob', '<b>Grüße</b> 🙂', true]]);
    await picture(ada, 'chat');
    await close(bob);
    await shows(ada, '#state', 'you are alone');
    await close(ada);
  });

  test('a page that was away gets what was said, once', limit, async () => {
    const [ada, bob] = [await enter('Ada'), await enter('Bob')];
    await say(ada, 'one');
    await hears(ada, 'one');
    const before = (await said(ada)).length;
    await ada.evaluate(() => { socket.onclose = null; socket.close(); });
    await shows(bob, '#state', 'you are alone');
    for (const text of ['two', 'three']) {
      await say(bob, text);
      await hears(bob, text);
    }
    await ada.evaluate(() => connect());
    await hears(ada, 'three');
    assert.deepEqual((await said(ada)).slice(before).map(([, text]) => text), ['two', 'three']);
    await close(ada, bob);
  });

  for (const signal of ['SIGTERM', 'SIGKILL']) {
    test(`both pages come back after the server's end by ${signal}`, limit, async () => {
      const [ada, bob] = [await enter('Ada'), await enter('Bob')];
      await Promise.all([shows(ada, '#state', people(2)), shows(bob, '#state', people(2))]);
      await say(ada, 'before');
      await Promise.all([hears(ada, 'before'), hears(bob, 'before')]);
      const before = (await said(bob)).length;
      await chat.application.stop(signal);
      await Promise.all([shows(ada, '#state', 'reconnecting…'), shows(bob, '#state', 'reconnecting…')]);
      await chat.application.start();
      await Promise.all([shows(ada, '#state', people(2)), shows(bob, '#state', people(2))]);
      await say(bob, 'after');
      await Promise.all([hears(ada, 'after'), hears(bob, 'after')]);
      assert.deepEqual((await said(bob)).slice(before - 1), [['Ada', 'before', false], ['Bob', 'after', true]]);
      await close(ada, bob);
    });
  }
});

describe('ticker', () => {
  const ticker = application('ticker');

  // Waits until the page has a tick of this moment, then returns the ids of all it has.
  async function ids(page) {
    const now = Math.floor(Date.now() / 500);
    await page.waitForFunction(now => ticks.length > 0 && ticks.at(-1).id >= now, now);
    return page.evaluate(() => ticks.map(tick => tick.id));
  }

  const complete = (first, ids) => ids.map((_, n) => first + n);

  test('events arrive', limit, async () => {
    const page = await open(browser, ticker.application.address);
    await shows(page, '#state', 'live');
    const had = await ids(page);
    await page.waitForFunction(last => ticks.at(-1).id >= last + 3, had.at(-1));
    const has = await ids(page);
    assert.deepEqual(has, complete(had[0], has));
    assert.equal(await page.$$eval('#events tr', rows => rows.length), 8);
    assert.match(await page.textContent('#price'), /^\d+\.\d\d$/);
    await picture(page, 'ticker');
    await close(page);
  });

  test('nothing is missed over a crash and a restart', limit, async () => {
    const page = await open(browser, ticker.application.address);
    const [first] = await ids(page);
    await ticker.application.stop('SIGKILL');
    await shows(page, '#state', 'reconnecting…');
    await ticker.application.start();
    await shows(page, '#state', 'live');
    const has = await ids(page);
    assert.deepEqual(has, complete(first, has));
    await close(page);
  });

  test('nor when a proxy answers 502 meanwhile', limit, async () => {
    const page = await open(browser, ticker.application.address);
    const [first] = await ids(page);
    await page.route('**/prices*', route => route.fulfill({ status: 502 }));
    const refused = page.waitForResponse(response => response.status() === 502);
    await ticker.application.stop();
    await refused;
    await ticker.application.start();
    await page.unroute('**/prices*');
    await shows(page, '#state', 'live');
    const has = await ids(page);
    assert.deepEqual(has, complete(first, has));
    await close(page);
  });
});

describe('longpoll', () => {
  const board = application('longpoll');
  const notes = page => page.$$eval('#notes li', notes => notes.map(note => note.lastChild.textContent));

  async function pin(page, text) {
    await page.fill('#note', text);
    await page.click('button');
  }

  const has = (page, text) => page.waitForFunction(
    text => document.querySelector('#notes li')?.lastChild.textContent === text, text);

  test('a page gets what another pins, by one request that waits', limit, async () => {
    const reader = await open(browser, 'about:blank');
    let polls = 0;
    reader.on('request', request => { if (request.url().includes('/notes?')) polls++; });
    await reader.goto(board.application.address);
    const writer = await open(browser, board.application.address);
    await pin(writer, 'Lunch at <noon>');
    await Promise.all([has(reader, 'Lunch at <noon>'), has(writer, 'Lunch at <noon>')]);
    assert.ok(polls <= 2, `${polls} requests for one note`);
    await pin(writer, 'Bring umbrellas, größer');
    await has(reader, 'Bring umbrellas, größer');
    assert.deepEqual(await notes(reader), ['Bring umbrellas, größer', 'Lunch at <noon>']);
    await shows(reader, '#state', 'listening');
    await picture(reader, 'longpoll');
    await close(reader, writer);
  });

  test('and again after a restart', limit, async () => {
    const [reader, writer] = [await open(browser, board.application.address), await open(browser, board.application.address)];
    await pin(writer, 'before');
    await Promise.all([has(reader, 'before'), has(writer, 'before')]);
    await board.application.stop();
    await Promise.all([shows(reader, '#state', 'reconnecting…'), shows(writer, '#state', 'reconnecting…')]);
    await board.application.start();
    await pin(writer, 'after');
    await Promise.all([has(reader, 'after'), has(writer, 'after')]);
    assert.deepEqual((await notes(reader)).slice(0, 2), ['after', 'before']);
    await close(reader, writer);
  });
});

describe('upload', () => {
  const uploads = application('upload');

  // Lets the page send this many bytes a second, -1 for any number.
  async function throttle(page, uploadThroughput) {
    page.devtools ??= await page.context().newCDPSession(page);
    await page.devtools.send('Network.enable');
    await page.devtools.send('Network.emulateNetworkConditions',
      { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput });
  }

  const choose = (page, name, buffer) =>
    page.setInputFiles('#chooser', { name, mimeType: 'application/octet-stream', buffer });

  const underWay = page => page.waitForFunction(() => {
    const { value, max } = document.querySelector('progress');
    return document.querySelector('.outcome').textContent.includes(' of ') && value > max / 4 && value < max;
  });

  test('progress is shown, then the size and the checksum of what arrived', limit, async () => {
    const page = await open(browser, uploads.application.address);
    const content = randomBytes(8 * 1024 * 1024 + 1);
    await throttle(page, 2_000_000);
    await choose(page, 'holiday.jpg', content);
    await underWay(page);
    assert.match(await page.textContent('.outcome'), /^[\d,]+ of 8,388,609 bytes$/);
    await picture(page, 'upload-under-way');
    await throttle(page, -1);
    const sum = createHash('sha256').update(content).digest('hex');
    await shows(page, '.outcome', `8,388,609 bytes, SHA-256 ${sum}, as sent ✓`);
    await choose(page, 'empty.txt', Buffer.alloc(0));
    await shows(page, '.outcome', /^0 bytes, SHA-256 e3b0c44.*as sent ✓$/);
    await picture(page, 'upload');
    await close(page);
  });

  test('an upload can be cancelled, and the next one works', limit, async () => {
    const page = await open(browser, uploads.application.address);
    await throttle(page, 2_000_000);
    await choose(page, 'large.bin', randomBytes(8 * 1024 * 1024));
    await underWay(page);
    await page.click('.cancel');
    await shows(page, '.outcome', 'cancelled');
    await throttle(page, -1);
    await choose(page, 'small.bin', Buffer.from('abc'));
    await shows(page, '.outcome', /^3 bytes, SHA-256 ba7816bf.*as sent ✓$/);
    await close(page);
  });

  test('the page says why a file was refused', limit, async () => {
    const directory = mkdtempSync(join(tmpdir(), 'upload-'));
    try {
      const file = join(directory, 'too-large.bin');
      writeFileSync(file, '');
      truncateSync(file, 64 * 1024 * 1024 + 1);
      const page = await open(browser, uploads.application.address);
      await page.setInputFiles('#chooser', file);
      await shows(page, '.outcome', 'refused: 413 request body exceeds the limit');
      await close(page);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
