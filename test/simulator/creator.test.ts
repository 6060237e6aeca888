import sharp from 'sharp'
import t, { type Test } from 'tap'
import { readyAfter } from '../../src/simulator/creator/jobs.ts'
import { type Simulator, startSimulator } from '../../src/simulator/index.ts'

const MODELS = { dalle: '0', gpt4o: '1', maiimage1: '4' } as const
const RATIOS = { '1': '1:1', '2': '7:4', '3': '4:7' } as const

interface SubmitOptions {
  q?: string
  model?: keyof typeof MODELS
  ar?: keyof typeof RATIOS
  rt?: string
  /** Changes of the request, to break its rules. */
  query?: Record<string, string>
  form?: Record<string, string>
  cookie?: string
  type?: string
}

/** A client as plain as can be, that speaks the protocol by hand. */
async function visitor(t: Test) {
  const sim = await startSimulator()
  t.teardown(() => sim.close())
  const client = { sim, jar: 'simulated-cookie', ig: '', salt: '' }
  const cookie = (): string =>
    `_U=${client.jar}; SRCHHPGUSR=SRCHLANG=en&HV=1700000000&HVE=${client.salt}&IG=${client.ig}`

  const get = async (path: string, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(path.startsWith('http') ? path : sim.url + path, {
      headers: { cookie: cookie(), ...headers },
      redirect: 'manual'
    })

  const bootstrap = async (): Promise<string> => {
    const html = await (await get('/images/create')).text()
    client.ig = /IG:"([^"]+)"/.exec(html)?.[1] ?? ''
    client.salt = /Salt:"([^"]+)"/.exec(html)?.[1] ?? ''
    return html
  }

  const post = (path: string, query: object, form: object, options: SubmitOptions): Promise<Response> =>
    fetch(`${sim.url}${path}?${new URLSearchParams({ ...query, ...options.query })}`, {
      method: 'POST',
      redirect: 'manual',
      headers: {
        cookie: options.cookie ?? cookie(),
        'content-type': options.type ?? 'application/x-www-form-urlencoded'
      },
      body: new URLSearchParams({ ...form, ...options.form }).toString()
    })

  const submit = (options: SubmitOptions = {}): Promise<Response> => {
    const { q = 'a red boat on a lake', model = 'dalle', ar = '1', rt = '4' } = options
    const query = { q, FORM: 'GENCRE', IG: client.ig, rt, mdl: MODELS[model], ar }
    return post('/images/create', query, { q, model, aspectRatio: RATIOS[ar] }, options)
  }

  const submitVideo = (options: SubmitOptions = {}): Promise<Response> => {
    const { q = 'a paper boat at sunset' } = options
    const query = {
      q,
      FORM: 'GENCRE',
      IG: client.ig,
      rt: '3',
      mdl: '0',
      ar: '1',
      ctype: 'video',
      pt: '3',
      sm: '0'
    }
    return post('/images/create', query, { q, model: 'dalle', aspectRatio: '1:1' }, options)
  }

  const idOf = (response: Response): string =>
    /[?&]id=(\d-[0-9a-f]{32})(&|$)/.exec(response.headers.get('location') ?? '')?.[1] ?? ''

  const poll = (id: string, q = 'a red boat on a lake'): Promise<Response> =>
    get(`/images/create/async/results/${id}?${new URLSearchParams({ q, IG: client.ig, IID: 'images.as' })}`)

  const pollVideo = (id: string, q = 'a paper boat at sunset'): Promise<Response> => {
    const query = new URLSearchParams({ q, IG: client.ig, ctype: 'video', sm: '1', girftp: '1' })
    return get(`/images/create/async/results/${id}?${query}`)
  }

  await bootstrap()
  return Object.assign(client, { get, bootstrap, submit, submitVideo, idOf, poll, pollVideo })
}

