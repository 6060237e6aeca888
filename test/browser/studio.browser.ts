import { readFileSync } from 'node:fs'
import type { Locator } from 'playwright-core'
import sharp from 'sharp'
import t from 'tap'
import { beyondRefusals, loaded, visit } from '../support/browser.ts'
import { COOKIE, startGateway, USER } from '../support/gateway.ts'

// biome-ignore lint/suspicious/noExplicitAny: runs in the browser, whose types are not loaded here
type Element = any

/** Where pictures and films come from, and the room that is kept for them. */
const origins = (media: Locator) =>
  media.evaluateAll((elements: Element[]) =>
    elements.map((element) => ({
      path: element.src.replace(element.ownerDocument.location.origin, '').replace(/\/media\/.*/, '/media/'),
      width: element.getAttribute('width'),
      height: element.getAttribute('height')
    }))
  )

const own = (count: number, width: number, height: number) =>
  Array(count).fill({ path: '/media/', width: String(width), height: String(height) })

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
  // Two seconds of a scene, in place of half a second of one colour.
  gateway.sim.set('media', { plain: false })
  const { page, complaints, screenshot } = await visit(t, await gateway.listen())
  t.match(page.url(), /\/studio$/, 'a browser at / is sent here')

  await t.test('chat', async (t) => {
    await page.getByLabel('Name or API key').fill(USER)
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

  await t.test('an answer is shown as it is written, until it is stopped', async (t) => {
    const log = page.locator('#chat-log')
    const stop = page.getByRole('button', { name: 'Stop' })
    t.notOk(await stop.isVisible())
    const said = 'One **bold** tale, '.repeat(60)
    gateway.sim.set('turn', { answer: said, charsPerUpdate: 19, updateDelayMs: 40, rewrite: 'shrink' })
    await page.getByLabel('Message').fill('Tell me a long story')
    await page.keyboard.press('Enter')
    const writing = log.locator('.bubble.typing')
    await writing.locator('strong').nth(3).waitFor()
    t.equal(await log.getAttribute('aria-busy'), 'true')
    await screenshot('studio-writing', false)
    await stop.click()
    await writing.waitFor({ state: 'detached' })
    const stopped = log.locator('.bubble.bing').last()
    t.match(await stopped.innerText(), /One bold tale,(.|\n)*You stopped this answer/)
    t.equal(await page.evaluate('document.activeElement.id'), 'chat-prompt')
    t.notOk(await stop.isVisible())
    for (let n = 0; n < 500 && gateway.sim.counts['sydney.aborted'] !== 1; n++) await page.waitForTimeout(20)
    t.equal(gateway.sim.counts['sydney.aborted'], 1, 'and so is the turn at Bing')

    gateway.sim.set('turn', { answer: 'One two three four.', charsPerUpdate: 4, rewrite: 'diverge' })
    await page.getByLabel('Message').fill('And now?')
    await page.keyboard.press('Enter')
    await page.locator('#chat-turns', { hasText: /Turn [45] / }).waitFor()
    t.match(await stopped.innerText(), /Let me put it another way\. One two three four/)

    gateway.sim.set('turn', {
      answer: 'One two three four.',
      charsPerUpdate: 4,
      end: 'terminate',
      endAt: 'mid-text'
    })
    await page.getByLabel('Message').fill('Break off')
    await page.keyboard.press('Enter')
    await log.locator('.error', { hasText: 'answer_truncated' }).waitFor()
    t.match(await stopped.innerText(), /One two(.|\n)*This is not the whole answer/, 'what was said stays')
    gateway.sim.set('turn', {})
    await log.getByRole('button', { name: 'Try again' }).click()
    await page.locator('#chat-turns', { hasText: /Turn [67] / }).waitFor()
    t.notMatch(await log.innerText(), /This is not the whole answer/)
  })

  await t.test('pictures, as nobody', async (t) => {
    await page.getByLabel('Name or API key').fill('')
    await page.getByLabel('What should be in the picture?').fill('a red sailing boat at sunset')
    await page.getByLabel('Landscape').check()
    gateway.sim.set('poll', { readyAfterMs: 1000 })
    await page.getByRole('button', { name: 'Create images' }).click()
    await page.getByRole('progressbar', { name: /^Drawing/ }).waitFor()
    t.equal(await page.locator('#recent .card [data-cancel]').count(), 1)
    const pictures = page.locator('#image-result img')
    await pictures.first().waitFor()
    t.strictSame(await loaded(pictures), Array(4).fill([1792, 1024]))
    t.strictSame(await origins(pictures), own(4, 1792, 1024))
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Download picture 2 of 4' }).click()
    ])
    t.match(download.suggestedFilename(), /^bing-[0-9a-f]{8}\.jpg$/)
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
    t.match(await origins(film), [{ path: '/media/', width: String(width), height: /^\d+$/ }])
    t.equal(await page.locator('#video-result').getByRole('link', { name: 'Download video' }).count(), 1)
  })

  await t.test('recent creations outlive a reload', async (t) => {
    for (const when of ['before', 'after']) {
      const cards = page.locator('#recent .card')
      t.strictSame(await page.locator('#recent .card-prompt').allInnerTexts(), [
        'ocean waves at sunset',
        'a red sailing boat at sunset'
      ])
      t.strictSame(await loaded(cards.nth(1).locator('img')), Array(4).fill([1792, 1024]), when)
      t.strictSame(await origins(cards.nth(1).locator('img')), own(4, 1792, 1024), when)
      t.equal(
        await cards
          .nth(1)
          .getByRole('link', { name: /^Download picture/ })
          .count(),
        4
      )
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

t.test('failures say what happened, with code and request id', async (t) => {
  const gateway = await startGateway(t)
  const { page, complaints, screenshot } = await visit(t, `${await gateway.listen()}/studio`)

  await page.getByLabel('Message').fill('hello')
  await page.keyboard.press('Enter')
  t.match(await page.locator('#chat-log .error').innerText(), /needs a name from the whitelist/)
  t.equal(await page.getByLabel('Message').inputValue(), 'hello', 'what was written is still there')

  await page.getByLabel('Name or API key').fill('mallory')
  const [response] = await Promise.all([
    page.waitForResponse(/\/create_conversation$/),
    page.getByLabel('Message').press('Enter')
  ])
  const refusal = page.locator('#chat-log .error', { hasText: 'not_whitelisted' })
  t.match(await refusal.innerText(), /HTTP 403/)
  t.ok((await refusal.innerText()).includes(response.headers()['x-request-id'] ?? 'no id'))
  t.equal(await page.getByLabel('Name or API key').getAttribute('aria-invalid'), 'true')

  await page.getByLabel('Name or API key').fill('')
  await page.getByLabel('What should be in the picture?').fill('gore')
  await page.getByRole('button', { name: 'Create images' }).click()
  const failure = page.locator('#image-result .error')
  t.match(await failure.innerText(), /content_policy/)
  t.equal(await failure.getByRole('button').count(), 0, 'no second try where none can help')

  gateway.sim.set('videoPoll', { errorMessage: 'video generation failed' })
  await page.getByLabel('What should happen in the video?').fill('waves')
  await page.getByRole('button', { name: 'Create video' }).click()
  await page.locator('#video-result .error').waitFor()

  // Whoever finds out first waits for a new cookie; from then on it is told at once.
  gateway.sim.cookies.expire(COOKIE)
  t.equal((await gateway.post('/create/image', { query: 'a boat' })).status, 401)
  await page.getByLabel('What should be in the picture?').fill('a boat')
  await page.getByRole('button', { name: 'Create images' }).click()
  await page.locator('#image-result .error', { hasText: 'cookie_expired' }).waitFor()
  await page.locator('#actions p', { hasText: 'Images' }).waitFor()
  t.equal(await page.locator('#health').innerText(), 'Needs your attention')
  await screenshot('expired')

  for (let n = 0; n < 30; n++) await gateway.get('/tasks', { 'x-user-id': `mallory${n}` })
  await page.getByLabel('Name or API key').fill('alice')
  await page.keyboard.press('Tab')
  const locked = page.locator('#recent-trouble .error', { hasText: 'too_many_failed_authentications' })
  t.match(await locked.locator('.error-when').innerText(), /^Try again in \d+ seconds?\.$/)
  t.equal(
    await page.getByLabel('Name or API key').getAttribute('aria-invalid'),
    null,
    'the name is not to blame'
  )
  t.match(await page.locator('#identity-problem').innerText(), /Too many .* Try again in/)

  // The browser itself notes each refused request; the page adds nothing to that.
  t.strictSame(beyondRefusals(complaints), [])
})

t.test('cancelling, at the form and on a card', async (t) => {
  const gateway = await startGateway(t)
  const { sim } = gateway
  sim.set('videoPoll', { neverReady: true })
  await gateway.post('/create/video', { query: 'an old wave' }, { host: '127.0.0.1:7860' })
  const { page, complaints, screenshot } = await visit(t, `${await gateway.listen()}/studio`)
  await page.getByLabel('What should happen in the video?').fill('a new wave')
  const [events] = await Promise.all([
    page.waitForResponse(/\/task\/[\w-]+\/events$/),
    page.getByRole('button', { name: 'Create video' }).click()
  ])
  t.match(events.headers()['content-type'], /^text\/event-stream/)
  const cards = page.locator('#recent .card')
  const badges = page.locator('#recent .badge')
  await cards.nth(1).waitFor()
  await screenshot('in-progress')

  await page.locator('#video-result').getByRole('button', { name: 'Cancel' }).click()
  await page.locator('#video-result .notice', { hasText: 'Cancelled' }).waitFor()
  t.strictSame(await badges.allInnerTexts(), ['Cancelled', 'In progress'])

  await page.getByRole('button', { name: 'Cancel: an old wave' }).press('Enter')
  await cards.filter({ hasText: 'an old wave' }).filter({ hasText: 'Cancelled' }).waitFor()
  t.equal(await page.evaluate('document.activeElement.dataset.status'), 'cancelled', 'the focus stays')
  t.strictSame(await badges.allInnerTexts(), ['Cancelled', 'Cancelled'])
  t.strictSame(complaints, [])
})

t.test('a task is looked at again and again where events do not come through', async (t) => {
  const gateway = await startGateway(t)
  gateway.sim.set('videoPoll', { neverReady: true })
  const { page } = await visit(t, `${await gateway.listen()}/studio`)
  await page.route(/\/events$/, (route) =>
    route.fulfill({ status: 200, contentType: 'text/html', body: 'a proxy knows better' })
  )
  await page.getByLabel('What should happen in the video?').fill('waves')
  await Promise.all([
    page.waitForRequest(/\/task\/[\w-]+$/),
    page.getByRole('button', { name: 'Create video' }).click()
  ])
  gateway.sim.set('videoPoll', { neverReady: false })
  await page.locator('#video-result video').waitFor()
})

t.test('more of the recent creations', async (t) => {
  const gateway = await startGateway(t)
  const headers = { 'x-user-id': USER }
  const prompts = Array.from({ length: 27 }, (_, n) => `wave number ${26 - n}`)
  gateway.sim.set('videoSubmit', { status: 200, body: '{"errorMessage":"Pending"}' })
  for (const query of prompts.toReversed()) await gateway.post('/create/video', { query }, headers)
  const { page, complaints } = await visit(t, `${await gateway.listen()}/studio`)
  await page.getByLabel('Name or API key').fill(USER)
  await page.keyboard.press('Tab')
  const more = page.locator('#recent').getByRole('button', { name: 'Load more' })
  const shown = page.locator('#recent .card-prompt')
  await more.waitFor()
  for (const count of [12, 24, 27]) {
    await shown.nth(count - 1).waitFor()
    t.strictSame(await shown.allInnerTexts(), prompts.slice(0, count))
    t.equal(await more.isVisible(), count < 27)
    if (count < 27) await more.click()
  }
  t.equal(
    await page.evaluate('document.activeElement.querySelector(".card-prompt").textContent'),
    prompts[24]
  )
  t.strictSame(complaints, [])
})

t.test('a card of what has failed is short, one of a film shows a still', async (t) => {
  const gateway = await startGateway(t)
  gateway.sim.set('media', { plain: false })
  const { page, complaints, screenshot } = await visit(t, `${await gateway.listen()}/studio`)
  await page.getByLabel('What should happen in the video?').fill('ocean waves at sunset')
  await page.getByRole('button', { name: 'Create video' }).click()
  const cards = page.locator('#recent .card')
  await cards.locator('video').waitFor()
  await page.getByLabel('What should be in the picture?').fill('gore')
  await page.getByRole('button', { name: 'Create images' }).click()
  for (const when of ['as it fails', 'as the page comes']) {
    const failed = cards.filter({ hasText: 'gore' })
    await failed.locator('.card-error').waitFor()
    t.match(await failed.locator('.card-error').innerText(), /content policy/)
    const [short, whole] = [await failed.boundingBox(), await cards.nth(1).boundingBox()]
    t.equal(short?.y, whole?.y, 'side by side')
    t.ok(
      (short?.height ?? 0) * 2 < (whole?.height ?? 0),
      `${when}: ${short?.height} of ${whole?.height} pixels`
    )

    const film = cards.locator('video')
    t.equal(await film.getAttribute('preload'), 'metadata')
    await film.evaluate(
      (video: Element) =>
        video.readyState >= 2 || new Promise((resolve) => video.addEventListener('loadeddata', resolve))
    )
    t.strictSame(
      await film.evaluate((video: Element) => [video.currentTime, video.paused]),
      [0.1, true],
      'a moment after its beginning'
    )
    await screenshot(`failed ${when}`)
    if (when === 'as it fails') await page.reload()
  }
  t.strictSame(beyondRefusals(complaints), [])
})

t.test('light, dark and narrow', async (t) => {
  const gateway = await startGateway(t)
  const { page, complaints, screenshot } = await visit(t, `${await gateway.listen()}/studio`)
  const looks = [
    { name: 'light', colorScheme: 'light', width: 1360 },
    { name: 'dark', colorScheme: 'dark', width: 1360 },
    { name: 'narrow', colorScheme: 'light', width: 360 },
    { name: 'narrow-dark', colorScheme: 'dark', width: 390 }
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
