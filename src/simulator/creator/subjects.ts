import { darken, lighten, mix, type Palette } from './colours.ts'
import type { Subject } from './scene.ts'

/** Where and how a subject stands. `y` is the line it stands on, `size` its height in pixels. */
export interface Stand {
  x: number
  y: number
  size: number
  colour?: string
  palette: Palette
  /** 0 to 1 through one loop of the animation. */
  time: number
  /** Lamps and windows are lit. */
  dark: boolean
}

type Draw = (stand: Stand, tone: (colour: string) => string) => string

const polygon = (points: number[], fill: string, rest = ''): string =>
  `<polygon points="${points.map((n) => n.toFixed(2)).join(' ')}" fill="${fill}" ${rest}/>`
const path = (d: string, fill: string, rest = ''): string => `<path d="${d}" fill="${fill}" ${rest}/>`
const circle = (x: number, y: number, r: number, fill: string, rest = ''): string =>
  `<circle cx="${x}" cy="${y}" r="${r}" fill="${fill}" ${rest}/>`
const ellipse = (x: number, y: number, rx: number, ry: number, fill: string, rest = ''): string =>
  `<ellipse cx="${x}" cy="${y}" rx="${rx}" ry="${ry}" fill="${fill}" ${rest}/>`
const rect = (x: number, y: number, w: number, h: number, fill: string, rest = ''): string =>
  `<rect x="${x}" y="${y}" width="${w}" height="${h}" fill="${fill}" ${rest}/>`

