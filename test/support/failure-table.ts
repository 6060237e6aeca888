import type { Test } from 'tap'
import { isTerminal } from '../../src/jobs/task-states.ts'
import { errorPanel } from '../../src/simulator/creator/texts.ts'
import type { Behaviours, Simulator } from '../../src/simulator/index.ts'
import { type Answer, COOKIE, type Gateway, type GatewayOptions, startGateway } from './gateway.ts'

/** What the gateway must answer for a row of docs/protocol/failures.md. */
export interface Want {
  status: number
  type: string
  code: string | null
  /** Seconds, or the range that they must lie in; absent: no such header. */
  retryAfter?: number | readonly [least: number, most: number]
  /** `x-should-retry: false` is there. */
  stop?: true
  param?: string
}

// Answers that several rows share.
export const COOKIE_EXPIRED: Want = { status: 401, type: 'auth_error', code: 'cookie_expired', stop: true }
export const CHALLENGE: Want = {
  status: 503,
  type: 'upstream_unavailable_error',
  code: 'challenge_required',
  retryAfter: 1800,
  stop: true
}
export const REGION: Want = {
  status: 503,
  type: 'upstream_unavailable_error',
  code: 'region_blocked',
  retryAfter: 3600
}
export const UNREACHABLE: Want = {
  status: 503,
  type: 'upstream_unavailable_error',
  code: 'unreachable',
  retryAfter: 30
}
export const TROUBLE: Want = {
  status: 503,
  type: 'upstream_unavailable_error',
  code: 'upstream_5xx',
  retryAfter: 30
}
export const SERVER_ERROR: Want = {
  status: 502,
  type: 'upstream_error',
  code: 'upstream_5xx',
  retryAfter: 30
}
export const BAD_PAYLOAD: Want = { status: 502, type: 'upstream_error', code: 'bad_payload' }
export const OUTCOME_UNKNOWN: Want = {
  status: 502,
  type: 'upstream_error',
  code: 'outcome_unknown',
  stop: true
}
export const TIMEOUT: Want = { status: 504, type: 'upstream_timeout_error', code: 'timeout' }
export const POLICY: Want = {
  status: 422,
  type: 'prompt_rejected_error',
  code: 'content_policy',
  stop: true
}

/** Codes after which the circuit of the account, or of its chat, is open until a person has acted (section 9). */
const FOR_A_PERSON: ReadonlySet<string | null> = new Set([
  'cookie_expired',
  'challenge_required',
  'captcha_required',
  'account_forbidden'
])
/** Rows with such a code that open none: they have been seen as hiccups. */
const HICCUPS: ReadonlySet<string> = new Set(['C2', 'C3', 'S6', 'S9'])

/** Whether a row opens the circuit of the account at once. */
export function isForAPerson({ code }: Want, row = ''): boolean {
  return FOR_A_PERSON.has(code) && !HICCUPS.has(row)
}

export const rejected = (code: string): Want => ({
  status: 422,
  type: 'prompt_rejected_error',
  code,
  stop: true
})
export const invalid = (code: string): Want => ({
  status: 400,
  type: 'invalid_request_error',
  code,
  stop: true
})
export const UNSAFE = rejected('unsafe_result')
export const NOT_ACCEPTED: Want = { status: 502, type: 'upstream_error', code: 'not_accepted', stop: true }
export const FAST_USED_UP: Want = {
  status: 429,
  type: 'rate_limit_error',
  code: 'fast_quota_exhausted',
  retryAfter: [1, 86_400],
  stop: true
}
export const OVERLOADED: Want = {
  status: 503,
  type: 'upstream_unavailable_error',
  code: 'overloaded',
  retryAfter: 120
}
export const FAILED: Want = { status: 502, type: 'upstream_error', code: 'creation_failed', retryAfter: 60 }
export const OUTAGE: Want = {
  status: 503,
  type: 'upstream_unavailable_error',
  code: 'outage',
  retryAfter: 600
}

