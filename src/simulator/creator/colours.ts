/** Colour words understood in prompts. */
export const COLOURS: Record<string, string> = {
  red: '#d23b33',
  crimson: '#b3202c',
  scarlet: '#e0301e',
  orange: '#ef8228',
  amber: '#f2a529',
  yellow: '#f4cf3f',
  golden: '#e8b53a',
  gold: '#e8b53a',
  green: '#4a9a58',
  emerald: '#1f9d6b',
  turquoise: '#35b8b2',
  teal: '#1f8a8c',
  cyan: '#3fc3dd',
  blue: '#3473c8',
  navy: '#24386e',
  indigo: '#4b3f99',
  purple: '#8449a8',
  violet: '#7d55c2',
  lavender: '#b09ad8',
  pink: '#e983a6',
  magenta: '#cc3d8f',
  brown: '#8a5a3a',
  white: '#f4f1ea',
  silver: '#bcc4cc',
  grey: '#858c94',
  gray: '#858c94',
  black: '#2b2b33'
}

/** Times of day and weathers, each with its own light. */
export type Light = 'dawn' | 'day' | 'sunset' | 'night' | 'storm' | 'winter'

/** The colours of one light. `sky` runs from the zenith to the horizon. */
export interface Palette {
  sky: [string, string, string, string]
  glow: string
  cloud: string
  far: string
  near: string
  ground: string
  deep: string
  /** 0 = black night, 1 = noon: how bright the colours of things appear. */
  brightness: number
}

export const PALETTES: Record<Light, Palette> = {
  dawn: {
    sky: ['#3b4a80', '#8f7bab', '#e9a6a3', '#ffe0b3'],
    glow: '#fff0c4',
    cloud: '#ffd5c4',
    far: '#b498b6',
    near: '#4b4266',
    ground: '#5f6e5c',
    deep: '#3b4c7a',
    brightness: 0.8
  },
  day: {
    sky: ['#2f78c4', '#62a5e0', '#a9d3f1', '#e6f3f7'],
    glow: '#fffbe2',
    cloud: '#ffffff',
    far: '#a5c0d6',
    near: '#4f7f74',
    ground: '#639a52',
    deep: '#1d6298',
    brightness: 1
  },
  sunset: {
    sky: ['#33245e', '#8c3a72', '#ec6f45', '#ffc765'],
    glow: '#ffe7a3',
    cloud: '#ff9c73',
    far: '#a4546f',
    near: '#3a2142',
    ground: '#3b2a3c',
    deep: '#43234f',
    brightness: 0.7
  },
  night: {
    sky: ['#070c24', '#0f1c47', '#1e3570', '#3f5f9c'],
    glow: '#f4f0d8',
    cloud: '#5470a6',
    far: '#2a4079',
    near: '#0d1634',
    ground: '#121c34',
    deep: '#0a1533',
    brightness: 0.45
  },
  storm: {
    sky: ['#3b4757', '#5d6d7e', '#8896a3', '#bcc5c9'],
    glow: '#eef2f2',
    cloud: '#6f7c89',
    far: '#7f8f9c',
    near: '#3a4a50',
    ground: '#4a5f52',
    deep: '#33464f',
    brightness: 0.75
  },
  winter: {
    sky: ['#7d9cc2', '#a9c1dc', '#d3e0ec', '#f6f2ee'],
    glow: '#fff6e3',
    cloud: '#ffffff',
    far: '#b9cadb',
    near: '#6d89a4',
    ground: '#e9f0f6',
    deep: '#4e7797',
    brightness: 0.95
  }
}

function channels(colour: string): [number, number, number] {
  const value = Number.parseInt(colour.slice(1), 16)
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255]
}

/** A colour between two: 0 gives the first, 1 the second. Both as `#rrggbb`. */
export function mix(from: string, to: string, share: number): string {
  const a = channels(from)
  const b = channels(to)
  const mixed = a.map((value, i) => Math.round(value + ((b[i] ?? 0) - value) * share))
  return `#${mixed.map((value) => value.toString(16).padStart(2, '0')).join('')}`
}

export const lighten = (colour: string, share: number): string => mix(colour, '#ffffff', share)
export const darken = (colour: string, share: number): string => mix(colour, '#05070f', share)
