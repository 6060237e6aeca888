import { createRequire } from 'node:module'
import { setImmediate as breathe } from 'node:timers/promises'
import type * as Encoder from 'h264-mp4-encoder'
import { drawFrame, flatFrame } from './drawing.ts'

const FRAMES = 48
const FRAMES_PER_SECOND = 24
/** x264's scale: lower is better. */
const QUANTIZATION = 27

type Size = { width: number; height: number }

let encoder: typeof Encoder | undefined
let last: Promise<unknown> = Promise.resolve()

/**
 * Loads the encoder when a film is first asked for. Its WASM shell installs handlers that end the process on any
 * uncaught error; they are taken out again, which has to happen in the same tick as the loading.
 */
function loadEncoder(): typeof Encoder {
  if (encoder) return encoder
  const events = ['uncaughtException', 'unhandledRejection'] as const
  const before = events.map((event) => process.listeners(event as 'uncaughtException'))
  encoder = createRequire(import.meta.url)('h264-mp4-encoder') as typeof Encoder
  events.forEach((event, i) => {
    for (const listener of process.listeners(event as 'uncaughtException')) {
      if (!before[i]?.includes(listener)) process.off(event, listener)
    }
  })
  return encoder
}

/**
 * Draws two seconds of a moving picture for the prompt: an MP4 with H.264 video and no sound.
 * Films are made one after another; the event loop is blocked for some 15 ms per frame at most.
 * @param size even pixel numbers
 * @param plain one colour in half a second
 */
export function renderFilm(prompt: string, size: Size, plain = false): Promise<Buffer> {
  const film = last.then(() => encode(prompt, size, plain))
  last = film.catch(() => {})
  return film
}

async function encode(prompt: string, { width, height }: Size, plain: boolean): Promise<Buffer> {
  const draw = plain ? flatFrame : drawFrame
  const frames = plain ? FRAMES / 4 : FRAMES
  const h264 = await loadEncoder().createH264MP4Encoder()
  try {
    h264.width = width
    h264.height = height
    h264.frameRate = FRAMES_PER_SECOND
    h264.quantizationParameter = QUANTIZATION
    h264.initialize()
    let next = draw(prompt, { width, height, time: 0 })
    for (let i = 1; i <= frames; i++) {
      const frame = await next
      // The next frame is drawn in sharp's threads while this one is encoded here.
      next = i < frames ? draw(prompt, { width, height, time: i / frames }) : next
      h264.addFrameRgba(frame)
      await breathe()
    }
    h264.finalize()
    return Buffer.from(h264.FS.readFile(h264.outputFilename))
  } finally {
    h264.delete()
  }
}
