import { randomUUID } from 'node:crypto'
import { FastifyOtelInstrumentation } from '@fastify/otel'
import {
  type Context,
  context,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  type SpanOptions,
  SpanStatusCode,
  trace
} from '@opentelemetry/api'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { OTLPTraceExporter as ProtobufExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes
} from '@opentelemetry/resources'
import { BatchSpanProcessor, NodeTracerProvider, type SpanExporter } from '@opentelemetry/sdk-trace-node'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { BaseLogger } from 'pino'
import { type Config, packageInfo } from '../../src/config.ts'
import { GatewayError, wasStopped } from '../../src/errors.ts'
import { parseOtlpHeaders } from '../../src/otlp-headers.ts'
import { codeOfRow, UpstreamError } from '../../src/upstream/failures.ts'
import type { UpstreamName, UpstreamOperation } from '../../src/upstream/session-state.ts'
import type { EndedRequest } from './requests.ts'
import type { Tracing } from './tracing.ts'

/** Ending must not wait for a collector that is gone; in milliseconds. */
const FLUSH_MS = 2000
/** Requests whose tasks are remembered, some 200 bytes each. Steps of older ones begin traces of their own. */
const REMEMBERED_TASKS = 10_000
/** Between two complaints about a collector that does not answer; in milliseconds. */
const COMPLAIN_EVERY_MS = 60_000
const NOT_FOUND_HANDLER = 'notFoundHandler'
const UNTRACED = new Set(['/livez', '/readyz', '/metrics'])

/** OpenTelemetry's word for what an operation does, where it has one. */
const GEN_AI: Partial<Record<UpstreamOperation, string>> = { turn: 'chat', submit: 'generate_content' }
const PROVIDERS: Record<UpstreamName, string> = {
  sydney: 'microsoft.bing',
  copilot: 'microsoft.copilot',
  'image-creator': 'microsoft.bing',
  'video-creator': 'microsoft.bing'
}

/**
 * Starts to trace requests and the calls to Microsoft that they lead to. Spans carry names of routes and operations,
 * outcomes and times: no prompt, no answer, no user, no id of theirs, no URL with its query.
 *
 * `traceparent` goes to receivers of webhooks, who may be part of the operator's system. Not to Microsoft: a browser
 * sends none, and it would tell which of the operator's requests belong together.
 */
export async function startTracing(fastify: FastifyInstance): Promise<Tracing> {
  const { config, log, requests } = fastify
  const { version } = packageInfo()
  const provider = new NodeTracerProvider({
    resource: defaultResource()
      .merge(resourceFromAttributes({ 'service.version': version, 'service.instance.id': randomUUID() }))
      .merge(detectResources({ detectors: [envDetector] }))
      .merge(resourceFromAttributes({ 'service.name': config.OTEL_SERVICE_NAME })),
    spanProcessors: [new BatchSpanProcessor(watched(exporterOf(config), log))]
  })
  // W3C trace context only: baggage would carry whatever callers put there.
  provider.register({ propagator: new W3CTraceContextPropagator() })
  const tracer = provider.getTracer('bing-gateway', version)

  const spans = new WeakMap<FastifyRequest, RequestSpan>()
  const otel = new FastifyOtelInstrumentation({
    // One span a request: hooks would be twenty more, of microseconds each.
    instrumentHooks: false,
    instrumentHandler: false,
    // Messages of unexpected errors may hold anything.
    recordExceptions: false,
    ignorePaths: ({ url }) => UNTRACED.has(url.split('?', 1)[0] as string),
    requestHook: (span, request) => {
      request.log = request.log.child({ traceId: span.spanContext().traceId })
      request.trace = { traceparent: traceparentOf(span.spanContext()) }
      spans.set(request, takeOver(span, request.routeOptions.url, request.method))
    }
  })
  otel.setTracerProvider(provider)
  await fastify.register(otel.plugin())
  fastify.addHook('preValidation', (request, _reply, done) => {
    // What has read the body did so outside of the request's context.
    const { context: own } = request.opentelemetry()
    if (own) context.with(own, done)
    else done()
  })
  requests.onEnd((ended) => spans.get(ended.request)?.end(ended))
  // Closes last, since whoever was registered later is closed first: what ends meanwhile is still sent.
  fastify.addHook('onClose', () => soon(provider.shutdown()))

  /** Which span has made a task: the oldest is forgotten first. */
  const makers = new Map<string, SpanContext>()

  /** Runs something as part of the request that has made a task, and of no other that is under way right now. */
  function inTraceOf<T>(taskId: string, name: string, kind: SpanKind, run: (span: Span) => Promise<T>) {
    const maker = makers.get(taskId)
    const parent = maker === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, maker)
    return spanned(name, { kind }, parent, run)
  }

  async function spanned<T>(
    name: string,
    options: SpanOptions,
    parent: Context,
    run: (span: Span) => Promise<T>,
    signal?: AbortSignal
  ): Promise<T> {
    const span = tracer.startSpan(name, options, parent)
    try {
      return await context.with(trace.setSpan(parent, span), run, undefined, span)
    } catch (error) {
      span.setAttribute('error.type', errorType(error, signal))
      // Who was told to stop has not failed.
      if (!wasStopped(error, signal)) span.setStatus({ code: SpanStatusCode.ERROR })
      throw error
    } finally {
      span.end()
    }
  }

  return {
    upstreamCall(driver, operation, call, signal) {
      const genAi = GEN_AI[operation]
      const attributes = {
        'bing_gateway.driver': driver,
        'bing_gateway.operation': operation,
        ...(genAi === undefined
          ? {}
          : { 'gen_ai.operation.name': genAi, 'gen_ai.provider.name': PROVIDERS[driver] })
      }
      const options = { kind: SpanKind.CLIENT, attributes }
      return spanned(`${operation} ${driver}`, options, context.active(), call, signal)
    },

    taskMade(id) {
      const maker = trace.getSpanContext(context.active())
      if (maker === undefined) return
      makers.set(id, maker)
      const [oldest] = makers.keys()
      if (makers.size > REMEMBERED_TASKS && oldest !== undefined) makers.delete(oldest)
    },

    taskStep({ id, kind }, step, run) {
      const maker = makers.get(id)
      const attributes = { 'bing_gateway.task.kind': kind }
      // A video is looked at for hours. Each look is a trace of its own then, with a link to where it began.
      if (maker !== undefined && (step === 'submit' || kind === 'image'))
        return spanned(`task ${step}`, { attributes }, trace.setSpanContext(ROOT_CONTEXT, maker), run)
      const links = maker === undefined ? [] : [{ context: maker }]
      return spanned(`task ${step}`, { attributes, links, root: true }, ROOT_CONTEXT, run)
    },

    delivery(taskId, send) {
      return inTraceOf(taskId, 'webhook', SpanKind.PRODUCER, (span) =>
        send({ traceparent: traceparentOf(span.spanContext()) })
      )
    }
  }
}

