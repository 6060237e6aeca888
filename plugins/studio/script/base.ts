/** Elements and storage; what the other parts of the page's script stand on. */
export const BASE = `
const $ = (id) => document.getElementById(id)

// Who answers in the chat.
const chatName = () => document.body.dataset.chat

// Text only ever becomes a text node or an attribute; there is no way to pass HTML.
function h(tag, props, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false) continue
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

// What a private window refuses to keep is asked for again.
function memoryIn(storage) {
  return {
    get(key) {
      try { return storage().getItem('bing-gateway.' + key) || '' } catch { return '' }
    },
    set(key, value) {
      try {
        if (value === '') storage().removeItem('bing-gateway.' + key)
        else storage().setItem('bing-gateway.' + key, value)
      } catch { /* asked for again */ }
    }
  }
}
const browserMemory = memoryIn(() => localStorage)
const tabMemory = memoryIn(() => sessionStorage)

const rest = (ms, signal) => new Promise((resolve) => {
  const timer = setTimeout(resolve, ms)
  if (signal) signal.addEventListener('abort', () => { clearTimeout(timer); resolve() }, { once: true })
})

// For whoever can't see that something has changed.
function say(words) {
  $('announcer').textContent = words
}

function localTime(element) {
  const at = new Date(element.dateTime)
  element.title = at.toLocaleString()
  element.textContent = at.toDateString() === new Date().toDateString()
    ? at.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })
    : at.toLocaleDateString([], { day: 'numeric', month: 'short' })
  return element
}

const timeOf = (datetime) => localTime(h('time', { datetime }))

// Announces its label once; the running seconds are for the eye only.
function waiting(label) {
  const seconds = h('span', { class: 'seconds', 'aria-hidden': 'true' }, '0 s')
  const text = h('span', {}, label)
  const bar = h('div', { class: 'bar', role: 'progressbar', 'aria-label': label })
  const element = h('div', { class: 'waiting' }, h('p', {}, text, seconds), bar)
  const began = Date.now()
  const timer = setInterval(() => {
    const passed = Math.round((Date.now() - began) / 1000)
    seconds.textContent = passed < 60 ? passed + ' s' : Math.floor(passed / 60) + ' min ' + (passed % 60) + ' s'
    if (!element.isConnected && passed > 2) clearInterval(timer)
  }, 1000)
  return {
    element,
    say(words) {
      if (text.textContent === words) return
      text.textContent = words
      bar.setAttribute('aria-label', words)
    }
  }
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
`
