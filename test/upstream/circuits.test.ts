/** When circuits open, what they let through, and what closes them. Pure: time passes when the test says so. */
import t from 'tap'
import { createAccountCircuit, PROBE_EVERY_MS } from '../../src/upstream/account-circuit.ts'
import { FAILURES, type FailureId, UpstreamError } from '../../src/upstream/failures.ts'
import type { UpstreamName } from '../../src/upstream/session-state.ts'
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
    const it = createAccountCircuit({
      clock,
      onChange() {},
      probe() {
        probes += 1
        return hasProbe
      },
      provenByProbe: new Set(proven)
    })
    const call = (name: UpstreamName, error?: unknown) => it.begin(name)(error)
    const refused = () => everybody.filter((name) => it.refusal(name) !== undefined)
    return { clock, it, call, refused, probes: () => probes }
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
          () => it.begin(name),
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
    it.probed('image-creator')
    t.strictSame([it.state, refused()], ['closed', []])
    clock.pass(10 * PROBE_EVERY_MS)
    t.equal(probes(), 3)
  })

  await t.test('a good probe is no proof for the chat', async (t) => {
    const { it, clock, call, refused } = circuit()
    call('sydney', failure('S2'))
    clock.pass(PROBE_EVERY_MS)
    it.probed('image-creator')
    t.strictSame([it.state, refused()], ['half-open', []])
    call('image-creator')
    t.equal(it.state, 'half-open', 'pictures prove nothing either')
    const trial = it.begin('sydney')
    t.strictSame(refused(), ['sydney'], 'one at a time; pictures are free')
    trial(failure('S2'))
    t.strictSame([it.state, refused()], ['open', everybody])

    clock.pass(PROBE_EVERY_MS)
    it.probed('image-creator')
    it.begin('sydney')(failure('W4'))
    t.equal(it.state, 'half-open', 'not even asked')
    it.begin('sydney')(new Error('the caller left'))
    t.equal(it.state, 'half-open')
    it.begin('sydney')(failure('S16'))
    t.equal(it.state, 'closed', 'a prompt may be refused, the account is not')
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
    const old = it.begin('image-creator')
    call('sydney', failure('C10'))
    it.reset()
    t.strictSame([it.state, refused()], ['closed', []])
    old(failure('I1'))
    t.equal(it.state, 'closed', 'what the old cookies meet says nothing of the new ones')
    clock.pass(PROBE_EVERY_MS)
    t.equal(probes(), 0)
    const older = it.begin('sydney')
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
