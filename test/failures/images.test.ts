/**
 * docs/protocol/failures.md section 7, rows I1 to I26, as callers of `POST /create/image` meet them.
 *
 * Not played here, and why:
 * - I24: the gateway fetches no pictures for callers yet, and a simulator on loopback can't be a `tse<N>` host. The
 *   client that will fetch them is tested in test/upstream/media.test.ts; here such an address is only handed out.
 * - I25: likewise.
 * - I20 as a client error other than a login page: every 4xx is one row, so four of them stand for all.
 */
import t, { type Test } from 'tap'
import type { Behaviours, Simulator } from '../../src/simulator/index.ts'
import {
  BAD_PAYLOAD,
  behave,
  behaveNext,
  CHALLENGE,
  COOKIE_EXPIRED,
  checkAnswer,
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
  SPEED,
  TEXT_ROWS,
  TIMEOUT,
  UNSAFE,
  type Want
} from '../support/failure-table.ts'
import { COOKIE } from '../support/gateway.ts'

const TOO_MANY: Want = { status: 429, type: 'rate_limit_error', code: 'too_many_jobs', retryAfter: [60, 180] }
const NO_IMAGES: Want = { status: 502, type: 'upstream_error', code: 'no_images' }
const NOT_SHOWN: Want = { status: 502, type: 'upstream_error', code: 'upstream_rejected' }
interface Row {
  name: string
  behave: (sim: Simulator) => void
  body?: object
  /** `pictures`: the creation succeeds after all, with this many. */
  want: Want | { pictures: number }
  seen: Partial<Seen>
  says?: RegExp
}

/** Plays rows on one gateway, each with a session that was not opened yet, and a good creation after each. */
async function play(t: Test, rig: FailureRig, rows: readonly Row[]): Promise<void> {
  for (const { name, behave, body, want, seen, says } of rows) {
    rig.freshSession()
    behave(rig.sim)
    const answer = await rig.image(body)
    if ('status' in want) checkAnswer(t, name, answer, want)
    else t.strictSame([answer.status, answer.json.data?.images?.length], [200, want.pictures], name)
    if (says !== undefined) t.match(answer.json.error.message, says, name)
    t.strictSame(rig.seen(), { ...NOTHING, bootstraps: 1, ...seen }, `${name}: requests`)
    t.strictSame(rig.sim.violations, [], name)
    rig.sim.reset()
    if (want === COOKIE_EXPIRED || want === CHALLENGE) rig.newCookie()
    t.equal((await rig.image()).status, 200, `${name}: the next one works`)
    rig.sim.reset()
  }
}

const REFUSED = { submits: 1 }
const ENDED = { submits: 1, accepted: 1 }
/** One poll says "working", the next one says how it ended. */
const POLLED = { ...ENDED, polls: 2 }

t.test('I1: nobody is signed in', async (t) => {
  const rig = await failureRig(t)
  const signedOut = { page: 'signed-out' } as const
  await play(t, rig, [
    { name: 'I1', behave: behave('bootstrap', signedOut), want: COOKIE_EXPIRED, seen: { bootstraps: 2 } },
    {
      name: 'I1 expired',
      behave: (sim) => sim.enqueue('bootstrap', { expireCookie: true }),
      want: COOKIE_EXPIRED,
      seen: { bootstraps: 2 }
    },
    {
      name: 'I1 only a hiccup',
      behave: behaveNext('bootstrap', signedOut),
      want: { pictures: 4 },
      seen: { ...POLLED, bootstraps: 2 }
    },
    {
      name: 'I1 any page without the marker',
      behave: behave('bootstrap', { body: SAID_PAGE }),
      want: COOKIE_EXPIRED,
      seen: { bootstraps: 2 }
    }
  ])
  t.notOk(rig.log().includes(COOKIE))
})

t.test('C1: no cookie at all', async (t) => {
  const rig = await failureRig(t, { config: { BING_COOKIE_U: undefined } })
  checkAnswer(t, 'C1', await rig.image(), { ...COOKIE_EXPIRED, code: 'cookie_missing' })
  t.strictSame(rig.seen(), NOTHING)
  rig.newCookie()
  t.equal((await rig.image()).status, 200)
})

