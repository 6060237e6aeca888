import fp from 'fastify-plugin'
import type { CircuitState } from '../../src/upstream/circuit.ts'
import { codeOfRow } from '../../src/upstream/failures.ts'
import { SESSION_STATES } from '../../src/upstream/session-state.ts'
import { askedGauge } from './instruments.ts'

const CIRCUIT_STATES: readonly CircuitState[] = ['closed', 'half-open', 'open']

/** Metrics and spans of calls to Microsoft: how they end, and how each upstream stands: from what real calls have shown. */
export default fp(
  async (fastify) => {
    const { instruments, metrics, tracing, upstream } = fastify
    upstream.onCall(({ name: driver, operation: op, outcome: told, row, durationMs }) => {
      // Some rows take their code from what Microsoft answered, which may be any word.
      const outcome = row === undefined ? told : codeOfRow(row)
      instruments.upstreamCalls.inc({ driver, op, outcome })
      instruments.upstreamDuration.observe({ driver, op }, durationMs / 1000)
    })
    if (tracing !== undefined) {
      const observe = upstream.observe.bind(upstream)
      // Within: what a circuit refuses was no call, and has no span.
      upstream.observe = (name, operation, call, signal) =>
        observe(name, operation, () => tracing.upstreamCall(name, operation, call, signal), signal)
    }
    askedGauge(
      metrics,
      {
        name: 'bing_gateway_session_state',
        help: '1 for the state in which an upstream stands with the account, 0 for the others.',
        labelNames: ['upstream', 'state']
      },
      (set) => {
        for (const view of upstream.states.map((state) => state.view()))
          for (const state of SESSION_STATES)
            set({ upstream: view.name, state }, state === view.state ? 1 : 0)
      }
    )
    askedGauge(
      metrics,
      {
        name: 'bing_gateway_circuit_state',
        help: '1 for the state of a circuit, 0 for the others. While one is open, calls fail at once.',
        labelNames: ['circuit', 'state']
      },
      (set) => {
        for (const { name: circuit, state: present } of upstream.circuits)
          for (const state of CIRCUIT_STATES) set({ circuit, state }, state === present ? 1 : 0)
      }
    )
  },
  { name: 'upstream-metrics', dependencies: ['metrics', 'tracing', 'upstream'] }
)
