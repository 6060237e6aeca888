import t from 'tap'
import { createMediaHosts } from '../../../src/upstream/media/media-url.ts'
import { readVideoPoll, videoRefusal } from '../../../src/upstream/video-creator/parser.ts'
import { fixture } from '../../support/creator.ts'

const file = (name: string) => fixture(import.meta.url, name)
const MEDIA = 'https://th.bing.com'
const URL_ = `${MEDIA}/th/id/OVID.fox?pid=videocreator`

t.test('poll answers', async (t) => {
  const pending = { kind: 'pending', json: false }
  const waiting = { kind: 'pending', json: true }
  const failed = (row: string, said?: string) => ({
    kind: 'failed',
    row,
    ...(said !== undefined && { said })
  })
  const ready = (video = URL_) => ({ kind: 'ready', result: { images: [], video, prompt: 'a fox' } })
  const content = (showContent: string, errorMessage = '') =>
    JSON.stringify({ errorMessage, showContent, enableDebug: false })
  const page = (inside: string) => `<style type="text/css"></style><div id="gir_async">${inside}</div>`
  const cases: [name: string, body: string, want: object][] = [
    ['marker', '<p dq-err="1">', failed('V5')],
    ['JSON Pending', content('', 'Pending'), waiting],
    ['JSON still pending', content('', 'STILL PENDING'), waiting],
    ['JSON Pending with content', content(URL_, 'Pending'), waiting],
    ['empty', '', pending],
    ['one character', ' ', pending],
    ['content: address', content(URL_), ready()],
    ['content: address without pid', content(`${MEDIA}/th/id/OVID.fox`), ready(`${MEDIA}/th/id/OVID.fox`)],
    ['content: HTML with ourl', content(`<div ourl="${URL_}"><img src="${URL_}&w=1"></div>`), ready()],
    [
      'content: video element',
      content(`<video poster="${MEDIA}/p"><source src="${URL_}" type="video/mp4"></video>`),
      ready()
    ],
    ['content: elsewhere', content('https://elsewhere.test/x.mp4'), ready('https://elsewhere.test/x.mp4')],
    ['content: plain', content('http://th.bing.com/x'), ready('http://th.bing.com/x')],
    ['content: local', content('HTTP://localhost:81/x?a=1'), ready('http://localhost:81/x?a=1')],
    ['content: alias', content('https://tse1.mm.bing.net/x?a'), ready(`${MEDIA}/x?a`)],
    ['content: relative', content('/th/id/OVID.fox?pid=videocreator'), ready()],
    ['content: no address', content('https://'), { kind: 'hollow' }],
    [
      'content: source with other quotes',
      content(`<video><source type='video/mp4' src='${URL_}'></video>`),
      ready()
    ],
    ['content: relative source', content('<source src="/th/id/OVID.fox?pid=videocreator">'), ready()],
    ['content: relative without a slash', content('<video src=th/id/OVID.fox?pid=videocreator>'), ready()],
    ['content: capitals', content(`<VIDEO POSTER="${MEDIA}/p" SRC = "${URL_}"></VIDEO>`), ready()],
    ['content: lazy source', content(`<video data-src="${URL_}"></video>`), { kind: 'hollow' }],
    ['content: foreign source', content('<video src="https://elsewhere.test/x">'), { kind: 'hollow' }],
    [
      'content: plain source',
      content(`<video src="${URL_.replace('https', 'http')}">`),
      ready(URL_.replace('https', 'http'))
    ],
    [
      'content: a source that is surely a video',
      content(`<div ourl="${MEDIA}/th/id/OVID.fox"></div><video src="${URL_}">`),
      ready()
    ],
    [
      'content: source after the poster',
      content(`<div ourl='${URL_}&amp;w=2'></div><video src='${URL_}'>`),
      ready()
    ],
    ['ourl: capitals and spaces', page(`<DIV OURL = "${URL_}"></DIV>`), ready()],
    ['ourl: relative', page(`<div ourl='/th/id/OVID.fox?pid=videocreator'></div>`), ready()],
    ['ourl: unterminated', page(`<div ourl="${URL_}></div><p class="x">`), pending],
    ['content: HTML without address', content('<p>soon</p>'), { kind: 'hollow' }],
    ['content beside a message', content(URL_, 'Odd'), ready()],
    ['ourl', page(`<div ourl="${URL_}"></div>`), ready()],
    ['ourl: slashes', page(`<div ourl="${URL_.replaceAll('/', '\\/')}"></div>`), ready()],
    ['ourl: unicode', page(`<div ourl="${URL_}\\u0026amp;F=1"></div>`), ready(`${URL_}&F=1`)],
    [
      'ourl: entities',
      page(`<div ourl="${URL_}&amp;F&#61;1&#x26;para=2"></div>`),
      ready(`${URL_}&F=1&para=2`)
    ],
    ['ourl in other JSON', JSON.stringify({ html: `<div ourl="${URL_}">` }), ready()],
    ['ourl after the poster', file('ourl-after-poster.html.txt'), ready()],
    ['ourl: poster alone', page(`<div ourl="${URL_}&amp;w=270"></div>`), pending],
    [
      'ourl on an alias host',
      page('<div ourl="https://tse2.mm.bing.net/th/id/OVID.fox?pid=videocreator">'),
      ready()
    ],
    ['ourl elsewhere', page('<div ourl="https://elsewhere.test/x?pid=videocreator">'), pending],
    ['card', file('card.html.txt'), pending],
    ['JSON other message', content('', 'Boom'), failed('V6', 'Boom')],
    [
      'JSON known message',
      content('', 'This prompt has been blocked'),
      failed('I5', 'This prompt has been blocked')
    ],
    ['JSON loose words', JSON.stringify({ note: 'try again later' }), { kind: 'hollow' }],
    ['JSON with neither', '{"enableDebug":false}', { kind: 'hollow' }],
    ['G3 pending', '{"status":0}', pending],
    ['G3 failed', '{"status":3,"errorType":2}', failed('V6')],
    ['text: too many', '<p>Too many requests</p>', failed('V2')],
    ['text: concurrent', '<p>Three concurrent videos</p>', failed('V2')],
    ['text: ongoing', '<p>Please wait until your other ongoing creations are complete</p>', failed('V2')],
    ['text: wrong', '<p>Something went wrong.</p>', failed('V6')],
    ['text: could not', '<p>We couldn’t create your video</p>', failed('V6')],
    ['text in the prompt', '<p>a fox</p>', pending],
    ['text beside a video', page(`<p>Something went wrong</p><div ourl="${URL_}"></div>`), ready()],
    ['signed out', '<a id="id_l" href="/x">Sign in</a><p>Try again later</p>', { kind: 'signed-out' }],
    ['something else', page('<p>Working</p>'), pending]
  ]
  const context = { prompt: 'a fox', mediaUrl: MEDIA, hosts: createMediaHosts([MEDIA]) }
  for (const [name, body, want] of cases) t.strictSame(readVideoPoll(body, context), want, name)

  const startedAt = performance.now()
  for (const piece of [
    ' src="',
    ' src = ',
    "<video src='",
    'ourl="',
    'ourl = ',
    'ourl=&quot;',
    '<source ',
    ' '
  ])
    readVideoPoll(content(`<video ourl="${piece.repeat(100_000)}`), context)
  t.ok(performance.now() - startedAt < 3000, 'in linear time')

  const local = 'http://localhost:81'
  const test = {
    prompt: 'a fox',
    mediaUrl: local,
    hosts: createMediaHosts([local], { anyLoopbackPort: true })
  }
  for (const address of ['http://127.0.0.1:81/th/id/OVID.a', 'http://[::1]:82/x.mp4'])
    t.strictSame(readVideoPoll(page(`<div ourl="${address}">`), test), ready(address), address)
})

t.test('submit refusals of its own', async (t) => {
  t.equal(videoRefusal('I10', '', 'a fox'), 'V2')
  t.equal(videoRefusal('I4', '', 'a fox'), 'I4')
  t.equal(videoRefusal(undefined, '<p>You have reached the number of concurrent videos.</p>', 'a fox'), 'V2')
  t.equal(
    videoRefusal(undefined, '<a id="id_l" href="#"></a><p>Something went wrong</p>', 'a fox'),
    undefined
  )
  t.equal(videoRefusal(undefined, '<p>concurrent foxes</p>', 'Concurrent foxes'), undefined)
})
