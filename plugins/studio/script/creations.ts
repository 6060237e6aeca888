/** The forms for pictures and video. Both make tasks, which go on when the page is left. */
export const CREATIONS = `
const choice = (form, name) => new FormData(form).get(name)

function show(region, busy, ...content) {
  region.setAttribute('aria-busy', String(busy))
  region.replaceChildren(...content.filter(Boolean))
}

// Failures that the same prompt meets again.
const FINAL = ['prompt_rejected_error', 'invalid_request_error', 'auth_error', 'permission_error']

function failureOf({ error, errorDetail }) {
  const { code = null, type = null } = errorDetail || {}
  return new ApiError(error || 'It failed.', { code, type, canRetry: !FINAL.includes(type) && code !== 'outcome_unknown' })
}

/*
 * The form is free again as soon as the gateway has the task; only the newest one is shown at the form, all are among
 * the recent ones.
 */
function startCreation({ form, region, path, kind, words, ask, sketch, result }) {
  const retry = () => form.requestSubmit()
  onSubmit(form, async () => {
    const who = settleIdentity()
    if (who.id === '' && !mayBeNobody()) return show(region, false, errorCard(needField('credential', whoIsMissing())))
    const body = ask()
    const wait = waiting('Sending the prompt')
    delete region.dataset.task
    show(region, true, wait.element, sketch(body))
    let id
    try {
      id = (await api('POST', path, { body, as: who, headers: { prefer: 'respond-async' } })).data.taskId
    } catch (error) {
      if (who.id === here.id) show(region, false, errorCard(error, retry))
      return
    }
    if (who.id !== here.id) return
    region.dataset.task = id
    wait.say(words)
    const button = h('button', { type: 'button', class: 'quiet', onclick: () => cancel(id, who, button) }, 'Cancel')
    wait.element.append(h('div', { class: 'waiting-actions' }, button))
    putOnShelf(who, { id, kind, status: 'processing', prompt: body.query, createdAt: new Date().toISOString() })
    finish(id, who, body, wait)
  })

  async function finish(id, who, body, wait) {
    let content
    try {
      const task = await watch(id, who, (error) => wait.say(error === undefined ? words : 'Lost contact. Trying again'))
      if (task === undefined) return
      const files = filesOf(task)
      if (task.status === 'completed' && files.length > 0) content = result(task, files, body)
      else if (task.status === 'completed') content = [h('p', { class: 'notice' }, 'It is finished, and there is nothing left to show.')]
      else if (task.status === 'cancelled') content = [h('p', { class: 'notice' }, 'Cancelled. What Bing had accepted goes on there.')]
      else content = [errorCard(failureOf(task), retry)]
    } catch (error) {
      content = [errorCard(error, retry)]
    }
    if (region.dataset.task === id) {
      const hadFocus = region.contains(document.activeElement)
      show(region, false, ...content)
      if (hadFocus) region.focus()
    }
    showHealth()
  }
}

function startImages() {
  const form = $('image-form')
  startCreation({
    form,
    region: $('image-result'),
    path: 'create/image',
    kind: 'image',
    words: 'Drawing. This goes on when you leave this page',
    ask: () => ({ query: $('image-prompt').value.trim(), model: choice(form, 'model'), aspect: choice(form, 'aspect') }),
    sketch({ model, aspect }) {
      const tiles = Array.from({ length: model === 'DALLE' ? 4 : 1 }, () => h('div', { class: 'picture sketch ' + aspect }))
      return h('div', { class: 'pictures n' + tiles.length + ' ' + aspect, 'aria-hidden': 'true' }, tiles)
    },
    result: ({ prompt, enhancedPrompt }, files, { aspect }) => [
      h('div', { class: 'pictures n' + Math.min(files.length, 4) + ' ' + aspect }, files.map((file, i) => {
        const label = 'picture ' + (i + 1) + ' of ' + files.length
        return h('div', { class: 'picture' }, image(file, 'P' + label.slice(1) + ': ' + prompt),
          download(file, 'Download ' + label, h('span', { 'aria-hidden': 'true' }, '↓')))
      })),
      enhancedPrompt && h('p', { class: 'caption' }, h('strong', {}, 'Drawn as: '), enhancedPrompt)
    ]
  })
}

function startVideo() {
  const form = $('video-form')
  startCreation({
    form,
    region: $('video-result'),
    path: 'create/video',
    kind: 'video',
    words: 'Filming. This can take minutes; it goes on when you leave this page',
    ask: () => ({ query: $('video-prompt').value.trim(), speed: choice(form, 'speed') }),
    sketch: () => undefined,
    result({ prompt }, [file]) {
      const still = matchMedia('(prefers-reduced-motion: reduce)').matches
      return [
        player(file, prompt, { autoplay: !still, loop: !still, muted: true }),
        file.isOwn && h('p', { class: 'caption' }, download(file, 'Download video', 'Download'))
      ]
    }
  })
}
`
