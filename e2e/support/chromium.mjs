// An SDK in a page of its own in headless Chromium: one browser for all, one context for each page.

import { chromium } from 'playwright-core'

import { serveFiles } from './files.mjs'
import { REDIAL_HERE_MS, REDIAL_MS } from './waiting.mjs'

/** Debian's. */
const PROGRAM = process.env.CHROMIUM_BIN ?? '/usr/bin/chromium'
// As root there is no sandbox; and nobody but the test is to be called.
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]
/** Compiling 35 MB of wasm on a busy machine takes a while. */
const CALL_TIMEOUT_MS = 90_000

/** Runs in the page: the JS SDK's wait before it dials again is its only timer of that length. */
function hurry([wait, here]) {
  const { setTimeout } = globalThis
  globalThis.setTimeout = (run, ms, ...given) => setTimeout(run, ms === wait ? here : ms, ...given)
}

let running

/** Started when the first page is wanted. */
function browser() {
  running ??= Promise.all([
    chromium.launch({ executablePath: PROGRAM, args: ARGUMENTS, timeout: CALL_TIMEOUT_MS }),
    serveFiles(),
  ]).then(([program, origin]) => ({ program, origin }))
  return running
}

export async function closeBrowser() {
  await (await running)?.program.close()
}

export class InChromium {
  /** What the page asked for over HTTP, and was let see: `{ method, url, status, text }`. */
  requests = []
  /** What the page wrote to its console, for whom a failed test puzzles. */
  said = []

  static async open(page, raised) {
    const home = new InChromium()
    const { program, origin } = await browser()
    home.context = await program.newContext()
    home.context.setDefaultTimeout(CALL_TIMEOUT_MS)
    home.page = await home.context.newPage()
    home.#listen()
    await home.page.exposeFunction('raised', raised)
    if (page === 'js') await home.page.addInitScript(hurry, [REDIAL_MS, REDIAL_HERE_MS])
    await home.page.goto(`${origin}/pages/${page}.html`)
    await home.page.waitForFunction(() => globalThis.call)
    return home
  }

  async call(method, ...given) {
    const asked = [method, given]
    const { answer, refused } = await this.page.evaluate(([name, all]) => call(name, all), asked)
    if (refused) throw Object.assign(new Error(`${method}: ${JSON.stringify(refused)}`), refused)
    return answer
  }

  close() {
    return this.context.close()
  }

  #listen() {
    const { page, said, requests } = this
    page.on('console', (message) => said.push(message.text()))
    page.on('pageerror', (error) => said.push(String(error)))
    const note = (request, status, text) => {
      requests.push({ method: request.method(), url: request.url(), status, text })
    }
    page.on('requestfailed', (request) => note(request, request.failure()?.errorText))
    page.on('response', async (response) => {
      // Of the SDK itself, 35 MB, nobody wants the text.
      if (response.request().method() !== 'POST') return
      const text = await response.text().catch(String)
      note(response.request(), response.status(), text)
    })
  }
}