/** Signs of a refused prompt (row I4). */
export const MARKERS = ['girer-icon', 'clarity-tag', 'dq-err', 'gil-err-img', 'girer-title'] as const
/** Error texts that mean the same wherever they are shown. */
export const TEXT_ROWS: readonly [row: string, text: Behaviours['submit']['text'], want: Want][] = [
  ['I5', 'blocked', POLICY],
  ['I5', 'content-warning', POLICY],
  ['I6', 'under-review', rejected('under_review')],
  ['I7', 'unsafe-image', UNSAFE],
  ['I8', 'language', invalid('language_unsupported')],
  ['I9', 'short-prompt', invalid('prompt_too_short')],
  ['I12', 'high-demand', OVERLOADED],
  ['I12', 'cannot-create', OVERLOADED],
  ['I13', 'problem', FAILED],
  ['I13', 'try-later', FAILED],
  ['I14', 'region', REGION]
]

/** Part of every invented answer of the upstream; must never reach a caller. */
export const SAID = 'The upstream says zebra-canary.'
/** A page that stands in for one of the Creator's until a person has passed a check. */
export const CHALLENGE_BODY = `<!doctype html><title>One more step</title><div class="authns"><p>Please continue in your browser.</p></div>`
export const SAID_PAGE = `<!doctype html><title>${SAID}</title><p>${SAID}</p>`

/** What the simulator was asked, by kind of request. */
export interface Seen {
  creates: number
  bootstraps: number
  /** Submits that arrived. */
  submits: number
  accepted: number
  polls: number
}
export const NOTHING: Seen = { creates: 0, bootstraps: 0, submits: 0, accepted: 0, polls: 0 }

/** Checks an error answer against its row, and that nothing of the upstream's own words is in it. */
export function checkAnswer(t: Test, name: string, answer: Answer, want: Want): void {
  const { error } = answer.json
  t.strictSame(
    {
      status: answer.status,
      type: error?.type,
      code: error?.code,
      param: error?.param,
      stop: answer.headers['x-should-retry']
    },
    {
      status: want.status,
      type: want.type,
      code: want.code,
      param: want.param ?? null,
      stop: want.stop ? 'false' : undefined
    },
    name
  )
  checkWait(t, name, answer.headers['retry-after'], toldWait(want))
  checkWords(t, name, answer.text)
}

/** Where a person must act, it may be the open circuit that tells the caller: a moment later, with that much less to wait. */
function toldWait(want: Want): Want['retryAfter'] {
  const { retryAfter } = want
  return isForAPerson(want) && typeof retryAfter === 'number' ? [retryAfter - 100, retryAfter] : retryAfter
}

function checkWait(t: Test, name: string, header: unknown, want: Want['retryAfter']): void {
  if (typeof want === 'object') {
    const [least, most] = want
    const seconds = Number(header)
    const fits = Number.isInteger(seconds) && seconds >= least && seconds <= most
    t.ok(fits, `${name}: Retry-After from ${least} to ${most}`, { found: header })
  } else t.equal(header, want === undefined ? undefined : String(want), `${name}: Retry-After`)
}

/** Checks that a text for callers quotes neither the upstream nor the cookie. */
export function checkWords(t: Test, name: string, text: string): void {
  const shown = text.toLowerCase().replaceAll('\\', '')
  const quoted = [...UPSTREAM_WORDS, COOKIE].filter((words) => shown.includes(words.toLowerCase()))
  t.strictSame(quoted, [], `${name}: no words of the upstream`)
}

/** Checks a task that failed: `GET /task/:taskId` shows the row's type and code, and nothing of the upstream's own words. */
export function checkFailed(t: Test, name: string, task: Record<string, unknown>, want: Want): void {
  t.strictSame(
    [task.status, task.video, task.errorDetail],
    ['failed', null, { type: want.type, code: want.code }],
    name
  )
  t.ok(typeof task.error === 'string' && task.error !== '', `${name}: has a message`)
  checkWords(t, name, JSON.stringify(task))
}

/** Error texts of the creators; titles of a word or two are left out, they may be anybody's. */
const UPSTREAM_WORDS = [
  'zebra-canary',
  'contenu bloqu',
  ...(
    [
      'blocked',
      'content-warning',
      'under-review',
      'unsafe-image',
      'language',
      'short-prompt',
      'ongoing',
      'queue-limit',
      'no-coins',
      'high-demand',
      'cannot-create',
      'problem',
      'try-later',
      'region',
      'outage',
      'sorry',
      'video-requests',
      'video-rate',
      'video-concurrent',
      'video-wrong',
      'video-later',
      'video-could-not',
      'video-error',
      'video-unable'
    ] as const
  ).flatMap((text) =>
    errorPanel(text)
      .split(/<[^>]*>|(?<=[.!])\s/)
      .map((words) => words.trim())
      .filter((words) => words.length >= 20)
  )
]

