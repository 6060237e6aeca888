import { darken, lighten, mix, type Palette } from './colours.ts'
import type { Scene } from './scene.ts'

/** The sheet that layers draw on. Lengths are pixels; `unit` is a hundredth of the shorter side. */
export interface Sheet {
  width: number
  height: number
  unit: number
  /** Height of the line where sky and ground meet. */
  horizon: number
  palette: Palette
  /** Same numbers for the same prompt and variant, in the same order. */
  random: () => number
  /** 0 to 1 through one loop of the animation. */
  time: number
  /** Centre of sun or moon. */
  orb: { x: number; y: number; radius: number }
}

const TURN = Math.PI * 2
const n = (value: number): string => value.toFixed(1)

/** Gradients and filters that the layers and figures refer to. */
export function definitions({ palette, unit }: Sheet): string {
  const stops = palette.sky.map(
    (colour, i) => `<stop offset="${[0, 0.42, 0.78, 1][i]}" stop-color="${colour}"/>`
  )
  const blur = (id: string, size: number): string =>
    `<filter id="${id}" x="-50%" y="-50%" width="200%" height="200%"><feGaussianBlur stdDeviation="${n(size)}"/></filter>`
  const beam = (id: string, from: string, to: string): string =>
    `<linearGradient id="${id}" x1="${from}" x2="${to}"><stop offset="0" stop-color="#fff2b8" stop-opacity="0.75"/><stop offset="1" stop-color="#fff2b8" stop-opacity="0"/></linearGradient>`
  return `<defs><linearGradient id="sky" x1="0" y1="0" x2="0" y2="1">${stops.join('')}</linearGradient>
    <radialGradient id="glow"><stop offset="0" stop-color="${palette.glow}" stop-opacity="0.95"/><stop offset="0.25" stop-color="${palette.glow}" stop-opacity="0.45"/><stop offset="1" stop-color="${palette.glow}" stop-opacity="0"/></radialGradient>
    <radialGradient id="lamp"><stop offset="0" stop-color="#fff2b8" stop-opacity="0.95"/><stop offset="0.35" stop-color="#ffe39a" stop-opacity="0.4"/><stop offset="1" stop-color="#ffe39a" stop-opacity="0"/></radialGradient>
    <linearGradient id="water" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="${mix(palette.sky[3], palette.deep, 0.25)}"/><stop offset="0.35" stop-color="${mix(palette.sky[2], palette.deep, 0.55)}"/><stop offset="1" stop-color="${palette.deep}"/></linearGradient>
    <linearGradient id="haze" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="${palette.sky[3]}" stop-opacity="0"/><stop offset="0.5" stop-color="${palette.sky[3]}" stop-opacity="0.75"/><stop offset="1" stop-color="${palette.sky[3]}" stop-opacity="0"/></linearGradient>
    <radialGradient id="vignette" cx="0.5" cy="0.48" r="0.75"><stop offset="0.6" stop-color="#05070f" stop-opacity="0"/><stop offset="1" stop-color="#05070f" stop-opacity="0.4"/></radialGradient>
    ${beam('beamRight', '0', '1')}${beam('beamLeft', '1', '0')}${blur('soft', unit * 1.6)}${blur('softer', unit * 4)}</defs>`
}

/** Sky, stars, sun or moon, clouds and birds. */
export function drawSky(sheet: Sheet, scene: Scene): string {
  const { width, horizon, palette, random, unit, time, orb } = sheet
  const night = scene.light === 'night'
  let svg = `<rect width="${width}" height="${n(horizon + unit * 6)}" fill="url(#sky)"/>`
  if (night || scene.stars) {
    for (let i = 0; i < 150; i++) {
      const [x, y, size, phase] = [
        random() * width,
        random() ** 1.4 * horizon * 0.95,
        random() ** 3,
        random()
      ]
      const bright = 0.35 + 0.65 * Math.abs(Math.sin((phase + time) * Math.PI))
      svg += `<circle cx="${n(x)}" cy="${n(y)}" r="${(unit * (0.07 + size * 0.24)).toFixed(2)}" fill="#ffffff" opacity="${bright.toFixed(2)}"/>`
    }
  }
  svg += drawOrb(sheet, scene)
  const clouds = scene.rain ? 9 : night ? 3 : 6
  for (let i = 0; i < clouds; i++) {
    const [cx, cy, long] = [
      random() * width * 1.2 - width * 0.1,
      horizon * (0.1 + random() * 0.66),
      unit * (10 + random() * 18)
    ]
    const drift = Math.sin(TURN * time) * unit * 0.6 * (0.5 + random())
    let puffs = ''
    for (let j = 0; j < 6; j++) {
      const [dx, dy, size] = [
        (random() - 0.5) * long * 1.7,
        (random() - 0.5) * long * 0.14,
        long * (0.16 + random() * 0.2)
      ]
      puffs += `<ellipse cx="${n(cx + dx + drift)}" cy="${n(cy + dy)}" rx="${n(size * 1.7)}" ry="${n(size * 0.42)}"/>`
    }
    const warmth = Math.max(0, 1 - Math.hypot(cx - orb.x, cy - orb.y) / (width * 0.6))
    const colour = mix(palette.cloud, palette.glow, warmth * 0.6)
    svg += `<g fill="${colour}" opacity="${night ? 0.22 : 0.55}" filter="url(#soft)">${puffs}</g>`
  }
  if (scene.birds || (scene.light === 'dawn' && !scene.city)) svg += drawBirds(sheet)
  return svg
}

