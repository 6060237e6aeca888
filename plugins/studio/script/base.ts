/** Elements, requests and failures; what the other parts of the page's script stand on. */
export const BASE = String.raw`
const $ = (id) => document.getElementById(id)

// Text only ever becomes a text node or an attribute; there is no way to pass HTML.
function h(tag, props, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(props || {})) {
    if (value === undefined || value === false) continue
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
    else element.setAttribute(name, value === true ? '' : value)
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false))
  return element
}

function httpUrl(address) {
  if (typeof address !== 'string' || !URL.canParse(address)) return undefined
  const url = new URL(address)
  return url.protocol === 'https:' || url.protocol === 'http:' ? url.href : undefined
}

const external = (url, props, ...children) =>
  h('a', { href: url, target: '_blank', rel: 'noopener noreferrer', ...props }, ...children)

const memory = {
  get(key) {
    try { return JSON.parse(localStorage.getItem('bing-gateway.' + key)) } catch { return null }
  },
  set(key, value) {
    try { localStorage.setItem('bing-gateway.' + key, JSON.stringify(value)) } catch { /* private window */ }
  }
}

const user = () => $('user').value.trim()

class ApiError extends Error {
  constructor(message, details) {
    super(message)
    Object.assign(this, { status: 0, code: null, type: null, requestId: null, canRetry: true }, details)
  }
}

async function api(method, path, { body, as = user() } = {}) {
  const headers = { accept: 'application/json' }
  if (body !== undefined) headers['content-type'] = 'application/json'
  if (/^[\x21-\xff][\x20-\xff]*$/.test(as)) headers['x-user-id'] = as
  else if (as !== '' && path !== 'create_conversation' && path !== 'chatgpt')
    throw new ApiError('This user name holds characters that a request header cannot carry.', { canRetry: false })
  let response
  try {
    response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) })
  } catch {
    throw new ApiError('The gateway cannot be reached. Is it still running?', { code: 'unreachable' })
  }
  const answer = await response.json().catch(() => undefined)
  if (response.ok && answer !== undefined) return answer
  const { message, code = null, type = null } = (answer && answer.error) || {}
  if (code === 'not_whitelisted') $('user').setAttribute('aria-invalid', 'true')
  throw new ApiError(message || 'The gateway gave an answer that this page cannot read.', {
    status: response.status,
    code,
    type,
    requestId: response.headers.get('x-request-id'),
    canRetry: response.headers.get('x-should-retry') !== 'false'
  })
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
    facts.some(Boolean) && h('p', { class: 'error-facts' }, facts),
    retry && known.canRetry && h('button', { type: 'button', class: 'quiet', onclick: retry }, 'Try again'))
}

// Announces its label once; the running seconds are for the eye only.
function waiting(label) {
  const seconds = h('span', { class: 'seconds', 'aria-hidden': 'true' }, '0 s')
  const text = h('span', {}, label)
  const element = h('div', { class: 'waiting' },
    h('p', {}, text, seconds),
    h('div', { class: 'bar', role: 'progressbar', 'aria-label': label }))
  const began = Date.now()
  const timer = setInterval(() => {
    const passed = Math.round((Date.now() - began) / 1000)
    seconds.textContent = passed < 60 ? passed + ' s' : Math.floor(passed / 60) + ' min ' + (passed % 60) + ' s'
    if (!element.isConnected && passed > 2) clearInterval(timer)
  }, 1000)
  return { element, say(words) { if (text.textContent !== words) text.textContent = words } }
}

// One call at a time per form; the button stays focusable.
function onSubmit(form, run) {
  const button = form.querySelector('[type=submit]')
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    if (form.dataset.busy === 'true') return
    form.dataset.busy = 'true'
    button.setAttribute('aria-disabled', 'true')
    try {
      await run()
    } finally {
      form.dataset.busy = 'false'
      button.removeAttribute('aria-disabled')
      showHealth()
    }
  })
  form.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) form.requestSubmit()
  })
}

const SERVICES = { sydney: 'Chat', 'image-creator': 'Images', 'video-creator': 'Video' }

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
    const { cookie, session, upstreams } = (await api('GET', 'health', { as: '' })).data
    const isWell = upstreams.every((upstream) => !upstream.action)
    state = cookie !== 'set' || !isWell ? 'bad' : session === 'active' ? 'good' : 'idle'
    text = cookie !== 'set' ? 'No cookie set' : !isWell ? 'Needs your attention' : session === 'active' ? 'Signed in to Bing' : 'Ready'
    showActions(upstreams)
  } catch { /* said by the text */ }
  pill.dataset.state = state
  if (pill.textContent !== text) pill.textContent = text
}
`
