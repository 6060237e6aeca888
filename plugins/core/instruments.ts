import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

/** Seconds. OpenTelemetry's HTTP buckets, and longer ones for turns and pictures. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 120, 300]
/** Seconds. Until somebody sees text, half a second more or less is what they notice. */
const FIRST_TOKEN_SECONDS = [0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 5, 7.5, 10, 15, 20, 30, 45, 60, 120]
/** Seconds. From a picture to a video that waits its turn in Bing's slow queue. */
const TASK_SECONDS = [1, 2.5, 5, 10, 15, 20, 30, 45, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 21600]
const QUEUE_SECONDS = [0.005, 0.05, 0.25, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600, 21600]

/**
 * What the gateway measures beside what each capability counts for itself. Names after OpenTelemetry's conventions where
 * they have one. No user, prompt or id is a label, and no text that Microsoft chooses: the values of each are few.
 */
export function createInstruments(registry: Registry) {
  const registers = [registry]
  return {
    requestDuration: new Histogram({
      name: 'http_server_request_duration_seconds',
      help: 'Duration of HTTP server requests.',
      labelNames: ['http_request_method', 'http_route', 'http_response_status_code', 'error_type'],
      buckets: SECONDS,
      registers
    }),
    internalErrors: new Counter({
      name: 'bing_gateway_internal_errors_total',
      help: 'Requests that failed with api_error: defects of the gateway.',
      registers
    }),
    upstreamCalls: new Counter({
      name: 'bing_gateway_upstream_requests_total',
      help: 'Calls to Microsoft by what became of them: ok, cancelled, or an error code.',
      labelNames: ['driver', 'op', 'outcome'],
      registers
    }),
    upstreamDuration: new Histogram({
      name: 'bing_gateway_upstream_request_duration_seconds',
      help: 'Duration of calls to Microsoft, their repeats included.',
      labelNames: ['driver', 'op'],
      buckets: SECONDS,
      registers
    }),
    firstToken: new Histogram({
      name: 'bing_gateway_time_to_first_token_seconds',
      help: 'From the beginning of a turn at Microsoft to the first text of its answer.',
      labelNames: ['driver'],
      buckets: FIRST_TOKEN_SECONDS,
      registers
    }),
    unknownEvents: new Counter({
      name: 'bing_gateway_upstream_unknown_events_total',
      help: 'Messages of Microsoft of a kind that this version does not know.',
      labelNames: ['driver'],
      registers
    }),
    queueWait: new Histogram({
      name: 'bing_gateway_queue_wait_seconds',
      help: 'Time that work waited for a free place before Microsoft was asked.',
      labelNames: ['kind'],
      buckets: QUEUE_SECONDS,
      registers
    }),
    taskDuration: new Histogram({
      name: 'bing_gateway_task_duration_seconds',
      help: 'Time from the acceptance of a creation to its end.',
      labelNames: ['kind', 'status'],
      buckets: TASK_SECONDS,
      registers
    })
  }
}

export type Instruments = ReturnType<typeof createInstruments>

/** A gauge whose values are asked for when somebody looks. `onFault` hears why they could not be had; the last ones stay. */
export function askedGauge<T extends string>(
  registry: Registry,
  { name, help, labelNames = [] }: { name: string; help: string; labelNames?: readonly T[] },
  ask: (set: (labels: Record<T, string>, value: number) => void) => void | Promise<void>,
  onFault: (error: unknown) => void = () => {}
): void {
  new Gauge({
    name,
    help,
    labelNames: [...labelNames],
    registers: [registry],
    async collect() {
      const seen: [Record<T, string>, number][] = []
      try {
        await ask((labels, value) => seen.push([labels, value]))
      } catch (error) {
        onFault(error)
        return
      }
      this.reset()
      for (const [labels, value] of seen) this.set(labels, value)
    }
  })
}
