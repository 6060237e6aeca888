/** When circuits open, what they let through, and what closes them. Pure: time passes when the test says so. */
import t from 'tap'
import { CallerGone, GatewayError } from '../../src/errors.ts'
import { createAccountCircuit, PROBE_EVERY_MS, TRIAL_PAUSE_MS } from '../../src/upstream/account-circuit.ts'
import { FAILURES, type FailureId, UpstreamError } from '../../src/upstream/failures.ts'
import { createUpstreamHealth } from '../../src/upstream/health.ts'
import {
  createSeenState,
  type UpstreamName,
  type UpstreamOperation
} from '../../src/upstream/session-state.ts'
import { createTransportCircuit } from '../../src/upstream/transport-circuit.ts'
import { handClock } from '../support/hand-clock.ts'

const minutes = (n: number) => n * 60_000
const rows = Object.keys(FAILURES) as FailureId[]
const failure = (row: FailureId) => new UpstreamError(row)

t.test('the connections of one upstream', async (t) => {
  const OPENING = ['T1', 'T2', 'T3', 'T9', 'T9-bad', 'W1', 'W4', 'P15', 'P19']
  const NEUTRAL = ['S3', 'S14', 'S15', 'S16', 'S18', 'S19', 'I4', 'I5', 'I6', 'I7', 'I8', 'I9']

  function circuit() {
    const clock = handClock()
    let changes = 0
    const it = createTransportCircuit(clock, () => changes++)
    const call = (error?: unknown) => it.begin()(error)
    const fail = (row: FailureId, times: number) => {
      for (let n = 0; n < times; n++) call(failure(row))
    }
    return { clock, it, call, fail, changes: () => changes }
  }

  await t.test('five in a row open it, whichever they are', async (t) => {
    for (const row of rows) {
      const { it, fail } = circuit()
      fail(row, 4)
      t.equal(it.state, 'closed', `${row}, four times`)
      fail(row, 1)
      t.equal(it.state, OPENING.includes(row) ? 'open' : 'closed', `${row}, five times`)
    }
    const mixed = circuit()
    for (const row of ['T1', 'W4', 'T9', 'T3', 'T9-bad'] as const) mixed.fail(row, 1)
    t.equal(mixed.it.state, 'open')
  })

  await t.test('what comes in between', async (t) => {
    for (const row of rows.filter((row) => !OPENING.includes(row))) {
      const { it, fail } = circuit()
      fail('T1', 4)
      fail(row, 1)
      fail('T1', 1)
      if (NEUTRAL.includes(row)) t.equal(it.state, 'open', `${row} counts neither way`)
    }
    for (const [name, between] of [
      ['a good call', undefined],
      ['an answer', failure('S7')]
    ] as const) {
      const { it, call, fail } = circuit()
      fail('T1', 4)
      call(between)
      fail('T1', 4)
      t.equal(it.state, 'closed', name)
    }
    const left = circuit()
    left.fail('T1', 4)
    left.call(new Error('the caller left'))
    left.fail('T1', 1)
    t.equal(left.it.state, 'open', 'a caller who leaves counts neither way')
  })

  await t.test('open: nobody is asked, and told for how long', async (t) => {
    const { it, clock, fail } = circuit()
    fail('T9', 5)
    clock.pass(10_000)
    t.throws(() => it.begin(), {
      row: 'T9',
      type: 'upstream_unavailable_error',
      code: 'upstream_5xx',
      retryAfter: 20,
      asked: false
    })
    clock.pass(19_999)
    t.match(it.refusal(), { retryAfter: 1 })
    clock.pass(1)
    t.equal(it.state, 'half-open')
    t.equal(it.refusal(), undefined)
  })

  await t.test('half-open: one at a time, and longer each time that it fails', async (t) => {
    const { it, clock, call, fail } = circuit()
    fail('T1', 5)
    for (const seconds of [30, 60, 120, 240, 480, 600, 600]) {
      clock.pass(seconds * 1000 - 1)
      t.equal(it.state, 'open', `${seconds} s`)
      clock.pass(1)
      t.equal(it.state, 'half-open')
      const end = it.begin()
      t.throws(() => it.begin(), { code: 'unreachable' }, 'others wait')
      end(failure('T1'))
      t.equal(it.state, 'open')
    }
    clock.pass(600_000)
    it.begin()(new Error('the caller left'))
    t.equal(it.state, 'half-open', 'which tells nothing; the next one is the trial')
    call()
    t.equal(it.state, 'closed')
    fail('T1', 4)
    t.equal(it.state, 'closed', 'all is forgotten')
    fail('T1', 1)
    clock.pass(30_000)
    t.equal(it.state, 'half-open', 'and the wait is short again')
  })

  await t.test('what began before it opened', async (t) => {
    const { it, clock, fail } = circuit()
    const early = [it.begin(), it.begin()] as const
    fail('T1', 5)
    early[0](failure('T1'))
    clock.pass(30_000)
    t.equal(it.state, 'half-open', 'does not make it wait longer')
    early[1](failure('T1'))
    t.equal(it.state, 'half-open')
  })
})

