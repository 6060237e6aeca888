/**
 * docs/protocol/failures.md section 1, rows T1 to T11, at every kind of request that the gateway makes: starting a
 * conversation, the hub's upgrade, the creators' landing page (bootstrap), submits and polls of images and videos.
 *
 * Not played, and why:
 * - T1, DNS: a name that does not resolve needs a resolver, which a test machine may not have. Its error codes are
 *   judged in test/upstream/connections.test.ts.
 * - T10 at submits and polls: pages are what they answer with anyway (rows I2 and I18).
 * - T11 at polls: rows I18 (an image waits) and V7 (a video fails after three). T11 at the hub: row W12.
 */
import type { Test } from 'tap'
import type { HttpFaults } from '../../../src/simulator/behaviour.ts'
import type { Behaviours } from '../../../src/simulator/index.ts'
import { type ChatRig, chatRig } from '../chat-failures.ts'
import {
  BAD_PAYLOAD,
  CHALLENGE,
  COOKIE_EXPIRED,
  checkAnswer,
  checkFailed,
  checkPeace,
  type FailureRig,
  failureRig,
  NOTHING,
  OUTCOME_UNKNOWN,
  REGION,
  SAID,
  SAID_PAGE,
  type Seen,
  SPEED,
  TIMEOUT,
  type Want
} from '../failure-table.ts'
import { type Column, type Group, group, outcomeOf, type PlayedOn, taskOutcome } from './cell.ts'
import { createCells, freshConversationCells, turnCells } from './chat-cells.ts'
import { worksAgain } from './creations.ts'
import { CN, HTML, HTTP_ROWS, type HttpRow, LOGINS, UNEXPECTED_PAGE } from './faults.ts'

const OPTIONS = {
  renew: (rig: FailureRig | ChatRig) => rig.newCookie(),
  end: (t: Test, rig: FailureRig | ChatRig) => checkPeace(t, rig)
}

/** Rows that only a start of a conversation can meet, beside those of every request. */
const CREATE_ROWS: readonly (Omit<HttpRow, 'faults'> & { faults: Behaviours['create'] | object })[] = [
  ...HTTP_ROWS,
  { row: 'T5', form: 'loop', faults: { failure: 'region-loop' }, want: REGION, times: 6 },
  { row: 'T10', form: 'page', faults: { failure: 'html' }, want: UNEXPECTED_PAGE, times: 2 },
  {
    row: 'T10',
    form: 'any page',
    faults: { body: SAID_PAGE, headers: HTML },
    want: UNEXPECTED_PAGE,
    times: 2
  },
  { row: 'T11', form: 'half of it', faults: { failure: 'not-json' }, want: BAD_PAYLOAD, times: 1 },
  {
    row: 'T11',
    form: 'another shape',
    faults: { body: JSON.stringify({ said: SAID }) },
    want: BAD_PAYLOAD,
    times: 1
  },
  { row: 'T11', form: 'a list', faults: { body: '[]' }, want: BAD_PAYLOAD, times: 1 }
]

const asCreate = CREATE_ROWS.map(({ row, form, faults, want, times }) => ({
  row,
  form: `create: ${form}`,
  create: faults as Partial<Behaviours['create']>,
  want,
  creates: times
}))

/** What the hub's upgrade can meet of it. A reset is row W4, a page with 403 W3; what it doesn't know, W1. */
const asUpgrade = HTTP_ROWS.filter(({ row }) => !['T1', 'T7', 'T10'].includes(row)).map(
  ({ row, form, faults, want, times }) => ({
    row,
    form: `hub: ${form}`,
    upgrade: faults,
    want,
    asked: { upgrades: times },
    turns: [1]
  })
)

const chat: Group[] = [
  group('transport: starting a conversation', chatRig, createCells(asCreate), OPTIONS),
  group(
    'transport: a streamed first turn that needs a fresh conversation',
    // So slow that the stream is seldom begun before it fails.
    (t) => chatRig(t, { speed: 10 }),
    // The hub was refused after a conversation had been started: over a kept connection, T1 gets one more try.
    freshConversationCells(
      asCreate.map((row) => (row.row === 'T1' ? { ...row, creates: row.creates + 1 } : row)),
      'stream'
    ),
    OPTIONS
  ),
  group('transport: the upgrade', chatRig, turnCells(asUpgrade), OPTIONS),
  group(
    'transport: silence of a chat',
    (t) => chatRig(t, { config: { CHAT_TIMEOUT_MS: 50_000 } }),
    (['before', 'during'] as const).flatMap((stall) => {
      const silent = {
        row: 'T4',
        form: `create: ${stall} the answer`,
        create: { stall, body: SAID },
        want: TIMEOUT,
        creates: 1
      }
      return [...createCells([silent]), ...freshConversationCells([silent], 'stream')]
    }),
    OPTIONS
  )
]

