import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Clock, createClock } from '../../src/clock.ts'
import { createArchive, MEDIA_ID, mediaId } from '../../src/media/archive.ts'
import { openMediaStorage } from '../../src/media/storage.ts'
import type { CreationResult } from '../../src/upstream/creation-client.ts'
import { createImageClient } from '../../src/upstream/image-creator/client.ts'
import { createMediaClient } from '../../src/upstream/media/client.ts'
import { createVideoClient } from '../../src/upstream/video-creator/client.ts'
import { creatorRig, lookUntilReady, never } from '../support/creator.ts'

const TASK = { id: 'b6f2b1de-5d2e-4bb1-a3f4-2f0a0c2f4a11', kind: 'image' } as const
const FILM = { id: '0a8e3c57-6b5f-4a49-9d1e-7f3b1f1a9c22', kind: 'video' } as const

/** An archive in a folder of the test's, over a simulator that has finished pictures. */
async function rig(t: Test, clock?: Clock) {
  const { simulator, http, settings, clock: hurried } = await creatorRig(t)
  const dir = t.testdir()
  const warnings: { err: Error; position: number }[] = []
  const archive = createArchive({
    media: createMediaClient({ http, allowedBases: [simulator.url] }),
    storage: await openMediaStorage(undefined, { dataDir: dir }),
    clock: clock ?? hurried,
    log: { warn: (line: unknown) => warnings.push(line as (typeof warnings)[number]) }
  })
  const request = { prompt: 'a fox', model: 'DALLE', aspect: 'LANDSCAPE' } as const
  const images = createImageClient(settings)
  const { result } = await lookUntilReady(images, await images.submit(request, never), request)
  const files = () => readdirSync(join(dir, 'media', TASK.id)).sort()
  return { simulator, settings, dir, archive, result, warnings, files, slept: hurried.slept }
}

const film = (video: string | null): CreationResult => ({ images: [], video, prompt: 'x' })
const pictures = (...images: string[]): CreationResult => ({ images, video: null, prompt: 'x' })

t.test('copies pictures with their true sizes', async (t) => {
  const { archive, result, dir, warnings, files } = await rig(t)
  const copies = await archive(TASK, result, never)
  t.ok(copies.length > 1 && copies.length === result.images.length)
  for (const [position, copy] of copies.entries()) {
    const bytes = readFileSync(join(dir, 'media', copy.storageKey))
    t.strictSame(copy, {
      id: mediaId(TASK.id, position),
      position,
      storageKey: `${TASK.id}/${position}`,
      contentType: 'image/jpeg',
      bytes: bytes.length,
      width: 1792,
      height: 1024,
      sha256: createHash('sha256').update(bytes).digest('hex')
    })
    t.match(copy.id, MEDIA_ID)
  }
  t.equal(new Set(copies.map(({ id }) => id)).size, copies.length)

  // As after a crash between the copies and the end of the task.
  writeFileSync(join(dir, 'media', TASK.id, '0'), 'half')
  t.strictSame(await archive(TASK, result, never), copies, 'a repeat gives the same')
  t.strictSame(
    files(),
    copies.map(({ position }) => String(position)),
    'and takes their place'
  )
  t.equal(readFileSync(join(dir, 'media', TASK.id, '0')).length, copies[0]?.bytes)
  t.strictSame(warnings, [])
})

t.test('copies a video', async (t) => {
  const { archive, settings } = await rig(t)
  const request = { prompt: 'waves', speed: 'standard' } as const
  const videos = createVideoClient(settings)
  const { result } = await lookUntilReady(videos, await videos.submit(request, never), request)
  const [copy, ...more] = await archive(FILM, result, never)
  t.match(copy, { position: 0, storageKey: `${FILM.id}/0`, contentType: 'video/mp4' })
  t.strictSame([copy?.width, copy?.height].sort(), [270, 480])
  t.strictSame(more, [])
  t.strictSame(await archive(FILM, film(null), never), [])
})