t.test('I2, I3, I10, I11, I16, I17: submits that are not accepted', async (t) => {
  const rig = await failureRig(t)
  const startPage = { answer: 'start-page' } as const
  const gpt = { model: 'GPT4O' }
  await play(t, rig, [
    {
      name: 'I2',
      behave: behave('submit', startPage),
      want: NOT_ACCEPTED,
      seen: { bootstraps: 2, submits: 2 },
      says: /prompt was blocked.*fast creations/
    },
    {
      name: 'I2 accepted with the other rt',
      behave: behaveNext('submit', startPage),
      want: { pictures: 4 },
      seen: { ...POLLED, bootstraps: 2, submits: 2 }
    },
    {
      name: 'I2 no fast creations left, without a word',
      behave: behave('submit', { fastLeft: 0, whenFastUsedUp: 'start-page' }),
      body: gpt,
      want: { pictures: 1 },
      seen: { ...POLLED, bootstraps: 2, submits: 2 }
    },
    {
      name: 'I2 then refused',
      behave: behaveNext('submit', startPage, { marker: 'dq-err' }),
      want: POLICY,
      seen: { bootstraps: 2, submits: 2 }
    },
    {
      name: 'I3',
      behave: behaveNext('submit', { expireCookie: true }),
      want: COOKIE_EXPIRED,
      seen: { bootstraps: 3, submits: 1 }
    },
    ...(['ongoing', 'queue-limit'] as const).flatMap((text): Row[] => [
      { name: `I10 ${text}`, behave: behave('submit', { text }), want: TOO_MANY, seen: { submits: 2 } },
      {
        name: `I10 ${text} once`,
        behave: behaveNext('submit', { text }),
        want: { pictures: 4 },
        seen: { ...POLLED, submits: 2 }
      }
    ]),
    { name: 'I11', behave: behave('submit', { text: 'no-coins' }), want: FAST_USED_UP, seen: REFUSED },
    {
      name: 'I11 in both queues',
      behave: behave('submit', { text: 'no-coins' }),
      body: gpt,
      want: FAST_USED_UP,
      seen: { submits: 2 }
    },
    {
      name: 'I11 accepted by the standard queue',
      behave: behave('submit', { fastLeft: 0, whenFastUsedUp: 'no-coins' }),
      body: gpt,
      want: { pictures: 1 },
      seen: { ...POLLED, submits: 2 }
    },
    {
      name: 'I16',
      behave: behave('submit', { answer: 'no-id' }),
      want: { ...BAD_PAYLOAD, stop: true },
      seen: REFUSED
    },
    {
      name: 'an answer of no known kind',
      behave: behave('submit', { body: 'OK' }),
      want: OUTCOME_UNKNOWN,
      seen: REFUSED
    },
    { name: 'I16 login', behave: behave('submit', { answer: 'login' }), want: COOKIE_EXPIRED, seen: REFUSED },
    ...(['authns', 'snrerror'] as const).map(
      (answer): Row => ({
        name: `I17 ${answer}`,
        behave: behave('submit', { answer }),
        want: CHALLENGE,
        seen: REFUSED
      })
    )
  ])
})

t.test('I2: the second submit differs in rt and in nothing else', async (t) => {
  const rig = await failureRig(t)
  for (const [model, rts] of [
    ['DALLE', ['3', '4']],
    ['MAI1', ['4', '3']]
  ] as const) {
    rig.sim.enqueue('submit', { answer: 'start-page' })
    t.equal((await rig.image({ model, aspect: 2 })).status, 200)
    const [first, second, third] = rig.sim.requests.filter(({ method }) => method === 'POST')
    t.equal(third, undefined)
    const queries = [first, second].map((request) => new URLSearchParams(request?.search))
    t.strictSame(
      queries.map((query) => query.get('rt')),
      rts
    )
    for (const query of queries) for (const name of ['rt', 'IG']) query.delete(name)
    t.equal(String(queries[0]), String(queries[1]))
    t.equal(first?.body, second?.body)
    rig.sim.reset()
  }
})