// Every figure is drawn in a box 100 units high that stands on y = 0 and is centred on x = 0.
const FIGURES: Record<Subject, Draw> = {
  lighthouse({ colour, palette, time, dark }, tone) {
    const main = tone(colour ?? '#f1ece2')
    const band = tone(colour && colour !== '#f4f1ea' ? '#f1ece2' : '#c8423a')
    const edge = (at: number): number => 10.5 - at * 0.055
    let tower = polygon([-10.5, 0, 10.5, 0, edge(72), -72, -edge(72), -72], main)
    for (const [from, to] of [
      [12, 27],
      [42, 57]
    ] as const) {
      tower += polygon([-edge(from), -from, edge(from), -from, edge(to), -to, -edge(to), -to], band)
    }
    const shade = polygon([2.5, 0, 10.5, 0, edge(72), -72, 1.6, -72], '#0a0f20', 'opacity="0.2"')
    const shine = polygon([-10.5, 0, -6.5, 0, -4.2, -72, -edge(72), -72], '#ffffff', 'opacity="0.22"')
    const rock =
      path(
        'M-46 6 Q-40 -5 -27 -4 Q-18 -10 -8 -5 Q4 -9 14 -5 Q28 -8 34 0 Q42 1 46 6 Z',
        darken(palette.near, 0.2)
      ) + path('M-46 6 Q-40 -5 -27 -4 Q-18 -10 -8 -5 Q-14 0 -22 6 Z', lighten(palette.near, 0.14))
    const turn = Math.sin(time * Math.PI * 2)
    const beams = dark
      ? [-1, 1]
          .map((side) =>
            polygon(
              [0, -82, side * 190, -82 - 16 + turn * 12 * side, side * 190, -82 + 18 + turn * 12 * side],
              side < 0 ? 'url(#beamLeft)' : 'url(#beamRight)'
            )
          )
          .join('') + circle(0, -82, 26, 'url(#lamp)')
      : ''
    const lamp = dark ? '#fff2b8' : tone('#cfe3ea')
    return `${rock}${tower}${shade}${shine}${[20, 36, 52, 65].map((at) => rect(-1.3, -at, 2.6, 4, darken(main, 0.6), 'rx="1.2"')).join('')}
      ${rect(-3, -8, 6, 8, darken(main, 0.65), 'rx="2.6"')}
      ${rect(-10, -75, 20, 3.4, darken(band, 0.35), 'rx="0.8"')}${rect(-5, -87, 10, 12, lamp)}
      ${[-5, -1.7, 1.7, 4.2].map((x) => rect(x, -87, 0.9, 12, '#20242e')).join('')}
      ${path('M-7 -87 Q0 -98 7 -87 Z', darken(band, 0.15))}${circle(0, -94, 1.3, darken(band, 0.3))}
      ${[-9.2, -4.6, 0, 4.6, 8.6].map((x) => rect(x, -79, 0.6, 4, darken(band, 0.35))).join('')}${beams}`
  },

  boat({ colour, time }, tone) {
    const hull = tone(colour ?? '#a9452f')
    const sail = tone('#fbf4e4')
    const tilt = Math.sin(time * Math.PI * 2) * 2.4
    return `<g transform="rotate(${tilt.toFixed(2)}) translate(0 ${(Math.cos(time * Math.PI * 2) * 1.2).toFixed(2)})">
      ${rect(-1, -96, 2, 86, darken(tone('#6b4a32'), 0.1))}
      ${path('M2 -94 Q36 -56 40 -18 L2 -18 Z', sail)}${path('M2 -94 Q18 -56 14 -18 L2 -18 Z', '#ffffff', 'opacity="0.35"')}
      ${path('M-2 -86 Q-26 -48 -30 -18 L-2 -18 Z', darken(sail, 0.14))}
      ${path('M-44 -12 L46 -12 Q38 6 26 7 L-26 7 Q-38 5 -44 -12 Z', hull)}
      ${path('M-44 -12 L46 -12 L44.5 -8 L-43 -8 Z', lighten(hull, 0.45))}
      ${path('M0 -12 L46 -12 Q38 6 26 7 L4 7 Z', '#05070f', 'opacity="0.18"')}</g>`
  },

  'paper boat'({ colour, time }, tone) {
    const paper = tone(colour ?? '#fdfaf2')
    const tilt = Math.sin(time * Math.PI * 2) * 3
    return `<g transform="rotate(${tilt.toFixed(2)}) translate(0 ${(Math.cos(time * Math.PI * 2) * 1.5).toFixed(2)})">
      ${polygon([0, -88, -30, -28, 0, -22], paper)}${polygon([0, -88, 30, -28, 0, -22], darken(paper, 0.16))}
      ${polygon([-66, -46, -40, 8, 0, 8, 0, -20], lighten(paper, 0.3))}
      ${polygon([66, -46, 40, 8, 0, 8, 0, -20], darken(paper, 0.1))}
      ${polygon([-66, -46, 0, -20, 0, -12], darken(paper, 0.22))}${polygon([66, -46, 0, -20, 0, -12], darken(paper, 0.3))}</g>`
  },

  house({ colour, dark, time }, tone) {
    const wall = tone(colour ?? '#e9dcc3')
    const roof = tone('#8c4a3a')
    const pane = dark ? '#ffd983' : tone('#bcd9e6')
    const window = (x: number, y: number): string =>
      rect(x, y, 13, 14, pane) + rect(x + 6, y, 1, 14, roof) + rect(x, y + 6.5, 13, 1, roof)
    const smoke = [0, 1, 2, 3]
      .map((i) => {
        const rise = (i + time) / 4
        const drift = Math.sin(rise * 6) * 4 + rise * 16
        return circle(
          27 + drift,
          -96 - rise * 42,
          4 + rise * 9,
          '#ffffff',
          `opacity="${(0.42 * (1 - rise)).toFixed(2)}"`
        )
      })
      .join('')
    const glow = dark ? circle(0, -26, 70, 'url(#lamp)', 'opacity="0.55"') : ''
    return `${glow}${smoke}${rect(21, -94, 11, 34, darken(roof, 0.25))}${rect(-42, -52, 84, 52, wall)}
      ${rect(12, -52, 30, 52, '#0a0f20', 'opacity="0.12"')}${polygon([-52, -50, 0, -92, 52, -50], roof)}
      ${polygon([0, -92, 52, -50, 18, -50], '#05070f', 'opacity="0.16"')}${window(-33, -38)}${window(20, -38)}
      ${rect(-8, -32, 16, 32, darken(roof, 0.25), 'rx="1.5"')}${circle(4.5, -15, 1.2, '#f2d27a')}`
  },

  castle({ colour, dark, time }, tone) {
    const stone = tone(colour ?? '#b5aca0')
    const roof = tone('#54627f')
    const pane = dark ? '#ffd983' : darken(stone, 0.6)
    const tower = (x: number, w: number, h: number): string =>
      rect(x - w / 2, -h, w, h, stone) +
      rect(x, -h, w / 2, h, '#0a0f20', 'opacity="0.15"') +
      polygon([x - w * 0.66, -h, x, -h - w * 1.5, x + w * 0.66, -h], roof) +
      rect(x - 1.5, -h + 8, 3, 7, pane, 'rx="1.5"')
    const wave = Math.sin(time * Math.PI * 2) * 2
    return `${tower(-34, 16, 52)}${tower(34, 16, 52)}${tower(-14, 14, 66)}${tower(16, 14, 60)}
      ${rect(-40, -34, 80, 34, darken(stone, 0.06))}
      ${[-38, -27, -16, -5, 6, 17, 28].map((x) => rect(x, -39, 6, 6, darken(stone, 0.06))).join('')}
      ${path('M-8 0 L-8 -14 Q0 -25 8 -14 L8 0 Z', darken(stone, 0.68))}
      ${[-28, -18, 14, 24].map((x) => rect(x, -24, 3, 8, pane, 'rx="1.5"')).join('')}
      ${rect(-14.4, -96, 0.8, 11, '#333')}${path(`M-13.6 -96 L-3 ${-93 + wave} L-13.6 -90 Z`, tone('#c8423a'))}`
  },

  fox: (stand, tone) => seated(stand, tone(stand.colour ?? '#d9692c'), tone('#fdf3e4'), 'fox', tone),
  cat: (stand, tone) => seated(stand, tone(stand.colour ?? '#6b6f7b'), tone('#f1ebe3'), 'cat', tone),
  dog: (stand, tone) => seated(stand, tone(stand.colour ?? '#a8743f'), tone('#f6e9d3'), 'dog', tone),

  robot({ colour, time }, tone) {
    const metal = tone(colour ?? '#9fb0bd')
    const eye = '#7ff1ff'
    const nod = Math.sin(time * Math.PI * 2) * 3
    const limb = (x: number, y: number, w: number, h: number): string =>
      rect(x, y, w, h, darken(metal, 0.3), `rx="${w / 2}"`)
    return `${limb(-16, -22, 10, 22)}${limb(6, -22, 10, 22)}${rect(-19, -5, 15, 6, darken(metal, 0.45), 'rx="3"')}
      ${rect(4, -5, 15, 6, darken(metal, 0.45), 'rx="3"')}
      <g transform="rotate(${(8 + nod).toFixed(1)} -24 -52)">${limb(-31, -54, 9, 30)}</g>
      <g transform="rotate(${(-120 + nod * 4).toFixed(1)} 25 -52)">${limb(21, -54, 9, 30)}</g>
      ${rect(-24, -58, 48, 40, metal, 'rx="9"')}${rect(4, -58, 20, 40, '#05070f', 'opacity="0.12" rx="9"')}
      ${rect(-13, -50, 26, 15, darken(metal, 0.6), 'rx="3"')}
      ${[-8, 0, 8].map((x, i) => circle(x, -42.5, 2.4, ['#ff8a6b', '#ffd86b', '#8bf0a0'][i] ?? eye)).join('')}
      <g transform="rotate(${nod.toFixed(1)} 0 -60)">${rect(-5, -63, 10, 7, darken(metal, 0.4))}
      ${rect(-22, -92, 44, 31, lighten(metal, 0.12), 'rx="10"')}${rect(-17, -86, 34, 18, '#16202e', 'rx="8"')}
      ${circle(-8, -77, 4.6, eye)}${circle(8, -77, 4.6, eye)}${circle(-6.8, -78.4, 1.4, '#ffffff')}${circle(9.2, -78.4, 1.4, '#ffffff')}
      ${rect(-0.8, -101, 1.6, 10, darken(metal, 0.4))}${circle(0, -102, 3.2, '#ff7a66')}</g>`
  },

  flower({ colour, time }, tone) {
    const petal = tone(colour ?? '#e2557e')
    const green = tone('#4b8f4d')
    const bloom = (x: number, y: number, r: number, sway: number): string => {
      const petals = [0, 1, 2, 3, 4, 5, 6, 7]
        .map(
          (i) =>
            `<g transform="translate(${x + sway} ${y}) rotate(${i * 45})">${ellipse(0, -r * 0.62, r * 0.34, r * 0.55, i % 2 ? petal : lighten(petal, 0.18))}</g>`
        )
        .join('')
      return (
        `<path d="M${x * 0.55} 4 Q${x * 0.7 + sway * 0.2} ${y * 0.5} ${x + sway} ${y}" stroke="${green}" stroke-width="3" fill="none"/>` +
        path(
          `M${x * 0.6} ${y * 0.28} q${r * 0.9} ${-r * 0.9} ${r * 1.3} ${-r * 0.1} q${-r * 0.6} ${r * 0.5} ${-r * 1.3} ${r * 0.1} Z`,
          green
        ) +
        petals +
        circle(x + sway, y, r * 0.3, tone('#f3c544')) +
        circle(x + sway, y, r * 0.16, tone('#c98a2a'))
      )
    }
    const sway = Math.sin(time * Math.PI * 2) * 2
    return bloom(-32, -52, 17, sway) + bloom(34, -44, 15, -sway) + bloom(0, -76, 22, sway * 1.4)
  },

  balloon({ colour, time }, tone) {
    const cloth = tone(colour ?? '#dd4f3e')
    const second = tone('#f6e5b5')
    const rise = Math.sin(time * Math.PI * 2) * 3
    const gore = (w: number): string => `M0 -100 C${w} -100 ${w * 1.05} -58 ${w * 0.16} -28 L0 -28 Z`
    return `<g transform="translate(0 ${(-46 + rise).toFixed(2)})">
      ${path('M0 -100 C-46 -100 -48 -58 -8 -28 L8 -28 C48 -58 46 -100 0 -100 Z', cloth)}
      ${[-36, 36].map((w) => path(gore(w), second)).join('')}${[-22, 22].map((w) => path(gore(w), cloth)).join('')}
      ${[-9, 9].map((w) => path(gore(w), second)).join('')}
      ${path('M0 -100 C46 -100 48 -58 8 -28 L3 -28 C26 -58 26 -92 0 -100 Z', '#05070f', 'opacity="0.16"')}
      ${path('M-30 -84 Q-26 -96 -10 -98 Q-22 -88 -24 -72 Z', '#ffffff', 'opacity="0.3"')}
      <path d="M-7 -28 L-5 -12 M7 -28 L5 -12" stroke="#4b3a2a" stroke-width="0.8"/>${rect(-6.5, -12, 13, 10, tone('#8a5a3a'), 'rx="2"')}</g>`
  },

  tree({ colour, palette, time }, tone) {
    const leaf = tone(colour ?? mix('#4d8a43', palette.ground, 0.2))
    const sway = Math.sin(time * Math.PI * 2) * 1.2
    const crown: [number, number, number][] = [
      [-24, -52, 21],
      [24, -50, 20],
      [-13, -72, 22],
      [15, -72, 21],
      [0, -58, 26],
      [0, -86, 16]
    ]
    return `${path('M-6 2 Q-3 -20 -5 -46 L5 -46 Q3 -20 8 2 Z', tone('#5e4330'))}
      <path d="M-2 -34 Q-14 -46 -20 -52 M2 -30 Q14 -44 20 -48" stroke="${tone('#5e4330')}" stroke-width="3" fill="none"/>
      ${crown.map(([x, y, r]) => circle(x + sway, y + 3, r, darken(leaf, 0.24))).join('')}
      ${crown.map(([x, y, r]) => circle(x - 3 + sway * 1.5, y - 3, r * 0.82, leaf)).join('')}
      ${crown.map(([x, y, r]) => circle(x - 6 + sway * 2, y - 7, r * 0.4, lighten(leaf, 0.18), 'opacity="0.7"')).join('')}`
  }
}