const rules = (sim: Simulator): string[] => sim.violations.map(({ rule }) => rule)
const pictures = (html: string): string[] =>
  [...html.matchAll(/<img class="image-row-img[^>]* src="([^"]+)"/g)].map(([, src = '']) =>
    src.replaceAll('&amp;', '&')
  )

t.test('draws pictures of the pixel sizes of each model and aspect', async (t) => {
  const cases = [
    { model: 'dalle', ar: '1', size: [1024, 1024], count: 4 },
    { model: 'dalle', ar: '2', size: [1792, 1024], count: 4 },
    { model: 'dalle', ar: '3', size: [1024, 1792], count: 4 },
    { model: 'gpt4o', ar: '2', size: [1536, 1024], count: 1 },
    { model: 'gpt4o', ar: '3', size: [1024, 1536], count: 1 },
    { model: 'maiimage1', ar: '2', size: [1248, 832], count: 1 },
    { model: 'maiimage1', ar: '3', size: [832, 1248], count: 1 }
  ] as const
  const v = await visitor(t)
  for (const { model, ar, size, count } of cases) {
    const q = `a red boat on a lake ${model} ${ar}`
    const answer = await v.submit({ q, model, ar })
    t.equal(answer.status, 302)
    const location = answer.headers.get('location') ?? ''
    t.match(location, /^\/images\/create\?q=.*&rt=4&mdl=\d&ar=\d&FORM=GENCRE&id=1-[0-9a-f]{32}$/)
    t.equal((await v.get(location)).status, 200)
    t.match(await (await v.poll(v.idOf(answer), q)).json(), { errorMessage: 'Pending', showContent: '' })
    const html = await (await v.poll(v.idOf(answer), q)).text()
    t.match(html, 'text/css')
    t.match(html, `data-selcap="${q}, `)
    const found = pictures(html)
    t.equal(found.length, count)
    // Drawing takes time: two real pictures are enough here.
    if (model !== 'dalle' || ar === '3') v.sim.enqueue('media', { plain: true })
    const bytes = await (await fetch(`${found[0]?.split('?')[0]}?pid=ImgGn`)).arrayBuffer()
    const { format, width, height } = await sharp(bytes).metadata()
    t.strictSame([format, width, height], ['jpeg', ...size])
    t.equal(v.sim.counts[`submit:${q}`], 1)
  }
  t.strictSame(v.sim.violations, [])
  t.match(v.sim.counts, {
    'creator.bootstrap': 1,
    'creator.submit': 7,
    'creator.poll': 14,
    'creator.media': 7
  })
})

t.test('serves media in parts, small and large, with and without a body', async (t) => {
  const v = await visitor(t)
  v.sim.set('poll', { pendingPolls: 0 })
  const [first = '', second = ''] = pictures(await (await v.poll(v.idOf(await v.submit()))).text())
  const bare = first.split('?')[0] ?? ''
  const bytes = async (url: string, init: RequestInit = {}) =>
    Buffer.from(await (await fetch(url, init)).arrayBuffer())
  const full = await bytes(`${bare}?pid=ImgGn`)
  t.same(await bytes(`${bare}?pid=ImgGn`), full, 'always the same picture')
  t.notSame(await bytes(`${second.split('?')[0]}?pid=ImgGn`), full, 'variants differ')
  t.equal((await sharp(await bytes(first)).metadata()).width, 270)
  t.equal((await sharp(await bytes(bare)).metadata()).width, 270)

  const part = await fetch(`${bare}?pid=ImgGn`, { headers: { range: 'bytes=10-19' } })
  t.equal(part.status, 206)
  t.equal(part.headers.get('content-range'), `bytes 10-19/${full.length}`)
  t.same(Buffer.from(await part.arrayBuffer()), full.subarray(10, 20))
  t.equal((await fetch(bare, { headers: { range: 'bytes=99999999-' } })).status, 416)
  const head = await fetch(`${bare}?pid=ImgGn`, { method: 'HEAD' })
  t.equal(head.headers.get('content-length'), String(full.length))
  t.equal((await head.arrayBuffer()).byteLength, 0)

  v.sim.enqueue('media', { expired: true }, { forbidden: true }, { status: 503 })
  for (const status of [404, 403, 503, 200]) t.equal((await fetch(`${bare}?pid=ImgGn`)).status, status)
  v.sim.enqueue('media', { plain: true })
  const plain = await bytes(`${bare}?pid=ImgGn`)
  t.equal((await sharp(plain).metadata()).width, 1024)
  t.ok(plain.length < full.length)
  t.equal((await fetch(`${v.sim.url}/th/id/OIG1.nobodysPicture?pid=ImgGn`)).status, 404)
})

t.test('makes a film of the prompt', async (t) => {
  const v = await visitor(t)
  const answer = await v.submitVideo()
  t.equal(answer.status, 302)
  const id = v.idOf(answer)
  t.match(id, /^4-/)
  t.match(await (await v.pollVideo(id)).json(), { errorMessage: 'Pending' })
  const { showContent } = (await (await v.pollVideo(id)).json()) as { showContent: string }
  t.match(showContent, /\/th\/id\/OVID\.\w+\?pid=videocreator$/)
  const film = await fetch(showContent)
  t.equal(film.headers.get('content-type'), 'video/mp4')
  const bytes = Buffer.from(await film.arrayBuffer())
  t.equal(bytes.toString('latin1', 4, 8), 'ftyp')
  for (const box of ['moov', 'mdat', 'avc1']) t.ok(bytes.includes(box), box)
  const part = await fetch(showContent, { headers: { range: 'bytes=-5' } })
  t.same(Buffer.from(await part.arrayBuffer()), bytes.subarray(-5))
  v.sim.enqueue('media', { plain: true })
  const plain = Buffer.from(await (await fetch(showContent)).arrayBuffer())
  t.ok(plain.includes('moov') && plain.length < bytes.length)
  const poster = await fetch(`${showContent}&w=135`)
  t.equal((await sharp(await poster.arrayBuffer()).metadata()).width, 135)
  t.strictSame(v.sim.violations, [])
  t.match(v.sim.counts, { 'creator.video.submit': 1, 'creator.video.poll': 2 })
})

t.test('refuses and notes what breaks the protocol of a submit', async (t) => {
  const cases: { name: string; rule: string; options: SubmitOptions; video?: true }[] = [
    { name: 'no cookie', rule: 'cookie', options: { cookie: 'other=1' } },
    { name: 'JSON body', rule: 'content-type', options: { type: 'application/json' } },
    { name: 'another prompt in the body', rule: 'q', options: { form: { q: 'something else' } } },
    { name: 'model number unknown', rule: 'mdl', options: { query: { mdl: '2' } } },
    { name: 'model does not fit', rule: 'mdl', options: { form: { model: 'gpt4o' } } },
    { name: 'aspect unknown', rule: 'ar', options: { query: { ar: '4' } } },
    { name: 'aspect does not fit', rule: 'ar', options: { form: { aspectRatio: '7:4' } } },
    { name: 'speed unknown', rule: 'rt', options: { query: { rt: '2' } } },
    { name: 'another FORM', rule: 'FORM', options: { query: { FORM: 'GUH2CR' } } },
    { name: 'invented IG', rule: 'IG', options: { query: { IG: 'A'.repeat(32) } } },
    { name: 'no IG', rule: 'IG', options: { query: { IG: '' } } },
    { name: 'no SRCHHPGUSR', rule: 'SRCHHPGUSR', options: { cookie: '_U=simulated-cookie' } },
    { name: 'rt and pt differ', rule: 'video-queue', options: { query: { rt: '4' } }, video: true },
    { name: 'sm of the other queue', rule: 'video-queue', options: { query: { sm: '1' } }, video: true }
  ]
  const v = await visitor(t)
  for (const { name, rule, options, video } of cases) {
    const before = v.sim.violations.length
    const answer = await (video ? v.submitVideo(options) : v.submit(options))
    t.strictSame([answer.status, rules(v.sim).slice(before)], [400, [rule]], name)
    t.match(await answer.text(), rule)
  }
  t.equal(v.sim.counts['creator.submit'], undefined)
  t.equal(v.sim.counts['creator.submit.refused'], 12)

  const wrongSalt = `_U=simulated-cookie; SRCHHPGUSR=SRCHLANG=en&HV=1700000000&HVE=wrong&IG=${v.ig}`
  t.equal((await v.submit({ cookie: wrongSalt })).status, 400)
  const encoded = `_U=simulated-cookie; SRCHHPGUSR=${encodeURIComponent(`SRCHLANG=en&HV=1700000000&HVE=${v.salt}&IG=${v.ig}`)}`
  t.equal((await v.submit({ cookie: encoded })).status, 302, 'percent-encoded is fine')
  t.equal((await v.submitVideo({ query: { rt: '4', pt: '4', sm: '1' } })).status, 302, 'fast queue is fine')
})

t.test('notices polls with ids of others, and with the wrong query', async (t) => {
  const v = await visitor(t)
  const page = await v.bootstrap()
  const foreign = /data-id="(1-[0-9a-f]{32})"/.exec(page)?.[1] ?? ''
  t.equal((await v.poll(foreign)).status, 400)
  t.equal((await v.poll(`1-${'0'.repeat(32)}`)).status, 404)
  const id = v.idOf(await v.submit())
  t.equal((await v.poll(id, 'another prompt')).status, 400)
  const video = v.idOf(await v.submitVideo())
  t.equal((await v.poll(video, 'a paper boat at sunset')).status, 400)
  t.strictSame(rules(v.sim), ['foreign-id', 'result-id', 'poll-q', 'video-poll'])
})

t.test('landing page switches', async (t) => {
  const v = await visitor(t)
  t.match(await v.bootstrap(), 'id="id_a" style="display:none"')
  t.match(await v.bootstrap(), 'data-tb="15"')

  v.sim.enqueue('bootstrap', { moved: true })
  const moved = await v.get('/images/create')
  t.equal(moved.status, 301)
  t.match(await (await v.get(moved.headers.get('location') ?? '')).text(), 'id_a')

  v.sim.enqueue('bootstrap', { withoutIg: true })
  t.notMatch(await v.bootstrap(), /IG:"/)
  await v.bootstrap()

  v.sim.enqueue('bootstrap', { rotate: '_U', expireRotated: true })
  const rotated = (await v.get('/images/create')).headers.get('set-cookie') ?? ''
  t.match(await v.bootstrap(), 'id="id_l"', 'the old value is no longer signed in')
  v.jar = /_U=([^;]+)/.exec(rotated)?.[1] ?? ''
  t.match(await v.bootstrap(), 'id_a')

  v.sim.enqueue('bootstrap', { fastLeft: 1 })
  t.match(await v.bootstrap(), 'data-tb="1"')
  v.sim.set('submit', { whenFastUsedUp: 'no-coins' })
  t.equal((await v.submit()).status, 302)
  t.match(await (await v.submit()).text(), '0 coins available')
  t.equal((await v.submit({ rt: '3' })).status, 302)
})

t.test('submit switches', async (t) => {
  const cases = [
    { name: 'login', set: { answer: 'login' }, status: 302, location: 'https://login.live.com/' },
    { name: 'no id', set: { answer: 'no-id' }, status: 302, location: '/images/create?FORM=GENERR' },
    { name: 'start page', set: { answer: 'start-page' }, status: 200, body: 'id_a' },
    { name: 'cookie gone', set: { expireCookie: true }, status: 200, body: 'id="id_l"' },
    { name: 'authns', set: { answer: 'authns' }, status: 200, body: 'authns' },
    { name: 'snrerror', set: { answer: 'snrerror' }, status: 200, body: 'snrerror' },
    { name: 'id in body', set: { answer: 'id-in-body' }, status: 200, body: '/async/results/1-' },
    { name: 'nfy', set: { nfy: true }, status: 302, location: 'nfy=1' },
    { name: 'absolute', set: { absoluteLocation: true }, status: 302, location: 'http://127.0.0.1' },
    { name: 'icon', set: { marker: 'girer-icon' }, status: 200, body: 'girer_center block_icon' },
    { name: 'policy', set: { marker: 'clarity-tag' }, status: 200, body: 'BlockedByContentPolicy' },
    { name: 'dq-err', set: { marker: 'dq-err' }, status: 200, body: 'dq-err="' },
    { name: 'old icon', set: { marker: 'gil-err-img' }, status: 200, body: 'gil_err_img block_icon' },
    { name: 'girer', set: { marker: 'girer-title' }, status: 200, body: 'id="girer"' },
    { name: 'text', set: { text: 'under-review' }, status: 200, body: 'This prompt is being reviewed' },
    { name: 'word', q: 'A Forbidden thing', set: {}, status: 200, body: 'BlockedByContentPolicy' },
    { name: 'throttled', set: { status: 429, headers: { 'retry-after': '7' } }, status: 429 }
  ] as const
  for (const { name, set, status, ...want } of cases) {
    await t.test(name, async (t) => {
      const v = await visitor(t)
      v.sim.enqueue('submit', set)
      const answer = await v.submit('q' in want ? { q: want.q } : {})
      t.equal(answer.status, status)
      if ('location' in want) t.match(answer.headers.get('location'), want.location)
      if ('body' in want) t.match(await answer.text(), want.body)
    })
  }
})

t.test('a lost answer leaves an accepted job', async (t) => {
  const v = await visitor(t)
  v.sim.enqueue('submit', { answer: 'lost' })
  await t.rejects(v.submit())
  t.equal(v.sim.counts['creator.submit'], 1)
})

t.test('holds the number of jobs at once', async (t) => {
  const v = await visitor(t)
  v.sim.set('videoSubmit', { maxParallel: 3 })
  const ids: string[] = []
  for (let i = 0; i < 3; i++) ids.push(v.idOf(await v.submitVideo()))
  t.match(await (await v.submitVideo()).text(), 'concurrent')
  for (let i = 0; i < 2; i++) await v.pollVideo(ids[0] ?? '')
  t.equal((await v.submitVideo()).status, 302)
})

t.test('prompts differ in the time that they take, each one always takes the same', async (t) => {
  const wait = { readyAfterMs: 10_000, readySpread: 0.25 }
  const times = Array.from({ length: 1001 }, (_, n) => readyAfter(`a fox, number ${n}`, wait))
  const sorted = times.toSorted((a, b) => a - b)
  const logs = times.map((time) => Math.log(time / 10_000))
  const sigma = Math.sqrt(logs.reduce((sum, log) => sum + log * log, 0) / logs.length)
  t.ok(Math.abs((sorted[500] as number) / 10_000 - 1) < 0.05, `median ${sorted[500]}`)
  t.ok(Math.abs(sigma / 0.25 - 1) < 0.1, `sigma ${sigma}`)
  t.equal(readyAfter('a fox, number 7', wait), times[7])
  t.equal(readyAfter('a fox', { ...wait, readySpread: 0 }), 10_000)

  // Far apart: one is ready at once, the other one not before long.
  const far = { readyAfterMs: 1000, readySpread: 20 }
  const prompts = Array.from({ length: 50 }, (_, n) => `a fox, number ${n}`)
  const quick = prompts.find((prompt) => readyAfter(prompt, far) < 1) ?? ''
  const slow = prompts.find((prompt) => readyAfter(prompt, far) > 600_000) ?? ''
  const v = await visitor(t)
  v.sim.set('poll', { pendingPolls: 0, ...far })
  const [first, second] = [v.idOf(await v.submit({ q: quick })), v.idOf(await v.submit({ q: slow }))]
  t.equal(pictures(await (await v.poll(first, quick)).text()).length, 4)
  t.match(await (await v.poll(second, slow)).text(), 'Pending')
})

t.test('poll switches', async (t) => {
  const cases = [
    { name: 'empty', set: { pending: ['empty'] }, body: /^$/ },
    { name: 'status page', set: { pending: ['status-page'] }, body: 'GenerativeImagesStatusPage' },
    { name: 'without style sheet', set: { pending: ['no-css'] }, not: 'text/css' },
    { name: 'streaming', set: { pending: ['streaming'] }, body: 'imgri-inner-container strm' },
    { name: 'never ready', set: { pendingPolls: 0, neverReady: true }, body: 'Pending' },
    { name: 'not yet', set: { pendingPolls: 0, readyAfterMs: 60_000 }, body: 'Pending' },
    { name: 'marker', set: { marker: 'girer-icon' }, body: 'girer_center block_icon' },
    { name: 'text', set: { text: 'unsafe-image' }, body: 'Unsafe image content detected' },
    { name: 'message', set: { pendingPolls: 0, errorMessage: 'No' }, body: '"errorMessage":"No"' },
    { name: 'signed out', set: { expireCookie: true }, body: 'id="id_l"' },
    { name: 'hidden panel', set: { pendingPolls: 0, hiddenPanel: true }, body: 'gil_err_d', pictures: 4 },
    { name: 'two pictures', set: { pendingPolls: 0, images: 2 }, pictures: 2 },
    { name: 'repeats', set: { pendingPolls: 0, images: 2, duplicates: true }, pictures: 4 },
    { name: 'relative', set: { pendingPolls: 0, urls: 'relative' }, body: 'src="/th/id/OIG1.' },
    { name: 'tse', set: { pendingPolls: 0, urls: 'tse' }, body: 'https://tse1.mm.bing.net/th/id/' },
    { name: 'alt only', set: { pendingPolls: 0, enhanced: 'alt' }, not: 'data-selcap', pictures: 4 },
    { name: 'escaped', set: { pendingPolls: 0, enhancedText: 'a "b" & c' }, body: 'a &quot;b&quot; &amp; c' },
    { name: 'iusc', set: { pendingPolls: 0, ready: 'iusc' }, body: 'MediaUrl', pictures: 0 },
    {
      name: 'bad image',
      set: { pendingPolls: 0, ready: 'bad-unsafe' },
      body: 'https://r.bing.com/rp/in-2zU3'
    },
    {
      name: 'bad, relative',
      set: { pendingPolls: 0, ready: 'bad-overloaded-relative' },
      body: '"/rp/TX9QuO'
    },
    { name: 'no address', set: { pendingPolls: 0, ready: 'no-images' }, not: '/th/id/' },
    { name: 'no scheme', set: { pendingPolls: 0, ready: 'no-scheme' }, body: 'src="rms/' },
    {
      name: 'one without scheme',
      set: { pendingPolls: 0, ready: 'one-no-scheme' },
      body: 'OIG1.',
      pictures: 4
    },
    { name: 'G3 pending', set: { g3: true }, body: '{"status":0}' },
    { name: 'G3', set: { pendingPolls: 0, g3: true }, body: '{"status":2,"records":' },
    { name: 'G3 partial', set: { pendingPolls: 0, g3: true, g3Partial: true }, body: '"status":1' },
    {
      name: 'G3 failed',
      set: { pendingPolls: 0, g3: true, errorType: 16 },
      body: '{"status":3,"errorType":16}'
    },
    {
      name: 'G3 page',
      set: { pendingPolls: 0, g3: true, g3Page: true },
      body: '&quot;requestStatus&quot;:2'
    },
    { name: 'escaped URLs', set: { pendingPolls: 0, g3: true, escapedUrls: true }, body: '\\/th\\/id\\/' }
  ] as const
  const v = await visitor(t)
  for (const { name, set, ...want } of cases) {
    v.sim.cookies.accept('simulated-cookie')
    await v.bootstrap()
    const id = v.idOf(await v.submit())
    v.sim.enqueue('poll', { ...set, ...('pending' in set ? { pending: [...set.pending] } : {}) } as object)
    const body = await (await v.poll(id)).text()
    if ('body' in want) t.match(body, want.body, name)
    if ('not' in want) t.notMatch(body, want.not, name)
    if ('pictures' in want) t.equal(pictures(body).length, want.pictures, name)
  }
  t.strictSame(v.sim.violations, [])
  const unsafe = v.idOf(await v.submit({ q: 'an unsafe thing' }))
  await v.poll(unsafe, 'an unsafe thing')
  t.match(await (await v.poll(unsafe, 'an unsafe thing')).text(), 'girer_center block_icon')
})

t.test('video poll switches', async (t) => {
  const cases = [
    { ready: 'show-content-url', body: /"showContent":"http[^"]+\?pid=videocreator"/ },
    { ready: 'show-content-html', body: 'ourl=\\"' },
    { ready: 'show-content-video-tag', body: '<source src=' },
    { ready: 'pending-and-content', body: /"errorMessage":"Pending","showContent":"http/ },
    { ready: 'ourl', body: /ourl="http[^"]+pid=videocreator"/ },
    { ready: 'ourl-slashes', body: '\\/th\\/id\\/' },
    { ready: 'ourl-unicode', body: '\\u0026amp;' },
    { ready: 'ourl-entities', body: '&amp;FORM' },
    { ready: 'ourl-after-poster', body: /ourl="[^"]+w=270[\s\S]+ourl="[^"]+\?pid=videocreator"/ },
    { ready: 'ourl-tse', body: 'ourl="https://tse2.mm.bing.net/' },
    { ready: 'card', body: 'thId=OVID.' },
    { ready: 'json-neither', body: '{"enableDebug":false}' }
  ] as const
  const v = await visitor(t)
  for (const { ready, body } of cases) {
    const id = v.idOf(await v.submitVideo())
    v.sim.set('videoPoll', { ready, pendingPolls: 0 })
    t.match(await (await v.pollVideo(id)).text(), body, ready)
  }

  v.sim.set('videoPoll', { pendingPolls: 0, onlyNewSession: true })
  const id = v.idOf(await v.submitVideo())
  t.match(await (await v.pollVideo(id)).text(), 'Pending', 'the session of the submit')
  await v.bootstrap()
  t.match(await (await v.pollVideo(id)).text(), 'videocreator', 'a later session')

  v.sim.set('videoPoll', { pendingPolls: 0 })
  v.sim.cookies.expire('simulated-cookie')
  t.match(await (await v.pollVideo(id)).text(), 'id="id_l"')
  v.sim.cookies.accept('renewed')
  v.jar = 'renewed'
  t.match(await (await v.pollVideo(id)).text(), 'videocreator', 'the id belongs to the account')
})

t.test('a card leads to the film', async (t) => {
  const v = await visitor(t)
  v.sim.set('videoPoll', { ready: 'card', pendingPolls: 0 })
  const page = await (await v.pollVideo(v.idOf(await v.submitVideo()))).text()
  const href = (/href="([^"]+)"/.exec(page)?.[1] ?? '').replaceAll('&amp;', '&')
  const detail = /data-url="([^"]+)"/.exec(await (await v.get(href)).text())?.[1] ?? ''
  const { value } = (await (await v.get(detail.replaceAll('&amp;', '&'))).json()) as {
    value: { contentUrl: string }[]
  }
  t.match(value[0]?.contentUrl, /\/th\/id\/OVID\.\w+\?pid=videocreator$/)
})

