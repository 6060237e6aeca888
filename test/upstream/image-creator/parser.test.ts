import t from 'tap'
import type { UpstreamResponse } from '../../../src/upstream/http.ts'
import {
  errorTextRow,
  isFullPage,
  isSignedOut,
  parsePage,
  readLandingPage
} from '../../../src/upstream/image-creator/page.ts'
import { readImagePoll } from '../../../src/upstream/image-creator/poll-answer.ts'
import { readSubmitAnswer } from '../../../src/upstream/image-creator/submit.ts'
import { cleanPictureUrl, createMediaHosts } from '../../../src/upstream/media/media-url.ts'
import { fixture, rowOf } from '../../support/creator.ts'

const file = (name: string) => fixture(import.meta.url, name)
const BASE = 'https://www.bing.com'
const MEDIA = 'https://th.bing.com'
const HEX = '0123456789abcdef0123456789abcdef'

t.test('landing page', async (t) => {
  t.strictSame(readLandingPage(file('landing-signed-in.html.txt')), {
    signedIn: true,
    ig: '0A1B2C3D4E5F60718293A4B5C6D7E8F9',
    salt: 's4lt-Value_09',
    outage: false,
    challenge: false
  })
  t.strictSame(readLandingPage(file('landing-signed-out.html.txt')), {
    signedIn: false,
    ig: 'FFEEDDCCBBAA99887766554433221100',
    salt: undefined,
    outage: false,
    challenge: false
  })
  t.strictSame(readLandingPage(file('outage.html.txt')).outage, true)
  for (const mark of ['<p class=authns>', '<i id="snrerror">', '<form id="challenge-form">']) {
    t.equal(readLandingPage(`<html>${mark}</html>`).challenge, true, mark)
    t.equal(
      readLandingPage(file('landing-signed-out.html.txt') + mark).challenge,
      false,
      `${mark} beside a login`
    )
  }
  t.strictSame(readLandingPage('_G={IG:"a;b",Salt:"x\u00e9"}').ig, undefined, 'nothing that breaks a cookie')
  t.strictSame(readLandingPage('<a href="/x?q=1&amp;IG=0A1B2C3D4E5F60718293A4B5C6D7E8F9">').ig?.length, 32)
  t.equal(isSignedOut(file('landing-signed-out.html.txt')), true)
  t.equal(isSignedOut(file('landing-signed-in.html.txt')), false)
  t.equal(isSignedOut('<div id="gir_async"></div>'), false, 'a fragment says nothing')

  for (const [tag, signedIn] of [
    [`<a id='id_a' style='display:none'></a>`, true],
    [`<A ID="id_a" STYLE="DISPLAY: NONE;">`, true],
    [`<span style="color:red; display : none" class="x" id="id_a">`, true],
    [`<a id="id_a" class="x" data-y='z' style="display:none">`, true],
    [`id="id_a" style="display:none"`, true],
    [`<a onclick="a>b" id="id_a" style="display:none">`, true],
    [`<a id=id_a style=display:none>`, true],
    [`<a style=display:none id=id_a>`, true],
    [`<a id="id_a">`, false],
    [`<a id="id_ab" style="display:none">`, false],
    [`<a data-id="id_a" style="display:none">`, false],
    [`<a id="id_a"></a><p style="display:none">`, false]
  ] as const) {
    t.equal(readLandingPage(`<html>${tag}</html>`).signedIn, signedIn, tag)
  }
  for (const tag of [`<a id='id_l'>`, `<A HREF="/x" ID = id_l>`, '<a id="id_l"/>'])
    t.equal(isSignedOut(tag), true, tag)
  t.equal(isSignedOut('<a id="id_later">'), false)
  const startedAt = performance.now()
  for (const piece of ['<a id=id_a ', '<a ', ' id=id_a', 'id  =  ', '<meta http-equiv="', ' href="'])
    t.equal(isFullPage(`<a ${piece.repeat(200_000)}`), false)
  t.ok(performance.now() - startedAt < 2000, 'in linear time')
})

