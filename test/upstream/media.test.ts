import t from 'tap'
import type { UpstreamHttp, UpstreamRequest } from '../../src/upstream/http.ts'
import { createImageClient } from '../../src/upstream/image-creator/client.ts'
import { createMediaClient } from '../../src/upstream/media/client.ts'
import { createMediaHosts } from '../../src/upstream/media/media-url.ts'
import { createVideoClient } from '../../src/upstream/video-creator/client.ts'
import { creatorRig, lookUntilReady, never, rowOf } from '../support/creator.ts'

const JPEG = Buffer.from('ffd8ffe000104a464946', 'hex')

t.test('fetches pictures and films', async (t) => {
  const { simulator, http, settings } = await creatorRig(t)
  const media = createMediaClient({ http, allowedBases: [simulator.url] })
  const request = { prompt: 'a fox', model: 'MAI1', aspect: 'SQUARE' } as const
  const images = createImageClient(settings)
  const picture = await lookUntilReady(images, await images.submit(request, never), request)
  const url = picture.result.images[0] ?? ''
  const jpeg = await media.fetch(url, never)
  t.equal(jpeg.contentType, 'image/jpeg')
  t.equal(jpeg.body.toString('hex', 0, 3), 'ffd8ff')

  const videos = createVideoClient(settings)
  const film = await lookUntilReady(videos, await videos.submit({ prompt: 'a', speed: 'fast' }, never), {
    prompt: 'a',
    speed: 'fast'
  })
  t.equal((await media.fetch(film.result.video ?? '', never)).contentType, 'video/mp4')

  for (const [behaviour, want] of [
    [{ expired: true }, 'I25'],
    [{ forbidden: true }, 'T11'],
    [{ status: 503 }, 'T9'],
    [{ status: 500 }, 'T9-bad'],
    [{ status: 429 }, 'T8'],
    [{ status: 204 }, 'T11'],
    [{ body: '<!doctype html><p>Hello', headers: { 'content-type': 'text/html' } }, 'T10'],
    [{ body: '<svg xmlns="x"/>', headers: { 'content-type': 'image/svg+xml' } }, 'T10'],
    [{ body: 'odd', headers: { 'content-type': 'image/png; charset=x' } }, 'no failure'],
    [{ redirect: 'http://127.0.0.1:1/th/id/OIG1.a' }, 'T11'],
    [{ redirect: 'https://elsewhere.test/' }, 'T11'],
    [{ redirect: '//' }, 'T11'],
    [{ reset: true }, 'T3']
  ] as const) {
    simulator.enqueue('media', behaviour)
    t.equal(await rowOf(media.fetch(url, never)), want, JSON.stringify(behaviour))
  }
  const path = new URL(url).pathname
  simulator.enqueue('media', { redirect: path }, { redirect: path }, { redirect: path })
  t.equal(await rowOf(media.fetch(url, never)), 'no failure', 'three redirects')
  simulator.enqueue('media', { redirect: path }, { redirect: path }, { redirect: path }, { redirect: path })
  t.equal(await rowOf(media.fetch(url, never)), 'T5', 'four')
  t.strictSame(simulator.violations, [])
})

t.test('asks allowed hosts only', async (t) => {
  const asked: string[] = []
  const media = createMediaClient({
    http: fakeHttp(asked, () => 200),
    allowedBases: ['http://127.0.0.1:9/up']
  })
  for (const url of [
    'http://127.0.0.1:9/upper/x',
    'http://127.0.0.1:9/x',
    'http://127.0.0.1/up/x',
    'http://th.bing.com/th/id/x',
    'https://th.bing.com:8443/th/id/x',
    'https://u:p@th.bing.com/th/id/x',
    'https://169.254.169.254/latest',
    'https://bing.com.evil.test/x',
    'https://evilbing.com/x',
    'https://tse1.mm.bing.net.evil.test/x',
    'file:///etc/passwd',
    'no address',
    ''
  ]) {
    t.equal(await rowOf(media.fetch(url, never)), 'T11', url)
  }
  t.strictSame(asked, [])
  const allowed = [
    'http://127.0.0.1:9/up/x',
    'https://bing.com/a',
    'https://r.th.bing.com/b',
    'https://tse12.mm.bing.net/c'
  ]
  for (const url of allowed) t.equal((await media.fetch(url, never)).contentType, 'image/jpeg')
  t.strictSame(asked, allowed)
  t.equal(createMediaHosts(['http://h.test']).allows(new URL('http://h.test.evil/')), false)
})

t.test('I24: an alias host that refuses', async (t) => {
  const alias = 'https://tse3.mm.bing.net/th/id/OIG1.a?pid=ImgGn'
  const refusesAlias = (url: string) => (url.startsWith('https://tse3') ? 403 : 200)

  const asked: string[] = []
  const media = createMediaClient({ http: fakeHttp(asked, refusesAlias), allowedBases: [] })
  t.equal((await media.fetch(alias, never)).body, JPEG)
  t.strictSame(asked, [alias, 'https://th.bing.com/th/id/OIG1.a?pid=ImgGn'])

  const own: string[] = []
  const local = createMediaClient({
    http: fakeHttp(own, () => 403),
    allowedBases: [],
    mediaUrl: 'http://127.0.0.1:9/'
  })
  t.equal(await rowOf(local.fetch(alias, never)), 'T11')
  t.strictSame(own, [alias, 'http://127.0.0.1:9/th/id/OIG1.a?pid=ImgGn'], 'once')
})

/** An upstream without a network: hosts of Bing can't be asked in a test. */
function fakeHttp(asked: string[], statusOf: (url: string) => number): UpstreamHttp {
  return {
    request: () => Promise.reject(new Error('not for media')),
    async bytes({ url }: UpstreamRequest) {
      asked.push(url)
      return { status: statusOf(url), headers: { 'content-type': 'image/jpeg' }, body: JPEG }
    },
    close: async () => {}
  }
}