t.test('a GET with everything that creates a video uses up the next attempt', async (t) => {
  const v = await visitor(t)
  await v.get('/images/create?q=x&ctype=video&pt=3&sm=0')
  t.equal((await v.submitVideo()).status, 200)
  t.equal((await v.submitVideo()).status, 302)
})

t.test('pictures asked for in a chat', async (t) => {
  const v = await visitor(t)
  v.sim.set('poll', { pendingPolls: 0 })
  const page = await (await v.get('/images/create?partner=sydney&re=1&q=a+blue+cat')).text()
  const poll = (/data-c="([^"]+)"/.exec(page)?.[1] ?? '').replaceAll('&amp;', '&')
  t.equal(pictures(await (await v.get(poll)).text()).length, 4)
  t.equal(v.sim.counts['submit:a blue cat'], 1)
  t.match(await (await v.get('/images/create?partner=sydney&q=gore')).text(), 'BlockedByContentPolicy')
  t.strictSame(v.sim.violations, [])
})

t.test('a reset refills the stock and frees the places', async (t) => {
  const v = await visitor(t)
  v.sim.set('bootstrap', { fastLeft: 0 })
  v.sim.set('submit', { maxParallel: 1, whenFastUsedUp: 'start-page' })
  t.match(await v.bootstrap(), 'data-tb="0"')
  t.equal((await v.submit()).status, 200)
  t.equal((await v.submit({ rt: '3' })).status, 302)
  t.match(await (await v.submit({ rt: '3' })).text(), 'other ongoing creations')
  v.sim.reset()
  v.sim.set('submit', { maxParallel: 1 })
  t.match(await v.bootstrap(), 'data-tb="15"')
  t.equal((await v.submit()).status, 302)
})
