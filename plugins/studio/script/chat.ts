/** The chat: one conversation at a time, its credentials kept in this tab's memory only. */
export const CHAT = `
let conversation = null

function bubble(who, ...content) {
  const element = h('div', { class: 'bubble ' + who }, h('span', { class: 'sr' }, who === 'me' ? 'You:' : 'Bing:'), ...content)
  $('chat-welcome').hidden = true
  $('chat-log').append(element)
  $('chat-log').scrollTop = $('chat-log').scrollHeight
  return element
}

function startOver() {
  conversation = null
  $('chat-log').querySelectorAll('.bubble, .error').forEach((element) => element.remove())
  $('chat-welcome').hidden = false
  $('chat-turns').textContent = ''
}

function showAnswer(answer) {
  const sources = (answer.sources || []).filter((source) => httpUrl(source.url))
  const notice = answer.notice === 'answer_revoked' ? 'Bing withdrew this answer.' : 'Bing broke off here; the answer is not complete.'
  return bubble('bing',
    h('div', { class: 'prose' }, markdown(answer.message, answer.sources)),
    answer.truncated && h('p', { class: 'notice' }, notice),
    sources.length > 0 && h('div', { class: 'sources' }, h('h3', {}, 'Sources'),
      h('ol', {}, sources.map(({ title, url }) => h('li', {},
        external(httpUrl(url), {}, title || url), ' ', h('span', {}, new URL(url).host))))),
    answer.suggestions && answer.suggestions.length > 0 &&
      h('div', { class: 'chips', role: 'group', 'aria-label': 'Suggested next questions' }, answer.suggestions.map(chip)))
}

const chip = (text) => h('button', { type: 'button', class: 'chip', onclick: () => ask(text) }, text)

function askForName(prompt) {
  const field = $('user')
  field.setAttribute('aria-invalid', 'true')
  field.focus()
  $('chat-prompt').value = prompt
  $('chat-log').querySelectorAll('.error').forEach((element) => element.remove())
  $('chat-log').append(errorCard(new ApiError('Chat needs a user name from the whitelist. Write it into the field at the top, then send.')))
}

async function turn(prompt) {
  if (conversation === null) {
    conversation = { ...(await api('POST', 'create_conversation', { body: { userId: user() } })), user: user() }
  }
  const { conversationId, clientId, conversationSignature, invocationId } = conversation
  const tone = $('chat-tone').value
  try {
    const answer = await api('POST', 'chatgpt', {
      body: { prompt, conversationId, clientId, conversationSignature, invocationId, tone }
    })
    conversation.invocationId = answer.invocationId
    return answer
  } catch (error) {
    // Unknown, expired, closed or full: the next question opens a new one.
    if (String(error.code).startsWith('conversation_')) conversation = null
    throw error
  }
}

async function ask(prompt) {
  const form = $('chat-form')
  if (prompt === '' || form.dataset.busy === 'true') return
  if (user() === '') return askForName(prompt)
  form.dataset.busy = 'true'
  $('chat-log').setAttribute('aria-busy', 'true')
  $('chat-log').querySelectorAll('.bubble .chips').forEach((chips) => chips.remove())
  const question = bubble('me', h('p', {}, prompt))
  $('chat-log').querySelectorAll('.error').forEach((element) => element.remove())
  const typing = bubble('bing typing', h('span', { class: 'sr' }, 'Bing is writing'), h('i'), h('i'), h('i'))
  try {
    const answer = await turn(prompt)
    typing.remove()
    showAnswer(answer)
    $('chat-turns').textContent = answer.turns ? 'Turn ' + answer.turns.used + ' of ' + answer.turns.max : ''
  } catch (error) {
    typing.remove()
    const failure = errorCard(error, () => { question.remove(); failure.remove(); ask(prompt) })
    $('chat-log').append(failure)
    // Nothing that was written gets lost when there is no button to send it again.
    if (error.canRetry === false && $('chat-prompt').value === '') $('chat-prompt').value = prompt
  }
  form.dataset.busy = 'false'
  $('chat-log').setAttribute('aria-busy', 'false')
  // Long answers are read from their beginning.
  $('chat-log').scrollTop = question.offsetTop - 8
  showHealth()
}

function startChat() {
  const field = $('chat-prompt')
  $('chat-form').addEventListener('submit', (event) => {
    event.preventDefault()
    if ($('chat-form').dataset.busy === 'true') return
    const prompt = field.value.trim()
    field.value = ''
    ask(prompt)
  })
  field.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
    event.preventDefault()
    $('chat-form').requestSubmit()
  })
  $('chat-new').addEventListener('click', () => {
    if ($('chat-form').dataset.busy === 'true') return
    startOver()
    field.focus()
  })
  for (const example of document.querySelectorAll('[data-ask]'))
    example.addEventListener('click', () => ask(example.textContent.trim()))
}
`
