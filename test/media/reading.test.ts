import sharp from 'sharp'
import t from 'tap'
import { isFresh, rangeOf } from '../../plugins/media/conditions.ts'
import { mp4Size } from '../../src/media/mp4.ts'
import { pixelSize } from '../../src/media/pixel-size.ts'
import { createMediaSignatures } from '../../src/media/signature.ts'

const HOUR = 3_600_000
const ID = '0f343b0931126a20f133d67c2b018a3b'

t.test('signatures stand for one id until their time is over', async (t) => {
  const signatures = createMediaSignatures(Buffer.alloc(32, 1))
  const now = Date.parse('2026-01-01T12:34:56.789Z')
  const query = signatures.query(ID, now)
  t.match(query, /^exp=\d{10}&sig=[\w-]{43}$/)
  const { exp, sig } = Object.fromEntries(new URLSearchParams(query)) as { exp: string; sig: string }
  const left = Number(exp) * 1000 - now
  t.ok(left >= 23 * HOUR && left <= 24 * HOUR, 'good for a day')
  t.equal(signatures.query(ID, now + 25 * 60_000), query, 'the same within the hour')
  t.not(signatures.query(ID, now + 26 * 60_000), query)
  for (const at of [0, 1, 1799, 3599].map((seconds) => Date.parse('2026-01-01T13:00:00Z') + seconds * 1000)) {
    const end = Number(new URLSearchParams(signatures.query(ID, at)).get('exp')) * 1000
    t.ok(end - at >= 23 * HOUR && end - at <= 24 * HOUR, `at ${at}`)
  }

  t.equal(signatures.holds(ID, { exp, sig }, now), true)
  t.equal(signatures.holds(ID, { exp, sig }, Number(exp) * 1000 - 1), true)
  t.equal(signatures.holds(ID, { exp, sig }, Number(exp) * 1000), false, 'over')
  const other = createMediaSignatures(Buffer.alloc(32, 2))
  t.equal(other.holds(ID, { exp, sig }, now), false, 'another secret')
  // The last character of 43 has two bits to spare: several texts stand for the same bytes.
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const twin = sig.slice(0, 42) + alphabet[alphabet.indexOf(sig[42] as string) ^ 1]
  t.strictSame(Buffer.from(twin, 'base64url'), Buffer.from(sig, 'base64url'))
  for (const [id, wrong] of [
    [ID.replace('0', '1'), { exp, sig }],
    [ID, {}],
    [ID, { exp }],
    [ID, { sig }],
    [ID, { exp: String(Number(exp) + 1), sig }],
    [ID, { exp: `0${exp}`, sig }],
    [ID, { exp: ` ${exp}`, sig }],
    [ID, { exp: '', sig: '' }],
    [ID, { exp: 'Infinity', sig }],
    [ID, { exp, sig: twin }],
    [ID, { exp, sig: `${sig}=` }],
    [ID, { exp, sig: sig.slice(1) }],
    [ID, { exp, sig: `é${sig.slice(2)}` }]
  ] as const) {
    t.equal(signatures.holds(id, wrong, now), false, JSON.stringify([id, wrong]))
  }
})

t.test('conditions and ranges of a request', async (t) => {
  const etag = '"abc"'
  for (const [given, want] of [
    [undefined, false],
    ['"abc"', true],
    ['W/"abc"', true],
    ['"x", W/"abc"', true],
    ['*', true],
    ['"x"', false],
    ['abc', false],
    ['', false]
  ] as const)
    t.equal(isFresh(given, etag), want, `If-None-Match: ${given}`)

  for (const [range, want] of [
    [undefined, undefined],
    ['bytes=0-3', { start: 0, end: 3 }],
    ['bytes=4-', { start: 4, end: 9 }],
    ['bytes=-3', { start: 7, end: 9 }],
    ['bytes=-99', { start: 0, end: 9 }],
    ['bytes=0-99', { start: 0, end: 9 }],
    ['bytes=9-9', { start: 9, end: 9 }],
    ['BYTES= 0-0 ', { start: 0, end: 0 }],
    [`bytes=0-${'9'.repeat(400)}`, { start: 0, end: 9 }],
    ['bytes=10-', 'none'],
    ['bytes=10-20', 'none'],
    ['bytes=-0', 'none'],
    [`bytes=${'9'.repeat(400)}-`, 'none'],
    ['bytes=3-2', undefined],
    ['bytes=-', undefined],
    ['bytes=', undefined],
    ['bytes=a-b', undefined],
    ['bytes=0-1,4-5', undefined],
    ['items=0-1', undefined],
    ['bytes=0--1', undefined]
  ] as const) {
    t.strictSame(rangeOf({ range }, etag, 10), want, `Range: ${range?.slice(0, 20)}`)
  }
  t.equal(rangeOf({ range: 'bytes=-1' }, etag, 0), 'none', 'an empty file has no parts')
  const range = 'bytes=0-3'
  t.strictSame(rangeOf({ range, 'if-range': etag }, etag, 10), { start: 0, end: 3 })
  for (const ifRange of ['"x"', 'W/"abc"', 'Thu, 01 Jan 2026 00:00:00 GMT', ''])
    t.equal(rangeOf({ range, 'if-range': ifRange }, etag, 10), undefined, `If-Range: ${ifRange}`)
})

