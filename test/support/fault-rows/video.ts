/**
 * docs/protocol/failures.md section 8, rows V1 to V11, and the rows of section 7 that a video meets as an image does, as
 * callers of `POST /create/video` and `GET /task/:taskId` meet them.
 *
 * Not played, and why:
 * - V2 by another program that uses the same account: to the gateway that is the refusal with none of its own running.
 * - V3 caused by a GET with all creation parameters: the gateway makes no such request; its answer is played.
 * - V9, the later look-up: the gateway has no call for it; that the id is kept is checked in the store.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { type Behaviours, startSimulator } from '../../../src/simulator/index.ts'
import {
  BAD_PAYLOAD,
  behave,
  behaveNext,
  CHALLENGE,
  CHALLENGE_BODY,
  COOKIE_EXPIRED,
  checkFailed,
  checkPeace,
  FAILED,
  FAST_USED_UP,
  type FailureRig,
  failureRig,
  MARKERS,
  NOT_ACCEPTED,
  OUTAGE,
  OUTCOME_UNKNOWN,
  POLICY,
  SAID,
  type Seen,
  SPEED,
  TEXT_ROWS,
  TIMEOUT,
  UNSAFE,
  type Want
} from '../failure-table.ts'
import { COOKIE } from '../gateway.ts'
import { type Group, group, outcomeOf, type PlayedOn, taskOutcome } from './cell.ts'
import { type CreationRow, failedVideoCell, refusedVideoCell, worksAgain } from './creations.ts'

type VideoRow = CreationRow & { want: Want }

const QUEUE_FULL: Want = { status: 429, type: 'rate_limit_error', code: 'too_many_jobs', retryAfter: 600 }
const FULL_TEXTS = ['ongoing', 'queue-limit', 'video-requests', 'video-rate', 'video-concurrent'] as const
const FAILED_TEXTS = ['video-wrong', 'video-later', 'video-could-not', 'video-error', 'video-unable'] as const

const OPTIONS = { renew: (rig: FailureRig) => rig.newCookie(), end: checkPeace }
/** Ended by the answer to the submit. */
const refused = (name: string, rows: readonly VideoRow[]): Group =>
  group(`videos: ${name}`, failureRig, rows.map(refusedVideoCell), OPTIONS)
/** Ended while polling: the submit was answered with 200, the task fails. */
const failed = (name: string, rows: readonly VideoRow[]): Group =>
  group(`videos: ${name}`, failureRig, rows.map(failedVideoCell), OPTIONS)

const submit = (
  row: string,
  form: string,
  behaviour: Partial<Behaviours['videoSubmit']>,
  want: Want,
  seen: Partial<Seen> = { submits: 1 }
): VideoRow => ({ row, form, behave: behave('videoSubmit', behaviour), want, seen, at: 'submits' })

const asImages = refused('refused at submit as an image is', [
  {
    row: 'I1',
    behave: behave('bootstrap', { page: 'signed-out' }),
    want: COOKIE_EXPIRED,
    seen: { bootstraps: 2 },
    at: 'bootstraps'
  },
  {
    row: 'I3',
    behave: behaveNext('videoSubmit', { expireCookie: true }),
    want: COOKIE_EXPIRED,
    seen: { bootstraps: 3, submits: 1 },
    at: 'submits'
  },
  ...MARKERS.map((marker) => submit('I4', marker, { marker }, POLICY)),
  ...TEXT_ROWS.map(([row, text, want]) => submit(row, `${text}`, { text }, want)),
  ...FAILED_TEXTS.map((text) => submit('V6', text, { text }, FAILED)),
  submit('I11', 'standard', { text: 'no-coins' }, FAST_USED_UP),
  { ...submit('I11', 'fast', { text: 'no-coins' }, FAST_USED_UP), body: { speed: 'fast' } },
  {
    row: 'I15',
    form: 'bootstrap',
    behave: behave('bootstrap', { text: 'outage' }),
    want: OUTAGE,
    seen: { bootstraps: 3 },
    at: 'bootstraps'
  },
  submit('I15', 'submit', { text: 'sorry' }, OUTAGE),
  submit('I16', 'no id', { answer: 'no-id' }, { ...BAD_PAYLOAD, stop: true }),
  submit('I16', 'an answer of no known kind', { body: 'OK' }, OUTCOME_UNKNOWN),
  submit('I16', 'login', { answer: 'login' }, COOKIE_EXPIRED),
  {
    row: 'I17',
    form: 'bootstrap',
    behave: behave('bootstrap', { body: CHALLENGE_BODY }),
    want: CHALLENGE,
    seen: { bootstraps: 1 },
    at: 'bootstraps'
  },
  submit('I17', 'authns', { answer: 'authns' }, CHALLENGE),
  submit('I17', 'snrerror', { answer: 'snrerror' }, CHALLENGE),
  { ...submit('I4', 'a forbidden prompt', {}, POLICY), body: { query: 'a forbidden thing' } }
])