/** A gateway whose hours are minutes, and what the rows of a table need of it. */
export interface FailureRig extends Gateway {
  /** Requests since the last row. */
  seen(): Seen
  /** Makes the next creation start with a bootstrap: the account's cookies are replaced by the same ones. */
  freshSession(): void
  /** Signs in again, as a person does: Bing accepts a new cookie, and the gateway gets it. */
  newCookie(): void
  image(body?: object): Promise<Answer>
  video(body?: object): Promise<Answer>
  /** Opens the creator session, so that the next creation starts with its submit. Counts are at 0 afterwards. */
  warm(): Promise<void>
  /** Waits until the simulator has counted this many of something. */
  until(counter: string, least: number): Promise<void>
  /** Waits until no creation is under way, and none is paused. */
  settled(): Promise<void>
  /** The stored task. */
  stored(taskId: string): ReturnType<Gateway['app']['store']['tasks']['get']>
}

/** Seconds that pass for the gateway in one real second. */
export const SPEED = 50

/** A gateway for tables: retries and backoff take no time, deadlines are far away unless `config` says otherwise. */
export async function failureRig(t: Test, options: GatewayOptions = {}): Promise<FailureRig> {
  const gateway = await startGateway(t, {
    ...options,
    speed: options.speed ?? SPEED,
    config: {
      POLL_INTERVAL_MS: 5 * SPEED,
      CHAT_TIMEOUT_MS: 3_000_000,
      IMAGE_TIMEOUT_MS: 3_000_000,
      ...options.config
    }
  })
  const { app } = gateway
  // Rows are played one after the other, and each starts from a reset: films must not be drawn for any of them.
  const sim: Simulator = Object.create(gateway.sim, {
    reset: {
      value() {
        gateway.sim.reset()
        gateway.sim.set('media', { plain: true })
      }
    }
  })
  const { account } = app.upstream
  let value = COOKIE
  let serial = 0
  const rig: FailureRig = {
    ...gateway,
    sim,
    seen() {
      const { counts } = sim
      const count = (...names: string[]) => names.reduce((sum, name) => sum + (counts[name] ?? 0), 0)
      return {
        creates: count('sydney.create'),
        bootstraps: count('creator.bootstrap'),
        submits: count('creator.submit.received', 'creator.video.submit.received'),
        accepted: count('creator.submit', 'creator.video.submit'),
        polls: count('creator.poll', 'creator.video.poll')
      }
    },
    freshSession() {
      account.replace(`_U=${value}; serial=${++serial}`)
    },
    newCookie() {
      value = `${COOKIE}-${++serial}`
      sim.cookies.accept(value)
      account.replace(value)
    },
    image: (body = {}) => gateway.post('/create/image', { query: 'a red lighthouse', ...body }),
    video: (body = {}) => gateway.post('/create/video', { query: 'a paper boat', ...body }),
    async warm() {
      const { status, text } = await rig.image()
      if (status !== 200) throw new Error(`a good image answered ${status}: ${text}`)
      sim.reset()
    },
    async until(counter, least) {
      for (let n = 0; (sim.counts[counter] ?? 0) < least; n++) {
        if (n === 1000) throw new Error(`${counter} did not reach ${least}`)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    },
    async settled() {
      for (let n = 0; n < 1000; n++) {
        const tasks = await app.store.tasks.list('', { limit: 100 })
        if (tasks.every(({ state }) => isTerminal(state))) return
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      throw new Error('a creation did not end')
    },
    stored: (taskId) => app.store.tasks.get(taskId)
  }
  return rig
}

/** An operation behaves like this until the row is over. */
export function behave<K extends keyof Behaviours>(
  op: K,
  behaviour: Partial<Behaviours[K]>
): (sim: Simulator) => void {
  return (sim) => sim.set(op, behaviour)
}

/** The behaviours of the next calls of an operation, one each; afterwards it is fine again. */
export function behaveNext<K extends keyof Behaviours>(
  op: K,
  ...behaviours: Partial<Behaviours[K]>[]
): (sim: Simulator) => void {
  return (sim) => sim.enqueue(op, ...behaviours)
}

/** Ends a table: no rule of the protocol was broken, and no secret was logged. */
export function checkPeace(t: Test, { sim, log }: Gateway): void {
  t.strictSame(sim.violations, [])
  t.notOk(log().includes(COOKIE), 'no cookie in the log')
}