t.test('what cannot be copied is missing, and the log says why', async (t) => {
  const { archive, result, simulator, warnings, files, slept } = await rig(t)
  const [first = '', second = ''] = result.images
  const secret = (url: string) => `${url}&token=canary`

  simulator.enqueue('media', { expired: true })
  t.strictSame(await archive(TASK, pictures(secret(first)), never), [])
  t.match(warnings, [{ taskId: TASK.id, position: 0, err: { row: 'I25' } }])
  const slow = slept.length
  simulator.enqueue('media', { status: 503 })
  t.equal((await archive(TASK, pictures(first), never)).length, 1, 'passing trouble: a second try')
  t.strictSame(slept.slice(slow), [1000])
  // A kept connection that breaks is no try of its own.
  simulator.enqueue('media', { status: 503 }, { reset: true }, { reset: true })
  t.strictSame(await archive(TASK, pictures(secret(first)), never), [], 'and no third one')
  t.match(warnings.slice(1), [{ err: { row: /T1|T9/ } }])

  // One of two: the other keeps its place.
  const some = await archive(TASK, pictures('https://elsewhere.test/th/id/x', second), never)
  t.match(some, [{ position: 1, id: mediaId(TASK.id, 1), storageKey: `${TASK.id}/1` }])
  t.equal(some.length, 1)
  t.strictSame(files(), ['0', '1'])
  t.notMatch(JSON.stringify(warnings.map(({ err }) => [err.message, err.stack, String(err.cause)])), /canary/)
})

t.test('what is no picture, or too large for one, is not kept as one', async (t) => {
  const { archive, simulator, result, warnings } = await rig(t)
  const bodies = [
    ['image/png', ''],
    ['image/png', '<svg xmlns="http://www.w3.org/2000/svg"/>'],
    ['image/jpeg', '<!doctype html><title>Sorry</title>'],
    ['image/jpeg', 'x'.repeat(33 * 1024 * 1024)]
  ] as const
  for (const [type, body] of bodies) {
    simulator.set('media', { status: 200, headers: { 'content-type': type }, body })
    t.strictSame(await archive(TASK, pictures(result.images[0] as string), never), [], body.slice(0, 20))
  }
  t.equal(warnings.length, bodies.length)
})

t.test('asks no host outside the allow-list', async (t) => {
  const { archive } = await rig(t)
  let asked = 0
  const stranger = createServer((_req, res) => {
    asked += 1
    res.end()
  }).listen(0, '127.0.0.1')
  await once(stranger, 'listening')
  t.teardown(() => stranger.close())
  const { port } = stranger.address() as AddressInfo
  const urls = [
    `http://127.0.0.1:${port}/th/id/OIG1.x`,
    `http://localhost:${port}/`,
    'file:///etc/passwd',
    'odd',
    ''
  ]
  t.strictSame(await archive(TASK, pictures(...urls), never), [])
  t.strictSame(await archive(FILM, film(urls[0] as string), never), [])
  t.equal(asked, 0)
})

t.test('a file that does not come has its time', async (t) => {
  // A thousand seconds in one: the 20 s of a picture are 20 ms.
  const { archive, result, simulator, warnings } = await rig(t, createClock(1000))
  simulator.enqueue('media', { stall: 'before' })
  t.strictSame(await archive(TASK, pictures(result.images[0] as string), never), [])
  t.match(warnings, [{ err: { row: 'T4' } }])
})

t.test('a storage that fails costs the copies and nothing else', async (t) => {
  const { archive, result, dir, warnings, slept } = await rig(t)
  const slow = slept.length
  writeFileSync(join(dir, 'media'), 'a file stands in its place')
  const one = pictures(result.images[0] as string)
  t.strictSame(await archive(TASK, one, never), [])
  t.match(warnings, [{ err: { name: 'MediaStorageError' } }])
  t.strictSame(slept.slice(slow), [1000], 'it was tried again')
  rmSync(join(dir, 'media'))
  t.equal((await archive(TASK, one, never)).length, 1)
})

t.test('ends with the signal', async (t) => {
  const { archive, result, simulator, warnings } = await rig(t)
  const stop = new AbortController()
  simulator.enqueue('media', { stall: 'before' }, { stall: 'during' })
  const running = archive(TASK, result, stop.signal)
  stop.abort(new Error('the gateway is stopping'))
  await t.rejects(running, { message: 'the gateway is stopping' })
  await t.rejects(archive(TASK, result, stop.signal), { message: 'the gateway is stopping' })
  t.strictSame(warnings, [], 'which is no news')
})
