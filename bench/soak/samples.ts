/** What the gateway's process says of itself, over time. */
import { setTimeout as pause } from 'node:timers/promises'

const MB = 2 ** 20

export interface Sample {
  at: number
  /** MB. */
  rss: number
  /** MB, garbage included. */
  heap: number
  handles: number
  fds: number
  loopDelayMs: number
  /** Seconds since the epoch; another one is another process. */
  startedAt: number
  processing: number
  /** Circuits that are not closed. */
  open: string[]
  /** Upstreams that are not ok, with their states. */
  states: string[]
}

/** Reads the gateway's metrics. @throws when it does not answer */
export async function sample(url: string): Promise<Sample> {
  const answer = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(10_000) })
  const text = await answer.text()
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  const value = (name: string) =>
    Number(lines.find((line) => line.startsWith(`${name} `))?.slice(name.length + 1) ?? Number.NaN)
  const set = (name: string, label: string, fine: string) =>
    lines.flatMap((line) => {
      const [, labels = '', number] =
        /^(?:[a-z_]+)\{(.*)\} (\S+)$/.exec(line.startsWith(`${name}{`) ? line : '') ?? []
      const of = (label: string) => new RegExp(`${label}="([^"]*)"`).exec(labels)?.[1] ?? ''
      return number === '1' && of('state') !== fine ? [`${of(label)} ${of('state')}`] : []
    })
  return {
    at: Date.now(),
    rss: value('process_resident_memory_bytes') / MB,
    heap: value('nodejs_heap_size_used_bytes') / MB,
    handles: value('nodejs_active_handles_total'),
    fds: value('process_open_fds'),
    loopDelayMs: value('nodejs_eventloop_lag_p99_seconds') * 1000,
    startedAt: value('process_start_time_seconds'),
    processing: value('bing_gateway_tasks{status="processing"}') || 0,
    open: set('bing_gateway_circuit_state', 'circuit', 'closed'),
    states: set('bing_gateway_session_state', 'upstream', 'ok')
  }
}

/** Samples until told to stop. */
export function watchProcess(url: string, everyMs: number) {
  const samples: Sample[] = []
  let missed = 0
  let stopped = false
  const done = (async () => {
    while (!stopped) {
      await sample(url).then(
        (one) => samples.push(one),
        () => missed++
      )
      await pause(everyMs)
    }
  })()
  return {
    samples: samples as readonly Sample[],
    get latest() {
      return samples.at(-1)
    },
    /** Times that nobody answered. */
    get missed() {
      return missed
    },
    stop() {
      stopped = true
      return done
    }
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

/** Medians of the second and of the last third of the samples: the first one is for warming up. */
export function thirds(
  samples: readonly Sample[],
  of: (one: Sample) => number
): [middle: number, last: number] {
  const third = Math.ceil(samples.length / 3)
  const from = (n: number) => samples.slice(n * third, (n + 1) * third).map(of)
  return [median(from(1)), median(from(2))]
}
