/** The forms for pictures and video. */
export const CREATIONS = `
function choice(form, name) {
  return new FormData(form).get(name)
}

function show(region, busy, ...content) {
  region.setAttribute('aria-busy', String(busy))
  region.replaceChildren(...content)
}

function startImages() {
  const form = $('image-form')
  const region = $('image-result')
  onSubmit(form, async () => {
    const owner = user()
    const query = $('image-prompt').value.trim()
    const model = choice(form, 'model')
    const aspect = choice(form, 'aspect')
    const tiles = Array.from({ length: model === 'DALLE' ? 4 : 1 }, () => h('div', { class: 'picture sketch ' + aspect }))
    show(region, true, waiting('Drawing').element,
      h('div', { class: 'pictures n' + tiles.length + ' ' + aspect, 'aria-hidden': 'true' }, tiles))
    try {
      const { data } = await api('POST', 'create/image', { body: { query, model, aspect } })
      const urls = data.images.map(httpUrl).filter(Boolean)
      show(region, false,
        h('div', { class: 'pictures n' + Math.min(urls.length, 4) + ' ' + aspect }, urls.map((url, i) =>
          picture(url, 'Picture ' + (i + 1) + ' of ' + urls.length + ': ' + query))),
        data.prompt !== query && h('p', { class: 'caption' }, h('strong', {}, 'Drawn as: '), data.prompt))
      const now = new Date().toISOString()
      putOnShelf(owner, { id: data.taskId, kind: 'image', status: 'completed', prompt: query, images: urls, createdAt: now })
    } catch (error) {
      show(region, false, errorCard(error, () => form.requestSubmit()))
    }
  })
}

function startVideo() {
  const form = $('video-form')
  const region = $('video-result')
  let latest
  onSubmit(form, async () => {
    const owner = user()
    const query = $('video-prompt').value.trim()
    const wait = waiting('Sending the prompt')
    show(region, true, wait.element)
    let id
    try {
      id = latest = (await api('POST', 'create/video', { body: { query, speed: choice(form, 'speed') } })).data.taskId
    } catch (error) {
      show(region, false, errorCard(error, () => form.requestSubmit()))
      return
    }
    wait.say('Filming. This can take minutes; it goes on when you leave this page')
    putOnShelf(owner, { id, kind: 'video', status: 'processing', prompt: query, createdAt: new Date().toISOString() })
    follow(id, owner, query, wait)
  })

  // The form is free again while the task runs; only the newest video is shown here, all are among the recent ones.
  async function follow(id, owner, query, wait) {
    const retry = () => form.requestSubmit()
    try {
      const task = await watch(id, owner, (error) =>
        wait.say(error === undefined ? 'Filming. This can take minutes; it goes on when you leave this page' : 'Lost contact. Trying again'))
      if (latest !== id) return
      const url = httpUrl(task.video)
      const still = matchMedia('(prefers-reduced-motion: reduce)').matches
      if (url) show(region, false, player(url, query, { autoplay: !still, loop: !still, muted: true }))
      else {
        const { code = null, type = null } = task.errorDetail || {}
        show(region, false, errorCard(new ApiError(task.error || 'The video was cancelled.', { code, type, canRetry: type !== 'prompt_rejected_error' }), retry))
      }
    } catch (error) {
      if (latest === id) show(region, false, errorCard(error, retry))
    }
    showHealth()
  }
}
`
