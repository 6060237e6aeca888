import { setTimeout as pause } from 'node:timers/promises'
import { Pool } from 'undici'
import { readyAfter } from '../../src/simulator/creator/jobs.ts'
import { logNormal, seededRandom } from '../../src/simulator/creator/random.ts'
import { temporaryFolder } from '../folders.ts'
import type { Group, Line } from '../lines.ts'
import type { FastGatewaySettings } from '../peers/fast-gateway.ts'
import { gatewayEnv, startOwnPeer, startSimulatorPeer } from '../processes.ts'
import { median } from '../stats.ts'

/** Seconds of the gateways' clocks in one of ours. All times below are theirs. */
const SPEED = 2.5
const MEDIAN_MS = 20_000
const SIGMA = 0.25
const ARRIVAL_MS = 30_000
const HISTORY = 100
const MODELS = [
  { model: 'DALLE', fixedMs: 5000 },
  { model: 'GPT4O', fixedMs: 3000 }
] as const

interface Outcome {
  /** Milliseconds from "ready" to the caller's answer, of each creation. */
  lags: number[]
  polls: number
  requests: number
}

async function run({ quick, progress }: Parameters<Group['run']>[0]): Promise<Line[]> {
  const jobs = quick ? 4 : 80
  const medianMs = quick ? 2000 : MEDIAN_MS
  const arrivalMs = quick ? 100 : ARRIVAL_MS
  const wait = { readyAfterMs: medianMs / SPEED, readySpread: SIGMA, pendingPolls: 0 }

  /** One model through one gateway with an upstream of its own, which counts the polls. */
  async function measure(model: string, fixedMs: number, isAdaptive: boolean): Promise<Outcome> {
    const simulator = await startSimulatorPeer({ poll: { ...wait, images: 1 }, media: { plain: true } })
    const random = seededRandom(fixedMs)
    const settings: FastGatewaySettings = {
      speed: SPEED,
      history: {
        model,
        // As polls at the fixed interval have seen them: when it was last not ready, and when it was.
        samples: Array.from({ length: isAdaptive ? HISTORY : 0 }, () => {
          const looks = Math.ceil(logNormal(random, medianMs, SIGMA) / fixedMs) + 1
          return { afterMs: (looks - 2) * fixedMs, byMs: (looks - 1) * fixedMs, looks }
        })
      }
    }
    const gateway = await startOwnPeer('fast-gateway', [JSON.stringify(settings)], {
      ...gatewayEnv(temporaryFolder(), simulator.url),
      IMAGE_CONCURRENCY: '0',
      ...(isAdaptive ? {} : { POLL_INTERVAL_MS: String(fixedMs) })
    })

    const pool = new Pool(gateway.url, { connections: jobs, headersTimeout: 0, bodyTimeout: 0 })

    async function create(n: number): Promise<number> {
      await pause((arrivals[n] as number) / SPEED)
      const query = `a bench by the sea, number ${n}`
      const from = performance.now()
      const answer = await pool.request({
        path: '/create/image',
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ query, model })
      })
      const text = await answer.body.text()
      if (answer.statusCode !== 200) throw new Error(`/create/image answered ${answer.statusCode}: ${text}`)
      return (performance.now() - from - readyAfter(query, wait)) * SPEED
    }

    const lags = await Promise.all(Array.from({ length: jobs }, (_, n) => create(n)))
    const counts = await simulator.counts()
    await pool.destroy()
    await Promise.all([gateway.stop(), simulator.stop()])
    const polls = counts['creator.poll'] ?? 0
    return { lags, polls: polls / jobs, requests: (polls + (counts['creator.result-page'] ?? 0)) / jobs }
  }

  const random = seededRandom(1)
  const arrivals = Array.from({ length: jobs }, () => random() * arrivalMs)
  progress(`${jobs} creations of each model`)
  const measured = await Promise.all(
    MODELS.map(async ({ model, fixedMs }) => {
      const [adaptive, fixed] = await Promise.all([
        measure(model, fixedMs, true),
        measure(model, fixedMs, false)
      ])
      return linesOf(model, fixedMs, adaptive, fixed)
    })
  )
  return measured.flat()
}

function linesOf(model: string, fixedMs: number, adaptive: Outcome, fixed: Outcome): Line[] {
  const seconds = ({ lags }: Outcome) =>
    `${(median(lags) / 1000).toFixed(2)} s (shortest ${(Math.min(...lags) / 1000).toFixed(2)})`
  return [
    {
      what: `${model}, picture ready → caller answered, median lag against polls every ${fixedMs / 1000} s`,
      value: median(adaptive.lags) / median(fixed.lags),
      unit: '×',
      target: { atMost: 0.4 },
      note: `adaptive ${seconds(adaptive)}, fixed ${seconds(fixed)}, the way to the upstream and the copy of the picture included`
    },
    {
      what: `${model}, polls per creation against polls every ${fixedMs / 1000} s`,
      value: adaptive.polls / fixed.polls,
      unit: '×',
      target: { atMost: 1 },
      note: `adaptive ${adaptive.polls.toFixed(2)}, fixed ${fixed.polls.toFixed(2)}; with the result pages ${adaptive.requests.toFixed(2)} and ${fixed.requests.toFixed(2)}`
    }
  ]
}

export const polls: Group = {
  name: 'polls',
  about: `creations at random times, ready after a log-normal time (median ${MEDIAN_MS / 1000} s, sigma ${SIGMA}); both gateways side by side with clocks that run ${SPEED} times as fast, the adaptive one knows ${HISTORY} earlier creations as the fixed interval saw them`,
  run
}