const resultPage = (
  row: string,
  form: string,
  behaviour: Partial<Behaviours['resultPage']>,
  want: Want
): VideoRow => ({
  row,
  form: `result page: ${form}`,
  behave: behave('resultPage', behaviour),
  want,
  seen: {},
  at: 'submits'
})

const afterSubmit = failed('refused on the page after the submit', [
  ...MARKERS.slice(0, 2).map((marker) => resultPage('I4', marker, { marker }, POLICY)),
  ...TEXT_ROWS.map(([row, text, want]) => resultPage(row, `${text}`, { text }, want))
])

const full = refused(
  'the queue is full, and nothing of ours is in it',
  FULL_TEXTS.map((text) =>
    submit(text === 'ongoing' || text === 'queue-limit' ? 'I10' : 'V2', text, { text }, QUEUE_FULL)
  )
)

const startPage = refused('the start page', [
  submit('V3', 'twice', { answer: 'start-page' }, NOT_ACCEPTED, { bootstraps: 2, submits: 2 }),
  {
    row: 'V3',
    form: 'then refused',
    behave: behaveNext('videoSubmit', { answer: 'start-page' }, { text: 'video-concurrent' }),
    want: QUEUE_FULL,
    seen: { bootstraps: 2, submits: 2 },
    at: 'submits'
  }
])

/** Through in the end, by waiting or by trying again. */
const accepted = group(
  'videos: accepted in the end',
  // In real time, in which the gateway asks again by itself only after a minute.
  (t) => failureRig(t, { speed: 1, config: { POLL_INTERVAL_MS: 20, VIDEO_CONCURRENCY: 0 } }),
  [
    {
      row: 'V3',
      form: 'once',
      column: 'video submit',
      async play(t, rig) {
        rig.sim.enqueue('videoSubmit', { answer: 'start-page' })
        const answer = await rig.video()
        t.equal((await rig.ended(answer.json.data.taskId)).status, 'completed')
        const queries = rig.sim.requests
          .filter(({ method }) => method === 'POST')
          .map(({ search }) => new URLSearchParams(search))
        t.strictSame(
          queries.map((query) => [query.get('IID'), /^[0-9A-F]{32}$/.test(query.get('IG') ?? '')]),
          [
            [null, true],
            ['images.as', true]
          ],
          'the second one carries IG and IID'
        )
        await worksAgain(t, rig, undefined, () => rig.video())
        return outcomeOf(answer, 2)
      }
    },
    {
      row: 'V2',
      form: 'one of ours is running',
      column: 'video submit',
      async play(t, rig) {
        rig.sim.set('videoSubmit', { maxParallel: 1 })
        rig.sim.set('videoPoll', { neverReady: true })
        const first = (await rig.video({ query: 'one' })).json.data.taskId
        const answer = await rig.video({ query: 'two' })
        t.equal(answer.status, 200, answer.text)
        t.match(rig.seen(), { submits: 2, accepted: 1 }, 'held back')
        rig.sim.set('videoPoll', {})
        t.equal((await rig.ended(first)).status, 'completed')
        t.equal((await rig.ended(answer.json.data.taskId)).status, 'completed')
        t.match(rig.seen(), { submits: 3, accepted: 2 }, 'sent again when the first one has ended, once')
        await worksAgain(t, rig, undefined, () => rig.video())
        return { ...outcomeOf(answer, 2), got: '200 held back, then sent' }
      }
    }
  ] satisfies PlayedOn<FailureRig>[],
  OPTIONS
)

/** What leaves a task `processing`, however long it lasts. */
const WAITING: [row: string, form: string, behaviour: Partial<Behaviours['videoPoll']>][] = [
  ...(['empty', 'one-character', 'json', 'json-still', 'status-page', 'no-css', 'streaming'] as const).map(
    (shape): [string, string, Partial<Behaviours['videoPoll']>] => [
      'V4',
      shape,
      { neverReady: true, pending: [shape] }
    ]
  ),
  ['V4', 'pending, with content', { ready: 'pending-and-content' }],
  ['V4', 'a card, whose address takes another call', { ready: 'card' }],
  ['V4', 'another page', { body: '<p>zebra-canary</p>' }],
  ['V4', 'half of a JSON', { body: '{"errorMess' }],
  ['V4', 'the JSON of the newer protocol', { body: '{"status":0}' }],
  ['I15', 'outage', { text: 'outage' }],
  ['I15', 'sorry', { text: 'sorry' }],
  ['I10', 'ongoing', { text: 'ongoing' }],
  ['V2', 'video-concurrent', { text: 'video-concurrent' }]
]

