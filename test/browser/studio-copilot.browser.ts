import type { Locator } from 'playwright-core'
import t from 'tap'
import { createKeyStore } from '../../src/store/key-store.ts'
import { beyondRefusals, loaded, visit } from '../support/browser.ts'
import { startGateway, USER } from '../support/gateway.ts'

// biome-ignore lint/suspicious/noExplicitAny: runs in the browser, whose types are not loaded here
type Element = any

const attributes = (elements: Locator, ...names: string[]): Promise<(string | null)[][]> =>
  elements.evaluateAll(
    (all: Element[], names: string[]) =>
      all.map((element) => names.map((name) => element.getAttribute(name))),
    names
  )

/** What waits for `opened` goes on when the test says so. */
function gate() {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open, opened }
}

const COPY = /^http:\/\/127\.0\.0\.1:\d+\/media\/[\w-]+\?exp=\d+&sig=[\w-]+$/

t.test('pictures that Copilot draws in a chat, for the owner of a key', async (t) => {
  const gateway = await startGateway(t, { chatUpstream: 'copilot', config: { AUTH_MODE: 'key' } })
  const { key } = await createKeyStore(gateway.app.store.database).create(USER, Date.now(), null)
  const { page, complaints, screenshot } = await visit(t, `${await gateway.listen()}/studio`)
  const answers = page.locator('.bubble.bing:not(.typing)')
  const send = async (prompt: string) => {
    const count = await answers.count()
    await page.getByLabel('Message').fill(prompt)
    await page.keyboard.press('Enter')
    await answers.nth(count).waitFor()
    return answers.nth(count)
  }
  t.equal(await page.locator('#chat-welcome .lead').innerText(), 'Ask Copilot anything')
  await page.getByLabel('API key', { exact: true }).fill(key)
  await page.getByLabel('User name').fill(USER)

  await t.test('stand in the answer, and move nothing when they come', async (t) => {
    gateway.sim.set('copilot.turn', { images: 2 })
    const held = gate()
    await page.route(/\/media\//, (route) => held.opened.then(() => route.continue()))
    const answer = await send('Draw a lighthouse at dusk')
    t.match(await answer.locator('.prose').innerText(), /^Here is a picture for/)
    t.match(await answer.locator('.sr').textContent(), 'Copilot:')
    const pictures = answer.locator('.drawn img')
    t.equal(await pictures.count(), 2)
    const before = await answer.boundingBox()
    held.open()
    t.strictSame(await loaded(pictures), Array(2).fill([1024, 1024]))
    t.strictSame(await answer.boundingBox(), before)
    await page.unroute(/\/media\//)

    t.match(await attributes(pictures, 'alt', 'loading'), Array(2).fill([/lighthouse at dusk/, 'lazy']))
    const addresses = await attributes(pictures, 'src')
    t.match(addresses, Array(2).fill([COPY]), 'without the key')
    t.strictSame(await attributes(answer.locator('.picture > a:not(.download)'), 'href'), addresses)
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      answer.getByRole('link', { name: 'Download picture 2 of 2' }).click()
    ])
    t.match(download.suggestedFilename(), /\.png$/)
    await screenshot('drawn', false)
  })

  await t.test('alone, and as a preview', async (t) => {
    gateway.sim.set('copilot.turn', { imageText: false })
    const alone = await send('Draw a [red] fox')
    t.strictSame(await loaded(alone.locator('.drawn img')), [[1024, 1024]])
    t.equal(await alone.locator('.prose').count(), 0, 'no address in place of a text')
    t.equal(await alone.locator('figcaption').count(), 0)

    gateway.sim.set('copilot.turn', { imageFinal: false })
    const preview = await send('Draw a ship')
    t.equal((await loaded(preview.locator('.drawn img'))).length, 1)
    t.match(await preview.locator('figcaption').innerText(), /^Only a preview/)
  })

  await t.test("from Copilot's address, where there is no copy", async (t) => {
    gateway.sim.set('copilot.turn', { previews: 0 })
    gateway.sim.set('copilot.picture', { status: 404 })
    const held = gate()
    await page.route(/\/th\/id\/BCO\./, (route) => held.opened.then(() => route.continue()))
    const answer = await send('Draw a distant hill')
    gateway.sim.set('copilot.picture', {})
    held.open()
    const pictures = answer.locator('.drawn img')
    t.strictSame(await loaded(pictures), [[1024, 1024]])
    t.match(await attributes(pictures, 'src'), [[`${gateway.sim.copilotUrl}/th/id/BCO.`]])
    t.equal(await answer.locator('.download').count(), 0)

    gateway.sim.set('copilot.turn', { previews: 0, imageHost: 'foreign' })
    const link = (await send('Draw a foreign hill')).locator('.drawn a')
    await link.getByText('Open it at pictures.example').waitFor()
    t.match(await link.getAttribute('href'), /^https:\/\/pictures\.example\//)
  })

  await t.test('sources and suggestions', async (t) => {
    gateway.sim.set('copilot.turn', {})
    const answer = await send('How high is the harbour tower?')
    t.ok((await answer.locator('.sources a').count()) > 0)
    await answer.locator('.chip').first().click()
    await answers.nth(6).waitFor()
    await page.locator('#health[data-state=good]').waitFor()
    t.equal(await page.locator('#health').innerText(), 'Connected')
  })

  await t.test('are there again in the history', async (t) => {
    await page.reload()
    await page.locator('#history summary').click()
    await page
      .locator('#history')
      .getByRole('button', { name: /^Draw a lighthouse/ })
      .click()
    await answers.nth(6).waitFor()
    t.strictSame(await loaded(answers.first().locator('.drawn img')), Array(2).fill([1024, 1024]))
    t.equal(await answers.nth(1).locator('.prose').count(), 0)
    for (const [name, colorScheme, width] of [
      ['light', 'light', 1360],
      ['dark', 'dark', 1360],
      ['narrow', 'light', 390]
    ] as const) {
      await page.emulateMedia({ colorScheme })
      await page.setViewportSize({ width, height: 900 })
      const log = page.locator('#chat-log')
      t.ok(
        await log.evaluate((box: Element) => box.scrollWidth <= box.clientWidth),
        `${name}: nothing sticks out`
      )
      await log.evaluate((box: Element) => box.scrollTo(0, 0))
      await page.locator('#chat').scrollIntoViewIfNeeded()
      await screenshot(`drawn-${name}`, false)
    }
  })
  t.strictSame(
    beyondRefusals(complaints).filter((complaint) => !complaint.includes('https://pictures.example/')),
    []
  )
})