function drawOrb({ orb, palette, unit }: Sheet, scene: Scene): string {
  const { x, y, radius } = orb
  if (scene.light === 'storm')
    return `<circle cx="${n(x)}" cy="${n(y)}" r="${n(unit * 26)}" fill="url(#glow)" opacity="0.35"/>`
  const halo = `<circle cx="${n(x)}" cy="${n(y)}" r="${n(radius * 6.5)}" fill="url(#glow)" opacity="${scene.light === 'night' ? 0.5 : 0.9}"/>`
  if (scene.light !== 'night')
    return `${halo}<circle cx="${n(x)}" cy="${n(y)}" r="${n(radius)}" fill="${lighten(palette.glow, 0.45)}"/>`
  const crater = (dx: number, dy: number, size: number): string =>
    `<circle cx="${n(x + dx * radius)}" cy="${n(y + dy * radius)}" r="${n(size * radius)}" fill="${darken(palette.glow, 0.14)}"/>`
  return `${halo}<circle cx="${n(x)}" cy="${n(y)}" r="${n(radius)}" fill="${palette.glow}"/>${crater(-0.3, -0.2, 0.22)}${crater(0.25, 0.3, 0.28)}${crater(0.35, -0.4, 0.13)}${crater(-0.2, 0.5, 0.12)}`
}

function drawBirds({ width, horizon, random, unit, time }: Sheet): string {
  const [left, top] = [width * (0.15 + random() * 0.5), horizon * (0.25 + random() * 0.3)]
  let d = ''
  for (let i = 0; i < 6; i++) {
    const [x, y, size] = [left + random() * unit * 26, top + random() * unit * 13, unit * (0.8 + random())]
    const flap = size * (0.35 + 0.3 * Math.sin(TURN * (time * 4 + i / 6)))
    d += `M${n(x - size)} ${n(y - flap)} Q${n(x - size * 0.4)} ${n(y - flap * 1.3)} ${n(x)} ${n(y)} Q${n(x + size * 0.4)} ${n(y - flap * 1.3)} ${n(x + size)} ${n(y - flap)} `
  }
  return `<path d="${d}" fill="none" stroke="#1e2230" stroke-width="${n(unit * 0.26)}" stroke-linecap="round" opacity="0.7"/>`
}

/** A line of heights from left to right, by repeated halving with smaller and smaller offsets. */
function ridgeLine(random: () => number, roughness: number, steps = 7): number[] {
  let line = [random(), random()]
  let spread = 0.9
  for (let i = 0; i < steps; i++) {
    const next: number[] = []
    for (let j = 0; j + 1 < line.length; j++) {
      const [a, b] = [line[j] ?? 0, line[j + 1] ?? 0]
      next.push(a, (a + b) / 2 + (random() - 0.5) * spread)
    }
    next.push(line.at(-1) ?? 0)
    line = next
    spread *= roughness
  }
  const [low, high] = [Math.min(...line), Math.max(...line)]
  return line.map((value) => (value - low) / (high - low || 1))
}