t.test('submit answers', async (t) => {
  const answer = (fields: Partial<UpstreamResponse>) =>
    readSubmitAnswer(
      { status: 200, headers: {}, location: undefined, text: '', url: BASE, ...fields },
      BASE,
      'a fox'
    )
  const accepted = [
    [`${BASE}/images/create?q=a%20fox&id=1-${HEX}&nfy=1`, `${BASE}/images/create?q=a%20fox&id=1-${HEX}`],
    [`${BASE}/images/create?id=1-${HEX}&nfy=1&q=a`, `${BASE}/images/create?id=1-${HEX}&q=a`],
    [`${BASE}/images/create?q=a&amp;id=1-${HEX}&amp;nfy=1`, `${BASE}/images/create?q=a&amp;id=1-${HEX}`],
    [`${BASE}/images/create/a-fox/1-${HEX}?q=a`, `${BASE}/images/create/a-fox/1-${HEX}?q=a`],
    [`https://elsewhere.test/?id=1-${HEX}`, undefined]
  ] as const
  const uuid = '1-01234567-89ab-cdef-0123-456789abcdef'
  for (const [query, upstreamId] of [
    ['q=a&id=1-abc123', '1-abc123'],
    [`q=a&id=${uuid}&nfy=1`, uuid],
    [`id=${HEX}`, HEX],
    [`id=12-${HEX}`, `12-${HEX}`],
    [`q=what?id=3&rt=4&id=1-${HEX}`, `1-${HEX}`],
    [`id=3&q=a&id=1-${HEX}&id=`, `1-${HEX}`],
    [`q=id%3D7%26id%3D8&id=1-${HEX}#id=9`, `1-${HEX}`]
  ] as const) {
    const location = `${BASE}/images/create?${query}`
    t.match(answer({ status: 302, location }), { kind: 'accepted', upstreamId }, query)
  }
  for (const [location, resultUrl] of accepted) {
    t.strictSame(
      answer({ status: 302, location }),
      { kind: 'accepted', upstreamId: `1-${HEX}`, resultUrl },
      location
    )
  }

  const shown = `<div data-c="/images/create/async/results/1-${HEX}?q=a+fox"></div>`
  t.match(answer({ text: shown }), { kind: 'accepted', upstreamId: `1-${HEX}`, resultUrl: undefined })
  const link = (q: string) => `<a href="/images/create?q=${q}&amp;FORM=GENCRE&amp;id=1-${HEX}">x</a>`
  t.match(answer({ text: link('a+fox') }), { kind: 'accepted', upstreamId: `1-${HEX}` })
  t.strictSame(answer({ text: link('other') }), { kind: 'start-page' }, "somebody else's id")
  const mine = `/images/create?q=a+fox&amp;FORM=GENCRE&amp;id=1-${HEX}`
  for (const text of [
    `<a href='${mine}'>x</a>`,
    `<A HREF = ${mine}>x</A>`,
    `<form action='${mine.replaceAll('&amp;', '&#38;')}'>`,
    `<meta http-equiv="refresh" content="0; url=${mine}">`,
    `<META content='0;URL="${mine}"' HTTP-EQUIV=Refresh>`,
    `<meta http-equiv="refresh" content="0;url='/images/create?id=1-${HEX}&amp;q=a%20fox'">`,
    `<meta http-equiv="refresh" content="0;url=/images/create/a-fox/1-${HEX}">`
  ])
    t.match(answer({ text }), { kind: 'accepted', upstreamId: `1-${HEX}`, resultUrl: undefined }, text)
  for (const text of [
    `<meta http-equiv="refresh" content="0;url=/images/create/other/1-${HEX}?q=other">`,
    `<meta name="x" content="0;url=${mine}">`,
    `<meta http-equiv="refresh" content="0;url=/images/create?q=a+fox&amp;id=1-abc">`
  ])
    t.strictSame(answer({ text }), { kind: 'unknown' }, text)

  t.strictSame(answer({ text: file('landing-signed-in.html.txt') }), { kind: 'start-page' })
  for (const text of [
    file('landing-signed-out.html.txt'),
    `<html><span style='display:none' id='id_a'></span></html>`,
    `<html><a href='/login' id='id_l'>Sign in</a></html>`,
    '<form method="post" action="/images/create">',
    `<FORM ACTION='https://www.bing.com/Images/Create?rt=4'>`,
    '<html><a class=x href=/bing/images/create/?FORM=X>Image Creator</a></html>'
  ])
    t.strictSame(answer({ text }), { kind: 'start-page' }, text)
  for (const text of [
    '',
    ' ',
    'OK',
    'See /images/create',
    '{}',
    `{"html":"<form action='/images/create'>"}`,
    '<html>Just a moment</html>',
    '<html><form id="challenge-form" action="/images/create?q=a&amp;__cf_chl_f_tk=x"></form></html>',
    '<html><a href="/images/created">x</a><a href="/search?q=/images/create">y</a></html>'
  ])
    t.strictSame(answer({ text }), { kind: 'unknown' }, text)
  t.strictSame(answer({ text: '<div id="authns"></div>' }), { kind: 'refused', row: 'I17' })
  t.strictSame(answer({ text: '<div dq-err="x"></div>' }), { kind: 'refused', row: 'I4' })
  t.strictSame(answer({ text: file('outage.html.txt') }), { kind: 'refused', row: 'I15' })

  const rows = [
    [{ status: 302, location: `${BASE}/images/create?FORM=X` }, 'I16'],
    [{ status: 302, location: `${BASE}/images/create?id=no%22nsense` }, 'I16'],
    [{ status: 302, location: `${BASE}/images/create?id=${'a'.repeat(129)}` }, 'I16'],
    [{ status: 302, location: `${BASE}/images/create?id=1-abc&id=%20&id=.` }, 'I16'],
    [{ status: 302, location: 'https://elsewhere.test/?id=1-abc123' }, 'I16'],
    [{ status: 302 }, 'I16'],
    [{ status: 302, location: 'https://login.live.com/login.srf?id=1' }, 'T6'],
    [{ status: 302, location: 'https://cn.bing.com/images/create' }, 'T5'],
    [{ status: 401 }, 'T6'],
    [{ status: 403 }, 'T7'],
    [{ status: 429 }, 'T8'],
    [{ status: 500 }, 'T9-bad'],
    [{ status: 503 }, 'T9'],
    [{ status: 404 }, 'T11']
  ] as const
  for (const [fields, row] of rows) t.equal(await rowOf(Promise.resolve().then(() => answer(fields))), row)
  const withoutId = await Promise.resolve()
    .then(() => answer({ status: 302, location: `${BASE}/` }))
    .catch((error: unknown) => error)
  t.match(withoutId, { row: 'I16', shouldRetry: false })
  t.throws(() => answer({ status: 414 }), { type: 'invalid_request_error', code: 'prompt_too_long' })
})