interface RequestSpan {
  end(ended: EndedRequest): void
}

/**
 * The plugin ends its span when the head of the answer leaves, while a stream goes on from there, and writes messages of
 * errors into it. From here on the span is ours: it ends with the request.
 */
function takeOver(span: Span, route: string | undefined, method: string): RequestSpan {
  const end = span.end.bind(span)
  const setStatus = span.setStatus.bind(span)
  span.end = () => {}
  span.setStatus = () => span
  span.updateName(route === undefined ? method : `${method} ${route}`)
  // The path itself has ids in it, and signatures behind it.
  span.setAttribute('url.path', route ?? 'unknown')
  return {
    end({ status, failure, left, upstreamMs, queueMs, ownMs }) {
      span.setAttributes({
        'http.response.status_code': status,
        'bing_gateway.upstream_ms': upstreamMs,
        'bing_gateway.queue_ms': queueMs,
        'bing_gateway.own_ms': ownMs
      })
      const error = left ? 'caller_left' : failure?.type
      if (error !== undefined) span.setAttribute('error.type', error)
      // Of a server's span, what the caller did wrong is no error (semantic conventions for HTTP spans).
      if (status >= 500 || (failure !== null && failure.status >= 500))
        setStatus({ code: SpanStatusCode.ERROR })
      end()
    }
  }
}

/** W3C Trace Context, section 3.2. */
function traceparentOf({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`
}

/** Few values, as the attribute wants it: rows whose code is the upstream's own word have one of ours. */
function errorType(error: unknown, signal: AbortSignal | undefined): string {
  if (error instanceof UpstreamError) return codeOfRow(error.row)
  if (error instanceof GatewayError) return error.code ?? error.type
  return wasStopped(error, signal) ? 'cancelled' : 'api_error'
}

function exporterOf(config: Config): SpanExporter {
  const { OTEL_EXPORTER_OTLP_ENDPOINT: base, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: own } = config
  const url = own ?? `${base?.replace(/\/+$/, '')}/v1/traces`
  const headers = parseOtlpHeaders(config.OTEL_EXPORTER_OTLP_HEADERS ?? '') ?? {}
  const Exporter = config.OTEL_EXPORTER_OTLP_PROTOCOL === 'http/json' ? JsonExporter : ProtobufExporter
  return new Exporter({ url, headers })
}

/**
 * The same exporter, without the span that @fastify/otel makes of the handler of unknown routes, whatever it is told.
 * That it fails is in the log, now and then; traces are not worth more than that.
 */
function watched(exporter: SpanExporter, log: Pick<BaseLogger, 'warn'>): SpanExporter {
  let complainedAt = Number.NEGATIVE_INFINITY
  return {
    export(spans, done) {
      const ours = spans.filter(({ name }) => !name.startsWith(NOT_FOUND_HANDLER))
      if (ours.length === 0) return done({ code: 0 })
      exporter.export(ours, (result) => {
        // Success is 0. What the collector said is not logged: it may repeat what it was sent.
        if (result.code !== 0 && performance.now() - complainedAt > COMPLAIN_EVERY_MS) {
          complainedAt = performance.now()
          log.warn({ spans: ours.length }, 'traces could not be sent to the collector')
        }
        done(result)
      })
    },
    forceFlush: async () => exporter.forceFlush?.(),
    shutdown: () => exporter.shutdown()
  }
}

/** Waits, but not for long. */
async function soon(work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, FLUSH_MS)
  })
  await Promise.race([work.catch(() => {}), late])
  clearTimeout(timer)
}