t.test('an account', async (t) => {
  const ACCOUNT = 'T6 T7 C10 S2 I1 I3 I17 I20-auth V8 P2 P9'.split(' ')
  const everybody = ['sydney', 'image-creator', 'video-creator'] as const
  const creators: readonly UpstreamName[] = ['image-creator', 'video-creator']

  function circuit(proven = creators, hasProbe = true) {
    const clock = handClock()
    let probes = 0
    let changes = 0
    const it = createAccountCircuit({
      clock,
      onChange: () => void changes++,
      probe() {
        probes += 1
        return hasProbe
      },
      provenByProbe: new Set(proven)
    })
    const call = (name: UpstreamName, error?: unknown, operation: UpstreamOperation = 'create') =>
      it.begin(name, operation)(error)
    const refused = () => everybody.filter((name) => it.refusal(name) !== undefined)
    return { clock, it, call, refused, probes: () => probes, changes: () => changes }
  }

  await t.test('rows that open it, at once', async (t) => {
    for (const row of rows) {
      const { it, call, refused } = circuit()
      call('sydney', failure(row))
      const want = ACCOUNT.includes(row) ? everybody : row === 'C4' ? ['sydney'] : []
      t.strictSame([it.state, refused()], [want.length > 0 ? 'open' : 'closed', want], row)
    }
    const { it, call } = circuit()
    call('video-creator', new UpstreamError('V8', { code: 'cookie_missing' }))
    t.equal(it.state, 'closed', 'a cookie that is not set is no verdict')
  })

  await t.test('the same failure for everybody', async (t) => {
    for (const row of ACCOUNT as FailureId[]) {
      const { it, clock, call } = circuit()
      const first = failure(row)
      call('sydney', first)
      clock.pass(minutes(10))
      for (const name of everybody)
        t.throws(
          () => it.begin(name, 'create'),
          {
            row,
            type: first.type,
            code: first.code,
            message: first.message,
            shouldRetry: first.shouldRetry,
            asked: false,
            retryAfter: first.retryAfter === undefined ? undefined : 1200
          },
          row
        )
    }
  })

  await t.test('probes: every half hour, until one is good', async (t) => {
    const { it, clock, call, refused, probes } = circuit()
    call('image-creator', failure('I1'))
    clock.pass(PROBE_EVERY_MS - 1)
    t.equal(probes(), 0)
    clock.pass(1)
    t.equal(probes(), 1)
    it.probed('image-creator', failure('I1'))
    t.equal(it.state, 'open')
    clock.pass(PROBE_EVERY_MS)
    t.equal(probes(), 2)
    it.probed('image-creator', failure('T1'))
    t.strictSame([it.state, it.failure?.row], ['open', 'I1'], 'nobody there: nothing learnt')
    clock.pass(PROBE_EVERY_MS)
    t.equal(probes(), 3)
    it.probed('image-creator', failure('I14'))
    t.strictSame([it.state, it.failure?.row], ['open', 'I1'], 'not let in: no proof either')
    clock.pass(PROBE_EVERY_MS)
    t.equal(probes(), 4)
    it.probed('image-creator')
    t.strictSame([it.state, refused()], ['closed', []])
    clock.pass(10 * PROBE_EVERY_MS)
    t.equal(probes(), 4)
  })

  await t.test('a good probe is no proof for the chat', async (t) => {
    const { it, clock, call, refused } = circuit()
    call('sydney', failure('S2'))
    clock.pass(PROBE_EVERY_MS)
    it.probed('image-creator')
    t.strictSame([it.state, refused()], ['half-open', []])
    call('image-creator')
    t.equal(it.state, 'half-open', 'pictures prove nothing either')
    const trial = it.begin('sydney', 'create')
    t.strictSame(refused(), ['sydney'], 'one at a time; pictures are free')
    trial(failure('S2'))
    t.strictSame([it.state, refused()], ['open', everybody])

    clock.pass(PROBE_EVERY_MS)
    it.probed('image-creator')
    call('sydney', failure('W4'))
    t.equal(it.state, 'half-open', 'not even asked')
    clock.pass(TRIAL_PAUSE_MS)
    it.begin('sydney', 'create')(new Error('the caller left'))
    t.equal(it.state, 'half-open')
    it.begin('sydney', 'create')(failure('S16'))
    t.equal(it.state, 'closed', 'a prompt may be refused, the account is not')
  })

  /** Half-open after a good probe, because of what the chat has met. */
  function halfOpen(row: FailureId = 'C10', operation: UpstreamOperation = 'create') {
    const rig = circuit()
    rig.call('sydney', failure(row), operation)
    rig.clock.pass(PROBE_EVERY_MS)
    rig.it.probed('image-creator')
    return rig
  }

  await t.test('how a trial ends, row by row', async (t) => {
    const AGAIN = 'T5 C2 C3 C6 S6 S9 W3 I14 P1 P3 P6 P6-cookies P7 P11'.split(' ')
    const NOTHING = [
      ...'T1 T2 T3 T4 T9 T9-bad T10 T11 outcome-unknown C1 C5 C7 C8 W1 W4 W5 W6 W7 W8 W9 W10 W11 W12'.split(
        ' '
      ),
      ...'P4 P10 P15 P16 P18 P19 P-unclear I15 I16 I21 I21-review V9'.split(' ')
    ]
    for (const row of rows) {
      const { it, call, clock, refused } = halfOpen()
      call('sydney', failure(row))
      if (ACCOUNT.includes(row) || row === 'C4') {
        t.strictSame([it.state, it.failure?.row], ['open', row], `${row}: a person is needed`)
      } else if (AGAIN.includes(row)) {
        t.strictSame([it.state, it.failure?.row], ['open', row], `${row}: not let in either`)
        clock.pass(PROBE_EVERY_MS - 1)
        t.equal(it.state, 'open')
      } else if (NOTHING.includes(row)) {
        t.strictSame(
          [it.state, it.failure?.row, refused()],
          ['half-open', 'C10', ['sydney']],
          `${row}: nothing learnt`
        )
      } else t.equal(it.state, 'closed', `${row}: an answer like any other`)
    }
  })

  await t.test('trials that show nothing come at intervals', async (t) => {
    const { it, call, clock, refused, changes } = halfOpen()
    call('sydney', failure('P18'))
    clock.pass(TRIAL_PAUSE_MS - 1000)
    t.throws(() => it.begin('sydney', 'create'), {
      row: 'C10',
      code: 'challenge_required',
      asked: false,
      retryAfter: 1
    })
    t.strictSame(refused(), ['sydney'], 'pictures are free')
    const before = changes()
    clock.pass(1000)
    t.ok(changes() > before, 'who waits is told')
    t.strictSame(refused(), [])
    call('sydney', failure('T1'))
    t.strictSame(refused(), ['sydney'])
    it.reset()
    t.strictSame([it.state, refused()], ['closed', []])
  })

  await t.test('a chat that is not admitted leaves the pictures, after a trial too', async (t) => {
    const { call, refused, it } = halfOpen('C4')
    call('sydney', failure('S6'))
    t.strictSame([it.state, refused()], ['open', ['sydney']])
  })

  await t.test('what a turn has met, only a turn disproves', async (t) => {
    for (const row of ['S2', 'P9'] as const) {
      const { it, call, refused } = halfOpen(row, 'turn')
      call('sydney')
      t.strictSame(
        [it.state, it.failure?.row, refused()],
        ['half-open', row, []],
        `${row}: the next call is the trial`
      )
      call('sydney', failure('S7'))
      t.equal(it.state, 'half-open', 'an answer to a start is no better')
      call('sydney', failure('S16'), 'turn')
      t.equal(it.state, 'closed')
    }
    const start = halfOpen('C10', 'create')
    start.call('sydney')
    t.equal(start.it.state, 'closed', 'what a start has met, a start does')
    const turn = halfOpen('C10', 'create')
    turn.call('sydney', undefined, 'turn')
    t.equal(turn.it.state, 'closed', 'and a turn as well')
  })

  await t.test('without a probe a call is the trial', async (t) => {
    const { it, clock, call } = circuit([], false)
    call('copilot', failure('P9'))
    clock.pass(PROBE_EVERY_MS)
    t.equal(it.state, 'half-open')
    call('copilot')
    t.equal(it.state, 'closed')
  })

  await t.test('a person has acted', async (t) => {
    const { it, clock, call, refused, probes } = circuit()
    const old = it.begin('image-creator', 'create')
    call('sydney', failure('C10'))
    it.reset()
    t.strictSame([it.state, refused()], ['closed', []])
    old(failure('I1'))
    t.equal(it.state, 'closed', 'what the old cookies meet says nothing of the new ones')
    clock.pass(PROBE_EVERY_MS)
    t.equal(probes(), 0)
    const older = it.begin('sydney', 'create')
    it.reset()
    older(failure('S6'))
    t.equal(it.state, 'closed', 'even if all was well with them')
  })

  await t.test('the chat alone, and then all of it', async (t) => {
    const { it, call, refused } = circuit()
    call('sydney', failure('C4'))
    t.strictSame(refused(), ['sydney'])
    call('image-creator', failure('I1'))
    t.strictSame(refused(), everybody)
    t.match(it.refusal('sydney'), { code: 'cookie_expired' })
  })
})