const working = group(
  'videos: working',
  failureRig,
  WAITING.map(
    ([row, form, behaviour]): PlayedOn<FailureRig> => ({
      row,
      form,
      column: 'video poll',
      async play(t, rig) {
        rig.sim.set('videoPoll', behaviour)
        const { taskId } = (await rig.video()).json.data
        await rig.until('creator.video.poll', 4)
        const task = (await rig.get(`/task/${taskId}`)).json.data
        t.match(task, { status: 'processing', video: null, error: null, completedAt: null })
        rig.sim.set('videoPoll', {})
        t.match(await rig.ended(taskId), { status: 'completed', video: /\/th\/id\/OVID\./ })
        t.match(rig.seen(), { submits: 1, accepted: 1 })
        await worksAgain(t, rig, undefined, () => rig.video())
        return { got: 'task waits, then completed' }
      }
    })
  ),
  OPTIONS
)

const poll = (
  row: string,
  form: string,
  behaviour: Partial<Behaviours['videoPoll']>,
  want: Want,
  polls = 1
): VideoRow => ({ row, form, behave: behave('videoPoll', behaviour), want, seen: { polls }, at: 'polls' })

const ends = failed('what polls end with', [
  ...MARKERS.map((marker) => poll('V5', marker, { marker }, POLICY)),
  { ...poll('V5', 'an unsafe prompt', {}, POLICY, 2), body: { query: 'an unsafe thing' } },
  poll('V6', 'errorMessage', { errorMessage: SAID }, FAILED, 2),
  poll('V6', 'errorMessage that is known', { errorMessage: 'This prompt has been blocked' }, POLICY, 2),
  poll('V6', 'errorType', { body: '{"status":3,"errorType":2}' }, FAILED),
  poll('V6', 'errorType 16', { body: '{"status":3,"errorType":16}' }, UNSAFE),
  ...FAILED_TEXTS.map((text) => poll('V6', text, { text }, FAILED)),
  ...TEXT_ROWS.map(([row, text, want]) => poll(row, `${text}`, { text }, want)),
  poll('V7', 'neither', { ready: 'json-neither' }, BAD_PAYLOAD, 4),
  poll('V7', 'another shape', { body: JSON.stringify({ said: SAID }) }, BAD_PAYLOAD, 3)
])

const notForGood: PlayedOn<FailureRig> = {
  row: 'V7',
  form: 'twice in a row, and again after a good one',
  column: 'video poll',
  async play(t, rig) {
    const neither = { ready: 'json-neither', pendingPolls: 0 } as const
    rig.sim.enqueue('videoPoll', neither, neither, {}, neither, neither)
    rig.sim.set('videoPoll', { pendingPolls: 4 })
    const { taskId } = (await rig.video()).json.data
    const task = await rig.ended(taskId)
    t.equal(task.status, 'completed')
    const { polls } = rig.seen()
    await worksAgain(t, rig, undefined, () => rig.video())
    return taskOutcome(task, polls)
  }
}