for (const [op, seen] of [
  ['submit', REFUSED],
  ['resultPage', ENDED],
  ['poll', { ...ENDED, polls: 1 }]
] as const) {
  t.test(`I4 to I9, I12 to I14: refused, on the answer to ${op}`, async (t) => {
    const rig = await failureRig(t)
    await play(t, rig, [
      ...MARKERS.map((marker) => ({
        name: `I4 ${marker}`,
        behave: behave(op, { marker }),
        want: POLICY,
        seen
      })),
      ...TEXT_ROWS.map(([row, text, want]) => ({
        name: `${row} ${text}`,
        behave: behave(op, { text }),
        want,
        seen
      }))
    ])
  })
}

t.test('I4: words that Bing refuses, at once and later', async (t) => {
  const rig = await failureRig(t)
  const nothing = () => {}
  await play(t, rig, [
    { name: 'at once', behave: nothing, body: { query: 'a forbidden thing' }, want: POLICY, seen: REFUSED },
    { name: 'later', behave: nothing, body: { query: 'an unsafe thing' }, want: POLICY, seen: POLLED }
  ])
  const { json } = await rig.image({ query: 'an unsafe thing' })
  t.equal(json.error.message, 'Prompt rejected for content policy.', "seed B's own words")
})

t.test('I15: an outage', async (t) => {
  const rig = await failureRig(t)
  for (const text of ['outage', 'sorry'] as const) {
    await play(t, rig, [
      {
        name: `bootstrap ${text}`,
        behave: behave('bootstrap', { text }),
        want: OUTAGE,
        seen: { bootstraps: 3 }
      },
      {
        name: `bootstrap ${text} twice`,
        behave: behaveNext('bootstrap', { text }, { text }),
        want: { pictures: 4 },
        seen: { ...POLLED, bootstraps: 3 }
      },
      { name: `submit ${text}`, behave: behave('submit', { text }), want: OUTAGE, seen: REFUSED },
      {
        name: `result page ${text}`,
        behave: behave('resultPage', { text }),
        want: { pictures: 4 },
        seen: POLLED
      },
      {
        name: `poll ${text}`,
        behave: behaveNext('poll', { text }, { text }),
        want: { pictures: 4 },
        seen: { ...ENDED, polls: 4 }
      }
    ])
  }
})

t.test('I12: the hidden panel of a good page says nothing', async (t) => {
  const rig = await failureRig(t)
  await play(t, rig, [
    {
      name: 'everywhere',
      behave: (sim) => {
        for (const op of ['bootstrap', 'resultPage', 'poll'] as const) sim.set(op, { hiddenPanel: true })
      },
      want: { pictures: 4 },
      seen: POLLED
    }
  ])
})

t.test('I7, I12, I19, I22, I23: what polls end with', async (t) => {
  const rig = await failureRig(t)
  const poll = (name: string, behaviour: Partial<Behaviours['poll']>, want: Row['want'], polls = 2): Row => ({
    name,
    behave: behave('poll', behaviour),
    want,
    seen: { ...ENDED, polls }
  })
  await play(t, rig, [
    poll('I7 bad image', { ready: 'bad-unsafe' }, UNSAFE),
    poll('I7 bad image, relative', { ready: 'bad-unsafe-relative' }, UNSAFE),
    poll('I7 errorType 16', { g3: true, errorType: 16 }, UNSAFE),
    poll('I7 errorType 16 in a page', { g3: true, g3Page: true, errorType: 16 }, UNSAFE),
    poll('I12 bad image', { ready: 'bad-overloaded' }, OVERLOADED),
    poll('I12 bad image, relative', { ready: 'bad-overloaded-relative' }, OVERLOADED),
    poll('I19 errorMessage', { errorMessage: SAID }, FAILED),
    poll('I19 errorMessage that is known', { errorMessage: 'This prompt has been blocked' }, POLICY),
    poll('I19 errorType', { g3: true, errorType: 2 }, FAILED),
    poll('I22', { ready: 'no-images' }, NO_IMAGES, 4),
    {
      name: 'I22 twice, then pictures',
      behave: behaveNext('poll', {}, { ready: 'no-images' }, { ready: 'no-images' }),
      want: { pictures: 4 },
      seen: { ...ENDED, polls: 4 }
    },
    poll('I23 nothing left', { ready: 'no-scheme' }, UNSAFE),
    poll('I23 one of four', { ready: 'one-no-scheme' }, { pictures: 3 })
  ])
})

