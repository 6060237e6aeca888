/**
 * docs/protocol/failures.md section 7, rows I1 to I26, as callers of `POST /create/image` meet them.
 *
 * Not played, and why:
 * - I20 as a client error other than a login page: every 4xx is one row, so four of them stand for all.
 */
import type { Behaviours } from '../../../src/simulator/index.ts'
import {
  BAD_PAYLOAD,
  behave,
  behaveNext,
  CHALLENGE,
  CHALLENGE_BODY,
  COOKIE_EXPIRED,
  checkAnswer,
  checkPeace,
  FAILED,
  FAST_USED_UP,
  type FailureRig,
  failureRig,
  MARKERS,
  NOT_ACCEPTED,
  NOTHING,
  OUTAGE,
  OUTCOME_UNKNOWN,
  OVERLOADED,
  POLICY,
  SAID,
  SAID_PAGE,
  type Seen,
  TEXT_ROWS,
  TIMEOUT,
  UNSAFE,
  type Want
} from '../failure-table.ts'
import { type Column, type Group, group, outcomeOf, type PlayedOn } from './cell.ts'
import { type CreationRow, imageCell, worksAgain } from './creations.ts'

export const TOO_MANY: Want = {
  status: 429,
  type: 'rate_limit_error',
  code: 'too_many_jobs',
  retryAfter: [60, 180]
}
const NO_IMAGES: Want = { status: 502, type: 'upstream_error', code: 'no_images' }
const NOT_SHOWN: Want = { status: 502, type: 'upstream_error', code: 'upstream_rejected' }

const REFUSED = { submits: 1 }
const ENDED = { submits: 1, accepted: 1 }
/** One poll says "working", the next one says how it ended. */
const POLLED = { ...ENDED, polls: 2 }
const gpt = { model: 'GPT4O' }
const startPage = { answer: 'start-page' } as const
const signedOut = { page: 'signed-out' } as const

const OPTIONS = { renew: (rig: FailureRig) => rig.newCookie(), end: checkPeace }
const images = (name: string, rows: readonly CreationRow[]): Group =>
  group(`images: ${name}`, failureRig, rows.map(imageCell), OPTIONS)

const nobody = images('nobody is signed in', [
  {
    row: 'I1',
    form: 'signed-out page',
    behave: behave('bootstrap', signedOut),
    want: COOKIE_EXPIRED,
    seen: { bootstraps: 2 },
    at: 'bootstraps'
  },
  {
    row: 'I1',
    form: 'expired',
    behave: (sim) => sim.enqueue('bootstrap', { expireCookie: true }),
    want: COOKIE_EXPIRED,
    seen: { bootstraps: 2 },
    at: 'bootstraps'
  },
  {
    row: 'I1',
    form: 'only a hiccup',
    behave: behaveNext('bootstrap', signedOut),
    want: { pictures: 4 },
    seen: { ...POLLED, bootstraps: 2 },
    at: 'bootstraps'
  },
  {
    row: 'I1',
    form: 'any page without the marker',
    behave: behave('bootstrap', { body: SAID_PAGE }),
    want: COOKIE_EXPIRED,
    seen: { bootstraps: 2 },
    at: 'bootstraps'
  }
])

const challenged = images('a check instead of a page', [
  {
    row: 'I17',
    form: 'bootstrap',
    behave: behave('bootstrap', { body: CHALLENGE_BODY }),
    want: CHALLENGE,
    seen: { bootstraps: 1 },
    at: 'bootstraps'
  },
  {
    row: 'I17',
    form: 'poll',
    behave: (sim) => {
      sim.enqueue('bootstrap', {}, { body: CHALLENGE_BODY })
      sim.set('poll', { body: CHALLENGE_BODY })
    },
    want: CHALLENGE,
    seen: { ...ENDED, bootstraps: 2, polls: 1 },
    at: 'polls'
  },
  {
    row: 'I17',
    form: 'a prompt with its mark, repeated by polls',
    behave: behaveNext(
      'poll',
      { body: '<p>snrerror</p>' },
      { body: '<p>snrerror</p>' },
      { body: '<p>snrerror</p>' }
    ),
    body: { query: 'a snrerror in oil' },
    want: { pictures: 4 },
    seen: { ...ENDED, bootstraps: 1, polls: 5 },
    at: 'polls'
  }
])

