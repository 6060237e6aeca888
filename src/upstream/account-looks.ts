import type { BaseLogger } from 'pino'
import type { Clock } from '../clock.ts'
import { deadline } from '../jobs/deadline.ts'
import type { Account } from './account.ts'
import type { AccountCircuit } from './account-circuit.ts'
import { UpstreamError } from './failures.ts'
import type { UpstreamName } from './session-state.ts'

/** One probe, its repeats included, may take this long. */
const PROBE_TIMEOUT_MS = 60_000

/** The cheapest harmless look at an account. Resolves when it is signed in. @throws {UpstreamError} */
export type Probe = (signal: AbortSignal) => Promise<void>

/** How a probe ended, while the cookies that it went with are still those of the account. */
export interface ProbeEnd {
  name: UpstreamName
  error: unknown
}

/** Looks at an account in the name of nobody. */
export interface AccountLooks {
  /** Names the way; through the upstream `name`. */
  probeWith(name: UpstreamName, probe: Probe): void
  /** Whether there is a way. */
  readonly possible: boolean
  /** Looks now, unless a look is under way. */
  look(): void
  /** Something was learnt of the account by itself. */
  learnt(): void
  /** Begins to look whenever nothing was learnt for a while. */
  start(): void
  close(): void
}

export interface AccountLooksSettings {
  /** For the log. */
  name: string
  account: Pick<Account, 'configured' | 'generation'>
  circuit: AccountCircuit
  clock: Clock
  log: Pick<BaseLogger, 'error'>
  /** Accounts that nothing was learnt of for so long are looked at, in milliseconds; 0: never. */
  checkEveryMs: number
  /** Hears of each probe as of any other call. */
  onCall(name: UpstreamName, startedAt: number, error: unknown, isGood: boolean): void
  onEnd(end: ProbeEnd): void
}

export function createAccountLooks(settings: AccountLooksSettings): AccountLooks {
  const { account, circuit, clock, log, checkEveryMs } = settings
  const closing = new AbortController()
  let probe: { name: UpstreamName; run: Probe } | undefined
  let probing = false
  /** When something was learnt of the account last. */
  let learntAt = clock.now()
  let cancelCheck = () => {}

  async function look(): Promise<void> {
    if (probe === undefined || probing || closing.signal.aborted) return
    const { name, run } = probe
    probing = true
    const { generation } = account
    const startedAt = performance.now()
    const limit = deadline(clock, PROBE_TIMEOUT_MS, () => new UpstreamError('T4'), closing.signal)
    let error: unknown
    let isGood = false
    try {
      await run(limit.signal)
      isGood = true
    } catch (thrown) {
      error = thrown
    } finally {
      limit.clear()
      probing = false
    }
    if (closing.signal.aborted) return
    if (!isGood && !(error instanceof UpstreamError))
      log.error({ err: error, account: settings.name }, 'account could not be looked at')
    settings.onCall(name, startedAt, error, isGood)
    // What the old cookies met says nothing about those that came meanwhile.
    if (generation !== account.generation) return
    learntAt = clock.now()
    settings.onEnd({ name, error })
  }

  function checkLater(): void {
    const quietMs = clock.now() - learntAt
    // One that waits for a person is looked at by its circuit.
    const isDue = quietMs >= checkEveryMs && circuit.state === 'closed' && account.configured
    const waitMs = quietMs >= checkEveryMs ? checkEveryMs : checkEveryMs - quietMs
    if (isDue) void look()
    cancelCheck = clock.timer(waitMs, checkLater)
  }

  return {
    probeWith(name, run) {
      probe = { name, run }
    },
    get possible() {
      return probe !== undefined
    },
    look: () => void look(),
    learnt() {
      learntAt = clock.now()
    },
    start() {
      if (checkEveryMs === 0) return
      learntAt = clock.now()
      checkLater()
    },
    close() {
      closing.abort(new Error('the gateway is stopping'))
      cancelCheck()
    }
  }
}