t.test('error texts', async (t) => {
  const cases = [
    ['This prompt has been blocked. Our system …', 'I5'],
    ['Content warning', 'I5'],
    ['This prompt is being reviewed', 'I6'],
    ['Unsafe image content detected', 'I7'],
    ['We&#39;re working hard to offer Image Creator in more languages', 'I8'],
    ['Please provide a more descriptive prompt', 'I9'],
    ['Please wait until your other ongoing creations are complete before trying to create again', 'I10'],
    ['You can’t submit any more prompts', 'I10'],
    ['0 coins available', 'I11'],
    ['10 coins available', undefined],
    ["Due to high demand, we're unable to process new requests", 'I12'],
    ["We can't create your images right now", 'I12'],
    ['There was a problem creating your images. Your boost is kept.', 'I13'],
    ['Please try again or come back later', 'I13'],
    ['Image creation is coming soon to your region', 'I14'],
    ["Bing isn't avaiable right now", 'I15'],
    ["We're sorry! We've run into an issue.", 'I15'],
    ['Creating your pictures', undefined]
  ] as const
  const panel = (text: string) => `<div class="gil_err_tc"><div class="gil_err_mt">${text}</div></div>`
  const row = (html: string, prompt = 'a fox', panelsOnly = false) =>
    errorTextRow(parsePage(html), { prompt, panelsOnly })
  for (const [text, want] of cases) {
    t.equal(row(panel(text)), want, text)
    t.equal(row(panel(text), text, true), want, `${text} (the prompt says so too)`)
    t.equal(row(`<main><p>${text}</p></main>`), want, `${text} (no panel)`)
    t.equal(
      row(`<main><p>${text}</p></main>`, 'a fox', true),
      undefined,
      `${text} (no panel, beside results)`
    )
    t.equal(row(`<div id="gil_err_d">${panel(text)}</div>`), undefined, `${text} (hidden panel)`)
    t.equal(row(`<div style="display: none">${panel(text)}</div>`), undefined, `${text} (hidden)`)
    t.equal(row(`<script>say("${text}")</script><title>${text}</title>`), undefined, `${text} (script)`)
  }
  t.equal(row('<h2>A sign that says content warning</h2>', 'a sign that says Content  Warning'), undefined)
  t.equal(row('<div id="girer"><p>Contenu bloqué</p></div>'), 'I4', 'a refusal panel in another language')
  t.equal(row('<div id="girer"> </div>'), undefined, 'an empty one')
})