/** A call that fails, how often Bing was asked, and a good call afterwards. */
function callCell(
  { row, form, want }: Pick<HttpRow, 'row' | 'form' | 'want'>,
  kind: 'image' | 'video',
  prepare: (rig: FailureRig) => void,
  seen: Partial<Seen>,
  at: keyof Seen
): PlayedOn<FailureRig> {
  const column: Column = kind === 'image' ? 'image' : 'video submit'
  return {
    row,
    form,
    column,
    async play(t, rig) {
      prepare(rig)
      const answer = await rig[kind]()
      checkAnswer(t, form, answer, want)
      const asked = rig.seen()
      t.strictSame(asked, { ...NOTHING, ...seen }, 'requests')
      await worksAgain(t, rig, want, () => rig[kind]())
      return outcomeOf(answer, asked[at])
    }
  }
}

const BOOTSTRAP_ROWS: readonly HttpRow[] = [
  ...HTTP_ROWS,
  { row: 'T5', form: 'loop', faults: { redirect: '/images/create' }, want: REGION, times: 6 },
  { row: 'T10', form: 'empty', faults: { body: ' ' }, want: UNEXPECTED_PAGE, times: 2 },
  { row: 'T11', form: '404', faults: { status: 404 }, want: BAD_PAYLOAD, times: 1 },
  { row: 'T11', form: '204', faults: { status: 204 }, want: BAD_PAYLOAD, times: 1 }
]

const TOO_LONG_FOR_A_URL: Want = {
  status: 400,
  type: 'invalid_request_error',
  code: 'prompt_too_long',
  stop: true,
  param: 'query'
}

/** Never sent twice: none of them counts more than one. */
const SUBMIT_ROWS: readonly (Omit<HttpRow, 'times' | 'faults'> & { faults: object; accepted?: 1 })[] = [
  ...HTTP_ROWS.filter(({ row }) => row !== 'T1' && row !== 'T10'),
  { row: 'T1', form: 'reset', faults: { reset: true }, want: OUTCOME_UNKNOWN },
  { row: 'T1', form: 'reset when accepted', faults: { answer: 'lost' }, want: OUTCOME_UNKNOWN, accepted: 1 },
  { row: 'T7', form: '403 without a page', faults: { status: 403, body: SAID }, want: CHALLENGE },
  { row: 'T6', form: '401', faults: { status: 401 }, want: COOKIE_EXPIRED },
  { row: 'T11', form: '404', faults: { status: 404, body: SAID }, want: BAD_PAYLOAD },
  { row: 'T11', form: '204', faults: { status: 204 }, want: BAD_PAYLOAD },
  ...[414, 431].map((status) => ({
    row: 'T11',
    form: `${status}: the prompt is too long for a URL`,
    faults: { status, body: SAID },
    want: TOO_LONG_FOR_A_URL
  }))
]

const creations = (['image', 'video'] as const).flatMap((kind): Group[] => {
  const op = kind === 'image' ? 'submit' : 'videoSubmit'
  return [
    group(
      `transport: bootstrap, ${kind}`,
      failureRig,
      BOOTSTRAP_ROWS.map((row) =>
        callCell(
          { ...row, form: `bootstrap: ${row.form}` },
          kind,
          (rig) => {
            rig.freshSession()
            rig.sim.set('bootstrap', row.faults)
          },
          { bootstraps: row.times },
          'bootstraps'
        )
      ),
      OPTIONS
    ),
    group(
      `transport: submit, ${kind}`,
      async (t) => {
        const rig = await failureRig(t)
        await rig.warm()
        return rig
      },
      SUBMIT_ROWS.map((row) =>
        callCell(
          { ...row, form: `submit: ${row.form}` },
          kind,
          (rig) => rig.sim.set(op, row.faults),
          { submits: 1, accepted: row.accepted ?? 0 },
          'submits'
        )
      ),
      OPTIONS
    )
  ]
})

/**
 * Long enough for a slow machine to get as far as the stall. Images are slower than usual: what is said at their deadline
 * must be stored within the gateway's two seconds of grace.
 */
const SILENT = {
  image: { speed: 10, config: { IMAGE_TIMEOUT_MS: 20_000 } },
  // A video's own deadline starts with its submit; what ends these is the time that one submit may take.
  video: {}
}

