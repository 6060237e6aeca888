import type { UpstreamHttp } from '../upstream/http.ts'
import type { Finding } from './report.ts'
import type { Wire } from './wire.ts'

/** Seconds by which the clocks may differ: signed URLs, cookies and tokens are all right within it. */
const MOST_SKEW_S = 60
/** Every site has one, it needs no session, and asking for it tells Microsoft nothing about the account. */
const HARMLESS_PATH = '/favicon.ico'
const MAX_BYTES = 1024 * 1024

/** Compares the clock of this machine with the `Date` of an answer. Sends no cookie. */
export async function checkClock(bingUrl: string, wire: Wire, signal: AbortSignal): Promise<Finding> {
  const http: UpstreamHttp = wire.http
  await http.bytes({ url: `${bingUrl.replace(/\/+$/, '')}${HARMLESS_PATH}`, maxBytes: MAX_BYTES, signal })
  const { date } = wire
  if (date === undefined) {
    return {
      ok: false,
      detail: 'The answer has no Date header, so the clock was not compared.',
      hint: 'Something between here and Microsoft rewrites answers.',
      wire: wire.last
    }
  }
  // The header has whole seconds, and was written somewhere between question and answer.
  const slackS = 1 + date.waitedMs / 1000
  const differenceS = (date.ours - date.theirs) / 1000
  const skewS = Math.max(0, Math.abs(differenceS) - slackS)
  if (skewS <= MOST_SKEW_S)
    return {
      ok: true,
      detail: skewS < 1 ? 'As the upstream has it.' : `${Math.round(skewS)} s off, which does no harm.`
    }
  return {
    ok: false,
    detail: `The clock of this machine is ${Math.round(skewS)} s ${differenceS > 0 ? 'ahead' : 'behind'}.`,
    hint: 'Switch on time synchronisation (NTP). With a wrong clock certificates, cookies and signed URLs fail.'
  }
}
