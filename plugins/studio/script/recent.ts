import { STATUS_LABELS } from '../recent.ts'

/** The creations of whoever is here, the newest first, page by page. */
export const RECENT = `
const LABELS = ${JSON.stringify(STATUS_LABELS)}
const PAGE = 12

function preview(task, files) {
  const [film] = files.filter(({ isFilm }) => isFilm)
  const pictures = files.filter(({ isFilm }) => !isFilm)
  if (film) return h('div', { class: 'preview' }, player(film, task.prompt, { preload: 'metadata' }))
  if (pictures.length > 0)
    return h('div', { class: 'preview mosaic n' + Math.min(pictures.length, 4) },
      pictures.map((picture) => image(picture, task.prompt, { loading: 'lazy' })))
  return task.status === 'processing' && h('div', { class: 'preview empty', 'aria-hidden': 'true' })
}

function downloads(files) {
  const links = files.map((file, i) =>
    download(file, file.isFilm ? 'Download video' : 'Download picture ' + (i + 1), files.length > 1 ? String(i + 1) : 'Download'))
  if (!links.some(Boolean)) return undefined
  return h('p', { class: 'card-files' }, files.length > 1 && h('span', {}, 'Download'), links)
}

function taskCard(task) {
  const files = filesOf(task)
  return h('li', { class: 'card', tabindex: '-1', 'data-task': task.id, 'data-status': task.status },
    preview(task, files),
    h('div', { class: 'card-text' },
      h('p', { class: 'card-prompt', title: task.prompt }, task.prompt),
      h('p', { class: 'card-meta' },
        h('span', { class: 'badge ' + task.status }, LABELS[task.status] || task.status),
        h('span', {}, task.kind === 'video' ? 'Video' : 'Pictures'), timeOf(task.createdAt)),
      downloads(files),
      task.status === 'processing' && h('div', { class: 'card-actions' },
        h('button', { type: 'button', class: 'quiet', 'data-cancel': true, 'aria-label': 'Cancel: ' + task.prompt }, 'Cancel')),
      task.error && h('p', { class: 'card-error' }, task.error)))
}

const shelf = () => $('recent-list').firstElementChild
const cardOf = (id) => [...shelf().children].find((card) => card.dataset.task === id)

function putOnShelf(who, task) {
  if (who.id !== here.id) return
  const old = cardOf(task.id)
  const card = taskCard(task)
  const hadFocus = old !== undefined && old.contains(document.activeElement)
  if (old) old.replaceWith(card)
  else shelf().prepend(card)
  if (hadFocus) card.focus()
  showShelf()
}

function showShelf(isLoading = false) {
  const isEmpty = shelf().children.length === 0
  $('recent-empty').hidden = !isEmpty || isLoading || $('recent-trouble').children.length > 0
  $('recent-empty').textContent = here.id === '' && !mayBeNobody()
    ? whoIsMissing() + ' Then your creations show up here.'
    : 'Nothing here yet. What you create shows up here.'
  $('recent-more').hidden = !shelf().dataset.cursor
}

function lookAfter(card) {
  if (card.dataset.status === 'processing') watch(card.dataset.task, here)
}

// The first page in place of what stands there.
async function loadRecent() {
  shelf().replaceWith(h('ul', { class: 'cards' }))
  $('recent-trouble').replaceChildren()
  if (here.id === '' && !mayBeNobody()) return showShelf()
  showShelf(true)
  await loadPage()
}

async function loadPage() {
  const who = here
  const list = shelf()
  const { cursor } = list.dataset
  $('recent-list').setAttribute('aria-busy', 'true')
  $('recent-trouble').replaceChildren()
  try {
    const query = 'tasks?limit=' + PAGE + (cursor ? '&cursor=' + encodeURIComponent(cursor) : '')
    const { tasks, nextCursor } = (await api('GET', query, { as: who })).data
    if (list !== shelf()) return []
    accepted(who)
    if (nextCursor === null) delete list.dataset.cursor
    else list.dataset.cursor = nextCursor
    const cards = tasks.filter(({ id }) => cardOf(id) === undefined).map(taskCard)
    list.append(...cards)
    cards.forEach(lookAfter)
    return cards
  } catch (error) {
    if (list === shelf()) $('recent-trouble').replaceChildren(errorCard(error, loadPage))
    return []
  } finally {
    if (list === shelf()) {
      $('recent-list').setAttribute('aria-busy', 'false')
      showShelf()
    }
  }
}

async function loadMore() {
  const button = $('recent-more')
  if (button.getAttribute('aria-disabled') === 'true') return
  button.setAttribute('aria-disabled', 'true')
  const cards = await loadPage()
  button.removeAttribute('aria-disabled')
  if (cards.length === 0) return
  say(cards.length + ' more')
  // Whoever goes by keyboard goes on where the new ones begin.
  cards[0].focus({ preventScroll: true })
}

// What the page came with, for visitors without a name.
function startRecent() {
  shelf().querySelectorAll('time').forEach(localTime)
  for (const card of shelf().children) lookAfter(card)
  showShelf()
}

function startShelf() {
  $('recent-more').addEventListener('click', loadMore)
  $('recent-list').addEventListener('click', (event) => {
    const button = event.target.closest('[data-cancel]')
    if (button) cancel(button.closest('.card').dataset.task, here, button)
  })
}
`