function ridge(
  sheet: Sheet,
  base: number,
  tall: number,
  colour: string,
  roughness: number
): { svg: string; line: number[] } {
  const line = ridgeLine(sheet.random, roughness)
  // Reaches under the ground, which begins a little lower in places.
  const below = sheet.unit * 6
  const points = line.map(
    (value, i) => `${n((i / (line.length - 1)) * sheet.width)},${n(base - value * tall)}`
  )
  return {
    svg: `<polygon points="0,${n(base + below)} ${points.join(' ')} ${sheet.width},${n(base + below)}" fill="${colour}"/>`,
    line
  }
}

/** Everything between sky and foreground: mountains, hills, skyline, trees, dunes. */
export function drawDistance(sheet: Sheet, scene: Scene): string {
  const { palette, horizon, unit } = sheet
  const haze = (share: number): string => mix(palette.near, palette.far, share)
  let svg = ''
  if (scene.mountains || (!scene.city && !scene.desert && !scene.water)) {
    const tall = scene.mountains ? unit * 40 : unit * 17
    for (let layer = 0; layer < 3; layer++) {
      const height = tall * (1 - layer * 0.27)
      const { svg: shape, line } = ridge(
        sheet,
        horizon,
        height,
        haze(1 - layer * 0.33),
        scene.mountains ? 0.54 : 0.42
      )
      svg += shape
      if (scene.mountains && layer < 2) svg += snowCaps(sheet, line, height, layer)
    }
  } else if (scene.water && !scene.city) {
    svg +=
      ridge(sheet, horizon, unit * 6, haze(0.85), 0.48).svg +
      ridge(sheet, horizon, unit * 2.6, haze(0.55), 0.5).svg
  }
  if (scene.desert) svg += drawDunes(sheet)
  if (scene.city) svg += drawSkyline(sheet, scene)
  if (scene.forest)
    svg +=
      drawPines(sheet, horizon + unit, unit * 9, haze(0.45), 70) +
      drawPines(sheet, horizon + unit * 2, unit * 15, haze(0.1), 44)
  return svg
}

function snowCaps({ width, horizon, palette }: Sheet, line: number[], tall: number, layer: number): string {
  const x = (i: number): number => (i / (line.length - 1)) * width
  let svg = ''
  for (let i = 0; i < line.length; ) {
    if ((line[i] ?? 0) < 0.66) {
      i++
      continue
    }
    const start = i
    while (i < line.length && (line[i] ?? 0) >= 0.66) i++
    const top: string[] = []
    const bottom: string[] = []
    for (let j = start; j < i; j++) {
      const value = line[j] ?? 0
      top.push(`${n(x(j))},${n(horizon - value * tall)}`)
      bottom.unshift(
        `${n(x(j))},${n(horizon - Math.max(0.64, value - (0.05 + 0.09 * Math.abs(Math.sin(j * 1.7)))) * tall)}`
      )
    }
    svg += `<polygon points="${top.join(' ')} ${bottom.join(' ')}" fill="${mix(palette.glow, palette.far, layer * 0.3 + 0.1)}" opacity="${0.85 - layer * 0.25}"/>`
  }
  return svg
}

function drawDunes(sheet: Sheet): string {
  const { width, height, horizon, palette, random, unit } = sheet
  let svg = ''
  for (let layer = 0; layer < 4; layer++) {
    const base = horizon - unit * 4 + layer * (height - horizon) * 0.24
    const [a, b, c] = [random(), random(), random()]
    const sand = mix(
      mix('#e9b872', palette.sky[3], 0.35 - layer * 0.1),
      palette.near,
      (1 - palette.brightness) * 0.55 + layer * 0.07
    )
    const crest = width * (0.2 + a * 0.6)
    const top = base - unit * (5 + b * 7)
    svg += `<path d="M0 ${n(base + unit * 4 * c)} Q${n(crest * 0.6)} ${n(base)} ${n(crest)} ${n(top)} Q${n(crest + (width - crest) * 0.5)} ${n(base + unit * 3)} ${width} ${n(base - unit * 2)} L${width} ${height} L0 ${height} Z" fill="${sand}"/>`
    svg += `<path d="M${n(crest)} ${n(top)} Q${n(crest + (width - crest) * 0.5)} ${n(base + unit * 3)} ${width} ${n(base - unit * 2)} L${width} ${height} L${n(crest * 0.9)} ${height} Q${n(crest * 1.12)} ${n(base + unit * 12)} ${n(crest)} ${n(top)} Z" fill="${darken(sand, 0.35)}" opacity="0.42"/>`
  }
  return svg
}

