import t, { type Test } from 'tap'
import type { Behaviours } from '../../../src/simulator/index.ts'
import {
  type Accepted,
  isPassing,
  type LookMemory,
  type VideoRequest
} from '../../../src/upstream/creation-client.ts'
import { createImageClient } from '../../../src/upstream/image-creator/client.ts'
import { createCreatorSession } from '../../../src/upstream/image-creator/session.ts'
import { createVideoClient } from '../../../src/upstream/video-creator/client.ts'
import { creatorRig, lookUntilReady, never, rowOf } from '../../support/creator.ts'

const boat: VideoRequest = { prompt: 'a paper boat & a storm', speed: 'standard' }

async function rig(t: Test, options: Parameters<typeof creatorRig>[1] = {}) {
  const all = await creatorRig(t, options)
  const client = createVideoClient(all.settings)
  const submit = (request = boat) => client.submit(request, never)
  const look = (accepted: Accepted, memory: LookMemory = { opened: true }) =>
    client.look({ ...accepted, request: boat, memory }, never)
  const received = () => all.simulator.counts['creator.video.submit.received'] ?? 0
  return { ...all, client, submit, look, received }
}

t.test('films at both speeds, in the session of the images', async (t) => {
  const { simulator, client, settings, submit } = await rig(t)
  await createImageClient(settings).submit({ prompt: 'a fox', model: 'DALLE', aspect: 'SQUARE' }, never)
  for (const speed of ['standard', 'fast'] as const) {
    const request = { ...boat, speed }
    const accepted = await submit(request)
    t.match(accepted, { upstreamId: /^4-[0-9a-f]{32}$/, resultUrl: /ctype=video/ })
    const { result, looks } = await lookUntilReady(client, accepted, request)
    t.match(result.video, /\/th\/id\/OVID\.[\w-]+\?pid=videocreator$/)
    t.strictSame([result.images, result.prompt, looks], [[], boat.prompt, 2])
  }
  t.equal(simulator.counts['creator.bootstrap'], 1)
  t.strictSame(simulator.violations, [])
})

t.test('reads every ready shape', async (t) => {
  const { simulator, client, submit } = await rig(t)
  const shapes = [
    'show-content-url',
    'show-content-html',
    'show-content-video-tag',
    'ourl',
    'ourl-slashes',
    'ourl-unicode',
    'ourl-entities',
    'ourl-after-poster',
    'ourl-tse'
  ] as const
  for (const ready of shapes) {
    simulator.set('videoPoll', { ready, pending: ['empty'] })
    const { result } = await lookUntilReady(client, await submit(), boat)
    t.match(
      result.video,
      new RegExp(`^${simulator.url}/th/id/OVID[^?]+\\?pid=videocreator(&FORM=GCRIDP)?$`),
      ready
    )
  }
  t.strictSame(simulator.violations, [])
})

t.test('stays pending with what it does not know for sure', async (t) => {
  const { simulator, submit, look } = await rig(t)
  for (const ready of ['pending-and-content', 'card'] as const) {
    simulator.set('videoPoll', { ready, pendingPolls: 0 })
    t.match(await look(await submit()), { state: 'pending' }, ready)
  }
})

t.test('refusals at submit', async (t) => {
  const { simulator, submit, received } = await rig(t)
  const cases: [Partial<Behaviours['videoSubmit']>, string][] = [
    [{ marker: 'clarity-tag' }, 'I4'],
    [{ text: 'blocked' }, 'I5'],
    [{ text: 'ongoing' }, 'V2'],
    [{ text: 'video-requests' }, 'V2'],
    [{ text: 'video-rate' }, 'V2'],
    [{ text: 'video-concurrent' }, 'V2'],
    [{ text: 'video-wrong' }, 'V6'],
    [{ text: 'no-coins' }, 'I11'],
    [{ answer: 'no-id' }, 'I16'],
    [{ answer: 'lost' }, 'outcome-unknown'],
    [{ answer: 'login' }, 'T6'],
    [{ status: 503 }, 'T9']
  ]
  for (const [behaviour, want] of cases) {
    const before = received()
    simulator.set('videoSubmit', behaviour)
    t.equal(await rowOf(submit()), want, JSON.stringify(behaviour))
    t.equal(received() - before, 1, 'sent once')
  }
  t.strictSame(simulator.violations, [])
})

