import sharp from 'sharp'
import { COLOURS, darken, lighten, mix, PALETTES } from './colours.ts'
import {
  definitions,
  drawDistance,
  drawGround,
  drawPines,
  drawSky,
  drawWater,
  drawWeather,
  type Sheet
} from './landscape.ts'
import { hashText, seededRandom } from './random.ts'
import { readScene, type Scene, type Subject } from './scene.ts'
import { drawSubject } from './subjects.ts'

export { enhancePrompt } from './scene.ts'

/** What to draw: the same values always give the same picture. */
export interface DrawingOptions {
  width: number
  height: number
  /** Which of several pictures for the same prompt; 0 by default. */
  variant?: number
  /** 0 to 1: the moment in a two-second loop, for films. */
  time?: number
}

/** The picture for a prompt as SVG text, exactly `width` by `height` pixels. */
export function drawSvg(prompt: string, { width, height, variant = 0, time = 0 }: DrawingOptions): string {
  const scene = readScene(prompt)
  const random = seededRandom(hashText(`${prompt}#${variant}`))
  const open = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">`
  return `${open}${scene.abstract ? abstract(scene, random, width, height, time) : landscape(scene, random, width, height, time)}</svg>`
}

/** The picture for a prompt as a JPEG, drawn outside the main thread. */
export async function drawJpeg(prompt: string, options: DrawingOptions): Promise<Buffer> {
  const { width, height } = options
  const { style } = readScene(prompt)
  let image = sharp(Buffer.from(drawSvg(prompt, options))).removeAlpha()
  if (style === 'oil')
    image = image
      .median(Math.max(3, Math.round(Math.min(width, height) / 180) | 1))
      .modulate({ saturation: 1.15 })
  if (style === 'watercolour') image = image.median(3).modulate({ saturation: 0.8, brightness: 1.1 })
  if (style === 'mono') image = image.greyscale().linear(1.12, -10)
  if (style === 'pixel') {
    const cell = Math.max(4, Math.round(Math.min(width, height) / 128))
    const small = await image
      .resize(Math.round(width / cell), Math.round(height / cell))
      .png()
      .toBuffer()
    image = sharp(small).resize(width, height, { kernel: 'nearest', fit: 'fill' })
  }
  return image.jpeg({ quality: 88 }).toBuffer()
}

const flat = (prompt: string, { width, height, variant = 0 }: DrawingOptions) => {
  const seed = hashText(`${prompt}#${variant}`)
  const background = { r: seed & 255, g: (seed >> 8) & 255, b: (seed >> 16) & 255 }
  return sharp({ create: { width, height, channels: 3, background } })
}

/** A JPEG of one colour, which depends on prompt and variant. */
export const flatJpeg = (prompt: string, options: DrawingOptions): Promise<Buffer> =>
  flat(prompt, options).jpeg().toBuffer()

/** One frame of one colour as raw RGBA bytes. */
export const flatFrame = (prompt: string, options: DrawingOptions): Promise<Buffer> =>
  flat(prompt, options).ensureAlpha().raw().toBuffer()

/** One frame of a film as raw RGBA bytes, row by row. */
export async function drawFrame(prompt: string, options: DrawingOptions): Promise<Buffer> {
  return sharp(Buffer.from(drawSvg(prompt, options)))
    .ensureAlpha()
    .raw()
    .toBuffer()
}