t.test('poll answers', async (t) => {
  const pending = { kind: 'pending', json: false }
  const waiting = { kind: 'pending', json: true }
  const failed = (row: string) => ({ kind: 'failed', row })
  const page = (inside: string) => `<style type="text/css"></style><div id="gir_async">${inside}</div>`
  const ready = (images: string[], prompt = 'a fox') => ({
    kind: 'ready',
    result: { images, video: null, prompt }
  })
  const a = `${MEDIA}/th/id/OIG1.a?pid=ImgGn`
  const cases: [name: string, body: string, want: object][] = [
    ['marker: icon', page('<div class="girer_center block_icon"></div>'), failed('I4')],
    ['marker: clarity', '<p data-clarity-tag="BlockedByContentPolicy">', failed('I4')],
    ['marker: dq-err', '<p dq-err="3">', failed('I4')],
    ['marker: 2023', '<p class="gil_err_img block_icon rms">', failed('I4')],
    ['empty', '', pending],
    ['one character', '\n', pending],
    ['JSON Pending', '{"errorMessage":"Pending","showContent":"","enableDebug":false}', waiting],
    ['JSON still pending', '{"errorMessage":"Still Pending"}', waiting],
    ['JSON other message', '{"errorMessage":"Boom"}', { ...failed('I19'), said: 'Boom' }],
    [
      'JSON known message',
      '{"errorMessage":"This prompt has been blocked"}',
      { ...failed('I5'), said: 'This prompt has been blocked' }
    ],
    ['JSON, something else', '{"enableDebug":false}', pending],
    ['JSON cut off', '{"errorMessage":"Pen', pending],
    ['status page', page('<div id="GenerativeImagesStatusPage">'), pending],
    ['visible panel', page('<div class="gil_err_mt">This prompt is being reviewed</div>'), failed('I6')],
    [
      'visible panel beside a picture',
      page('<p class="gil_err_mt">Content warning</p><img src="/th/id/OIG1.a">'),
      failed('I5')
    ],
    ['no style sheet', '<div><img src="/th/id/OIG1.a"></div>', pending],
    [
      'ready',
      file('ready.html.txt'),
      ready(
        [
          `${MEDIA}/th/id/OIG1.one?pid=ImgGn`,
          'https://tse3.mm.bing.net/th/id/OIG4.two?pid=ImgGn',
          `${MEDIA}/th/id/OIG3.three?pid=ImgGn`,
          `${MEDIA}/th/id/OIG4.four?pid=ImgGn`
        ],
        'a "red" fox & its den, soft light'
      )
    ],
    [
      'prompt from alt',
      page('<img class="image-row-img mimg" alt="a fox &lt;3" src="/th/id/OIG1.a">'),
      ready([a], 'a fox <3')
    ],
    ['prompt as sent', page('<img class="mimg" alt="no" src="/th/id/OIG1.a">'), ready([a])],
    ['caption of others', page('<img src="/th/id/OIG1.a"><p>content warning</p>'), ready([a])],
    [
      'streaming class on DALL-E',
      file('streaming.html.txt'),
      ready([`${MEDIA}/th/id/OIG3.preview?pid=ImgGn`])
    ],
    [
      'murl',
      page(`<a class="iusc" m="{&quot;murl&quot;:&quot;${MEDIA}/th/id/OIG1.a&quot;}"></a>`),
      ready([a])
    ],
    [
      'bad image: unsafe',
      page('<img src="https://r.bing.com/rp/in-2zU3AJUdkgFe7ZKv19yPBHVs.png">'),
      failed('I7')
    ],
    ['bad image: overloaded', page('<img src="/rp/TX9QuO3WzcCJz1uaaSwQAz39Kb0.jpg">'), failed('I12')],
    [
      'bad image, hidden',
      page('<p id="gil_err_d"><img src="/rp/TX9QuO3WzcCJz1uaaSwQAz39Kb0.jpg"></p>'),
      { kind: 'hollow' }
    ],
    [
      'pictures that are hidden until they are loaded',
      page('<div style="display:none" hidden><img src="/th/id/OIG1.a"></div>'),
      ready([a])
    ],
    [
      'pictures for nobody',
      page('<noscript><img src="/th/id/OIG1.a"></noscript><template><img src="/th/id/OIG1.a"></template>'),
      { kind: 'hollow' }
    ],
    [
      'addresses that are merely unknown',
      page('<img src="/images/x"><img src="https://th.bing.com/x"><img src="about:blank">'),
      { kind: 'hollow' }
    ],
    ['placeholder', page('<img src="rms/unsafe?w=270">'), failed('I7')],
    ['placeholder beside a picture', page('<img src="rms/unsafe"><img src="/th/id/OIG1.a">'), ready([a])],
    [
      'nothing acceptable',
      page('<img src="https://elsewhere.test/x"><img src="/rp/x.svg">'),
      { kind: 'hollow' }
    ],
    ['signed-out page', file('landing-signed-out.html.txt'), { kind: 'signed-out' }],
    ['G3 pending', '{"status":0}', pending],
    ['G3 partial', '{"status":1,"records":[{"mediaItems":[{"src":"/th/id/OIG1.a"}]}]}', pending],
    ['G3 complete', file('g3-complete.json'), ready([a, `${MEDIA}/th/id/OIG1.b?pid=ImgGn`])],
    ['G3 complete, empty', '{"status":2,"records":[]}', { kind: 'hollow' }],
    ['G3 unsafe', '{"status":3,"errorType":16}', failed('I7')],
    ['G3 failed', '{"status":3,"errorType":2}', { ...failed('I19'), said: 'errorType 2' }],
    ['G3 unknown', '{"status":7}', pending],
    ['G3 in a page', file('g3-page.html.txt'), ready([a])]
  ]
  const hosts = createMediaHosts([MEDIA, BASE])
  for (const [name, body, want] of cases) {
    const verdict = readImagePoll(body, { prompt: 'a fox', model: 'DALLE', mediaUrl: MEDIA, hosts })
    t.strictSame(verdict, want, name)
  }
  const gpt = { prompt: 'a fox', model: 'GPT4O', mediaUrl: MEDIA, hosts } as const
  t.strictSame(readImagePoll(file('streaming.html.txt'), gpt), pending, 'GPT-4o streams previews')
})

