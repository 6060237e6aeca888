import { readFileSync } from 'node:fs'
import type { Locator } from 'playwright-core'
import sharp from 'sharp'
import t from 'tap'
import { visit } from '../support/browser.ts'
import { COOKIE, startGateway, USER } from '../support/gateway.ts'

// biome-ignore lint/suspicious/noExplicitAny: runs in the browser, whose types are not loaded here
type Element = any

/** Sizes of pictures once all of them are loaded. */
async function loaded(pictures: Locator): Promise<[number, number][]> {
  return pictures.evaluateAll((images: Element[]) =>
    Promise.all(
      images.map(async (image) => {
        await image.decode()
        return [image.naturalWidth, image.naturalHeight] as [number, number]
      })
    )
  )
}

/** Waits until a film moves. */
const playing = (film: Locator) =>
  film.evaluate(async (video: Element) => {
    video.muted = true
    await video.play()
    const from = video.currentTime
    for (let n = 0; n < 500 && video.currentTime === from; n++)
      await new Promise((resolve) => setTimeout(resolve, 20))
    return {
      moved: video.currentTime !== from,
      ready: video.readyState >= 2,
      duration: video.duration,
      width: video.videoWidth
    }
  })

t.test('chat, pictures and a video on the studio page', async (t) => {
  const gateway = await startGateway(t)
  const { page, complaints, screenshot } = await visit(t, await gateway.listen())
  t.match(page.url(), /\/studio$/, 'a browser at / is sent here')

  await t.test('chat', async (t) => {
    await page.getByLabel('User name').fill(USER)
    await page.getByLabel('Message').fill('How high is the **harbour** tower <b>now</b>?')
    await page.keyboard.press('Enter')
    const answer = page.locator('.bubble.bing:not(.typing)')
    await answer.first().waitFor()
    t.match(await answer.locator('.prose').innerText(), /How high is the harbour tower <b>now<\/b>\?/)
    t.equal(await answer.locator('.prose b').count(), 0, 'text of the upstream is no markup')
    t.equal(await answer.locator('.prose strong').first().innerText(), 'harbour')

    const links = answer.locator('.sources a')
    t.equal(await links.count(), 2)
    for (const link of await links.all()) t.match(await link.getAttribute('href'), /^https?:\/\//)
    t.match(await answer.locator('.cite a').first().getAttribute('href'), /^https?:\/\//)

    await answer.locator('.chip').first().click()
    await answer.nth(1).waitFor()
    t.equal(await page.locator('#chat-turns').innerText(), 'Turn 2 of 30')

    await page.getByLabel('Message').fill('compare two options')
    await page.keyboard.press('Enter')
    t.equal(await answer.nth(2).locator('table td').first().innerText(), 'First')
  })

  await t.test('pictures, as nobody', async (t) => {
    await page.getByLabel('User name').fill('')
    await page.getByLabel('What should be in the picture?').fill('a red sailing boat at sunset')
    await page.getByLabel('Landscape').check()
    gateway.sim.set('poll', { readyAfterMs: 1000 })
    await page.getByRole('button', { name: 'Create images' }).click()
    await page.getByRole('progressbar', { name: 'Drawing' }).waitFor()
    const pictures = page.locator('#image-result img')
    await pictures.first().waitFor()
    t.strictSame(await loaded(pictures), Array(4).fill([1792, 1024]))
    t.match(await page.locator('#image-result .caption').innerText(), /^Drawn as: a red sailing boat/)
  })

  await t.test('a video', async (t) => {
    await page.getByLabel('What should happen in the video?').fill('ocean waves at sunset')
    await page.getByLabel('Fast').check()
    await page.getByRole('button', { name: 'Create video' }).click()
    const film = page.locator('#video-result video')
    await film.waitFor()
    const { moved, ready, duration, width } = await playing(film)
    t.ok(moved && ready)
    t.ok(duration > 1, `${duration} s`)
    t.ok(width > 0, `${width} pixels wide`)
  })

  await t.test('recent creations outlive a reload', async (t) => {
    for (const when of ['before', 'after']) {
      const cards = page.locator('#recent .card')
      t.strictSame(await page.locator('#recent .card-prompt').allInnerTexts(), [
        'ocean waves at sunset',
        'a red sailing boat at sunset'
      ])
      t.strictSame(await loaded(cards.nth(1).locator('img')), Array(4).fill([1792, 1024]), when)
      t.ok((await playing(cards.nth(0).locator('video'))).moved)
      if (when === 'before') {
        await page.locator('html').evaluate((root: Element) => root.scrollTo(0, root.scrollHeight))
        const chat = await page.locator('#chat').boundingBox()
        const recent = await page.locator('#recent').boundingBox()
        t.ok((chat?.y ?? 0) + (chat?.height ?? 0) < (recent?.y ?? 0), 'the chat stays off the creations')
        await screenshot('studio-recent', false)
        await page.locator('html').evaluate((root: Element) => root.scrollTo(0, 0))
        await screenshot('studio')
      }
      await page.reload()
    }
  })

  t.strictSame(complaints, [])
  t.strictSame([...gateway.sim.violations], [])
})

t.test('a name keeps its creations apart from those of nobody, over a reload', async (t) => {
  const gateway = await startGateway(t)
  const { page, complaints } = await visit(t, `${await gateway.listen()}/studio`)
  const prompts = () => page.locator('#recent .card-prompt').allInnerTexts()
  const create = async (query: string) => {
    await page.getByLabel('What should be in the picture?').fill(query)
    await page.getByRole('button', { name: 'Create images' }).click()
    await page.locator('#recent .card', { hasText: query }).waitFor()
  }

  await create('a boat of nobody')
  await page.getByLabel('User name').fill(USER)
  await create('a boat with a name')
  t.strictSame(await prompts(), ['a boat with a name'])

  await page.reload()
  t.equal(await page.getByLabel('User name').inputValue(), USER)
  await page.locator('#recent .card').first().waitFor()
  t.strictSame(await prompts(), ['a boat with a name'])

  await page.getByLabel('User name').fill('')
  await page.keyboard.press('Tab')
  t.strictSame(await prompts(), ['a boat of nobody'])
  t.strictSame(complaints, [])
})

t.test('failures say what happened, with code and request id', async (t) => {
  const gateway = await startGateway(t)
  const { page, complaints, screenshot } = await visit(t, `${await gateway.listen()}/studio`)

  await page.getByLabel('Message').fill('hello')
  await page.keyboard.press('Enter')
  t.match(await page.locator('#chat-log .error').innerText(), /needs a user name/)
  t.equal(await page.getByLabel('Message').inputValue(), 'hello', 'what was written is still there')

  await page.getByLabel('User name').fill('mallory')
  await page.getByLabel('Message').press('Enter')
  await page.locator('#chat-log .error', { hasText: 'not_whitelisted' }).waitFor()

  await page.getByLabel('User name').fill('')
  await page.getByLabel('What should be in the picture?').fill('gore')
  const [response] = await Promise.all([
    page.waitForResponse(/\/create\/image$/),
    page.getByRole('button', { name: 'Create images' }).click()
  ])
  const failure = page.locator('#image-result .error')
  const text = await failure.innerText()
  t.match(text, /content_policy/)
  t.match(text, /HTTP 422/)
  t.ok(text.includes(response.headers()['x-request-id'] ?? 'no id'))
  t.equal(await failure.getByRole('button').count(), 0, 'no second try where none can help')

  gateway.sim.set('videoPoll', { errorMessage: 'video generation failed' })
  await page.getByLabel('What should happen in the video?').fill('waves')
  await page.getByRole('button', { name: 'Create video' }).click()
  await page.locator('#video-result .error').waitFor()

  gateway.sim.cookies.expire(COOKIE)
  await page.getByLabel('What should be in the picture?').fill('a boat')
  await page.getByRole('button', { name: 'Create images' }).click()
  await page.locator('#image-result .error', { hasText: 'cookie_expired' }).waitFor()
  await page.locator('#actions p', { hasText: 'Images' }).waitFor()
  t.equal(await page.locator('#health').innerText(), 'Needs your attention')
  await screenshot('expired')

  // The browser itself notes each refused request; the page adds nothing to that.
  t.strictSame(
    complaints.filter((complaint) => !complaint.startsWith('Failed to load resource')),
    []
  )
})

t.test('light, dark and narrow', async (t) => {
  const gateway = await startGateway(t)
  const { page, complaints, screenshot } = await visit(t, `${await gateway.listen()}/studio`)
  const looks = [
    { name: 'light', colorScheme: 'light', width: 1360 },
    { name: 'dark', colorScheme: 'dark', width: 1360 },
    { name: 'narrow', colorScheme: 'light', width: 360 }
  ] as const
  for (const { name, colorScheme, width } of looks) {
    await page.emulateMedia({ colorScheme })
    await page.setViewportSize({ width, height: 800 })
    const wide = await page.locator('html').evaluate((root: Element) => root.scrollWidth)
    t.ok(wide <= width, `${name}: ${wide} of ${width} pixels`)
    const { dominant } = await sharp(readFileSync(await screenshot(name))).stats()
    t.equal(dominant.r + dominant.g + dominant.b > 384, colorScheme === 'light', `${name} is ${colorScheme}`)
  }
  t.strictSame(complaints, [])
})