const withoutCookie = group(
  'images: no cookie at all',
  (t) => failureRig(t, { config: { BING_COOKIE_U: undefined } }),
  (['image', 'video'] as const).map(
    (kind): PlayedOn<FailureRig> => ({
      row: 'C1',
      column: kind === 'image' ? 'image' : 'video submit',
      async play(t, rig) {
        const answer = await rig[kind]()
        checkAnswer(t, 'C1', answer, { ...COOKIE_EXPIRED, code: 'cookie_missing' })
        t.strictSame(rig.seen(), NOTHING)
        return outcomeOf(answer, 0)
      }
    })
  ),
  {
    async end(t, rig) {
      rig.newCookie()
      await worksAgain(t, rig, undefined, () => rig.image())
      await worksAgain(t, rig, undefined, () => rig.video())
    }
  }
)

/** Rows about the answer to the submit; asked once unless `seen` says otherwise. */
const submit = (row: Omit<CreationRow, 'at' | 'seen'> & { seen?: Partial<Seen> }): CreationRow => ({
  seen: REFUSED,
  at: 'submits',
  ...row
})

const notAccepted = images('submits that are not accepted', [
  submit({
    row: 'I2',
    form: 'twice',
    behave: behave('submit', startPage),
    want: NOT_ACCEPTED,
    seen: { bootstraps: 2, submits: 2 },
    says: /prompt was blocked.*fast creations/
  }),
  submit({
    row: 'I2',
    form: 'accepted with the other rt',
    behave: behaveNext('submit', startPage),
    want: { pictures: 4 },
    seen: { ...POLLED, bootstraps: 2, submits: 2 }
  }),
  submit({
    row: 'I2',
    form: 'no fast creations left, without a word',
    behave: behave('submit', { fastLeft: 0, whenFastUsedUp: 'start-page' }),
    body: gpt,
    want: { pictures: 1 },
    seen: { ...POLLED, bootstraps: 2, submits: 2 }
  }),
  submit({
    row: 'I2',
    form: 'then refused',
    behave: behaveNext('submit', startPage, { marker: 'dq-err' }),
    want: POLICY,
    seen: { bootstraps: 2, submits: 2 }
  }),
  submit({
    row: 'I3',
    behave: behaveNext('submit', { expireCookie: true }),
    want: COOKIE_EXPIRED,
    seen: { bootstraps: 3, submits: 1 }
  }),
  ...(['ongoing', 'queue-limit'] as const).flatMap((text) => [
    submit({
      row: 'I10',
      form: text,
      behave: behave('submit', { text }),
      want: TOO_MANY,
      seen: { submits: 2 }
    }),
    submit({
      row: 'I10',
      form: `${text}, once`,
      behave: behaveNext('submit', { text }),
      want: { pictures: 4 },
      seen: { ...POLLED, submits: 2 }
    })
  ]),
  submit({
    row: 'I11',
    form: 'standard queue',
    behave: behave('submit', { text: 'no-coins' }),
    want: FAST_USED_UP
  }),
  submit({
    row: 'I11',
    form: 'in both queues',
    behave: behave('submit', { text: 'no-coins' }),
    body: gpt,
    want: FAST_USED_UP,
    seen: { submits: 2 }
  }),
  submit({
    row: 'I11',
    form: 'accepted by the standard queue',
    behave: behave('submit', { fastLeft: 0, whenFastUsedUp: 'no-coins' }),
    body: gpt,
    want: { pictures: 1 },
    seen: { ...POLLED, submits: 2 }
  }),
  submit({
    row: 'I16',
    form: 'no id',
    behave: behave('submit', { answer: 'no-id' }),
    want: { ...BAD_PAYLOAD, stop: true }
  }),
  submit({
    row: 'I16',
    form: 'an answer of no known kind',
    behave: behave('submit', { body: 'OK' }),
    want: OUTCOME_UNKNOWN
  }),
  submit({ row: 'I16', form: 'login', behave: behave('submit', { answer: 'login' }), want: COOKIE_EXPIRED }),
  ...(['authns', 'snrerror'] as const).map((answer) =>
    submit({ row: 'I17', form: answer, behave: behave('submit', { answer }), want: CHALLENGE })
  )
])

