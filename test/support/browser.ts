import { existsSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, chromium, type Locator, type Page } from 'playwright-core'
import type { Test } from 'tap'

const EXECUTABLE = process.env.CHROMIUM_PATH || '/usr/bin/chromium'
const ARGS = [
  '--no-sandbox',
  '--headless',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync'
]

// biome-ignore lint/suspicious/noExplicitAny: runs in the browser, whose types are not loaded here
type BrowserElement = any

export interface Visit {
  page: Page
  /** Console errors, uncaught exceptions, blocked loads and policy violations so far. */
  complaints: string[]
  /** Takes a picture of the whole page, or of what is in view, and says where it lies. */
  screenshot(name: string, fullPage?: boolean): Promise<string>
}

/**
 * Opens a page in a real headless browser; both end with the test.
 * @throws when there is no browser: a missing one must not look like a passed test
 */
export async function visit(t: Test, url: string): Promise<Visit> {
  if (!existsSync(EXECUTABLE)) {
    throw new Error(
      `No browser at ${EXECUTABLE}. Install Chromium (Debian: apt-get install chromium), or set CHROMIUM_PATH.`
    )
  }
  const browser: Browser = await chromium.launch({ executablePath: EXECUTABLE, args: ARGS })
  t.teardown(() => browser.close())
  const page = await browser.newPage({ viewport: { width: 1360, height: 900 } })
  page.setDefaultTimeout(30_000)

  const complaints: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`${message.text()} (${message.location().url})`)
  })
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('requestfailed', (request) => {
    // A player drops its connection when it has what it needs.
    if (request.failure()?.errorText !== 'net::ERR_ABORTED')
      complaints.push(`${request.url()}: ${request.failure()?.errorText}`)
  })
  await page.addInitScript(`addEventListener('securitypolicyviolation', (event) =>
    console.error('blocked by ' + event.effectiveDirective + ': ' + event.blockedURI))`)
  await page.goto(url, { waitUntil: 'load' })

  const folder = mkdtempSync(join(tmpdir(), 'bing-gateway-browser-'))
  return {
    page,
    complaints,
    async screenshot(name, fullPage = true) {
      const path = join(folder, `${name}.png`)
      await page.screenshot({ path, fullPage })
      t.comment(`screenshot: ${path}`)
      return path
    }
  }
}

/** Sizes of pictures once all of them are loaded. */
export async function loaded(pictures: Locator): Promise<[number, number][]> {
  return pictures.evaluateAll((images: BrowserElement[]) =>
    Promise.all(
      images.map(async (image) => {
        await image.decode()
        return [image.naturalWidth, image.naturalHeight] as [number, number]
      })
    )
  )
}

/** Complaints of a page without what the browser itself notes about each refused request. */
export const beyondRefusals = (complaints: readonly string[]) =>
  complaints.filter((complaint) => !complaint.startsWith('Failed to load resource'))
