import { randomUUID } from 'node:crypto'
import sharp from 'sharp'
import { drawJpeg, flatJpeg } from '../creator/drawing.ts'
import { cached } from '../creator/media.ts'
import { type Exchange, type Frame, playFaults } from '../frame.ts'
import type { CopilotTurnBehaviour } from './behaviour.ts'

/** Path of pictures drawn in a chat. */
export const PICTURE_PATH = /^\/th\/id\/BCO\.([0-9a-f-]{36})\.png$/

const SIZE = 1024
const PREVIEW_SIZE = 256

/** One picture, drawn when it is asked for. */
export interface Picture {
  id: string
  prompt: string
  /** Which of several pictures for the same prompt. */
  variant: number
  plain: boolean
}

export interface Pictures {
  add(prompt: string, variant: number, plain: boolean): Picture
  get(id: string): Picture | undefined
}

const MAX_PICTURES = 5000

export function createPictures(): Pictures {
  const byId = new Map<string, Picture>()
  return {
    add(prompt, variant, plain) {
      const picture = { id: randomUUID(), prompt, variant, plain }
      byId.set(picture.id, picture)
      const oldest = byId.keys().next()
      if (byId.size > MAX_PICTURES && !oldest.done) byId.delete(oldest.value)
      return picture
    },
    get: (id) => byId.get(id)
  }
}

function draw({ prompt, variant, plain }: Picture, size: number): Promise<Buffer> {
  const key = JSON.stringify(['copilot', plain, prompt, variant, size])
  return cached(key, () => (plain ? flatJpeg : drawJpeg)(prompt, { width: size, height: size, variant }))
}

/** Where the finished picture lies; docs/protocol/chat-copilot.md section 5. */
export function addressOf({ id }: Picture, host: CopilotTurnBehaviour['imageHost'], frame: Frame): string {
  const hosts = {
    own: frame.base(),
    real: 'https://copilot.microsoft.com',
    foreign: 'https://pictures.example',
    relative: ''
  }
  return `${hosts[host]}/th/id/BCO.${id}.png`
}

/**
 * Preview `step` of `steps` in base64: the same picture, smaller and in growing quality.
 * @param step from 1
 */
export async function previewOf(
  picture: Picture,
  step: number,
  { previews, previewFormat }: CopilotTurnBehaviour
): Promise<string> {
  const small = sharp(await draw(picture, PREVIEW_SIZE))
  const share = step / previews
  const bytes =
    previewFormat === 'png'
      ? small.resize(Math.max(16, Math.round(PREVIEW_SIZE * share))).png()
      : small.jpeg({ quality: Math.max(5, Math.round(80 * share)) })
  return (await bytes.toBuffer()).toString('base64')
}

/** `GET` and `HEAD /th/id/BCO.<uuid>.png`, with `w` a thumbnail: needs no cookie. */
export async function servePicture(frame: Frame, pictures: Pictures, x: Exchange): Promise<void> {
  const how = frame.take('copilot.picture')
  frame.count('copilot.picture')
  if (await playFaults(frame, x, how)) return
  const { req, res, url } = x
  const picture = pictures.get(PICTURE_PATH.exec(url.pathname)?.[1] ?? '')
  if (how.expired || picture === undefined) {
    res.writeHead(404, { 'content-type': 'text/plain; charset=utf-8' }).end()
    return
  }
  const width = Math.min(Number(url.searchParams.get('w')) || SIZE, SIZE)
  const bytes = await sharp(await draw(picture, SIZE))
    .resize(Math.max(1, Math.floor(width)))
    .png({ compressionLevel: 3 })
    .toBuffer()
  res.writeHead(200, {
    'content-type': 'image/png',
    'content-length': bytes.length,
    'cache-control': 'public, max-age=1209600'
  })
  res.end(req.method === 'HEAD' ? undefined : bytes)
}
