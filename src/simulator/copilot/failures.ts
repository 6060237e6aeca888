import type { Challenge, CopilotTurnBehaviour } from './behaviour.ts'
import type { ServerEvent } from './events.ts'

/** `error` with a code; docs/protocol/chat-copilot.md section 7. */
export const errorEvent = (errorCode: string): ServerEvent => ({ event: 'error', errorCode })

/** A challenge as it comes over the wire; section 6. */
export function challengeEvent(method: Exclude<Challenge, 'none'>): ServerEvent {
  if (method === 'null') return { event: 'challenge', method: null, parameter: null }
  const parameters = {
    hashcash: '1:20:2607011000:send::Zk3vT7mW:',
    copilot: 'q8Rt2LcX7vN0',
    cloudflare: '0x4AAAAAAA_simulated_site_key',
    clarity: 'c1f0'
  }
  return { event: 'challenge', method, parameter: parameters[method] }
}

function throttledEvent({ nextAvailable, nextAvailableInMs }: CopilotTurnBehaviour): ServerEvent {
  const date = {
    date: () => ({ nextAvailableAt: new Date(Date.now() + nextAvailableInMs).toISOString() }),
    absent: () => ({}),
    garbage: () => ({ nextAvailableAt: 'in a while' })
  }[nextAvailable]()
  return { event: 'chatMessageError', errorCode: 'throttled', errorDetail: { type: 'throttled', ...date } }
}

/** The event that ends a turn as the behaviour asks, or `undefined` for a good one. */
export function failureOf(how: CopilotTurnBehaviour): ServerEvent | undefined {
  if (how.errorCode !== undefined) return errorEvent(how.errorCode)
  if (how.failure === 'none') return undefined
  return how.failure === 'throttled' ? throttledEvent(how) : errorEvent(how.failure)
}

/** What follows such an event. */
export function afterFailure(
  how: CopilotTurnBehaviour,
  { event }: ServerEvent
): Exclude<CopilotTurnBehaviour['afterFailure'], 'auto'> {
  if (how.afterFailure !== 'auto') return how.afterFailure
  return event === 'chatMessageError' ? 'challenge-close' : 'nothing'
}