function landscape(scene: Scene, random: () => number, width: number, height: number, time: number): string {
  const unit = Math.min(width, height) / 100
  const horizon = height * ((height > width * 1.2 ? 0.6 : 0.56) + (random() - 0.5) * 0.14)
  const low = scene.light === 'dawn' || scene.light === 'sunset'
  const palette = { ...PALETTES[scene.light] }
  const tint = scene.colours[0]
  if (tint)
    palette.sky = palette.sky.map((colour, i) =>
      mix(colour, tint, [0.16, 0.22, 0.26, 0.16][i] ?? 0)
    ) as typeof palette.sky
  // Every variant has a sky of its own.
  const breath = ['#c8609a', '#4a7fd0', '#f0a860'][Math.floor(random() * 3)] ?? '#c8609a'
  const share = random() * 0.16
  palette.sky = palette.sky.map((colour, i) =>
    i === 0 ? colour : mix(colour, breath, share)
  ) as typeof palette.sky
  const side = random() < 0.5 ? -1 : 1
  const orb = {
    x: width * (0.5 + side * (0.1 + random() * 0.22)),
    y: low
      ? horizon - unit * (3 + random() * 9) - (scene.mountains ? unit * 14 : 0)
      : horizon * (0.18 + random() * 0.24),
    radius: unit * (low ? 5.5 : scene.light === 'night' ? 5 : 4)
  }
  const sheet: Sheet = { width, height, unit, horizon, palette, random, time, orb }
  const sky = drawSky(sheet, scene)
  const distance = drawDistance(sheet, scene)
  const floor = scene.water ? drawWater(sheet, distance) : scene.desert ? '' : drawGround(sheet, scene)
  const figures = placeFigures(sheet, scene, -side)
  return `${definitions(sheet)}${sky}${distance}${floor}${shore(sheet, scene)}${figures}${drawWeather(sheet, scene)}<rect width="${width}" height="${height}" fill="url(#vignette)"/>`
}

/** A dark strip of land at the bottom of a picture with water: gives depth, and something to stand on. */
function shore(sheet: Sheet, scene: Scene): string {
  const onLand = scene.subjects.some(({ kind }) => !AFLOAT.has(kind) && kind !== 'balloon')
  if (!scene.water || (!onLand && !scene.forest)) return ''
  const { width, height, palette, unit, random } = sheet
  const top = shoreLine(sheet)
  const rise = random() * 3
  const colour = scene.snow || scene.light === 'winter' ? '#e4ecf3' : mix(palette.ground, palette.near, 0.45)
  const path = `M0 ${n(top - unit * rise)} C${n(width * 0.3)} ${n(top - unit * 3)} ${n(width * 0.65)} ${n(top + unit * 2)} ${width} ${n(top - unit)} L${width} ${height} L0 ${height} Z`
  const rim = `<path d="${path}" fill="${lighten(palette.sky[3], 0.25)}" opacity="0.5" transform="translate(0 ${n(-unit * 0.7)})"/>`
  const firs = scene.forest ? drawPines(sheet, top + unit * 2, unit * 22, darken(palette.near, 0.35), 9) : ''
  return `${rim}${firs}<path d="${path}" fill="${darken(colour, 0.12)}"/>`
}

const n = (value: number): string => value.toFixed(1)
const shoreLine = ({ height, horizon }: Sheet): number => horizon + (height - horizon) * 0.72
const AFLOAT: ReadonlySet<Subject> = new Set(['boat', 'paper boat', 'lighthouse'])
const TALL: Partial<Record<Subject, number>> = {
  lighthouse: 56,
  castle: 46,
  tree: 52,
  house: 32,
  balloon: 40,
  boat: 32,
  'paper boat': 24,
  fox: 38,
  cat: 36,
  dog: 38,
  robot: 44,
  flower: 40
}