const silences = (
  [
    ['image', 'bootstrap', 'bootstrap', TIMEOUT, { bootstraps: 1 }],
    ['image', 'submit', 'submit', OUTCOME_UNKNOWN, { bootstraps: 1, submits: 1 }],
    ['video', 'bootstrap', 'bootstrap', TIMEOUT, { bootstraps: 1 }],
    ['video', 'submit', 'videoSubmit', OUTCOME_UNKNOWN, { bootstraps: 1, submits: 1 }]
  ] as const
).map(([kind, at, op, want, seen]) =>
  group(
    `transport: silence, ${kind} ${at}`,
    (t) => failureRig(t, SILENT[kind]),
    (['before', 'during'] as const).map(
      (stall): PlayedOn<FailureRig> => ({
        row: 'T4',
        form: `${at}: ${stall} the answer`,
        column: kind === 'image' ? 'image' : 'video submit',
        async play(t, rig) {
          rig.freshSession()
          rig.sim.enqueue(op, { stall, body: SAID })
          const answer = await rig[kind]()
          checkAnswer(t, at, answer, want)
          t.strictSame(rig.seen(), { ...NOTHING, ...seen }, 'requests')
          if (at === 'bootstrap') t.match(answer.json.error.message, /nothing (goes on|was sent)/i)
          await worksAgain(t, rig, want, () => rig[kind]())
          return outcomeOf(answer, 1)
        }
      })
    ),
    OPTIONS
  )
)

/** Failures of looking, after which the gateway looks again: the creation goes on at Bing. */
const PASSING: readonly (Pick<HttpRow, 'row' | 'form'> & { faults: HttpFaults })[] = [
  { row: 'T1', form: 'reset', faults: { reset: true } },
  { row: 'T9', form: '500', faults: { status: 500, body: SAID } },
  { row: 'T9', form: '502', faults: { status: 502, body: SAID_PAGE, headers: HTML } },
  { row: 'T9', form: '503', faults: { status: 503, body: SAID_PAGE, headers: HTML } },
  { row: 'T9', form: '504', faults: { status: 504 } },
  { row: 'T8', form: '429', faults: { status: 429, body: SAID } },
  { row: 'T8', form: 'with a wait', faults: { status: 429, headers: { 'retry-after': '20' } } },
  { row: 'T4', form: 'before the answer', faults: { stall: 'before' } },
  { row: 'T4', form: 'during the answer', faults: { stall: 'during' } }
]
const isSlow = ({ row, form }: (typeof PASSING)[number]) => row === 'T4' || (row === 'T8' && form === '429')
const ONE_MORE: Seen = { ...NOTHING, submits: 1, accepted: 1, polls: 3 }

function passingCells({ row, form, faults }: (typeof PASSING)[number]): PlayedOn<FailureRig>[] {
  return [
    {
      row,
      form: `poll: ${form}, once`,
      column: 'image',
      async play(t, rig) {
        rig.sim.enqueue('poll', faults)
        const answer = await rig.image()
        t.equal(answer.status, 200, answer.text)
        t.strictSame(rig.seen(), ONE_MORE, 'requests')
        await worksAgain(t, rig, undefined, () => rig.image())
        return outcomeOf(answer, ONE_MORE.polls)
      }
    },
    {
      row,
      form: `${form}, once`,
      column: 'video poll',
      async play(t, rig) {
        rig.sim.enqueue('videoPoll', faults)
        const { taskId } = (await rig.video()).json.data
        await rig.until('creator.video.poll', 1)
        t.match(
          (await rig.get(`/task/${taskId}`)).json.data,
          { status: 'processing', error: null },
          'goes on'
        )
        const task = await rig.ended(taskId)
        t.equal(task.status, 'completed')
        t.strictSame(rig.seen(), ONE_MORE, 'requests')
        await worksAgain(t, rig, undefined, () => rig.video())
        return taskOutcome(task, ONE_MORE.polls)
      }
    }
  ]
}

async function warmRig(t: Test): Promise<FailureRig> {
  const rig = await failureRig(t)
  await rig.warm()
  return rig
}

const looks = [PASSING.filter((row) => !isSlow(row)), ...PASSING.filter(isSlow).map((row) => [row])].map(
  (rows) =>
    group(
      `transport: polls are repeated, ${[...new Set(rows.map(({ row }) => row))].join(' and ')}`,
      warmRig,
      rows.flatMap(passingCells),
      OPTIONS
    )
)