t.test('picture addresses', async (t) => {
  const local = 'http://127.0.0.1:9/media'
  const hosts = createMediaHosts([local, BASE])
  const cases = [
    ['/th/id/OIG1.a?w=1', `${local}/th/id/OIG1.a?pid=ImgGn`],
    [`${local}/th/id/OIG1.a`, `${local}/th/id/OIG1.a?pid=ImgGn`],
    ['//th.bing.com/th/id/OIG1.a', `${MEDIA}/th/id/OIG1.a?pid=ImgGn`],
    ['https://bing.com/th/id/OIG1.a#x', 'https://bing.com/th/id/OIG1.a?pid=ImgGn'],
    ['http://127.0.0.1:8/th/id/OIG1.a', undefined],
    ['http://127.0.0.1:9/th/id/OIG1.a', undefined],
    ['https://th.bing.com:444/th/id/OIG1.a', undefined],
    ['https://me@th.bing.com/th/id/OIG1.a', undefined],
    ['https://notbing.com/th/id/OIG1.a', undefined],
    ['https://th.bing.com.evil.test/th/id/OIG1.a', undefined],
    ['https://tsex.mm.bing.net/th/id/OIG1.a', undefined],
    ['https://th.bing.com/th/id/', undefined],
    ['https://th.bing.com/th/id/a.js', undefined],
    ['https://th.bing.com/th?id=OIG1.a', undefined],
    ['javascript:alert(1)', undefined],
    ['', undefined]
  ] as const
  for (const [address, want] of cases) t.equal(cleanPictureUrl(address, local, hosts), want, address)

  const under = 'http://bing.test/bing'
  for (const [bases, address, want] of [
    [[under, under], '/bing/th/id/OIG1.a?w=1', `${under}/th/id/OIG1.a?pid=ImgGn`],
    [[under, under], '/th/id/OIG1.a', `${under}/th/id/OIG1.a?pid=ImgGn`],
    [[under, under], `${under}/th/id/OIG1.a`, `${under}/th/id/OIG1.a?pid=ImgGn`],
    [[under, under], '//bing.test/bing/th/id/OIG1.a', `${under}/th/id/OIG1.a?pid=ImgGn`],
    [[under, under], 'http://bing.test/th/id/OIG1.a', undefined],
    [[under, under], '/bing/x/OIG1.a', undefined],
    [[MEDIA, under], '/bing/th/id/OIG1.a', `${under}/th/id/OIG1.a?pid=ImgGn`],
    [['http://bing.test/media', under], '/bing/th/id/OIG1.a', `${under}/th/id/OIG1.a?pid=ImgGn`],
    [['http://bing.test/th', BASE], '/th/id/OIG1.a', 'http://bing.test/th/th/id/OIG1.a?pid=ImgGn']
  ] as const) {
    t.equal(cleanPictureUrl(address, bases[0], createMediaHosts(bases)), want, `${bases}: ${address}`)
  }
})

