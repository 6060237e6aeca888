import type { HttpFaults } from '../../../src/simulator/behaviour.ts'
import {
  CHALLENGE,
  COOKIE_EXPIRED,
  REGION,
  SAID,
  SAID_PAGE,
  SERVER_ERROR,
  TROUBLE,
  UNREACHABLE,
  type Want
} from '../failure-table.ts'

export const HTML = { 'content-type': 'text/html; charset=utf-8' }
export const LOGINS = [
  'https://login.live.com/login.srf?wa=wsignin1.0',
  'https://login.microsoftonline.com/common/oauth2/authorize',
  '/fd/auth/signin?action=interactive'
] as const
export const CN = 'https://cn.bing.com/images/create?form=REDIRERR'

export const THROTTLED_BRIEFLY: Want = {
  status: 429,
  type: 'rate_limit_error',
  code: 'throttled',
  retryAfter: 60
}
export const UNEXPECTED_PAGE: Want = {
  status: 503,
  type: 'upstream_unavailable_error',
  code: 'unexpected_page',
  retryAfter: 300
}

/** What any HTTP request can meet, whatever it is for. */
export interface HttpRow {
  row: string
  form: string
  faults: HttpFaults
  want: Want
  /** Requests, repeats included: those of a request that may be repeated. */
  times: number
}

/** Rows of docs/protocol/failures.md section 1 that look the same at every HTTP request. */
export const HTTP_ROWS: readonly HttpRow[] = [
  { row: 'T1', form: 'reset', faults: { reset: true }, want: UNREACHABLE, times: 3 },
  { row: 'T5', form: 'other country', faults: { redirect: CN }, want: REGION, times: 1 },
  { row: 'T5', form: 'REDIRERR', faults: { redirect: '/?form=REDIRERR' }, want: REGION, times: 1 },
  ...LOGINS.map((redirect) => ({
    row: 'T6',
    form: redirect.replace(/^https:\/\/|[/?].*$/g, '') || 'signin path',
    faults: { redirect },
    want: COOKIE_EXPIRED,
    times: 1
  })),
  {
    row: 'T7',
    form: 'page with 403',
    faults: { status: 403, body: SAID_PAGE, headers: HTML },
    want: CHALLENGE,
    times: 1
  },
  { row: 'T8', form: '429', faults: { status: 429, body: SAID }, want: THROTTLED_BRIEFLY, times: 1 },
  {
    row: 'T8',
    form: 'with a wait',
    faults: { status: 429, headers: { 'retry-after': '7' } },
    want: { ...THROTTLED_BRIEFLY, retryAfter: 7 },
    times: 1
  },
  {
    row: 'T8',
    form: 'with a date',
    // From when it is played on.
    get faults() {
      return { status: 429, headers: { 'retry-after': new Date(Date.now() + 120_000).toUTCString() } }
    },
    want: { ...THROTTLED_BRIEFLY, retryAfter: [60, 121] },
    times: 1
  },
  { row: 'T9', form: '500', faults: { status: 500, body: SAID }, want: SERVER_ERROR, times: 3 },
  {
    row: 'T9',
    form: '502',
    faults: { status: 502, body: SAID_PAGE, headers: HTML },
    want: SERVER_ERROR,
    times: 3
  },
  {
    row: 'T9',
    form: '503',
    faults: { status: 503, body: SAID_PAGE, headers: HTML },
    want: TROUBLE,
    times: 3
  },
  { row: 'T9', form: '504', faults: { status: 504 }, want: TROUBLE, times: 3 },
  {
    row: 'T9',
    form: '503 with a wait',
    faults: { status: 503, headers: { 'retry-after': '4' } },
    want: { ...TROUBLE, retryAfter: 4 },
    times: 3
  },
  {
    row: 'T9',
    form: '503 with a long wait',
    faults: { status: 503, headers: { 'retry-after': '11' } },
    want: { ...TROUBLE, retryAfter: 11 },
    times: 1
  },
  {
    row: 'T10',
    form: 'redirect to a stranger',
    faults: { redirect: 'https://elsewhere.test/' },
    want: UNEXPECTED_PAGE,
    times: 2
  }
]