const signedOut: PlayedOn<FailureRig>[] = (
  [
    ['V8', 'new cookie'],
    ['I20', 'refused, then a new cookie'],
    ['I17', 'poll, then the check is passed']
  ] as const
).map(([row, form]) => ({
  row,
  form,
  column: 'video poll',
  async play(t, rig) {
    rig.freshSession()
    if (row === 'V8') rig.sim.set('videoPoll', { expireCookie: true })
    else if (row === 'I17') {
      rig.sim.enqueue('bootstrap', {}, { body: CHALLENGE_BODY })
      rig.sim.set('videoPoll', { body: CHALLENGE_BODY })
    } else {
      rig.sim.enqueue('bootstrap', {}, { page: 'signed-out' }, { page: 'signed-out' })
      rig.sim.enqueue('videoPoll', { status: 404 })
    }
    const { taskId } = (await rig.video()).json.data
    for (let looks = 0; (await rig.stored(taskId))?.state !== 'paused'; looks++) {
      if (looks === 2000) throw new Error('the task was not paused')
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    rig.sim.set('videoPoll', {})
    t.match((await rig.get(`/task/${taskId}`)).json.data, {
      status: 'processing',
      error: null,
      completedAt: null
    })
    const { polls, bootstraps } = rig.seen()
    rig.newCookie()
    t.match(await rig.ended(taskId), { status: 'completed', error: null, video: /OVID/ })
    t.match(rig.seen(), { submits: 1, accepted: 1 })
    await worksAgain(t, rig, undefined, () => rig.video())
    return { got: 'task waits for a person, then completed', times: Math.max(polls, bootstraps) }
  }
}))

const refusedPolls: VideoRow[] = [400, 404].map((status) => ({
  ...poll(
    'I20',
    `${status} for ever`,
    { status, body: SAID },
    { status: 502, type: 'upstream_error', code: 'upstream_rejected' },
    3
  ),
  seen: { polls: 3, bootstraps: 3 }
}))

const DEADLINE = { VIDEO_TIMEOUT_MS: 1000 * SPEED }

const late = group(
  'videos: the deadline',
  (t) => failureRig(t, { config: DEADLINE }),
  (
    [
      ['V9', 'only pending', { neverReady: true }, TIMEOUT, /may still finish/],
      ['V8', 'no new cookie', { expireCookie: true }, COOKIE_EXPIRED, /_U cookie/]
    ] as const
  ).map(
    ([row, form, behaviour, want, says]): PlayedOn<FailureRig> => ({
      row,
      form: `${form} until the deadline`,
      column: 'video poll',
      async play(t, rig) {
        rig.sim.set('videoPoll', behaviour)
        const { taskId } = (await rig.video()).json.data
        const task = await rig.ended(taskId)
        checkFailed(t, row, task, want)
        t.match(String(task.error), says)
        t.match(
          await rig.stored(taskId),
          { state: 'failed', upstreamId: /^4-[0-9a-f]{32}$/ },
          'it can be looked up later'
        )
        const { polls } = rig.seen()
        await new Promise((resolve) => setTimeout(resolve, 100))
        t.match(rig.seen(), { submits: 1, accepted: 1, polls }, 'no more polls')
        rig.newCookie()
        await worksAgain(t, rig, undefined, () => rig.video())
        return taskOutcome(task)
      }
    })
  ),
  OPTIONS
)

/** A gateway that is started anew over the same folder, while two videos are at Bing and one waits. */
const restarted = group(
  'videos: a restart',
  async (t: Test) => {
    const dir = mkdtempSync(join(tmpdir(), 'bing-gateway-restart-'))
    const sim = await startSimulator({ cookies: [COOKIE] })
    sim.set('media', { plain: true })
    t.teardown(async () => {
      await sim.close()
      rmSync(dir, { recursive: true, force: true })
    })
    const config = { POLL_INTERVAL_MS: 20, VIDEO_CONCURRENCY: 2 }
    const start = () => failureRig(t, { dir, sim, speed: 1, config })
    return Object.assign(await start(), { again: start })
  },
  [
    {
      row: 'V10',
      column: 'video poll',
      async play(t, first) {
        const { sim } = first
        // Ready only for a page that was opened after the submit, as Bing's pages are after a restart.
        sim.set('videoPoll', { onlyNewSession: true })
        const tasks: string[] = []
        for (const query of ['one', 'two', 'waits'])
          tasks.push((await first.video({ query })).json.data.taskId)
        await first.until('creator.video.poll', 4)
        const pages = first.seen().bootstraps
        await first.app.close()
        t.match(first.seen(), { submits: 2, accepted: 2 })

        const second = await first.again()
        for (const task of tasks) {
          t.match(await second.ended(task), { status: 'completed', error: null, video: /OVID/ })
          // The third one was submitted within the new session, so it needs one more page.
          if (task === tasks[1]) sim.set('videoPoll', {})
        }
        t.strictSame(second.seen().bootstraps, pages + 1, 'with a fresh IG')
        t.match(second.seen(), { submits: 3, accepted: 3 }, 'each one was sent once')
        for (const query of ['one', 'two', 'waits']) t.equal(sim.counts[`received:${query}`], 1)
        t.strictSame(sim.violations, [])
        return { got: 'task completed', times: 1 }
      }
    }
  ]
)

const removed = group(
  'videos: a film that can not be copied',
  failureRig,
  [
    {
      row: 'V11',
      column: 'video poll',
      async play(t, rig) {
        rig.sim.set('media', { expired: true })
        const { taskId } = (await rig.video()).json.data
        const task = await rig.ended(taskId)
        t.match(task, { status: 'completed', error: null, video: /OVID/ }, "Bing's address, no copy")
        t.strictSame(task.media, [])
        await worksAgain(t, rig, undefined, () => rig.video())
        return { got: 'task completed without a copy', times: 1 }
      }
    }
  ] satisfies PlayedOn<FailureRig>[],
  OPTIONS
)

export const videoGroups: readonly Group[] = [
  asImages,
  afterSubmit,
  full,
  startPage,
  accepted,
  working,
  ends,
  group(
    'videos: polls that are refused, or odd',
    failureRig,
    [notForGood, ...signedOut, ...refusedPolls.map(failedVideoCell)],
    OPTIONS
  ),
  late,
  restarted,
  removed
]
