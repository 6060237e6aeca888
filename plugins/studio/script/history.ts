/** Past conversations of whoever is here: to read again, and to delete. */
export const HISTORY = `
const OBSTACLES = {
  full: 'This conversation has no turns left. You can read it here.',
  expired: 'This conversation has expired. You can read it here.',
  open: "You can only read this conversation: going on takes its signature, which this tab doesn't have."
}

const isBusy = () => $('chat-form').dataset.busy === 'true'

function markOpen(id) {
  for (const item of $('history-list').children) {
    const button = item.querySelector('.history-open')
    if (item.dataset.conversation === id) button.setAttribute('aria-current', 'true')
    else button.removeAttribute('aria-current')
  }
}

function historyItem({ conversationId, title, turnCount, updatedAt }) {
  const name = title === null ? 'Not answered yet' : title
  const remove = h('button', { type: 'button', class: 'quiet history-delete', 'aria-label': 'Delete: ' + name }, 'Delete')
  const item = h('li', { 'data-conversation': conversationId },
    h('button', { type: 'button', class: 'history-open', onclick: () => openConversation(conversationId, item) },
      h('span', { class: 'history-title' }, name),
      h('span', { class: 'history-facts' }, turnCount + (turnCount === 1 ? ' turn, ' : ' turns, '), timeOf(updatedAt))),
    remove)
  // What is gone can't be had back, so it takes a second press.
  const calm = () => {
    remove.removeAttribute('data-sure')
    remove.textContent = 'Delete'
    remove.setAttribute('aria-label', 'Delete: ' + name)
  }
  remove.addEventListener('blur', calm)
  remove.addEventListener('click', () => {
    if (remove.hasAttribute('data-sure')) return removeConversation(conversationId, item)
    remove.dataset.sure = ''
    remove.textContent = 'Really?'
    remove.setAttribute('aria-label', 'Really delete: ' + name)
    say('Press again to delete')
  })
  return item
}

async function openConversation(id, item) {
  if (isBusy()) return
  const who = here
  dropTrouble(item)
  try {
    const { turns, state } = await api('GET', 'conversations/' + encodeURIComponent(id), { as: who })
    if (who.id !== here.id || isBusy()) return
    startOver()
    const known = begun.get(id)
    const canGoOn = state === 'open' && known !== undefined
    if (canGoOn) conversation = Object.assign(known, { invocationId: turns.length })
    for (const { prompt, suggestions, ...answer } of turns) {
      bubble('me', h('p', {}, prompt))
      showAnswer(answer)
    }
    if (turns.length === 0) $('chat-welcome').hidden = !canGoOn
    letAsk(canGoOn ? '' : OBSTACLES[state] || OBSTACLES.open)
    markOpen(id)
    $('chat-turns').textContent = turns.length + (turns.length === 1 ? ' turn' : ' turns')
    $('chat-log').scrollTop = 0
    $('chat-log').focus({ preventScroll: true })
  } catch (error) {
    showTrouble(item, error)
  }
}

async function removeConversation(id, item) {
  dropTrouble(item)
  try {
    await api('DELETE', 'conversations/' + encodeURIComponent(id))
  } catch (error) {
    return showTrouble(item, error)
  }
  const isShown = (conversation !== null && conversation.conversationId === id) || item.querySelector('[aria-current]') !== null
  begun.delete(id)
  if (isShown) startOver()
  const next = item.nextElementSibling || item.previousElementSibling
  item.remove()
  say('Deleted')
  if (next) next.querySelector('.history-open').focus()
  else $('history').querySelector('summary').focus()
  showHistory()
}

const dropTrouble = (item) => item.querySelectorAll('.error').forEach((element) => element.remove())

function showTrouble(item, error) {
  dropTrouble(item)
  item.append(errorCard(error))
}

function showHistory(isLoading = false) {
  const list = $('history-list')
  $('history-empty').hidden = isLoading || list.children.length > 0 || $('history-trouble').children.length > 0
  $('history-empty').textContent = here.id === '' ? whoIsMissing() + ' Then your conversations show up here.' : 'No conversations yet.'
  $('history-more').hidden = !list.dataset.cursor
}

function closeHistory() {
  $('history').open = false
  $('history-list').replaceChildren()
  delete $('history-list').dataset.cursor
  $('history-trouble').replaceChildren()
}

// The first page in place of what is there, or the page after it.
async function loadHistory({ more = false } = {}) {
  const who = here
  const list = $('history-list')
  $('history-trouble').replaceChildren()
  if (who.id === '') return showHistory()
  showHistory(true)
  try {
    const path = 'conversations?limit=20' + (more ? '&cursor=' + encodeURIComponent(list.dataset.cursor) : '')
    const { conversations, nextCursor } = await api('GET', path, { as: who })
    if (who.id !== here.id) return
    const items = conversations.map(historyItem)
    if (more) list.append(...items)
    else list.replaceChildren(...items)
    if (nextCursor === null) delete list.dataset.cursor
    else list.dataset.cursor = nextCursor
    markOpen(conversation === null ? undefined : conversation.conversationId)
    if (more && items.length > 0) items[0].querySelector('.history-open').focus()
  } catch (error) {
    if (who.id === here.id) $('history-trouble').replaceChildren(errorCard(error, () => loadHistory({ more })))
  }
  showHistory()
}

function startHistory() {
  $('history').addEventListener('toggle', () => {
    if (!$('history').open) return
    settleIdentity()
    loadHistory()
  })
  $('history-more').addEventListener('click', () => loadHistory({ more: true }))
}
`
