/** Following tasks until they have ended: by their events, else by looking again and again. */
export const WATCH = String.raw`
// Over HTTP/1.1 a browser opens six connections to a gateway, for all tabs together.
const MAX_STREAMS = 2
// The first event comes at once, unless something on the way holds events back.
const FIRST_EVENT_MS = 5000

const watched = new Map()
let streams = 0

/*
 * Each task is looked at once, however many wait for it. The promise holds the ended task, or nothing when this page
 * no longer looks; it fails when the gateway doesn't let this caller look.
 */
function watch(id, who, onTrouble) {
  let watcher = watched.get(id)
  if (watcher === undefined) {
    const stop = new AbortController()
    const troubled = []
    watcher = { troubled, stop }
    watcher.ended = new Promise((resolve, reject) => {
      watcher.settle = (task) => {
        if (stop.signal.aborted) return
        stop.abort()
        watched.delete(id)
        if (task !== undefined) putOnShelf(who, task)
        resolve(task)
      }
      follow(id, who, watcher).catch((error) => {
        watched.delete(id)
        stop.abort()
        reject(error)
      })
    })
    // Nobody has to wait for it.
    watcher.ended.catch(() => {})
    watched.set(id, watcher)
  }
  if (onTrouble) watcher.troubled.push(onTrouble)
  return watcher.ended
}

function stopWatching() {
  for (const { settle } of [...watched.values()]) settle()
}

async function follow(id, who, watcher) {
  const { stop: { signal }, troubled, settle } = watcher
  let pause = 700
  let canStream = true
  while (!signal.aborted) {
    let task
    try {
      if (canStream && streams < MAX_STREAMS && !document.hidden) {
        const seen = await streamed(id, who, signal)
        canStream = seen.any
        task = seen.task
      } else {
        task = (await api('GET', 'task/' + encodeURIComponent(id), { as: who, signal })).data
      }
      for (const tell of troubled) tell(undefined)
    } catch (error) {
      if (signal.aborted) return
      for (const tell of troubled) tell(error)
      if (error.status >= 400 && error.status < 500 && error.status !== 429) throw error
    }
    if (task !== undefined && task.status !== 'processing') return settle(task)
    await rest(pause, signal)
    pause = Math.min(pause * 1.25, 10_000)
  }
}

// What a task's events have said by the time they end. A tab that nobody sees gives its connection back.
async function streamed(id, who, signal) {
  const over = new AbortController()
  const end = () => over.abort()
  const leave = () => { if (document.hidden) end() }
  const late = setTimeout(end, FIRST_EVENT_MS)
  signal.addEventListener('abort', end)
  document.addEventListener('visibilitychange', leave)
  streams++
  let task
  try {
    const response = await request('GET', 'task/' + encodeURIComponent(id) + '/events', {
      as: who, signal: over.signal, headers: { accept: 'text/event-stream' }
    })
    await readEvents(response.body, (event, data) => {
      clearTimeout(late)
      if (event === 'status') task = JSON.parse(data)
    })
  } catch (error) {
    if (error instanceof ApiError && error.status > 0) throw error
    if (task === undefined && !over.signal.aborted) throw error
  } finally {
    clearTimeout(late)
    signal.removeEventListener('abort', end)
    document.removeEventListener('visibilitychange', leave)
    streams--
  }
  return { task, any: task !== undefined || document.hidden }
}

// Server-sent events; the browser's own reader of them sends no headers, and so no key.
async function readEvents(body, onEvent) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  for (;;) {
    const { value, done } = await reader.read()
    if (done) return
    text += value
    const blocks = text.split('\n\n')
    text = blocks.pop()
    for (const block of blocks) {
      const lines = block.split('\n')
      const field = (name) => lines.filter((line) => line.startsWith(name + ':')).map((line) => line.slice(name.length + 1).trim()).join('\n')
      if (field('data') !== '') onEvent(field('event'), field('data'))
    }
  }
}

async function cancel(id, who, button) {
  if (button.getAttribute('aria-disabled') === 'true') return
  button.setAttribute('aria-disabled', 'true')
  try {
    const { data } = await api('DELETE', 'task/' + encodeURIComponent(id), { as: who })
    const watcher = watched.get(id)
    if (watcher) watcher.settle(data)
    else putOnShelf(who, data)
    say(LABELS[data.status] + ': ' + data.prompt)
  } catch (error) {
    button.removeAttribute('aria-disabled')
    if (button.nextElementSibling) button.nextElementSibling.remove()
    button.after(errorCard(error))
  }
}
`