/** Looks that never get through, until the deadline. */
const neverThrough = [
  group(
    'transport: polls of an image that never get through',
    (t) => failureRig(t, { speed: 10, config: { IMAGE_TIMEOUT_MS: 20_000 } }),
    [
      {
        row: 'T9',
        form: 'poll: for ever',
        column: 'image',
        async play(t, rig) {
          rig.sim.set('poll', { status: 503, body: SAID })
          const answer = await rig.image()
          checkAnswer(t, 'image', answer, TIMEOUT)
          // After 1, 2, 4 and 8 seconds more; every second would be 20.
          const { polls } = rig.seen()
          t.ok(polls >= 3 && polls <= 6, `${polls} polls`)
          // Five in a row open the circuit.
          rig.newCookie()
          await worksAgain(t, rig, undefined, () => rig.image())
          return outcomeOf(answer)
        }
      }
    ],
    OPTIONS
  ),
  group(
    'transport: polls of a video that never get through',
    (t) => failureRig(t, { config: { VIDEO_TIMEOUT_MS: 1000 * SPEED } }),
    [
      {
        row: 'T1',
        form: 'for ever',
        column: 'video poll',
        async play(t, rig) {
          rig.sim.set('videoPoll', { reset: true })
          const { taskId } = (await rig.video()).json.data
          const task = await rig.ended(taskId)
          checkFailed(t, 'video', task, TIMEOUT)
          t.match(await rig.stored(taskId), { upstreamId: /^4-[0-9a-f]{32}$/ }, 'it can be looked up later')
          // Five in a row open the circuit.
          rig.newCookie()
          await worksAgain(t, rig, undefined, () => rig.video())
          return taskOutcome(task)
        }
      }
    ],
    OPTIONS
  )
] satisfies Group[]

/** Failures of looking that backoff does not cure. `polls` and `bootstraps` are what it takes to be sure. */
export const SERIOUS: readonly (Omit<HttpRow, 'times'> & { polls: number; bootstraps: number })[] = [
  { row: 'T5', form: 'other country', faults: { redirect: CN }, want: REGION, polls: 1, bootstraps: 1 },
  {
    row: 'T6',
    form: 'although the landing page shows somebody signed in',
    faults: { redirect: LOGINS[0] },
    want: { status: 502, type: 'upstream_error', code: 'upstream_rejected' },
    polls: 3,
    bootstraps: 3
  },
  {
    row: 'T7',
    form: 'page with 403',
    faults: { status: 403, body: SAID_PAGE, headers: HTML },
    want: CHALLENGE,
    polls: 3,
    bootstraps: 3
  }
]

const serious = group(
  'transport: polls that fail for good',
  failureRig,
  SERIOUS.flatMap(({ row, form, faults, want, polls, bootstraps }): PlayedOn<FailureRig>[] => {
    const seen = { ...NOTHING, bootstraps, submits: 1, accepted: 1, polls }
    const isPause = row !== 'T6'
    return [
      {
        row,
        form: `poll: ${form}`,
        column: 'image',
        async play(t, rig) {
          rig.freshSession()
          rig.sim.set('poll', faults)
          const answer = await rig.image()
          // Bing has accepted it, so the caller must not send it again.
          checkAnswer(t, form, answer, isPause ? { ...want, stop: true } : want)
          t.strictSame(rig.seen(), seen, 'requests')
          rig.sim.reset()
          if (isPause) {
            rig.newCookie()
            await rig.settled()
          }
          await worksAgain(t, rig, undefined, () => rig.image())
          return outcomeOf(answer, polls)
        }
      },
      {
        row,
        form,
        column: 'video poll',
        async play(t, rig) {
          rig.freshSession()
          rig.sim.set('videoPoll', faults)
          const { taskId } = (await rig.video()).json.data
          if (!isPause) {
            const task = await rig.ended(taskId)
            checkFailed(t, form, task, want)
            t.strictSame(rig.seen(), seen, 'requests')
            await worksAgain(t, rig, undefined, () => rig.video())
            return taskOutcome(task, polls)
          }
          // A person can help, and the video is worth waiting for: as row V8.
          await rig.until('creator.video.poll', polls)
          const task = (await rig.get(`/task/${taskId}`)).json.data
          t.match(task, { status: 'processing', error: null }, 'waits for somebody')
          await new Promise((resolve) => setTimeout(resolve, 100))
          t.strictSame(rig.seen(), seen, 'Bing is left alone meanwhile')
          rig.sim.reset()
          rig.newCookie()
          t.equal((await rig.ended(taskId)).status, 'completed', 'with a new cookie')
          t.match(rig.seen(), { submits: 0 }, 'and was not sent again')
          await worksAgain(t, rig, undefined, () => rig.video())
          return { got: 'task waits for a person, then completed', times: polls }
        }
      }
    ]
  }),
  OPTIONS
)

export const transportGroups: readonly Group[] = [
  ...chat,
  ...creations,
  ...silences,
  ...looks,
  ...neverThrough,
  serious
]