t.test('I18: waiting in every shape', async (t) => {
  const rig = await failureRig(t)
  const shapes = ['empty', 'one-character', 'json', 'json-still', 'status-page', 'no-css'] as const
  const row = (name: string, behaviour: Partial<Behaviours['poll']>, polls: number, body?: object): Row => ({
    name,
    behave: behave('poll', { pendingPolls: polls - 1, ...behaviour }),
    body,
    want: { pictures: body === undefined ? 4 : 1 },
    seen: { ...ENDED, polls }
  })
  await play(t, rig, [
    ...shapes.map((shape) => row(shape, { pending: [shape] }, 3)),
    row('all of them', { pending: [...shapes] }, 7),
    row('a preview of GPT-4o', { pending: ['streaming'] }, 3, { model: 'GPT4O' }),
    row('the JSON of the newer protocol', { g3: true }, 3),
    row('some pictures, not all', { pendingPolls: 1, g3: true, g3Partial: true }, 3),
    {
      name: 'JSON of an unknown shape, and half of one',
      behave: behaveNext('poll', { body: '{"said":"zebra-canary"}' }, { body: '{"errorMess' }),
      want: { pictures: 4 },
      seen: { ...ENDED, polls: 4 }
    }
  ])
})

t.test('I20: polls that Bing refuses', async (t) => {
  const rig = await failureRig(t)
  const refused = [400, 401, 404, 410].flatMap((status): Row[] => [
    {
      name: `${status} for ever`,
      behave: behave('poll', { status, body: SAID }),
      want: NOT_SHOWN,
      seen: { ...ENDED, bootstraps: 3, polls: 3 }
    },
    {
      name: `${status} twice`,
      behave: behaveNext('poll', { status, body: SAID }, { status, body: SAID }),
      want: { pictures: 4 },
      seen: { ...ENDED, bootstraps: 3, polls: 4 }
    }
  ])
  await play(t, rig, [
    ...refused,
    {
      name: 'signed out for good',
      behave: behaveNext('poll', { expireCookie: true }),
      want: COOKIE_EXPIRED,
      seen: { ...ENDED, bootstraps: 3, polls: 1 }
    },
    {
      name: 'refused, then signed out',
      behave: (sim) => {
        sim.enqueue('bootstrap', {}, { page: 'signed-out' }, { page: 'signed-out' })
        sim.enqueue('poll', { status: 404 })
      },
      want: COOKIE_EXPIRED,
      seen: { ...ENDED, bootstraps: 3, polls: 1 }
    }
  ])
})

/** Gateway milliseconds that are `ms` of real time. */
const real = (ms: number) => ms * SPEED

t.test('I10: queue, and once more after 30 s', async (t) => {
  const rig = await failureRig(t)
  await rig.warm()
  rig.sim.set('submit', { maxParallel: 1 })
  rig.sim.set('poll', { neverReady: true })
  const first = rig.image({ query: 'first' })
  await rig.until('creator.poll', 1)
  const startedAt = performance.now()
  const second = rig.image({ query: 'second' })
  await rig.until('creator.submit.received', 2)
  rig.sim.set('poll', {})
  t.strictSame(
    [(await first).status, (await second).status],
    [200, 200],
    'both are drawn, one after the other'
  )
  t.ok((performance.now() - startedAt) * SPEED >= 30_000, 'after 30 s')
  t.match(rig.seen(), { submits: 3, accepted: 2 })
  t.strictSame(rig.sim.violations, [])

  const hurried = await failureRig(t, { config: { IMAGE_TIMEOUT_MS: 29_000 } })
  hurried.sim.set('submit', { text: 'ongoing' })
  checkAnswer(t, 'no time to wait for', await hurried.image(), TOO_MANY)
  t.equal(hurried.seen().submits, 1)
})