function seated(
  { time }: Stand,
  fur: string,
  pale: string,
  kind: 'fox' | 'cat' | 'dog',
  tone: (colour: string) => string
): string {
  const shade = darken(fur, 0.28)
  const wag = Math.sin(time * Math.PI * 2) * 5
  const blink = time > 0.46 && time < 0.52 ? 0.15 : 1
  const tail = {
    fox: `${path('M18 -6 Q52 -2 54 -34 Q56 -52 44 -58 Q48 -34 34 -26 Q22 -22 16 -14 Z', fur)}${path('M54 -34 Q56 -52 44 -58 Q47 -48 44 -38 Q49 -37 54 -34 Z', pale)}`,
    cat: `<path d="M16 -5 Q42 -2 40 -26 Q39 -40 48 -44" stroke="${fur}" stroke-width="7" stroke-linecap="round" fill="none"/>`,
    dog: `<path d="M16 -9 Q34 -14 36 -32" stroke="${fur}" stroke-width="8" stroke-linecap="round" fill="none"/>`
  }[kind]
  const ears = {
    fox: `${polygon([-21, -70, -25, -101, -4, -84], fur)}${polygon([21, -70, 25, -101, 4, -84], fur)}${polygon([-18, -76, -22, -94, -9, -84], darken(fur, 0.6))}${polygon([18, -76, 22, -94, 9, -84], darken(fur, 0.6))}`,
    cat: `${polygon([-20, -72, -20, -98, -3, -85], fur)}${polygon([20, -72, 20, -98, 3, -85], fur)}${polygon([-17, -78, -17, -91, -8, -84], tone('#e3a1a1'))}${polygon([17, -78, 17, -91, 8, -84], tone('#e3a1a1'))}`,
    dog: `${path('M-14 -86 Q-32 -88 -29 -60 Q-24 -54 -18 -64 Z', shade)}${path('M14 -86 Q32 -88 29 -60 Q24 -54 18 -64 Z', shade)}`
  }[kind]
  const face =
    kind === 'fox'
      ? path('M-25 -72 Q-14 -66 -6 -64 Q0 -62 6 -64 Q14 -66 25 -72 Q16 -54 0 -49 Q-16 -54 -25 -72 Z', pale)
      : ellipse(0, -60, 11, 8, pale)
  const head =
    kind === 'fox'
      ? path('M-25 -72 Q-20 -90 0 -90 Q20 -90 25 -72 Q16 -52 0 -47 Q-16 -52 -25 -72 Z', fur)
      : ellipse(0, -70, 23, 20, fur)
  const eyes = [-9, 9]
    .map(
      (x) =>
        ellipse(x, -72, 3, 3.6 * blink, '#1b1a20') + (blink === 1 ? circle(x + 1, -73.4, 1, '#ffffff') : '')
    )
    .join('')
  const whiskers =
    kind === 'cat'
      ? '<path d="M-12 -60 L-30 -63 M-12 -58 L-30 -56 M12 -60 L30 -63 M12 -58 L30 -56" stroke="#ffffff" stroke-width="0.7" opacity="0.8"/>'
      : ''
  return `<g transform="rotate(${wag.toFixed(1)} 18 -6)">${tail}</g>
    ${path('M-24 0 Q-30 -34 -12 -54 L12 -54 Q30 -34 24 0 Z', fur)}${path('M8 0 Q16 -34 8 -54 L12 -54 Q30 -34 24 0 Z', shade, 'opacity="0.5"')}
    ${path('M-11 -52 Q0 -20 11 -52 Q14 -36 7 -22 Q0 -12 -7 -22 Q-14 -36 -11 -52 Z', pale)}
    ${ellipse(-10, -1.5, 9, 4.5, kind === 'fox' ? darken(fur, 0.6) : pale)}${ellipse(10, -1.5, 9, 4.5, kind === 'fox' ? darken(fur, 0.6) : pale)}
    ${ears}${head}${face}${eyes}${ellipse(0, kind === 'fox' ? -51 : -62, 3.4, 2.6, '#241f24')}${whiskers}`
}

/** One subject as SVG, standing at its place. */
export function drawSubject(kind: Subject, stand: Stand): string {
  // At night things take on the colour of the air around them.
  const tone = (colour: string): string =>
    mix(stand.palette.near, colour, 0.25 + 0.75 * stand.palette.brightness)
  const scale = (stand.size / 100).toFixed(4)
  return `<g transform="translate(${stand.x.toFixed(1)} ${stand.y.toFixed(1)}) scale(${scale})">${FIGURES[kind](stand, tone)}</g>`
}