function placeFigures(sheet: Sheet, scene: Scene, side: number): string {
  const { width, height, horizon, unit, palette, time, random } = sheet
  const dark =
    scene.light === 'night' || scene.light === 'sunset' || scene.light === 'dawn' || scene.light === 'storm'
  const count = scene.subjects.length
  return scene.subjects
    .map(({ kind, colour }, i) => {
      const wanted = unit * (TALL[kind] ?? 36) * (0.82 + random() * 0.42) * (count > 1 ? 0.85 : 1)
      const spread = count === 1 ? 0.1 + random() * 0.1 : 0.24
      const x =
        width *
        (0.5 + side * (count === 1 ? spread : (i - (count - 1) / 2) * spread * (count > 2 ? 1.2 : 1.6)))
      const depth = height - horizon
      let y = horizon + depth * (0.5 + random() * 0.1)
      if (scene.water && kind === 'lighthouse') y = horizon + depth * (0.14 + random() * 0.08)
      else if (scene.water && AFLOAT.has(kind)) y = horizon + depth * (0.32 + random() * 0.2)
      else if (scene.water) y = shoreLine(sheet) + unit * 5
      if (kind === 'balloon') y = horizon * (0.96 + random() * 0.1)
      // A balloon floats half its height above y; everything has some air above it.
      const size = Math.min(wanted, (y * 0.92) / (kind === 'balloon' ? 1.5 : 1))
      const afloat = scene.water && AFLOAT.has(kind)
      const stand = { x, y, size, colour, palette, time, dark }
      const mirror = afloat
        ? `<g opacity="0.26" filter="url(#soft)" transform="translate(0 ${n(2 * y + size * 0.1)}) scale(1 -1)">${drawSubject(kind, { ...stand, dark: false })}</g>`
        : kind === 'balloon'
          ? ''
          : `<ellipse cx="${n(x)}" cy="${n(y + unit * 0.4)}" rx="${n(size * 0.42)}" ry="${n(size * 0.05)}" fill="#05070f" opacity="0.3" filter="url(#soft)"/>`
      return mirror + drawSubject(kind, stand)
    })
    .join('')
}

/** Flowing ribbons of light for prompts without a word that can be drawn. */
function abstract(scene: Scene, random: () => number, width: number, height: number, time: number): string {
  const names = Object.values(COLOURS).slice(0, 20)
  const pick = (): string => names[Math.floor(random() * names.length)] ?? '#3473c8'
  const colours = scene.colours.length
    ? [...scene.colours, lighten(scene.colours[0] ?? '#fff', 0.4), pick()]
    : [pick(), pick(), pick()]
  const ink = darken(colours[0] ?? '#24386e', 0.72)
  const unit = Math.min(width, height) / 100
  const colour = (i: number): string => colours[i % colours.length] ?? '#3473c8'
  let svg = `<defs><linearGradient id="back" x1="0" y1="0" x2="1" y2="1"><stop offset="0" stop-color="${ink}"/><stop offset="1" stop-color="${mix(ink, colour(1), 0.45)}"/></linearGradient>
    <filter id="blur" x="-50%" y="-50%" width="200%" height="200%"><feGaussianBlur stdDeviation="${n(unit * 7)}"/></filter></defs><rect width="${width}" height="${height}" fill="url(#back)"/>`
  for (let i = 0; i < 5; i++)
    svg += `<circle cx="${n(random() * width)}" cy="${n(random() * height)}" r="${n(unit * (12 + random() * 26))}" fill="${colour(i)}" opacity="0.55" filter="url(#blur)"/>`
  for (let ribbon = 0; ribbon < 13; ribbon++) {
    const [base, swing, phase, turns] = [
      height * (0.15 + ribbon * 0.06),
      unit * (6 + random() * 14),
      random(),
      0.6 + random() * 0.9
    ]
    const line = (shift: number): string[] =>
      Array.from({ length: 41 }, (_, i) => {
        const at = i / 40
        const y =
          base +
          shift * (0.3 + Math.sin(at * Math.PI)) +
          Math.sin(Math.PI * 2 * (at * turns + phase) + Math.sin(Math.PI * 2 * (time + phase)) * 0.5) * swing
        return `${n(at * width)},${n(y)}`
      })
    svg += `<polygon points="${line(0).join(' ')} ${line(unit * (3 + random() * 7))
      .reverse()
      .join(
        ' '
      )}" fill="${lighten(colour(ribbon), random() * 0.3)}" opacity="${(0.16 + random() * 0.34).toFixed(2)}"/>`
  }
  return svg
}
