import type { HttpFaults } from './behaviour.ts'

const HTML = { 'content-type': 'text/html; charset=utf-8' }
/** Short enough that who obeys it comes back while somebody is looking. */
const SOON = { 'retry-after': '1' }

/** Trouble on the way that any HTTP call can meet. */
export const HTTP_TROUBLE = {
  reset: { reset: true },
  stall: { stall: 'before' },
  'half-answer': { stall: 'during' },
  // The head promises more than comes before the connection is closed.
  truncated: {
    status: 200,
    headers: { 'content-type': 'application/json', 'content-length': '5000', connection: 'close' },
    body: '{"conversationId":"51D|Bi'
  },
  'too-many': { status: 429, headers: SOON, body: 'Too Many Requests' },
  'status-500': { status: 500, body: 'Internal Server Error' },
  'status-502': { status: 502, headers: HTML, body: '<html><h1>502 Bad Gateway</h1></html>' },
  'status-503': { status: 503, headers: { ...HTML, ...SOON }, body: '<html><h1>503</h1></html>' },
  'status-504': { status: 504, body: 'Gateway Timeout' },
  slow: { delayMs: 1500 }
} as const satisfies Record<string, HttpFaults>

/** Good answers in a form that nobody expects. */
export const HTTP_NONSENSE = {
  'strange-page': {
    headers: HTML,
    body: '<!doctype html><title>Bing</title><p>This page is not available right now.</p>'
  },
  garbage: { headers: { 'content-type': 'application/octet-stream' }, body: '\u0000\u001e]}<{"\ufffd\u0007' }
} as const satisfies Record<string, HttpFaults>
