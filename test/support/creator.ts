import { readFileSync } from 'node:fs'
import type { Test } from 'tap'
import type { Clock } from '../../src/clock.ts'
import { startSimulator } from '../../src/simulator/index.ts'
import { createAccount } from '../../src/upstream/account.ts'
import {
  type Accepted,
  type CreationClient,
  type CreationResult,
  isPassing,
  type Job
} from '../../src/upstream/creation-client.ts'
import { UpstreamError } from '../../src/upstream/failures.ts'
import { createUpstreamHttp } from '../../src/upstream/http.ts'
import { createCreatorSession } from '../../src/upstream/image-creator/session.ts'

/** A clock on which no sleep takes time. */
export function hurriedClock(startMs = Date.now()): Clock & { slept: number[] } {
  let now = startMs
  const slept: number[] = []
  return {
    slept,
    now: () => now,
    async sleep(ms: number, signal?: AbortSignal) {
      signal?.throwIfAborted()
      now += ms
      slept.push(ms)
      await new Promise((resolve) => setImmediate(resolve))
      signal?.throwIfAborted()
    },
    timer(ms, callback) {
      const timer = setTimeout(callback, ms).unref()
      return () => clearTimeout(timer)
    }
  }
}

/** A simulator, an account that it accepts, and the settings of clients that talk to it. */
export async function creatorRig(
  t: Test,
  { cookie = 'simulated-cookie', now }: { cookie?: string; now?: number } = {}
) {
  const simulator = await startSimulator()
  const account = createAccount([simulator.url])
  if (cookie !== '') account.replace(cookie)
  const http = createUpstreamHttp({ account })
  const clock = hurriedClock(now)
  const bingUrl = simulator.url
  const session = createCreatorSession({ bingUrl, account, http, clock })
  t.teardown(() => Promise.all([http.close(), simulator.close()]))
  return {
    simulator,
    account,
    http,
    clock,
    session,
    settings: { bingUrl, mediaUrl: simulator.url, account, http, clock, session }
  }
}

export const never = new AbortController().signal

/** What a call fails with: the row, or the error itself where it is no upstream failure. */
export async function rowOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => 'no failure',
    (error: unknown) => (error instanceof UpstreamError ? error.row : error)
  )
}

/** Looks until the creation is ready, as whoever runs jobs does. Fails after 20 looks. */
export async function lookUntilReady<R>(
  client: CreationClient<R>,
  accepted: Accepted,
  request: R
): Promise<{ result: CreationResult; looks: number; job: Job<R> }> {
  let job: Job<R> = { ...accepted, request, memory: {} }
  for (let looks = 1; looks <= 20; looks++) {
    try {
      const look = await client.look(job, never)
      if (look.state === 'ready') return { result: look.result, looks, job }
      job = { ...job, memory: JSON.parse(JSON.stringify(look.memory)) }
    } catch (error) {
      if (!isPassing(error)) throw error
    }
  }
  throw new Error('not ready after 20 looks')
}

/** The text of a file in the `fixtures` folder beside a test. */
export function fixture(testUrl: string, name: string): string {
  return readFileSync(new URL(`fixtures/${name}`, testUrl), 'utf8')
}
