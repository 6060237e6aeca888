/** Requests to the gateway, and how their failures are shown. */
export const API = String.raw`
class ApiError extends Error {
  constructor(message, details) {
    super(message)
    Object.assign(this, { status: 0, code: null, type: null, requestId: null, retryAfter: 0, canRetry: true }, details)
  }
}

const TAKES_NAME_IN_BODY = ['create_conversation', 'chatgpt']

function headersOf(who, path) {
  if (who.key !== '') {
    if (/^[\x21-\x7e]+$/.test(who.key)) return { authorization: 'Bearer ' + who.key }
    const error = new ApiError('This is no API key: it holds characters that keys do not have.', { code: 'invalid_api_key', canRetry: false })
    blame(error, who, path)
    throw error
  }
  if (/^[\x21-\xff][\x20-\xff]*$/.test(who.name)) return { 'x-user-id': who.name }
  if (who.name !== '' && !TAKES_NAME_IN_BODY.includes(path))
    throw new ApiError('This user name holds characters that a request header cannot carry.', { canRetry: false })
  return {}
}

async function request(method, path, { body, as = here, headers, signal } = {}) {
  const all = { accept: 'application/json', ...headersOf(as, path), ...headers }
  if (body !== undefined) all['content-type'] = 'application/json'
  let response
  try {
    response = await fetch(path, { method, headers: all, signal, body: body === undefined ? undefined : JSON.stringify(body) })
  } catch {
    throw new ApiError('The gateway cannot be reached. Is it still running?', { code: 'unreachable' })
  }
  if (response.ok) return response
  const answer = await response.json().catch(() => undefined)
  const { message, code = null, type = null } = (answer && answer.error) || {}
  const error = new ApiError(message || UNREADABLE, {
    status: response.status,
    code,
    type,
    requestId: response.headers.get('x-request-id'),
    retryAfter: Number(response.headers.get('retry-after')) || 0,
    canRetry: response.headers.get('x-should-retry') !== 'false'
  })
  blame(error, as, path)
  throw error
}

const UNREADABLE = 'The gateway gave an answer that this page cannot read.'

async function api(method, path, options) {
  const response = await request(method, path, options)
  if (response.status === 204) return undefined
  const answer = await response.json().catch(() => undefined)
  if (answer === undefined) throw new ApiError(UNREADABLE, { status: response.status })
  return answer
}

const UNITS = [[172_800, 86_400, 'day'], [5400, 3600, 'hour'], [90, 60, 'minute'], [0, 1, 'second']]

// Seconds as people say them.
function whenAgain(seconds) {
  const [, length, unit] = UNITS.find(([from]) => seconds >= from)
  const count = Math.ceil(seconds / length)
  const at = new Date(Date.now() + seconds * 1000)
  const clock = { hour: '2-digit', minute: '2-digit' }
  const day = at.toDateString() === new Date().toDateString() ? {} : { weekday: 'short' }
  return 'Try again in ' + count + ' ' + unit + (count === 1 ? '' : 's') +
    (unit === 'second' ? '.' : ', at ' + at.toLocaleString([], { ...day, ...clock }) + '.')
}

function errorCard(error, retry) {
  const known = error instanceof ApiError ? error : new ApiError('This page has a defect: ' + error.message)
  const facts = [
    known.status ? h('span', {}, 'HTTP ' + known.status) : undefined,
    known.code || known.type ? h('code', {}, known.code || known.type) : undefined,
    known.requestId ? h('span', {}, 'Request ', h('code', {}, known.requestId)) : undefined
  ]
  return h('div', { class: 'error', role: 'alert' },
    h('p', { class: 'error-message' }, known.message),
    known.retryAfter > 0 && h('p', { class: 'error-when' }, whenAgain(known.retryAfter)),
    facts.some(Boolean) && h('p', { class: 'error-facts' }, facts),
    retry && known.canRetry && h('button', { type: 'button', class: 'quiet', onclick: retry }, 'Try again'))
}

const SERVICES = { sydney: 'Chat', copilot: 'Chat', 'image-creator': 'Images', 'video-creator': 'Video' }

// What a person must do stands above everything else; one line for all services that wait for the same.
function showActions(upstreams) {
  const waiting = new Map()
  for (const { name, action } of upstreams)
    if (action) waiting.set(action, [...(waiting.get(action) || []), SERVICES[name] || name])
  const words = [...waiting].map(([action, names]) => names.join(', ') + ': ' + action)
  const list = $('actions')
  if (words.join() === [...list.children].map((item) => item.textContent).join()) return
  list.replaceChildren(...words.map((text) => h('p', { class: 'notice' }, text)))
}

async function showHealth() {
  const pill = $('health')
  let state = 'bad'
  let text = 'Gateway not reachable'
  try {
    const { cookie, session, upstreams } = (await api('GET', 'health', { as: NOBODY })).data
    const isWell = upstreams.every((upstream) => !upstream.action)
    state = cookie !== 'set' || !isWell ? 'bad' : session === 'active' ? 'good' : 'idle'
    // With Copilot there are two accounts, and the one at Copilot may be nobody's.
    const isAllBing = chatName() === 'Bing'
    text = cookie !== 'set' ? (isAllBing ? 'No cookie set' : 'No Bing cookie set') : !isWell ? 'Needs your attention'
      : session !== 'active' ? 'Ready' : isAllBing ? 'Signed in to Bing' : 'Connected'
    showActions(upstreams)
  } catch { /* said by the text */ }
  pill.dataset.state = state
  if (pill.textContent !== text) pill.textContent = text
}
`
