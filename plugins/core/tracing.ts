import fp from 'fastify-plugin'
import type { Task } from '../../src/store/task-store.ts'
import type { UpstreamName, UpstreamOperation } from '../../src/upstream/session-state.ts'

/** What the service tells its traces, where there are any. */
export interface Tracing {
  /** Makes a call to Microsoft within a span of its own. */
  upstreamCall<T>(
    name: UpstreamName,
    operation: UpstreamOperation,
    call: () => Promise<T>,
    signal?: AbortSignal
  ): Promise<T>
  /** Notes that the request under way has made a task. */
  taskMade(id: string): void
  /** Makes a step of a task, in the trace of the request that made it. */
  taskStep<T>(task: Pick<Task, 'id' | 'kind'>, step: 'submit' | 'look', run: () => Promise<T>): Promise<T>
  /** Sends a webhook about a task. The receiver can go on with the trace by the headers. */
  delivery<T>(taskId: string, send: (headers: Record<string, string>) => Promise<T>): Promise<T>
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Absent when nobody collects traces: then none of it is even loaded. */
    tracing: Tracing | undefined
  }
}

/**
 * OpenTelemetry traces, when a collector is named. Has to come before every route and before the hooks that should lie
 * within the request's span.
 */
export default fp(
  async (fastify) => {
    const { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT } = fastify.config
    if ((OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? OTEL_EXPORTER_OTLP_ENDPOINT) === undefined) {
      fastify.decorate('tracing', undefined)
      return
    }
    const { startTracing } = await loadTracing()
    fastify.decorate('tracing', await startTracing(fastify))
  },
  { name: 'tracing', dependencies: ['config', 'requests'] }
)

/** Not inside the default export, where TypeScript 5.9 leaves the ending of an imported file as it is. */
function loadTracing() {
  return import('./tracing-otel.ts')
}