t.test('pages that no browser would be shown are not parsed', async (t) => {
  const deep = (tags: number, rest: string) => '<div>'.repeat(tags) + rest
  for (const [what, html] of [
    ['too many open tags', deep(2001, '')],
    ['too many tags', '<b>x</b>'.repeat(50_001)],
    ['many in a depth', deep(1900, '<b>x</b>'.repeat(6000))],
    ['without an end, too', deep(1900, '<img src="x">'.repeat(11_000))],
    ['where a comment hides a script', `<!--<script>-->${deep(1900, '<b>x</b>'.repeat(6000))}`],
    ['where ends are cut off', '</x<div>'.repeat(30_000)],
    ['where ends are words of attributes', '<div a="</b>">'.repeat(30_000)],
    ['where ends are in comments', '<!--</div></div>--><div>'.repeat(30_000)],
    ['where ends come in the wrong order', '<div><span></div></span>'.repeat(20_000)],
    ['many texts in a depth', deep(1900, 'x<!---->'.repeat(20_000))],
    ['many comments', 'x<!---->'.repeat(100_001)]
  ] as const) {
    const startedAt = performance.now()
    t.equal(await rowOf(Promise.resolve().then(() => parsePage(html))), 'T11', what)
    t.ok(performance.now() - startedAt < 5000, `${what}: at once`)
  }
  const wide = `<body>${'<b>x</b> '.repeat(49_000)}<p>outage</p></body>`
  t.ok(errorTextRow(parsePage(wide), { prompt: '' }) === undefined, 'a wide one is read')
  t.ok(
    parsePage(`<script>${'i<n;'.repeat(1500)}</script>${'<p><b>x</b></p>'.repeat(2000)}`),
    'a long script is none'
  )
  const rows = '<tr><td>x<td><a href="</a>">y</a><!--</tr>-->'.repeat(3000)
  t.ok(parsePage(`<table>${rows}</table>`), 'nor are many tags that need no end')
})
