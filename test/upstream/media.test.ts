import t from 'tap'
import type { UpstreamHttp, UpstreamRequest } from '../../src/upstream/http.ts'
import { createImageClient } from '../../src/upstream/image-creator/client.ts'
import { createMediaClient } from '../../src/upstream/media/client.ts'
import { createMediaHosts } from '../../src/upstream/media/media-url.ts'
import { creatorRig, lookUntilReady, never, rowOf } from '../support/creator.ts'

const JPEG = Buffer.from('ffd8ffe000104a464946', 'hex')

t.test('fetches pictures', async (t) => {
  const { simulator, http, settings } = await creatorRig(t)
  const media = createMediaClient({ http, allowedBases: [simulator.url] })
  const request = { prompt: 'a fox', model: 'MAI1', aspect: 'SQUARE' } as const
  const images = createImageClient(settings)
  const picture = await lookUntilReady(images, await images.submit(request, never), request)
  const url = picture.result.images[0] ?? ''
  const jpeg = await media.fetch(url, never)
  t.equal(jpeg.contentType, 'image/jpeg')
  t.equal(jpeg.body.toString('hex', 0, 3), 'ffd8ff')

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
    [{ reset: true }, 'T1']
  ] as const) {
    simulator.enqueue('media', behaviour)
    // On a kept connection it goes once more at once.
    if ('reset' in behaviour) simulator.enqueue('media', behaviour)
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

t.test('knows this machine by all its names', async (t) => {
  const names = ['http://localhost:81', 'http://127.0.0.1:81', 'http://127.8.9.10:81', 'http://[::1]:81']
  const elsewhere = ['http://localhost.evil.test:81', 'http://127.0.0.1.evil.test:81', 'http://10.0.0.1:81']
  for (const base of names) {
    const strict = createMediaHosts([`${base}/up`])
    const loose = createMediaHosts([`${base}/up`], { anyLoopbackPort: true })
    for (const name of names) {
      t.equal(strict.allows(new URL(`${name}/up/x`)), true, `${base}: ${name}`)
      t.equal(strict.allows(new URL(`${name}/x`)), false, 'outside the path')
      t.equal(loose.allows(new URL(`${name}/x`)), true)
      const otherPort = new URL(name.replace('81', '82'))
      t.equal(strict.allows(otherPort), false)
      t.equal(loose.allows(otherPort), true)
      t.equal(loose.allows(new URL(name.replace('http', 'https'))), false, 'another protocol')
    }
    for (const address of elsewhere) t.equal(loose.allows(new URL(address)), false, address)
  }
  const real = createMediaHosts(['https://th.bing.com'], { anyLoopbackPort: true })
  for (const name of names) t.equal(real.allows(new URL(name)), false, `${name} is not Bing's`)
})

t.test('goes by the first bytes, then by a harmless header', async (t) => {
  const cases: [hex: string, header: string, want: string][] = [
    ['ffd8ffe0', 'text/html', 'image/jpeg'],
    ['89504e470d0a1a0a', '', 'image/png'],
    ['474946383961', '', 'image/gif'],
    ['52494646000000005745425056503820', '', 'image/webp'],
    ['0000001c6674797061766966', '', 'image/avif'],
    ['0000001c6674797069736f6d', '', 'video/mp4'],
    ['1a45dfa3', '', 'video/webm'],
    ['00', 'Video/MP4; codecs=x', 'video/mp4'],
    ['00', 'video/mp4x', 'T10'],
    ['00', 'image/svg+xml', 'T10'],
    ['00', '', 'T10'],
    ['', 'text/html', 'T10']
  ]
  for (const [hex, header, want] of cases) {
    const http = fakeHttp([], () => 200, Buffer.from(hex, 'hex'), header)
    const fetched = createMediaClient({ http, allowedBases: [] }).fetch('https://th.bing.com/th/id/a', never)
    t.equal(
      await rowOf(fetched.then(({ contentType }) => Promise.reject(contentType))),
      want,
      `${hex} ${header}`
    )
  }
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
function fakeHttp(
  asked: string[],
  statusOf: (url: string) => number,
  body = JPEG,
  type = 'image/jpeg'
): UpstreamHttp {
  return {
    request: () => Promise.reject(new Error('not for media')),
    async bytes({ url }: UpstreamRequest) {
      asked.push(url)
      return { status: statusOf(url), headers: { 'content-type': type }, body }
    },
    close: async () => {}
  }
}