t.test('I11: the wait ends at midnight UTC', async (t) => {
  const rig = await failureRig(t)
  rig.sim.set('submit', { text: 'no-coins' })
  const { headers } = await rig.image()
  const left = 86_400 - ((rig.app.clock.now() / 1000) % 86_400)
  t.ok(Math.abs(Number(headers['retry-after']) - left) < 3600, 'as long as the day still is')
})

t.test('I21: not finished in time', async (t) => {
  const cases: [pending: Behaviours['poll']['pending'], says: RegExp][] = [
    [['json'], /may be under review\. It may still finish/],
    [['json', 'json-still'], /may be under review\. It may still finish/],
    [['empty'], /in time\. It may still finish/],
    [['no-css', 'json'], /in time\. It may still finish/]
  ]
  const rig = await failureRig(t, { config: { IMAGE_TIMEOUT_MS: real(800) } })
  const startedAt = performance.now()
  for (const [pending, says] of cases) {
    rig.sim.set('poll', { neverReady: true, pending })
    const answer = await rig.image()
    checkAnswer(t, `I21 ${pending}`, answer, TIMEOUT)
    t.match(answer.json.error.message, says)
    t.match(rig.seen(), { submits: 1, accepted: 1 })
    t.ok(rig.seen().polls > 2)
    rig.sim.reset()
  }
  t.ok(performance.now() - startedAt < 10_000, 'nothing hangs')
  t.equal((await rig.image()).status, 200, 'the next one works')
  t.strictSame(rig.sim.violations, [])
})

t.test('I21: the time is over while the prompt is on its way', async (t) => {
  const rig = await failureRig(t, { config: { IMAGE_TIMEOUT_MS: real(800) } })
  rig.sim.enqueue('submit', { delayMs: 5000 })
  checkAnswer(t, 'the outcome is unknown', await rig.image(), OUTCOME_UNKNOWN)
  t.match(rig.seen(), { submits: 1, polls: 0 })
  t.equal((await rig.image()).status, 200, 'the next one works')
})

t.test('a gateway that stops before the prompt was sent says so', async (t) => {
  const rig = await failureRig(t)
  rig.sim.enqueue('bootstrap', { stall: 'before' })
  const image = rig.image()
  await rig.until('creator.bootstrap', 1)
  await rig.app.taskRunner.close(1)
  checkAnswer(t, 'bootstrap', await image, {
    status: 503,
    type: 'service_unavailable_error',
    code: 'restarted',
    retryAfter: 1
  })
  const other = await failureRig(t)
  other.sim.enqueue('submit', { stall: 'before' })
  const lost = other.image()
  await other.until('creator.submit.received', 1)
  await other.app.taskRunner.close(1)
  checkAnswer(t, 'submit', await lost, OUTCOME_UNKNOWN)
})

t.test('I26: requests that Bing never sees', async (t) => {
  const rig = await failureRig(t)
  const TOO_LONG = { code: 'prompt_too_long', stop: true } as const
  const cases: [name: string, body: object, param: string, more?: Partial<Want>][] = [
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
  for (const [name, body, param, more] of cases) {
    for (const call of name.includes('model') || name.includes('aspect')
      ? [rig.image]
      : [rig.image, rig.video]) {
      const want: Want = { status: 400, type: 'invalid_request_error', code: null, param, ...more }
      checkAnswer(t, `I26 ${name}`, await call(body), want)
    }
  }
  t.strictSame(rig.seen(), NOTHING)
  for (const query of ['a'.repeat(4000), '中'.repeat(1333), `half a character: \ud800`]) {
    t.equal((await rig.image({ query })).status, 200, 'the longest ones are taken')
  }
  t.strictSame(rig.sim.violations, [])
})

t.test('I24: addresses of alias hosts are handed out in full size', async (t) => {
  const rig = await failureRig(t)
  rig.sim.set('poll', { urls: 'tse' })
  for (const url of (await rig.image()).json.data.images) {
    t.match(url, /^https:\/\/tse\d\.mm\.bing\.net\/th\/id\/OIG1\.[\w-]+\?pid=ImgGn$/)
  }
})