const refusals = (
  [
    ['submit', REFUSED, 'submits'],
    ['resultPage', ENDED, 'submits'],
    ['poll', { ...ENDED, polls: 1 }, 'polls']
  ] as const
).map(([op, seen, at]) =>
  images(`refused, on the answer to ${op}`, [
    ...MARKERS.map(
      (marker): CreationRow => ({
        row: 'I4',
        form: `${op}: ${marker}`,
        behave: behave(op, { marker }),
        want: POLICY,
        seen,
        at
      })
    ),
    ...TEXT_ROWS.map(
      ([row, text, want]): CreationRow => ({
        row,
        form: `${op}: ${text}`,
        behave: behave(op, { text }),
        want,
        seen,
        at
      })
    )
  ])
)

const nothing = () => {}
const words = images('words that Bing refuses', [
  submit({
    row: 'I4',
    form: 'submit: a forbidden prompt',
    behave: nothing,
    body: { query: 'a forbidden thing' },
    want: POLICY
  }),
  {
    row: 'I4',
    form: 'poll: an unsafe prompt',
    behave: nothing,
    body: { query: 'an unsafe thing' },
    want: POLICY,
    seen: POLLED,
    at: 'polls',
    // Seed B's own words.
    says: /^Prompt rejected for content policy\.$/
  }
])

const outages = images(
  'an outage',
  (['outage', 'sorry'] as const).flatMap((text): CreationRow[] => [
    {
      row: 'I15',
      form: `bootstrap: ${text}`,
      behave: behave('bootstrap', { text }),
      want: OUTAGE,
      seen: { bootstraps: 3 },
      at: 'bootstraps'
    },
    {
      row: 'I15',
      form: `bootstrap: ${text} twice`,
      behave: behaveNext('bootstrap', { text }, { text }),
      want: { pictures: 4 },
      seen: { ...POLLED, bootstraps: 3 },
      at: 'bootstraps'
    },
    submit({ row: 'I15', form: `submit: ${text}`, behave: behave('submit', { text }), want: OUTAGE }),
    {
      row: 'I15',
      form: `result page: ${text}`,
      behave: behave('resultPage', { text }),
      want: { pictures: 4 },
      seen: POLLED,
      at: 'polls'
    },
    {
      row: 'I15',
      form: `poll: ${text}`,
      behave: behaveNext('poll', { text }, { text }),
      want: { pictures: 4 },
      seen: { ...ENDED, polls: 4 },
      at: 'polls'
    }
  ])
)

const hidden = images('the hidden panel of a good page says nothing', [
  {
    row: 'I12',
    form: 'hidden panel everywhere',
    behave: (sim) => {
      for (const op of ['bootstrap', 'resultPage', 'poll'] as const) sim.set(op, { hiddenPanel: true })
    },
    want: { pictures: 4 },
    seen: POLLED,
    at: 'polls'
  }
])

const poll = (
  row: string,
  form: string,
  behaviour: Partial<Behaviours['poll']>,
  want: CreationRow['want'],
  polls = 2
): CreationRow => ({
  row,
  form,
  behave: behave('poll', behaviour),
  want,
  seen: { ...ENDED, polls },
  at: 'polls'
})

const ends = images('what polls end with', [
  poll('I7', 'poll: bad image', { ready: 'bad-unsafe' }, UNSAFE),
  poll('I7', 'poll: bad image, relative', { ready: 'bad-unsafe-relative' }, UNSAFE),
  poll('I7', 'poll: errorType 16', { g3: true, errorType: 16 }, UNSAFE),
  poll('I7', 'poll: errorType 16 in a page', { g3: true, g3Page: true, errorType: 16 }, UNSAFE),
  poll('I12', 'poll: bad image', { ready: 'bad-overloaded' }, OVERLOADED),
  poll('I12', 'poll: bad image, relative', { ready: 'bad-overloaded-relative' }, OVERLOADED),
  poll('I19', 'errorMessage', { errorMessage: SAID }, FAILED),
  poll('I19', 'errorMessage that is known', { errorMessage: 'This prompt has been blocked' }, POLICY),
  poll('I19', 'errorType', { g3: true, errorType: 2 }, FAILED),
  poll('I22', 'for good', { ready: 'no-images' }, NO_IMAGES, 4),
  {
    row: 'I22',
    form: 'twice, then pictures',
    behave: behaveNext('poll', {}, { ready: 'no-images' }, { ready: 'no-images' }),
    want: { pictures: 4 },
    seen: { ...ENDED, polls: 4 },
    at: 'polls'
  },
  poll('I23', 'nothing left', { ready: 'no-scheme' }, UNSAFE),
  poll('I23', 'one of four', { ready: 'one-no-scheme' }, { pictures: 3 })
])