function drawSkyline(sheet: Sheet, scene: Scene): string {
  const { width, horizon, palette, random, unit, time } = sheet
  const lit = scene.light !== 'day' && scene.light !== 'winter'
  let svg = ''
  for (let layer = 0; layer < 3; layer++) {
    const colour = mix(palette.near, palette.far, 0.85 - layer * 0.38)
    for (let x = -unit * 3; x < width; ) {
      const w = unit * (4 + random() * 5 + layer)
      const middle = 1 - Math.abs((x + w / 2) / width - 0.5)
      const h = unit * (8 + random() ** 1.6 * 34) * middle * (1.1 - layer * 0.2)
      svg += `<rect x="${n(x)}" y="${n(horizon - h)}" width="${n(w + 0.5)}" height="${n(h + 2)}" fill="${colour}"/>`
      if (random() > 0.75)
        svg += `<rect x="${n(x + w * 0.47)}" y="${n(horizon - h - unit * 4)}" width="${n(unit * 0.3)}" height="${n(unit * 4)}" fill="${colour}"/>`
      if (layer > 0) {
        const step = unit * 1.5
        for (let wy = horizon - h + step; wy < horizon - step; wy += step) {
          for (let wx = x + step * 0.5; wx < x + w - step * 0.6; wx += step) {
            const chance = random()
            if (chance > 0.5) continue
            const flicker = lit && Math.floor(chance * 400 + time * 6) % 29 === 0 ? 0.25 : 1
            const pane = lit ? mix('#ffd27a', '#ffeec2', chance * 2) : lighten(palette.sky[2], 0.2)
            svg += `<rect x="${n(wx)}" y="${n(wy)}" width="${n(step * 0.45)}" height="${n(step * 0.55)}" fill="${pane}" opacity="${((lit ? 0.9 : 0.4) * flicker).toFixed(2)}"/>`
          }
        }
      }
      x += w + random() * unit * 0.8
    }
  }
  return svg
}

/** A row of firs standing on `base`. */
export function drawPines(sheet: Sheet, base: number, tall: number, colour: string, count: number): string {
  const { width, random } = sheet
  let d = ''
  for (let i = 0; i <= count; i++) {
    const x = (i / count) * width + (random() - 0.5) * (width / count)
    const h = tall * (0.5 + random() * 0.55)
    const w = h * 0.2
    d += `M${n(x)} ${n(base - h)} `
    for (const [out, down, back] of [
      [0.5, 0.36, 0.24],
      [0.78, 0.66, 0.4],
      [1, 1, 0.1]
    ] as const)
      d += `L${n(x + w * out)} ${n(base - h * (1 - down))} L${n(x + w * back)} ${n(base - h * (1 - down))} `
    for (const [back, down, out] of [
      [0.1, 1, 1],
      [0.4, 0.66, 0.78],
      [0.24, 0.36, 0.5]
    ] as const)
      d += `L${n(x - w * back)} ${n(base - h * (1 - down))} L${n(x - w * out)} ${n(base - h * (1 - down))} `
    d += 'Z '
  }
  return `<path d="${d}" fill="${colour}"/><rect x="0" y="${n(base - tall * 0.12)}" width="${width}" height="${n(tall * 0.16)}" fill="${colour}"/>`
}

/** Water from the horizon down, mirroring `distance`. */
export function drawWater(sheet: Sheet, distance: string): string {
  const { width, height, horizon, palette, random, unit, time, orb } = sheet
  const depth = height - horizon
  let svg = `<rect x="0" y="${n(horizon)}" width="${width}" height="${n(depth)}" fill="url(#water)"/>
    <clipPath id="sea"><rect x="0" y="${n(horizon)}" width="${width}" height="${n(depth)}"/></clipPath>
    <g clip-path="url(#sea)"><g opacity="0.42" filter="url(#soft)" transform="translate(0 ${n(2 * horizon)}) scale(1 -1)">${distance}</g></g>`
  for (let i = 0; i < 190; i++) {
    const down = random() ** 1.5
    const [y, phase, place] = [horizon + down * depth, random(), random()]
    const long = unit * (1 + down * 9) * (0.4 + random())
    const path = i % 2 === 0
    const x = path ? orb.x + (place - 0.5) * unit * (7 + down * 34) : place * width
    const sway = Math.sin(TURN * (time + phase)) * unit * (0.25 + down)
    const strength = path ? 0.75 - down * 0.5 : 0.1 + 0.14 * random()
    const colour = path ? palette.glow : i % 3 ? palette.sky[2] : palette.deep
    const shimmer = 0.55 + 0.45 * Math.sin(TURN * (time + phase * 3))
    svg += `<ellipse cx="${n(x + sway)}" cy="${n(y)}" rx="${n(long)}" ry="${n(unit * (0.12 + down * 0.42))}" fill="${colour}" opacity="${(strength * (path ? shimmer : 1)).toFixed(2)}"/>`
  }
  return `${svg}<rect x="0" y="${n(horizon - unit * 3)}" width="${width}" height="${n(unit * 6)}" fill="url(#haze)" opacity="0.55"/>`
}

