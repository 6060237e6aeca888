import { GatewayError } from '../errors.ts'
import { UpstreamError } from '../upstream/failures.ts'
import { hintFor, type Protocol } from './advice.ts'
import { type Finding, RunEnded, StepTimeout } from './report.ts'
import { describeAnswer, type Wire } from './wire.ts'

/** Longest piece of an error's own words, in characters. */
const MOST_WORDS = 160

/**
 * Makes a finding of what a step threw.
 * @param context the protocol that was spoken, and what its answers looked like
 */
export function explain(error: unknown, context: { protocol: Protocol; wire: Wire } | undefined): Finding {
  const wire = context?.wire.last
  const said = wire === undefined ? [] : [`The wire said: ${describeAnswer(wire)}.`]
  if (error instanceof StepTimeout) {
    const detail = [`It came to ${error.message}.`, ...said].join(' ')
    return {
      ok: false,
      detail,
      wire,
      hint:
        wire === undefined
          ? 'Something accepts connections and does not answer: check firewall and proxy, then run the doctor again.'
          : 'The upstream answers, but what was asked for did not come in the time that the doctor gives it. Try again in some minutes.'
    }
  }
  if (error instanceof RunEnded) return { ok: false, detail: `It was not over when ${error.message}.` }
  if (error instanceof UpstreamError) {
    const cause = causeOf(error)
    const detail = [error.message, ...(cause === '' ? [] : [`Seen: ${cause}.`]), ...said].join(' ')
    const wait = error.retryAfter === undefined ? [] : [`Not before ${error.retryAfter} s are over.`]
    const hint = context === undefined ? undefined : hintFor(context.protocol, error.row)
    return {
      ok: false,
      detail,
      row: error.row,
      wire,
      hint: [...(hint === undefined ? [] : [hint]), ...wait].join(' ') || undefined
    }
  }
  if (error instanceof GatewayError) return { ok: false, detail: error.message, wire }
  return {
    ok: false,
    detail: `The doctor itself failed: ${wordsOf(error)}.`,
    hint: 'This is a defect of the gateway. Report it with this output.'
  }
}

/** What lies behind an upstream failure: codes of the system, and the clients' own short words. */
function causeOf(error: UpstreamError): string {
  const words: string[] = []
  for (let at = error.cause, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    if (at instanceof UpstreamError || at instanceof StepTimeout || at instanceof RunEnded) {
      if (!(at instanceof UpstreamError)) words.push(at.message)
      continue
    }
    const own = wordsOf(at)
    if (own !== '' && !words.includes(own)) words.push(own)
  }
  return words.join('; ')
}

/**
 * The code of a system error, else the words of ours. Where those quote the upstream (its name of a result comes first,
 * its wording after a colon) only the name is taken.
 */
export function wordsOf(error: unknown): string {
  const { code, message, name } = (error ?? {}) as { code?: unknown; message?: unknown; name?: unknown }
  if (typeof code === 'string' && /^[\w-]{2,60}$/.test(code)) return code
  if (typeof message !== 'string' || name !== 'Error') return typeof name === 'string' ? name : 'unknown'
  const result = /^result (?:[A-Za-z]{1,40}|\(\d+ characters\))/.exec(message)?.[0]
  if (result !== undefined) return result
  if (/\bsaid\b/.test(message)) return ''
  return (
    message
      .split('\n', 1)[0]
      ?.replace(/[\w+/=|%-]{33,}/g, '…')
      .slice(0, MOST_WORDS) ?? ''
  )
}
