/** An answer of the chat while it is being written. */
export const WRITING = `
const STOPPED = 'stopped by the reader'

// A bubble whose text grows; what is taken back goes from the page, too.
function liveBubble(question) {
  const log = $('chat-log')
  const prose = h('div', { class: 'prose' })
  const dots = h('span', { class: 'dots' }, h('i'), h('i'), h('i'))
  const element = bubble('bing typing', h('span', { class: 'sr' }, chatName() + ' is writing'), prose, dots)
  let text = ''
  let frame = 0
  let scrolledTo = log.scrollTop
  const draw = () => {
    frame = 0
    const hasGone = Math.abs(log.scrollTop - scrolledTo) > 2
    prose.replaceChildren(...[markdown(text, [])].flat())
    // Long answers are read from their beginning, unless the reader has gone elsewhere.
    if (hasGone) return
    log.scrollTop = question.offsetTop - 8
    scrolledTo = log.scrollTop
  }
  return {
    get text() { return text },
    show(next) {
      text = next
      frame = frame || requestAnimationFrame(draw)
    },
    // Nothing more comes, but what was said stays.
    settle(words) {
      cancelAnimationFrame(frame)
      draw()
      dots.remove()
      element.classList.remove('typing')
      element.append(h('p', { class: 'notice' }, words))
    },
    remove() {
      cancelAnimationFrame(frame)
      element.remove()
    }
  }
}

// The whole answer, as the plain route gives it; its text is shown as it comes.
async function askAloud(body, live, signal) {
  const response = await request('POST', 'chatgpt', {
    body: { ...body, stream: true }, headers: { accept: 'text/event-stream' }, signal
  })
  const requestId = response.headers.get('x-request-id')
  let answer
  try {
    await readEvents(response.body, (event, json) => {
      const data = JSON.parse(json)
      if (event === 'delta') live.show(live.text + data.text)
      else if (event === 'replace') live.show(data.text)
      else if (event === 'done') answer = data
      else if (event === 'error') throw new ApiError(data.error.message, { ...data.error, requestId })
    })
  } catch (error) {
    if (error instanceof ApiError) throw error
  }
  if (answer === undefined) throw new ApiError('The connection broke before the answer was complete.', { code: 'unreachable', requestId })
  return answer
}
`