/** Meadow, snow field or plaza from the horizon down. */
export function drawGround(sheet: Sheet, scene: Scene): string {
  const { width, height, horizon, palette, random, unit, time } = sheet
  const white = scene.snow || scene.light === 'winter'
  const base = white
    ? mix('#f3f7fb', palette.near, 1 - palette.brightness)
    : scene.city
      ? darken(palette.near, 0.15)
      : palette.ground
  let svg = ''
  for (let layer = 0; layer < 3; layer++) {
    const top = horizon + (height - horizon) * layer * 0.27
    const [a, b] = [random(), random()]
    const fill = layer === 0 ? mix(base, palette.sky[3], 0.28) : darken(base, layer * (white ? 0.06 : 0.14))
    svg += `<path d="M0 ${n(top + unit * (a * 3 - 1))} C${n(width * 0.3)} ${n(top - unit * (1 + b * 4))} ${n(width * 0.6)} ${n(top + unit * (2 + a * 4))} ${width} ${n(top - unit * b * 3)} L${width} ${height} L0 ${height} Z" fill="${fill}"/>`
  }
  if (white || scene.city) return svg
  let blades = ''
  const blooms: string[] = []
  for (let i = 0; i < 260; i++) {
    const down = random() ** 0.7
    const [x, y, tall] = [
      random() * width,
      horizon + (height - horizon) * (0.24 + down * 0.78),
      unit * (0.8 + down * 3.2)
    ]
    const lean = (random() - 0.5) * tall * 0.7 + Math.sin(TURN * (time + x / width)) * tall * 0.12
    blades += `M${n(x)} ${n(y)} Q${n(x)} ${n(y - tall * 0.6)} ${n(x + lean)} ${n(y - tall)} `
    if (i % 9 === 0)
      blooms.push(
        `<circle cx="${n(x + lean)}" cy="${n(y - tall)}" r="${n(tall * 0.13)}" fill="${mix(['#fff3d6', '#f4cf3f', '#e983a6'][i % 3] ?? '#fff', palette.near, 0.75 * (1 - palette.brightness))}"/>`
      )
  }
  return `${svg}<path d="${blades}" stroke="${darken(base, 0.3)}" stroke-width="${n(unit * 0.22)}" fill="none" opacity="0.55"/>${blooms.join('')}`
}

/** Rain, falling snow and mist in front of everything. */
export function drawWeather(sheet: Sheet, scene: Scene): string {
  const { width, height, random, unit, time, horizon } = sheet
  let svg = ''
  if (scene.fog)
    svg += [0, 1, 2]
      .map(
        (i) =>
          `<rect x="0" y="${n(horizon - unit * (16 - i * 14))}" width="${width}" height="${n(unit * 20)}" fill="url(#haze)" opacity="${0.85 - i * 0.2}"/>`
      )
      .join('')
  if (scene.rain) {
    let d = ''
    for (let i = 0; i < 240; i++) {
      const [x, start, long] = [random() * width * 1.1, random(), unit * (3 + random() * 5)]
      const y = ((start + time * 2) % 1) * (height + long) - long
      d += `M${n(x)} ${n(y)} l${n(-long * 0.16)} ${n(long)} `
    }
    svg += `<path d="${d}" stroke="#e6eef2" stroke-width="${n(unit * 0.16)}" opacity="0.42" fill="none"/>`
  }
  if (scene.snow) {
    for (let i = 0; i < 190; i++) {
      const [x, start, size] = [random() * width, random(), random()]
      const y = ((start + time) % 1) * height
      svg += `<circle cx="${n(x + Math.sin(TURN * (time + start)) * unit)}" cy="${n(y)}" r="${n(unit * (0.2 + size ** 2 * 0.75))}" fill="#ffffff" opacity="${(0.45 + size * 0.45).toFixed(2)}"/>`
    }
  }
  return svg
}
