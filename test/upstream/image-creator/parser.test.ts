import t from 'tap'
import type { UpstreamResponse } from '../../../src/upstream/http.ts'
import {
  errorTextRow,
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
    outage: false
  })
  t.strictSame(readLandingPage(file('landing-signed-out.html.txt')), {
    signedIn: false,
    ig: 'FFEEDDCCBBAA99887766554433221100',
    salt: undefined,
    outage: false
  })
  t.strictSame(readLandingPage(file('outage.html.txt')).outage, true)
  t.strictSame(readLandingPage('_G={IG:"a;b",Salt:"x\u00e9"}').ig, undefined, 'nothing that breaks a cookie')
  t.strictSame(readLandingPage('<a href="/x?q=1&amp;IG=0A1B2C3D4E5F60718293A4B5C6D7E8F9">').ig?.length, 32)
  t.equal(isSignedOut(file('landing-signed-out.html.txt')), true)
  t.equal(isSignedOut(file('landing-signed-in.html.txt')), false)
  t.equal(isSignedOut('<div id="gir_async"></div>'), false, 'a fragment says nothing')
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
  t.strictSame(answer({ text: file('landing-signed-in.html.txt') }), { kind: 'start-page' })
  t.strictSame(answer({ text: '<div id="authns"></div>' }), { kind: 'refused', row: 'I17' })
  t.strictSame(answer({ text: '<div dq-err="x"></div>' }), { kind: 'refused', row: 'I4' })
  t.strictSame(answer({ text: file('outage.html.txt') }), { kind: 'refused', row: 'I15' })

  const rows = [
    [{ status: 302, location: `${BASE}/images/create?FORM=X` }, 'I16'],
    [{ status: 302, location: `${BASE}/images/create?id=nonsense` }, 'I16'],
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
})
