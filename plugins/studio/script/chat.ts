/** The chat: one conversation at a time, its credentials kept in this tab's memory only. */
export const CHAT = `
let conversation = null
// By id: what was begun in this tab, and so can be gone on with.
const begun = new Map()
let asking = new AbortController()

function bubble(who, ...content) {
  const element = h('div', { class: 'bubble ' + who }, h('span', { class: 'sr' }, who === 'me' ? 'You:' : chatName() + ':'), ...content)
  $('chat-welcome').hidden = true
  $('chat-log').append(element)
  $('chat-log').scrollTop = $('chat-log').scrollHeight
  return element
}

function startOver() {
  asking.abort()
  conversation = null
  $('chat-log').querySelectorAll('.bubble, .error').forEach((element) => element.remove())
  $('chat-welcome').hidden = false
  $('chat-turns').textContent = ''
  letAsk()
}

// The place to write in, or why there is none.
function letAsk(obstacle = '') {
  $('chat-form').hidden = obstacle !== ''
  $('chat-closed').hidden = obstacle === ''
  $('chat-closed').textContent = obstacle
}

// A conversation belongs to whoever began it.
function leaveChat() {
  startOver()
  begun.clear()
  closeHistory()
}

// An answer of pictures alone has their addresses for a text, for those who show nothing else.
const textBeside = (message, attachments) => message.split('\\n\\n')
  .filter((line) => !attachments.some(({ url }) => line.startsWith('![') && line.endsWith('](' + url + ')'))).join('\\n\\n')

function showAnswer(answer) {
  const { attachments = [] } = answer
  const text = textBeside(answer.message, attachments)
  const pictures = drawings(attachments)
  const sources = (answer.sources || []).filter((source) => httpUrl(source.url))
  const notice = answer.notice === 'answer_revoked' ? 'This answer was withdrawn.' : 'The answer breaks off here; it is not complete.'
  return bubble('bing',
    text !== '' && h('div', { class: 'prose' }, markdown(text, answer.sources)),
    pictures.length > 0 && h('div', { class: 'drawn' + (pictures.length > 1 ? ' many' : '') }, pictures.map(drawn)),
    answer.truncated && h('p', { class: 'notice' }, notice),
    sources.length > 0 && h('div', { class: 'sources' }, h('h3', {}, 'Sources'),
      h('ol', {}, sources.map(({ title, url }) => h('li', {},
        external(httpUrl(url), {}, title || url), ' ', h('span', {}, new URL(url).host))))),
    answer.suggestions && answer.suggestions.length > 0 &&
      h('div', { class: 'chips', role: 'group', 'aria-label': 'Suggested next questions' }, answer.suggestions.map(chip)))
}

const chip = (text) => h('button', { type: 'button', class: 'chip', onclick: () => ask(text) }, text)

function clearErrors() {
  $('chat-log').querySelectorAll('.error').forEach((element) => element.remove())
}

function askForName(prompt) {
  $('chat-prompt').value = prompt
  clearErrors()
  const hasKey = here.key !== ''
  const what = hasKey ? 'Chat needs the user name too that the API key was made for.'
    : keysOnly() ? 'Chat needs an API key.' : 'Chat needs a name from the whitelist.'
  $('chat-log').append(errorCard(
    needField(hasKey ? 'user' : 'credential', what + ' Write it into the field at the top, then send.')))
}

async function turn(prompt, live, signal) {
  if (conversation === null) {
    const who = here
    const made = await api('POST', 'create_conversation', { body: { userId: who.name }, as: who, signal })
    if (signal.aborted) return undefined
    conversation = made
    begun.set(made.conversationId, made)
    browserMemory.set('user', who.name)
  }
  const asked = conversation
  const { conversationId, clientId, conversationSignature, invocationId } = asked
  const tone = $('chat-tone').value
  try {
    const body = { prompt, conversationId, clientId, conversationSignature, invocationId, tone }
    const answer = await askAloud(body, live, signal)
    if (!signal.aborted) asked.invocationId = answer.invocationId
    return answer
  } catch (error) {
    // It may have been answered all the same. The gateway knows which number is next.
    if (signal.aborted) delete asked.invocationId
    // Unknown, expired, closed or full: the next question opens a new one.
    if (!signal.aborted && String(error.code).startsWith('conversation_')) conversation = null
    throw error
  }
}

// What was asked gets lost only with the conversation that it belongs to.
function leaveOff(isStopped, prompt, question, live) {
  if (isStopped) say('Stopped')
  if (isStopped && live.text !== '') return live.settle('You stopped this answer; it is not kept.')
  live.remove()
  question.remove()
  if (isStopped && $('chat-prompt').value === '') $('chat-prompt').value = prompt
}

function fail(error, prompt, question, live) {
  if (live.text === '') live.remove()
  else live.settle('This is not the whole answer.')
  const failure = errorCard(error, () => { live.remove(); question.remove(); failure.remove(); ask(prompt) })
  $('chat-log').append(failure)
  // Nothing that was written gets lost when there is no button to send it again.
  if (error.canRetry === false && $('chat-prompt').value === '') {
    $('chat-prompt').value = prompt
    question.remove()
  }
}

async function ask(prompt) {
  const form = $('chat-form')
  if (prompt === '' || form.dataset.busy === 'true') return
  settleIdentity()
  if (here.name === '' || (keysOnly() && here.key === '')) return askForName(prompt)
  form.dataset.busy = 'true'
  asking = new AbortController()
  const { signal } = asking
  $('chat-log').setAttribute('aria-busy', 'true')
  $('chat-log').querySelectorAll('.bubble .chips').forEach((chips) => chips.remove())
  const question = bubble('me', h('p', {}, prompt))
  clearErrors()
  const live = liveBubble(question)
  $('chat-stop').hidden = false
  try {
    const answer = await turn(prompt, live, signal)
    if (signal.aborted) leaveOff(signal.reason === STOPPED, prompt, question, live)
    else {
      live.remove()
      showAnswer(answer)
      $('chat-turns').textContent = answer.turns ? 'Turn ' + answer.turns.used + ' of ' + answer.turns.max : ''
      // Not under the hands of somebody who goes through it.
      if ($('history').open && !$('history').contains(document.activeElement)) loadHistory()
    }
  } catch (error) {
    if (signal.aborted) leaveOff(signal.reason === STOPPED, prompt, question, live)
    else fail(error, prompt, question, live)
  }
  if ($('chat-stop') === document.activeElement) $('chat-prompt').focus()
  $('chat-stop').hidden = true
  form.dataset.busy = 'false'
  $('chat-log').setAttribute('aria-busy', 'false')
  // Long answers are read from their beginning.
  if (!signal.aborted) $('chat-log').scrollTop = question.isConnected ? question.offsetTop - 8 : $('chat-log').scrollHeight
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
  $('chat-stop').addEventListener('click', () => asking.abort(STOPPED))
  $('chat-new').addEventListener('click', () => {
    if ($('chat-form').dataset.busy === 'true') return
    startOver()
    markOpen()
    field.focus()
  })
  for (const example of document.querySelectorAll('[data-ask]'))
    example.addEventListener('click', () => ask(example.textContent.trim()))
}
`
