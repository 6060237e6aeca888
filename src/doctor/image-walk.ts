import type { ImageRequest } from '../upstream/creation-client.ts'
import { isPassing, type Job } from '../upstream/creation-client.ts'
import { UpstreamError } from '../upstream/failures.ts'
import { createImageClient } from '../upstream/image-creator/client.ts'
import { isSignedOut, type LandingPage, readLandingPage } from '../upstream/image-creator/page.ts'
import { type CreatorSession, createCreatorSession } from '../upstream/image-creator/session.ts'
import { createMediaClient } from '../upstream/media/client.ts'
import { NEW_COOKIE, outdated } from './advice.ts'
import type { Finding } from './report.ts'
import { reachStep, type Walk } from './walk.ts'
import { describeAnswer } from './wire.ts'

const PAGE_STEPS = ['landing page', 'signed-in marker', 'IG', 'Salt'].map((name) => `image-creator: ${name}`)
/** Harmless in every language and for every filter. */
const REQUEST: ImageRequest = {
  prompt: 'A red lighthouse at dawn, watercolour',
  model: 'DALLE',
  aspect: 'SQUARE'
}
/** Milliseconds between two looks, unless the operator fixed it. */
const LOOK_EVERY_MS = 5000

/** The Image Creator: its page, what is found in it, and one picture where that was asked for. */
export async function walkImages(walk: Walk, isReached: boolean): Promise<void> {
  const { steps, config, account, wire, clock } = walk
  walk.protocol = 'image-creator'
  const why = !isReached
    ? 'Bing can not be reached'
    : account.configured
      ? undefined
      : 'there is no usable cookie'
  if (why !== undefined) for (const name of PAGE_STEPS) steps.skip(name, `Not tried: ${why}.`, 'failed')
  const session = createCreatorSession({ bingUrl: config.BING_URL, account, http: wire.http, clock })
  const isOpen = why === undefined && (await openPage(walk, session))

  const isMediaReached = await reachStep(walk, 'media', 'BING_MEDIA_URL')
  if (!walk.spend.image) {
    steps.skip('image-creator: submit', 'Not asked for: --spend image makes one real picture.', 'not-asked')
  } else if (isOpen) await makePicture(walk, session, isMediaReached)
  else steps.skip('image-creator: submit', 'Not tried: nobody is signed in.', 'failed')
}

/** @returns whether a session was opened */
async function openPage(walk: Walk, session: CreatorSession): Promise<boolean> {
  const { steps, wire } = walk
  let page: LandingPage | undefined
  let html = ''
  wire.forget()
  await steps.run(PAGE_STEPS[0] as string, async (signal) => {
    try {
      await session.open(signal)
    } catch (error) {
      // There is a page, and the next steps say what is missing in it.
      if (!(error instanceof UpstreamError) || error.row !== 'I1') throw error
    }
    html = wire.text
    page = readLandingPage(html)
    return { ok: true, detail: wire.last === undefined ? 'Open.' : `${describeAnswer(wire.last, false)}.` }
  })
  const found = page
  if (found === undefined) {
    for (const name of PAGE_STEPS.slice(1))
      steps.skip(name, 'Not tried: there is no page to look at.', 'failed')
    return false
  }
  await steps.run(PAGE_STEPS[1] as string, () => signedIn(found, html))
  await steps.run(PAGE_STEPS[2] as string, () => marker(found.ig, 'IG', 'Submits and polls go without it.'))
  await steps.run(PAGE_STEPS[3] as string, () =>
    marker(found.salt, 'SALT', 'The cookie SRCHHPGUSR goes without it.')
  )
  return found.signedIn
}

function signedIn(page: LandingPage, html: string): Finding {
  if (page.signedIn) return { ok: true, detail: 'SIGNED_IN found.' }
  if (isSignedOut(html)) {
    return {
      ok: false,
      row: 'I1',
      detail:
        'SIGNED_IN missed, and SIGNED_OUT, the sign-in link for strangers, found: Microsoft does not know the _U cookie any more.',
      hint: NEW_COOKIE
    }
  }
  const isStrange = page.ig === undefined && page.salt === undefined
  return {
    ok: false,
    row: 'I1',
    detail: `SIGNED_IN missed, but SIGNED_OUT too: ${isStrange ? 'this is another page, or a new one' : 'the page has changed'}.`,
    hint: `Open bing.com/images/create in a browser with this account. If it is signed in there, the page has changed. ${outdated('image-creator', ['SIGNED_IN', 'SIGNED_OUT'])} Else: ${NEW_COOKIE}`
  }
}

function marker(value: string | undefined, name: 'IG' | 'SALT', without: string): Finding {
  const constant = name === 'IG' ? 'IG_PATTERNS' : 'SALT_PATTERN'
  if (value !== undefined) return { ok: true, detail: `${constant} found (${value.length} characters).` }
  return { ok: false, detail: `${constant} missed. ${without}`, hint: outdated('image-creator', [constant]) }
}

/** One picture, from the prompt to the file. Nothing of it is stored here; it stays in the account at bing.com. */
async function makePicture(walk: Walk, session: CreatorSession, isMediaReached: boolean): Promise<void> {
  const { steps, config, wire, account, clock } = walk
  const { http } = wire
  const client = createImageClient({
    bingUrl: config.BING_URL,
    mediaUrl: config.BING_MEDIA_URL,
    account,
    http,
    clock,
    session
  })
  let pictures: string[] = []
  const isReady = await steps.stages(
    ['image-creator: submit', 'image-creator: result'],
    async (signal, reached) => {
      wire.forget()
      const accepted = await client.submit(REQUEST, signal)
      reached(
        'image-creator: submit',
        `Accepted${wire.last === undefined ? '' : `: ${describeAnswer(wire.last, false)}`}.`
      )
      let job: Job<ImageRequest> = { ...accepted, request: REQUEST, memory: {} }
      for (let looks = 1; ; looks++) {
        await clock.sleep(config.POLL_INTERVAL_MS ?? LOOK_EVERY_MS, signal)
        const look = await client.look(job, signal).catch((error: unknown) => {
          if (isPassing(error)) return undefined
          throw error
        })
        if (look?.state === 'pending') job = { ...job, memory: look.memory }
        if (look?.state !== 'ready') continue
        pictures = look.result.images
        const count = pictures.length === 1 ? '1 picture' : `${pictures.length} pictures`
        return { ok: true, detail: `${count} after ${looks === 1 ? '1 look' : `${looks} looks`}.` }
      }
    },
    config.IMAGE_TIMEOUT_MS
  )
  if (!isReady || !isMediaReached) {
    steps.skip(
      'media: fetch',
      `Not tried: ${isReady ? 'the media host can not be reached' : 'there is no picture'}.`,
      'failed'
    )
    return
  }
  const media = createMediaClient({
    http,
    allowedBases: [config.BING_URL, config.BING_MEDIA_URL],
    mediaUrl: config.BING_MEDIA_URL
  })
  wire.forget()
  await steps.run('media: fetch', async (signal) => {
    const { contentType, body } = await media.fetch(pictures[0] as string, signal, 'image')
    return { ok: true, detail: `${contentType}, ${body.length} bytes.` }
  })
}