t.test('V2: the fourth at once', async (t) => {
  const { simulator, submit } = await rig(t)
  simulator.set('videoSubmit', { maxParallel: 3 })
  for (let n = 0; n < 3; n++) await submit()
  await t.rejects(submit(), { row: 'V2', code: 'too_many_jobs', retryAfter: 600 })
})

t.test('V3: start page', async (t) => {
  await t.test('once', async (t) => {
    const { simulator, submit, received } = await rig(t)
    simulator.enqueue('videoSubmit', { answer: 'start-page' })
    t.equal(await rowOf(submit()), 'no failure')
    t.equal(received(), 2)
    t.strictSame(simulator.violations, [])
  })
  await t.test('twice', async (t) => {
    const { simulator, submit, received } = await rig(t)
    simulator.set('videoSubmit', { answer: 'start-page' })
    await t.rejects(submit(), { row: 'V3', code: 'not_accepted' })
    t.equal(received(), 2)
  })
  await t.test('signed out', async (t) => {
    const { simulator, submit, received } = await rig(t)
    simulator.set('videoSubmit', { expireCookie: true })
    t.equal(await rowOf(submit()), 'I3')
    t.equal(received(), 1)
  })
})

t.test('failures while polling', async (t) => {
  const { simulator, submit, look } = await rig(t)
  const polls: [Partial<Behaviours['videoPoll']>, string][] = [
    [{ marker: 'girer-icon' }, 'V5'],
    [{ text: 'content-warning' }, 'I5'],
    [{ text: 'video-could-not' }, 'V6'],
    [{ text: 'video-error' }, 'V6'],
    [{ text: 'video-unable' }, 'V6'],
    [{ text: 'video-later' }, 'V6'],
    [{ errorMessage: 'Boom' }, 'V6'],
    [{ status: 502 }, 'T9-bad'],
    [{ reset: true }, 'T1']
  ]
  for (const [behaviour, want] of polls) {
    const accepted = await submit()
    simulator.set('videoPoll', { pendingPolls: 0, ...behaviour })
    t.equal(await rowOf(look(accepted)), want, JSON.stringify(behaviour))
  }
  t.strictSame(simulator.violations, [])
})

t.test('V7: JSON with neither, three times', async (t) => {
  const { simulator, client, submit } = await rig(t)
  simulator.set('videoPoll', { pendingPolls: 0, ready: 'json-neither' })
  t.equal(await rowOf(lookUntilReady(client, await submit(), boat)), 'V7')
  t.equal(simulator.counts['creator.video.poll'], 3)
})

t.test('V8: signed out while polling, then a new cookie', async (t) => {
  const { simulator, account, client, submit, look } = await rig(t)
  const accepted = await submit()
  simulator.enqueue('videoPoll', { expireCookie: true })
  const error = await look(accepted).catch((e: unknown) => e)
  t.match(error, { row: 'V8', type: 'auth_error', code: 'cookie_expired' })
  t.equal(isPassing(error), false)
  t.equal(await rowOf(look(accepted)), 'V8', 'and again')

  const { look: lookWithout } = await rig(t, { cookie: '' })
  await t.rejects(lookWithout(accepted), { row: 'V8', code: 'cookie_missing' })

  simulator.cookies.accept('new-cookie')
  account.replace('new-cookie')
  const { result } = await lookUntilReady(client, accepted, boat)
  t.ok(result.video, 'the same id goes on')
  t.strictSame(simulator.violations, [])
})

t.test('V10: a new process looks at old jobs', async (t) => {
  const { simulator, settings, submit } = await rig(t)
  simulator.set('videoPoll', { onlyNewSession: true })
  const accepted = await submit()
  const client = createVideoClient({ ...settings, session: createCreatorSession(settings) })
  t.ok((await lookUntilReady(client, accepted, boat)).result.video)
  t.strictSame(simulator.violations, [])
})
