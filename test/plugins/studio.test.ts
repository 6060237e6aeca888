import { createHash, randomUUID } from 'node:crypto'
import { Script } from 'node:vm'
import { parse } from 'node-html-parser'
import t, { type Test } from 'tap'
import { html, httpUrl, Markup } from '../../plugins/studio/html.ts'
import { SCRIPT } from '../../plugins/studio/script.ts'
import { type Gateway, startGateway, USER } from '../support/gateway.ts'

const HERE = { host: '127.0.0.1:7860' }
const NASTY = `"><script>alert(1)</script><img src=x onerror='alert(2)'>&amp;\${x}</ul>`

/** Puts a finished task into the store, as if Bing had answered with these addresses. */
async function keep(
  { app }: Gateway,
  {
    owner = '',
    prompt = 'a fox',
    images,
    video = null
  }: { owner?: string; prompt?: string; images?: string[]; video?: string | null }
): Promise<string> {
  const { tasks } = app.store
  const id = randomUUID()
  const common = { id, owner, prompt, createdAt: Date.now(), deadlineAt: null }
  await tasks.insert(
    images === undefined
      ? { ...common, kind: 'video', options: { speed: 'fast' } }
      : { ...common, kind: 'image', options: { model: 'DALLE', aspect: 'SQUARE' } }
  )
  await tasks.move(id, 'submitting', { dueAt: null })
  await tasks.move(id, 'polling', { upstreamId: '1-0123456789abcdef0123456789abcdef', dueAt: null })
  await tasks.move(id, 'completed', {
    result: { images: images ?? [], video, prompt },
    completedAt: Date.now()
  })
  return id
}

function directives(policy: unknown): Record<string, string[]> {
  return Object.fromEntries(
    String(policy)
      .split(';')
      .map((part) => part.trim().split(' '))
      .map(([name, ...sources]) => [name, sources])
  )
}

const sha256 = (source: string) => `'sha256-${createHash('sha256').update(source).digest('base64')}'`

const page = async (gateway: Gateway, headers: Record<string, string> = HERE) => {
  const { status, headers: sent, text } = await gateway.get('/studio', headers)
  return { status, headers: sent, text, dom: parse(text, { comment: true }) }
}

