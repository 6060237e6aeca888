import sharp from 'sharp'
import { type Exchange, type Frame, playFaults } from '../frame.ts'
import { drawJpeg, flatJpeg } from './drawing.ts'
import { renderFilm } from './film.ts'
import type { Account, Aspect, Job, Medium, Model } from './jobs.ts'

type Size = { width: number; height: number }

/** Path of pictures and films. */
export const MEDIA_PATH = /^\/th\/id\/([A-Za-z0-9]+\.[A-Za-z0-9_-]+)$/

const SQUARE: Size = { width: 1024, height: 1024 }
const PIXELS: Record<Model, Record<Aspect, Size>> = {
  dalle: {
    square: SQUARE,
    landscape: { width: 1792, height: 1024 },
    portrait: { width: 1024, height: 1792 }
  },
  gpt4o: {
    square: SQUARE,
    landscape: { width: 1536, height: 1024 },
    portrait: { width: 1024, height: 1536 }
  },
  maiimage1: {
    square: SQUARE,
    landscape: { width: 1248, height: 832 },
    portrait: { width: 832, height: 1248 }
  }
}

/** Pixels of a finished picture; docs/protocol/images.md section 2.2. */
export const pictureSize = ({ model, aspect }: Pick<Job, 'model' | 'aspect'>): Size => PIXELS[model][aspect]

/** Pixels of a finished film. */
export const filmSize = ({ aspect }: Pick<Job, 'aspect'>): Size =>
  aspect === 'landscape' ? { width: 480, height: 270 } : { width: 270, height: 480 }

const CACHED = 64
const cache = new Map<string, Promise<Buffer>>()

/** Drawings depend on nothing but their key, so all simulators of a process share them. */
export function cached(key: string, make: () => Promise<Buffer>): Promise<Buffer> {
  const known = cache.get(key)
  if (known) return known
  const made = make()
  cache.set(key, made)
  made.catch(() => cache.delete(key))
  const oldest = cache.keys().next()
  if (cache.size > CACHED && !oldest.done) cache.delete(oldest.value)
  return made
}

/** Plain ones are the same for every prompt: who asks for them wants them quickly. */
const promptOf = ({ job }: Medium, plain: boolean): string => (plain ? '' : job.prompt)

const keyOf = (medium: Medium, kind: string, plain: boolean): string => {
  const { job, variant } = medium
  return JSON.stringify([kind, plain, promptOf(medium, plain), variant, job.kind, job.model, job.aspect])
}

/** The full picture, or the film's first frame. */
function picture(medium: Medium, plain: boolean): Promise<Buffer> {
  const { job, variant } = medium
  const size = job.kind === 'video' ? filmSize(job) : pictureSize(job)
  const draw = plain ? flatJpeg : drawJpeg
  return cached(keyOf(medium, 'picture', plain), () => draw(promptOf(medium, plain), { ...size, variant }))
}

const film = (medium: Medium, plain: boolean): Promise<Buffer> =>
  cached(keyOf(medium, 'film', plain), () => renderFilm(promptOf(medium, plain), filmSize(medium.job), plain))

async function thumbnail(medium: Medium, query: URLSearchParams, plain: boolean): Promise<Buffer> {
  const pixels = (name: string): number | undefined => {
    const value = Number(query.get(name))
    return Number.isInteger(value) && value > 0 ? Math.min(value, 1024) : undefined
  }
  const [width, height] = [pixels('w'), pixels('h')]
  return sharp(await picture(medium, plain))
    .resize({ width: width ?? (height ? undefined : 270), height, fit: 'cover' })
    .jpeg({ quality: 80 })
    .toBuffer()
}

const RESIZING = ['w', 'h', 'c', 'rs', 'qlt', 'o'] as const

async function load(
  medium: Medium,
  query: URLSearchParams,
  plain: boolean
): Promise<{ type: string; bytes: Buffer }> {
  const full = !RESIZING.some((name) => query.has(name))
  if (full && medium.job.kind === 'video' && query.get('pid') === 'videocreator') {
    return { type: 'video/mp4', bytes: await film(medium, plain) }
  }
  if (full && medium.job.kind === 'image' && query.get('pid') === 'ImgGn') {
    return { type: 'image/jpeg', bytes: await picture(medium, plain) }
  }
  return { type: 'image/jpeg', bytes: await thumbnail(medium, query, plain) }
}

/** `GET` and `HEAD /th/id/<name>`: needs no cookie, understands one byte range. */
export async function serveMedia(frame: Frame, account: Account, x: Exchange): Promise<void> {
  const how = frame.take('media')
  frame.count('creator.media')
  if (await playFaults(frame, x, how)) return
  const { req, res, url } = x
  const deny = (status: number): void => {
    res.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' })
    res.end()
  }
  if (how.forbidden || /^tse\d+\./i.test(req.headers.host ?? '')) return deny(403)
  const medium = account.medium(MEDIA_PATH.exec(url.pathname)?.[1] ?? '')
  if (how.expired || !medium) return deny(404)
  const { type, bytes } = await load(medium, url.searchParams, how.plain)
  const headers = {
    'content-type': type,
    'accept-ranges': 'bytes',
    'cache-control': 'public, max-age=1209600'
  }
  const range = readRange(req.headers.range, bytes.length)
  if (range === 'unsatisfiable') {
    res.writeHead(416, { ...headers, 'content-range': `bytes */${bytes.length}` })
    res.end()
    return
  }
  const part = range ? bytes.subarray(range.from, range.to + 1) : bytes
  const status = range ? 206 : 200
  const place = range ? { 'content-range': `bytes ${range.from}-${range.to}/${bytes.length}` } : {}
  res.writeHead(status, { ...headers, ...place, 'content-length': part.length })
  res.end(req.method === 'HEAD' ? undefined : part)
}

function readRange(
  header: string | undefined,
  length: number
): { from: number; to: number } | 'unsatisfiable' | undefined {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? []
  if (first === '' && last === '') return undefined
  const from = first === '' ? Math.max(0, length - Number(last)) : Number(first)
  const to = first === '' || last === '' ? length - 1 : Math.min(Number(last), length - 1)
  return from < length && from <= to ? { from, to } : 'unsatisfiable'
}