const SHAPES = ['empty', 'one-character', 'json', 'json-still', 'status-page', 'no-css'] as const
const pending = (
  form: string,
  behaviour: Partial<Behaviours['poll']>,
  polls: number,
  body?: object
): CreationRow => ({
  ...poll('I18', form, { pendingPolls: polls - 1, ...behaviour }, { pictures: body ? 1 : 4 }, polls),
  ...(body && { body })
})

const waiting = images('waiting in every shape', [
  ...SHAPES.map((shape) => pending(shape, { pending: [shape] }, 3)),
  pending('all of them', { pending: [...SHAPES] }, 7),
  pending('a preview of GPT-4o', { pending: ['streaming'] }, 3, gpt),
  pending('the JSON of the newer protocol', { g3: true }, 3),
  pending('some pictures, not all', { pendingPolls: 1, g3: true, g3Partial: true }, 3),
  {
    row: 'I18',
    form: 'JSON of an unknown shape, and half of one',
    behave: behaveNext('poll', { body: '{"said":"zebra-canary"}' }, { body: '{"errorMess' }),
    want: { pictures: 4 },
    seen: { ...ENDED, polls: 4 },
    at: 'polls'
  }
])

const refusedPolls = images('polls that Bing refuses', [
  ...[400, 401, 404, 410].flatMap((status): CreationRow[] => [
    {
      row: 'I20',
      form: `${status} for ever`,
      behave: behave('poll', { status, body: SAID }),
      want: NOT_SHOWN,
      seen: { ...ENDED, bootstraps: 3, polls: 3 },
      at: 'polls'
    },
    {
      row: 'I20',
      form: `${status} twice`,
      behave: behaveNext('poll', { status, body: SAID }, { status, body: SAID }),
      want: { pictures: 4 },
      seen: { ...ENDED, bootstraps: 3, polls: 4 },
      at: 'polls'
    }
  ]),
  {
    row: 'I20',
    form: 'signed out for good',
    behave: behaveNext('poll', { expireCookie: true }),
    want: COOKIE_EXPIRED,
    seen: { ...ENDED, bootstraps: 3, polls: 1 },
    at: 'polls'
  },
  {
    row: 'I20',
    form: 'refused, then signed out',
    behave: (sim) => {
      sim.enqueue('bootstrap', {}, signedOut, signedOut)
      sim.enqueue('poll', { status: 404 })
    },
    want: COOKIE_EXPIRED,
    seen: { ...ENDED, bootstraps: 3, polls: 1 },
    at: 'polls'
  }
])

const lateCases: [form: string, pending: Behaviours['poll']['pending'], says: RegExp][] = [
  ['pending', ['json'], /may be under review\. It may still finish/],
  ['pending and still pending', ['json', 'json-still'], /may be under review\. It may still finish/],
  ['empty', ['empty'], /in time\. It may still finish/],
  ['pages, then pending', ['no-css', 'json'], /in time\. It may still finish/]
]

const late = group(
  'images: not finished in time',
  // Slower than usual: what is said at the deadline must be stored within the gateway's two seconds of grace.
  (t) => failureRig(t, { speed: 4, config: { IMAGE_TIMEOUT_MS: 4000, POLL_INTERVAL_MS: 100 } }),
  [
    ...lateCases.map(
      ([form, pending, says]): PlayedOn<FailureRig> => ({
        row: 'I21',
        form,
        column: 'image',
        async play(t, rig) {
          rig.sim.set('poll', { neverReady: true, pending })
          const answer = await rig.image()
          checkAnswer(t, 'I21', answer, TIMEOUT)
          t.match(answer.json.error.message, says)
          const { polls, ...rest } = rig.seen()
          t.match(rest, { submits: 1, accepted: 1 })
          t.ok(polls > 2, `${polls} polls`)
          await worksAgain(t, rig, undefined, () => rig.image())
          return outcomeOf(answer)
        }
      })
    ),
    {
      row: 'I21',
      form: 'while the prompt is on its way',
      column: 'image',
      async play(t, rig) {
        rig.sim.enqueue('submit', { delayMs: 5000 })
        const answer = await rig.image()
        checkAnswer(t, 'the outcome is unknown', answer, OUTCOME_UNKNOWN)
        t.match(rig.seen(), { submits: 1, polls: 0 })
        await worksAgain(t, rig, undefined, () => rig.image())
        return outcomeOf(answer, 1)
      }
    }
  ],
  OPTIONS
)