t.test('a browser at / is sent to the page, a program gets the API info', async (t) => {
  const gateway = await startGateway(t)
  const browser = await gateway.get('/', { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' })
  t.strictSame([browser.status, browser.headers.location], [302, '/studio'])
  t.equal((await gateway.get('/', { accept: '*/*' })).json.success, true)

  const studio = await page(gateway)
  t.equal(studio.status, 200)
  t.equal(studio.headers['content-type'], 'text/html; charset=utf-8')
  t.equal(studio.headers['cache-control'], 'no-store')
  t.ok(studio.headers['x-request-id'])
  t.equal(studio.dom.querySelectorAll('#chat, #images, #video, #recent').length, 4)
})

t.test('the policy allows exactly the inline script and style of the page', async (t) => {
  const gateway = await startGateway(t, { config: { BING_MEDIA_URL: 'http://127.0.0.1:9/media/' } })
  const { dom, headers } = await page(gateway)
  const policy = directives(headers['content-security-policy'])
  const scripts = dom.querySelectorAll('script')
  const styles = dom.querySelectorAll('style')
  t.strictSame([scripts.length, styles.length], [1, 1])
  t.strictSame(policy['script-src'], [sha256(scripts[0]?.textContent ?? '')])
  t.strictSame(policy['style-src'], [sha256(styles[0]?.textContent ?? '')])
  t.strictSame(policy['connect-src'], ["'self'"])
  t.strictSame(policy['frame-ancestors'], ["'none'"])
  t.strictSame(policy['default-src'], ["'none'"])
  for (const name of ['img-src', 'media-src']) {
    t.strictSame(policy[name], [
      "'self'",
      'data:',
      'https://bing.com',
      'https://*.bing.com',
      'https://*.mm.bing.net',
      gateway.sim.url,
      'http://127.0.0.1:9'
    ])
  }
  t.notOk('upgrade-insecure-requests' in policy, 'pictures of a plain http upstream are not rewritten')
  t.equal(headers['cross-origin-embedder-policy'], undefined, "Bing's pictures carry no resource policy")
})

t.test('with Copilot, the page names it and may show its pictures', async (t) => {
  const copilot = {
    chatUpstream: 'copilot',
    config: { COPILOT_URL: 'https://copilot.example/site' }
  } as const
  const { dom, headers } = await page(await startGateway(t, copilot))
  const { 'img-src': pictures, 'media-src': films } = directives(headers['content-security-policy'])
  t.strictSame(pictures, [...(films ?? []), 'https://copilot.example'])
  const words = dom.querySelector('body')?.innerText.replace(SCRIPT, '')
  t.match(words, /Ask Copilot anything/)
  t.match(words, /Answers come from Copilot, pictures and videos from Bing,/)
})

t.test('the page runs no handler or style that the policy would block', async (t) => {
  const { dom } = await page(await startGateway(t))
  const attributes = dom.querySelectorAll('*').flatMap((element) => Object.keys(element.attributes))
  t.strictSame(
    attributes.filter((name) => /^on|^style$/i.test(name)),
    []
  )
  t.notMatch(SCRIPT, /<\/script|<!--/i)
  t.notMatch(SCRIPT, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|setAttribute\('style'/)
  t.doesNotThrow(() => new Script(SCRIPT))
})

t.test('labels and names', async (t) => {
  const { dom } = await page(await startGateway(t))
  for (const field of dom.querySelectorAll('input, select, textarea')) {
    const label =
      dom.querySelector(`label[for="${field.getAttribute('id')}"]`) ??
      (field.parentNode?.rawTagName === 'label' ? field.parentNode : null)
    t.ok(label?.textContent.trim(), `label of ${field.getAttribute('id') ?? field.getAttribute('value')}`)
  }
  const ids = dom.querySelectorAll('[id]').map((element) => element.id)
  t.strictSame([...new Set(ids)], ids)
  for (const link of dom.querySelectorAll('nav a')) {
    t.ok(ids.includes(link.getAttribute('href')?.slice(1) ?? ''), link.textContent)
  }
  t.ok(dom.querySelector('a[href="docs"]'))
})

t.test('who is here', async (t) => {
  const fields = async (config: NonNullable<Parameters<typeof startGateway>[1]>['config']) => {
    const { status, dom } = await page(await startGateway(t, { config }))
    t.equal(status, 200)
    const labels = dom
      .querySelectorAll('.who')
      .filter((field) => !field.hasAttribute('hidden'))
      .map((field) => [
        field.querySelector('label')?.textContent,
        field.querySelector('input')?.getAttribute('type')
      ])
    return {
      labels,
      help: dom.querySelector('#credential-help')?.textContent,
      ...dom.querySelector('body')?.attributes
    }
  }
  t.match(await fields({}), {
    labels: [['Name or API key', 'text']],
    help: /images and video work without/,
    'data-auth': 'whitelist',
    'data-anonymous': 'true'
  })
  t.match(await fields({ ALLOW_ANONYMOUS: false }), {
    labels: [['Name or API key', 'text']],
    help: /Everything on this page needs it/,
    'data-anonymous': 'false'
  })
  t.match(await fields({ AUTH_MODE: 'key', ALLOW_ANONYMOUS: true }), {
    labels: [
      ['API key', 'password'],
      ['User name', 'text']
    ],
    help: /Only this tab keeps it/,
    'data-auth': 'key',
    'data-anonymous': 'false'
  })
})

t.test(
  'a task tells what Bing made of the prompt, since a page that follows it sees nothing else',
  async (t) => {
    const gateway = await startGateway(t)
    const query = 'a red boat'
    const { enhancedPrompt } = await gateway.ended(
      (await gateway.post('/create/image', { query }, { ...HERE, prefer: 'respond-async' })).json.data.taskId,
      HERE
    )
    t.match(enhancedPrompt, /^a red boat, ./)
    const waited = (await gateway.post('/create/image', { query }, HERE)).json.data
    t.equal(waited.prompt, enhancedPrompt)
    gateway.sim.set('poll', { enhanced: 'none' })
    const { taskId } = (await gateway.post('/create/image', { query }, HERE)).json.data
    t.notOk('enhancedPrompt' in (await gateway.ended(taskId, HERE)))
  }
)

t.test('prompts from the store are text, whatever they hold', async (t) => {
  const gateway = await startGateway(t)
  await keep(gateway, { prompt: NASTY, images: [`https://th.bing.com/th/id/OIG.x?a="onload='b'&pid=ImgGn`] })
  const { dom, text } = await page(gateway)
  t.equal(dom.querySelector('.card-prompt')?.textContent, NASTY)
  t.equal(dom.querySelectorAll('script').length, 1)
  t.strictSame(Object.keys(dom.querySelector('.card img')?.attributes ?? {}), [
    'loading',
    'decoding',
    'alt',
    'src'
  ])
  t.notOk(text.includes('<script>alert(1)'))
  t.notOk(text.includes("onerror='"))
})

t.test('only http(s) addresses become src or href', async (t) => {
  const gateway = await startGateway(t)
  await keep(gateway, {
    images: ['javascript:alert(1)', 'data:text/html,x', '//th.bing.com/1', 'https://th.bing.com/th/id/OIG.1']
  })
  await keep(gateway, { video: 'javascript:alert(3)' })
  await keep(gateway, { video: 'https://th.bing.com/th/id/OVID.1?pid=videocreator' })
  const { dom } = await page(gateway)
  const cards = dom.querySelectorAll('.card')
  t.equal(cards.length, 3)
  t.strictSame(
    dom
      .querySelectorAll('.card [src], .card [href]')
      .flatMap((e) => e.getAttribute('src') ?? e.getAttribute('href')),
    [
      'https://th.bing.com/th/id/OVID.1?pid=videocreator#t=0.1',
      'https://th.bing.com/th/id/OIG.1',
      'https://th.bing.com/th/id/OIG.1'
    ]
  )
})

t.test('recent creations', async (t) => {
  await t.test('show what a visitor without a name has created', async (t) => {
    const gateway = await startGateway(t)
    const made = await gateway.post('/create/image', { query: 'a red boat' }, HERE)
    t.equal(made.status, 200)
    await gateway.post('/create/video', { query: 'a blue wave' }, HERE)
    const { dom } = await page(gateway)
    t.strictSame(
      dom.querySelectorAll('.card-prompt').map((element) => element.textContent),
      ['a blue wave', 'a red boat']
    )
    t.strictSame(
      dom.querySelectorAll('.card img').map((image) => image.getAttribute('src')),
      made.json.data.media.map(({ url }: { url: string }) => url.replace(`http://${HERE.host}/`, ''))
    )
    t.ok(dom.querySelector('#recent-empty')?.hasAttribute('hidden'))
  })

  await t.test('are twelve at most; the page says where the others begin', async (t) => {
    const gateway = await startGateway(t)
    const shown = async () => {
      const { dom, headers } = await page(gateway)
      t.equal(headers.link, undefined)
      return {
        cards: dom.querySelectorAll('.card').map((card) => card.getAttribute('data-task')),
        cursor: dom.querySelector('.cards')?.getAttribute('data-cursor'),
        hidden: dom.querySelector('#recent-more')?.hasAttribute('hidden')
      }
    }
    const ids: string[] = []
    for (let n = 0; n < 12; n++) ids.push(await keep(gateway, { images: [] }))
    t.match(await shown(), { cursor: undefined, hidden: true })
    for (let n = 0; n < 2; n++) ids.push(await keep(gateway, { images: [] }))
    const { cards, cursor, hidden } = await shown()
    t.strictSame([cards.length, hidden], [12, false])
    const others = await gateway.get(`/tasks?limit=12&cursor=${cursor}`, HERE)
    t.strictSame(
      [...cards, ...others.json.data.tasks.map(({ id }: { id: string }) => id)].sort(),
      [...ids].sort()
    )
    t.equal(others.json.data.nextCursor, null)
  })

  await t.test('can be cancelled while they are in progress', async (t) => {
    const gateway = await startGateway(t)
    gateway.sim.set('videoPoll', { neverReady: true })
    await gateway.post('/create/video', { query: NASTY }, HERE)
    await keep(gateway, { images: [] })
    const { dom } = await page(gateway)
    t.strictSame(
      dom
        .querySelectorAll('[data-cancel]')
        .map((button) => [
          button.getAttribute('aria-label'),
          button.closest('.card')?.getAttribute('data-status')
        ]),
      [[`Cancel: ${NASTY}`, 'processing']]
    )
  })

  await t.test("are shown from the gateway's copies, with their sizes", async (t) => {
    const gateway = await startGateway(t, { config: { PUBLIC_URL: 'https://gateway.example/bing' } })
    const { media } = (
      await gateway.post('/create/image', { query: 'a red boat', aspect: 'LANDSCAPE' }, HERE)
    ).json.data
    t.match(media[0].url, /^https:\/\/gateway\.example\/bing\/media\//)
    const { dom } = await page(gateway)
    const pictures = dom.querySelectorAll('.card img')
    t.strictSame(
      pictures.map((picture) => [picture.getAttribute('width'), picture.getAttribute('height')]),
      Array(4).fill(['1792', '1024'])
    )
    const addresses = pictures.map((picture) => picture.getAttribute('src') ?? '')
    for (const name of ['.preview a', '.download']) {
      t.strictSame(
        dom.querySelectorAll(name).map((link) => link.getAttribute('href')),
        addresses
      )
    }
    for (const address of addresses) {
      t.match(address, /^media\/[\w-]+\?exp=\d+&sig=[\w-]+$/, 'of the origin that the page came from')
      const file = await gateway.get(`/${address}`, { host: 'elsewhere.example' })
      t.strictSame([file.status, file.headers['content-type']], [200, media[0].contentType])
    }
  })

  const closed: [string, Parameters<typeof startGateway>[1], Record<string, string>][] = [
    ['where visitors need a name', { config: { ALLOW_ANONYMOUS: false } }, HERE],
    ['where visitors need a key', { config: { AUTH_MODE: 'key' } }, HERE],
    [
      'where visitors need a key, whatever ALLOW_ANONYMOUS says',
      { config: { AUTH_MODE: 'key', ALLOW_ANONYMOUS: true } },
      HERE
    ],
    ['in a container', { config: { HOST: '0.0.0.0' } }, HERE],
    ['under a foreign host name', {}, { host: 'rebound.example' }],
    ["from another site's link", {}, { ...HERE, 'sec-fetch-site': 'cross-site' }]
  ]
  for (const [name, options, headers] of closed) {
    await t.test(`are not shown ${name}`, async (t: Test) => {
      const gateway = await startGateway(t, options)
      await keep(gateway, { prompt: 'a private boat', images: ['https://th.bing.com/th/id/OIG.1'] })
      const { dom, text, status } = await page(gateway, headers)
      t.equal(status, 200)
      t.equal(dom.querySelectorAll('.card').length, 0)
      t.notOk(text.includes('a private boat'))
    })
  }

  await t.test('never show what belongs to a name, not even to that name', async (t) => {
    const gateway = await startGateway(t)
    await keep(gateway, { owner: USER, prompt: 'a named boat', images: ['https://th.bing.com/th/id/OIG.1'] })
    for (const headers of [HERE, { ...HERE, 'x-user-id': USER }]) {
      t.notOk((await page(gateway, headers)).text.includes('a named boat'))
    }
  })
})

t.test('html escapes every value that is not markup', async (t) => {
  t.equal(html`<p title="${`"'<>&`}">${'<b>'}</p>`.text, '<p title="&quot;&#39;&lt;&gt;&amp;">&lt;b&gt;</p>')
  t.equal(html`${new Markup('<i>')}${[html`<u>`, '<', 1]}${false}${undefined}`.text, '<i><u>&lt;1')
})

t.test('httpUrl', async (t) => {
  const cases: [string, string | undefined][] = [
    ['https://th.bing.com/a b', 'https://th.bing.com/a%20b'],
    ['HTTP://127.0.0.1:1/x', 'http://127.0.0.1:1/x'],
    ['javascript:alert(1)', undefined],
    [' java\nscript:alert(1)', undefined],
    ['data:text/html,x', undefined],
    ['vbscript:x', undefined],
    ['/relative', undefined],
    ['', undefined]
  ]
  for (const [address, want] of cases) t.equal(httpUrl(address), want, address)
})
