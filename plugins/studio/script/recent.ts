import { STATUS_LABELS } from '../recent.ts'

/** Recent creations, and looking after those that are not finished. */
export const RECENT = `
const LABELS = ${JSON.stringify(STATUS_LABELS)}
const KEPT = 12
// A list of cards per user name. The page comes with the one of visitors without a name.
const shelves = new Map()

function localTime(element) {
  const at = new Date(element.dateTime)
  element.title = at.toLocaleString()
  element.textContent = at.toDateString() === new Date().toDateString()
    ? at.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })
    : at.toLocaleDateString([], { day: 'numeric', month: 'short' })
}

function player(url, label, props) {
  return h('video', { controls: true, playsinline: true, 'aria-label': label, src: url, ...props })
}

function picture(url, label) {
  return external(url, { class: 'picture' }, h('img', { src: url, alt: label, decoding: 'async' }))
}

function preview(task) {
  const film = httpUrl(task.video)
  const pictures = (task.images || []).map(httpUrl).filter(Boolean)
  if (film) return h('div', { class: 'preview' }, player(film, task.prompt, { preload: 'metadata' }))
  if (pictures.length > 0)
    return h('div', { class: 'preview mosaic n' + Math.min(pictures.length, 4) }, pictures.map((url) => picture(url, task.prompt)))
  return h('div', { class: 'preview empty', 'aria-hidden': 'true' })
}

function taskCard(task) {
  const time = h('time', { datetime: task.createdAt })
  localTime(time)
  return h('li', { class: 'card', 'data-task': task.id, 'data-status': task.status },
    preview(task),
    h('div', { class: 'card-text' },
      h('p', { class: 'card-prompt', title: task.prompt }, task.prompt),
      h('p', { class: 'card-meta' },
        h('span', { class: 'badge ' + task.status }, LABELS[task.status] || task.status),
        h('span', {}, task.kind === 'video' ? 'Video' : 'Pictures'), time),
      task.error && h('p', { class: 'card-error' }, task.error)))
}

const cardOf = (shelf, id) => [...shelf.children].find((card) => card.dataset.task === id)

function putOnShelf(owner, task) {
  const shelf = shelfOf(owner)
  const old = cardOf(shelf, task.id)
  if (old) old.replaceWith(taskCard(task))
  else shelf.prepend(taskCard(task))
  while (shelf.children.length > KEPT) shelf.lastElementChild.remove()
  if (owner !== '') {
    const all = memory.get('tasks') || {}
    all[owner] = [...shelf.children].map((card) => card.dataset.task)
    memory.set('tasks', all)
  }
  showShelf()
}

function shelfOf(owner) {
  let shelf = shelves.get(owner)
  if (shelf === undefined) {
    shelf = h('ul', { class: 'cards' })
    shelves.set(owner, shelf)
    restore(owner, shelf)
  }
  return shelf
}

// What this browser has seen created under this name; the gateway says how it stands now.
async function restore(owner, shelf) {
  const ids = (memory.get('tasks') || {})[owner]
  const tasks = await Promise.all((Array.isArray(ids) ? ids.slice(0, KEPT) : []).map((id) =>
    api('GET', 'task/' + encodeURIComponent(id), { as: owner }).then(({ data }) => data, () => undefined)))
  for (const task of tasks.filter(Boolean)) {
    if (cardOf(shelf, task.id)) continue
    shelf.append(taskCard(task))
    if (task.status === 'processing') watch(task.id, owner)
  }
  if (owner === user()) showShelf()
}

function showShelf() {
  const shelf = shelfOf(user())
  const shown = $('recent-list').firstElementChild
  if (shown !== shelf) shown.replaceWith(shelf)
  $('recent-empty').hidden = shelf.children.length > 0
}

const rest = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

// Looks at a task until it has ended, first often, then less so.
async function watch(id, owner, onTrouble = () => {}) {
  for (let pause = 700; ; pause = Math.min(pause * 1.25, 10_000)) {
    await rest(pause)
    let task
    try {
      task = (await api('GET', 'task/' + encodeURIComponent(id), { as: owner })).data
    } catch (error) {
      onTrouble(error)
      if (error.status >= 400 && error.status < 500 && error.status !== 429) throw error
      continue
    }
    if (task.status !== 'processing') {
      putOnShelf(owner, task)
      return task
    }
    onTrouble(undefined)
  }
}

function startRecent() {
  const first = $('recent-list').firstElementChild
  shelves.set('', first)
  first.querySelectorAll('time').forEach(localTime)
  for (const card of first.children) if (card.dataset.status === 'processing') watch(card.dataset.task, '').catch(() => {})
  showShelf()
}

// Bing's addresses expire.
document.addEventListener('error', (event) => {
  const element = event.target
  if (!(element instanceof HTMLImageElement || element instanceof HTMLVideoElement)) return
  const place = element.closest('a') || element
  place.replaceWith(h('p', { class: 'gone' }, 'No longer available at Bing'))
}, true)
`