const TOO_LONG = { code: 'prompt_too_long', stop: true } as const
const cases: [form: string, body: object, param: string, more?: Partial<Want>][] = [
  ['unknown model', { model: 'DALLE9' }, 'model'],
  ['unknown number of a model', { model: 2 }, 'model'],
  ['model of a wrong type', { model: {} }, 'model'],
  ['unknown aspect', { aspect: 'ROUND' }, 'aspect'],
  ['unknown number of an aspect', { aspect: 0 }, 'aspect'],
  ['no prompt', { query: undefined }, 'query'],
  ['empty prompt', { query: '' }, 'query'],
  ['blank prompt', { query: ' \n\t ' }, 'query'],
  ['prompt of a wrong type', { query: 7 }, 'query'],
  ['too many characters', { query: 'a'.repeat(4001) }, 'query', TOO_LONG],
  ['too many bytes', { query: '中'.repeat(1334) }, 'query', TOO_LONG],
  ['too many bytes, with half a character', { query: `${'中'.repeat(1333)}\ud800` }, 'query', TOO_LONG]
]

const neverSeen = group(
  'images: requests that Bing never sees',
  failureRig,
  cases.flatMap(([form, body, param, more]) =>
    // A video has neither.
    (['image', 'video'] as const)
      .filter((kind) => kind === 'image' || param === 'query')
      .map((kind): PlayedOn<FailureRig> => {
        const column: Column = kind === 'image' ? 'image' : 'video submit'
        return {
          row: 'I26',
          form,
          column,
          async play(t, rig) {
            const answer = await rig[kind](body)
            const want = { status: 400, type: 'invalid_request_error', code: null, param, ...more }
            checkAnswer(t, form, answer, want)
            t.strictSame(rig.seen(), NOTHING)
            return outcomeOf(answer, 0)
          }
        }
      })
  ),
  {
    async end(t, rig) {
      for (const query of ['a'.repeat(4000), '中'.repeat(1333), `half a character: \ud800`]) {
        t.equal((await rig.image({ query })).status, 200, 'the longest ones are taken')
      }
      checkPeace(t, rig)
    }
  }
)

/**
 * Pictures that are there but can't be fetched: rows of the copy that the gateway makes. The creation completes, the copy
 * is missing. The clients that fetch, other hosts included: test/upstream/media.test.ts.
 */
const copies = group(
  'images: pictures that can not be copied',
  failureRig,
  [
    {
      row: 'I25',
      column: 'image',
      async play(t, rig) {
        rig.sim.set('media', { expired: true })
        const answer = await rig.image()
        t.strictSame(
          [answer.status, answer.json.data.images.length, answer.json.data.media.length],
          [200, 4, 0],
          "Bing's addresses, no copies"
        )
        rig.sim.set('media', { plain: true })
        const next = await rig.image()
        t.equal(next.json.data.media.length, 4, 'the next ones are copied')
        rig.sim.reset()
        return { ...outcomeOf(answer, 1), got: '200 without copies' }
      }
    },
    {
      row: 'I24',
      column: 'image',
      async play(t, rig) {
        rig.sim.set('poll', { urls: 'tse' })
        const answer = await rig.image()
        for (const url of answer.json.data.images) {
          t.match(
            url,
            /^https:\/\/tse\d\.mm\.bing\.net\/th\/id\/OIG1\.[\w-]+\?pid=ImgGn$/,
            'handed out in full size'
          )
        }
        rig.sim.set('poll', {})
        t.equal((await rig.image()).status, 200)
        return outcomeOf(answer, 1)
      }
    }
  ] satisfies PlayedOn<FailureRig>[],
  { end: checkPeace }
)

export const imageGroups: readonly Group[] = [
  nobody,
  challenged,
  withoutCookie,
  notAccepted,
  ...refusals,
  words,
  outages,
  hidden,
  ends,
  waiting,
  refusedPolls,
  late,
  neverSeen,
  copies
]