t.test('a throttle outlasts mere looks, good or failed', async (t) => {
  const looks = ['poll', 'bootstrap', 'media'] as const
  for (const [of, error] of [
    ['a good one', undefined],
    ['a pending result', failure('I21')],
    ['an answer', failure('I4')],
    ['nobody there', failure('T1')]
  ] as const) {
    for (const look of looks) {
      const clock = handClock()
      const seen = createSeenState(clock)
      seen.note('submit', failure('T8'))
      const { until } = seen
      seen.note(look, error)
      t.strictSame([seen.state, seen.until, seen.row], ['throttled', until, 'T8'], `${of} (${look})`)
      clock.pass((until as number) - clock.now())
      t.equal(seen.state, 'ok')
      seen.note(look, failure('T1'))
      t.equal(seen.state, 'unreachable', 'afterwards it counts')
    }
  }
  const seen = createSeenState(handClock())
  seen.note('submit', failure('T8'))
  seen.note('poll', failure('I1'))
  t.equal(seen.state, 'expired', 'what needs a person is worse than a throttle')
  seen.note('submit', failure('T8'))
  seen.note('submit', failure('I4'))
  t.equal(seen.state, 'ok', 'a prompt that was judged was taken')
})

t.test('calls, and those who hear of them', async (t) => {
  function health() {
    const calls: [string, FailureId | undefined][] = []
    const logged: unknown[] = []
    const it = createUpstreamHealth({
      accounts: [
        {
          name: 'bing',
          account: { configured: true, generation: 1, onReplaced: () => () => {} },
          upstreams: ['sydney'],
          provenByProbe: []
        }
      ],
      clock: handClock(),
      log: { info() {}, warn() {}, error: (details: unknown) => void logged.push(details) },
      checkEveryMs: 0
    })
    it.onCall(({ outcome, row }) => void calls.push([outcome, row]))
    return { it, calls, logged }
  }
  const rejecting = (error: unknown) => () => Promise.reject(error)

  await t.test('outcomes', async (t) => {
    const { it, calls } = health()
    const stop = new AbortController()
    const reason = new Error('the task has ended')
    stop.abort(reason)
    const late = new AbortController()
    late.abort(failure('T4'))
    for (const [error, signal, ...want] of [
      [failure('S7'), undefined, 'upstream_internal', 'S7'],
      [failure('T4'), late.signal, 'timeout', 'T4'],
      [new GatewayError('api_error', 'x'), stop.signal, 'api_error'],
      [new TypeError('a defect'), undefined, 'api_error'],
      [new TypeError('a defect'), new AbortController().signal, 'api_error'],
      [new TypeError('a defect'), stop.signal, 'api_error'],
      [reason, stop.signal, 'cancelled'],
      [new CallerGone(), undefined, 'cancelled'],
      [new DOMException('x', 'AbortError'), undefined, 'cancelled']
    ] as const) {
      await t.rejects(it.observe('sydney', 'create', rejecting(error), signal), error)
      t.strictSame(calls.pop(), [want[0], want[1]], String(error))
    }
  })

  await t.test('a listener that fails harms neither the caller nor the circuits', async (t) => {
    const { it, calls, logged } = health()
    const fail = () => {
      throw new Error('a defect of a listener')
    }
    it.onCall(fail)
    it.onStateChange(fail)
    it.onCircuitChange(fail)
    const others: string[] = []
    it.onStateChange(({ state }) => void others.push(state))
    it.onCircuitChange(() => void others.push('circuit'))
    t.equal(await it.observe('sydney', 'create', async () => 'an answer'), 'an answer')
    const cut = failure('T1')
    for (let n = 0; n < 5; n++) await t.rejects(it.observe('sydney', 'create', rejecting(cut)), cut)
    t.strictSame(calls, [['ok', undefined], ...Array(5).fill(['unreachable', 'T1'])], 'each is told of once')
    t.match(it.circuits, [{ state: 'closed' }, { name: 'sydney', state: 'open' }], 'and counted once')
    t.strictSame(others, ['unreachable', 'circuit'], 'others hear of it all the same')
    t.equal(logged.length, 8, 'and the operator')
    await t.rejects(it.observe('sydney', 'create', fail), { row: 'T1', code: 'unreachable', asked: false })
    t.equal(calls.length, 6, 'what was refused was no call')
    it.close()
  })
})
