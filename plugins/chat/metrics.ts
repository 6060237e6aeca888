import type { FastifyBaseLogger } from 'fastify'
import type { Registry } from 'prom-client'
import type { ChatClient } from '../../src/upstream/chat-client.ts'
import type { UpstreamName } from '../../src/upstream/session-state.ts'
import { askedGauge, type Instruments } from '../core/instruments.ts'

export interface ChatMetricsSettings {
  driver: UpstreamName
  instruments: Instruments
  metrics: Registry
  log: Pick<FastifyBaseLogger, 'warn'>
}

/** What is measured of chat beside what every call to Microsoft is. */
export function createChatMetrics({ driver, instruments, metrics, log }: ChatMetricsSettings) {
  instruments.unknownEvents.inc({ driver }, 0)
  /** Each kind is worth one line: what one answer has, the next ones will have too. */
  const known = new Set<string>()

  return {
    /** For the client: it met a message of a kind that it does not know. */
    onUnknown(kind: string): void {
      instruments.unknownEvents.inc({ driver })
      if (known.size >= 100 || known.has(kind)) return
      known.add(kind)
      log.warn({ driver, kind }, 'Microsoft sent something that this version does not know')
    },

    onAdmitted: (waitedMs: number) => instruments.queueWait.observe({ kind: 'chat' }, waitedMs / 1000),

    /** The same client, with the time to the first text measured. */
    measured(client: ChatClient): ChatClient {
      askedGauge(
        metrics,
        {
          name: 'bing_gateway_warm_sockets',
          help: 'Connections to the chat upstream that were opened ahead and wait for a question.',
          labelNames: ['driver']
        },
        (set) => set({ driver }, client.idleSockets ?? 0)
      )
      return {
        create: (signal) => client.create(signal),
        ask(conversation, question, options) {
          const beganAt = performance.now()
          const onFirstText = () =>
            instruments.firstToken.observe({ driver }, (performance.now() - beganAt) / 1000)
          return client.ask(conversation, question, { ...options, onFirstText })
        },
        close: () => client.close()
      }
    }
  }
}