t.test('pixels of pictures, as they are shown', async (t) => {
  const picture = sharp({ create: { width: 40, height: 20, channels: 3, background: 'teal' } })
  for (const [type, bytes] of [
    ['image/jpeg', await picture.jpeg().toBuffer()],
    ['image/png', await picture.png().toBuffer()],
    ['image/webp', await picture.webp().toBuffer()],
    ['image/gif', await picture.gif().toBuffer()],
    ['image/avif', await picture.avif().toBuffer()]
  ] as const) {
    t.strictSame(await pixelSize(bytes, type), { width: 40, height: 20 }, type)
    t.equal(await pixelSize(bytes.subarray(0, 20), type), undefined, `${type}, cut off`)
  }
  const lying = await picture.withMetadata({ orientation: 6 }).jpeg().toBuffer()
  t.strictSame(await pixelSize(lying, 'image/jpeg'), { width: 20, height: 40 }, 'turned by its EXIF data')
  t.equal(await pixelSize(Buffer.from('odd'), 'image/png'), undefined)
  t.equal(await pixelSize(lying, 'video/webm'), undefined, 'not read')
})

const box = (type: string, ...parts: Buffer[]): Buffer => {
  const payload = Buffer.concat(parts)
  const head = Buffer.alloc(8, type, 'latin1')
  head.writeUInt32BE(payload.length + 8, 0)
  head.write(type, 4, 'latin1')
  return Buffer.concat([head, payload])
}
const longBox = (type: string, payload: Buffer): Buffer => {
  const head = Buffer.alloc(16)
  head.writeUInt32BE(1, 0)
  head.write(type, 4, 'latin1')
  head.writeBigUInt64BE(BigInt(payload.length + 16), 8)
  return Buffer.concat([head, payload])
}
const handler = (type: string) =>
  box('mdia', box('mdhd'), box('hdlr', Buffer.alloc(8), Buffer.from(type), Buffer.alloc(12)))

function trackHeader(
  width: number,
  height: number,
  { version = 0, matrix = [1, 0, 0, 1] }: { version?: 0 | 1; matrix?: number[] } = {}
): Buffer {
  const at = version === 1 ? 52 : 40
  const header = Buffer.alloc(at + 44)
  header[0] = version
  for (const [n, offset] of [0, 4, 12, 16].entries())
    header.writeInt32BE((matrix[n] ?? 0) * 0x10000, at + offset)
  header.writeInt32BE(0x40000000, at + 32)
  header.writeUInt32BE(width * 0x10000, at + 36)
  header.writeUInt32BE(height * 0x10000, at + 40)
  return box('tkhd', header)
}
const film = (...tracks: Buffer[]) =>
  Buffer.concat([
    box('ftyp', Buffer.from('isom')),
    box('mdat', Buffer.alloc(100)),
    box('moov', box('mvhd'), ...tracks)
  ])

t.test('pixels of films', async (t) => {
  const sound = box('trak', trackHeader(0, 0), handler('soun'))
  const size = { width: 480, height: 270 }
  const plain = film(sound, box('trak', trackHeader(480, 270), handler('vide')))
  t.strictSame(mp4Size(plain), size, 'behind a sound track')
  t.strictSame(await pixelSize(plain, 'video/mp4'), size)
  t.strictSame(
    mp4Size(film(box('trak', trackHeader(480, 270, { version: 1 }), handler('vide')))),
    size,
    'long times'
  )
  for (const matrix of [
    [0, 1, -1, 0],
    [0, -1, 1, 0]
  ])
    t.strictSame(
      mp4Size(film(box('trak', trackHeader(270, 480, { matrix }), handler('vide')))),
      size,
      'filmed upright'
    )
  const upsideDown = trackHeader(480, 270, { matrix: [-1, 0, 0, -1] })
  t.strictSame(mp4Size(film(box('trak', upsideDown, handler('vide')))), size)
  const moov = box('trak', trackHeader(480, 270), handler('vide'))
  t.strictSame(
    mp4Size(Buffer.concat([longBox('mdat', Buffer.alloc(9)), box('moov', moov)])),
    size,
    '64-bit sizes'
  )
  const open = box('moov', moov)
  open.writeUInt32BE(0, 0)
  t.strictSame(mp4Size(open), size, 'a last box without a size')

  t.equal(mp4Size(film(sound)), undefined)
  t.equal(mp4Size(film(box('trak', trackHeader(0, 0), handler('vide')))), undefined)
  t.equal(mp4Size(Buffer.alloc(0)), undefined)
  t.equal(mp4Size(Buffer.alloc(64)), undefined)
  t.equal(mp4Size(Buffer.alloc(64, 0xff)), undefined)
  t.equal(
    mp4Size(Buffer.concat([...Array.from({ length: 2000 }, () => box('free')), box('moov', moov)])),
    undefined,
    'endless'
  )
  t.doesNotThrow(() => {
    for (let n = 0; n < plain.length; n++) {
      mp4Size(plain.subarray(0, n))
      const broken = Buffer.from(plain)
      broken[n] = 0xff
      mp4Size(broken)
    }
  }, 'whatever a broken file says of its sizes')
})
