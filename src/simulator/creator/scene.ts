import { COLOURS, type Light } from './colours.ts'

/** Things that can stand in the middle of a picture. */
export const SUBJECTS = [
  'lighthouse',
  'boat',
  'paper boat',
  'house',
  'castle',
  'fox',
  'cat',
  'dog',
  'robot',
  'flower',
  'balloon',
  'tree'
] as const
export type Subject = (typeof SUBJECTS)[number]

/** What a prompt asks for, as far as the simulator can draw it. */
export interface Scene {
  light: Light
  /** The light was named in the prompt, rather than chosen by default. */
  lightNamed: boolean
  water: boolean
  city: boolean
  mountains: boolean
  forest: boolean
  desert: boolean
  snow: boolean
  rain: boolean
  fog: boolean
  stars: boolean
  moon: boolean
  sun: boolean
  birds: boolean
  subjects: { kind: Subject; colour?: string }[]
  /** Colours that belong to no subject, in the prompt's order. */
  colours: string[]
  style: 'plain' | 'oil' | 'watercolour' | 'pixel' | 'mono'
  /** Nothing in the prompt is known: draw shapes instead of a landscape. */
  abstract: boolean
}

const SUBJECT_WORDS: Record<string, Subject> = {
  lighthouse: 'lighthouse',
  lighthouses: 'lighthouse',
  boat: 'boat',
  boats: 'boat',
  sailboat: 'boat',
  sailboats: 'boat',
  ship: 'boat',
  ships: 'boat',
  yacht: 'boat',
  house: 'house',
  houses: 'house',
  cottage: 'house',
  cabin: 'house',
  hut: 'house',
  village: 'house',
  home: 'house',
  castle: 'castle',
  palace: 'castle',
  fortress: 'castle',
  tower: 'castle',
  fox: 'fox',
  foxes: 'fox',
  cat: 'cat',
  cats: 'cat',
  kitten: 'cat',
  dog: 'dog',
  dogs: 'dog',
  puppy: 'dog',
  robot: 'robot',
  robots: 'robot',
  android: 'robot',
  flower: 'flower',
  flowers: 'flower',
  tulip: 'flower',
  tulips: 'flower',
  rose: 'flower',
  roses: 'flower',
  sunflower: 'flower',
  sunflowers: 'flower',
  balloon: 'balloon',
  balloons: 'balloon',
  tree: 'tree',
  oak: 'tree'
}

const LIGHT_WORDS: [Light, RegExp][] = [
  ['night', /\b(night|midnight|starry|moonlight|moonlit|stars?|moon|galaxy|nocturnal)\b/],
  ['sunset', /\b(sunset|dusk|evening|twilight|golden hour)\b/],
  ['dawn', /\b(dawn|sunrise|morning|daybreak)\b/],
  ['storm', /\b(storm|stormy|rain|rainy|raining|thunder|overcast)\b/],
  ['winter', /\b(snow|snowy|snowing|winter|ice|icy|frozen|frost|arctic)\b/],
  ['day', /\b(day|daylight|noon|sunny|sunshine|summer|spring|afternoon|blue sky)\b/]
]

const STYLE_WORDS: [Scene['style'], RegExp][] = [
  ['pixel', /\b(pixel art|pixelated|8-bit|8 bit)\b/],
  ['watercolour', /\b(water ?colou?rs?)\b/],
  ['oil', /\b(oil painting|impressionis[mt]|painted|painting)\b/],
  ['mono', /\b(black and white|monochrome|pencil|sketch|charcoal)\b/]
]

/** Finds the drawable words of a prompt. */
export function readScene(prompt: string): Scene {
  const text = ` ${prompt.toLowerCase()} `
  const has = (words: RegExp): boolean => words.test(text)
  const named = LIGHT_WORDS.find(([, words]) => words.test(text))
  const { subjects, colours } = readSubjects(text)

  const scene: Scene = {
    light: named?.[0] ?? 'day',
    lightNamed: named !== undefined,
    water: has(
      /\b(sea|seas|lake|river|ocean|water|harbou?r|coast|shore|beach|bay|island|waves?|fjord|pond)\b/
    ),
    city: has(/\b(city|cities|skyline|skyscrapers?|downtown|metropolis|town|streets?|cyberpunk)\b/),
    mountains: has(/\b(mountains?|alps|peaks?|hills?|valley|cliffs?|volcano|fjord)\b/),
    forest: has(/\b(forests?|woods?|woodland|trees|jungle|pines?|park|taiga)\b/),
    desert: has(/\b(desert|dunes?|sahara|sand|mars)\b/),
    snow: has(/\b(snow|snowy|snowing|snowfall|winter|blizzard)\b/),
    rain: has(/\b(rain|rainy|raining|storm|stormy)\b/),
    fog: has(/\b(fog|foggy|mist|misty|haze|hazy)\b/),
    stars: has(/\b(stars?|starry|galaxy|space|night|midnight)\b/),
    moon: has(/\b(moon|moonlight|moonlit)\b/),
    sun: has(/\b(sun|sunny|sunset|sunrise|dawn|sunshine|summer)\b/),
    birds: has(/\b(birds?|gulls?|seagulls?|swallows?|flock)\b/),
    subjects,
    colours,
    style: STYLE_WORDS.find(([, words]) => words.test(text))?.[0] ?? 'plain',
    abstract: false
  }
  if (subjects.some(({ kind }) => kind === 'boat' || kind === 'paper boat' || kind === 'lighthouse')) {
    scene.water = scene.water || !scene.desert
  }
  const place = scene.water || scene.city || scene.mountains || scene.forest || scene.desert
  const weather =
    scene.snow || scene.rain || scene.moon || scene.stars || scene.sun || scene.birds || scene.fog
  scene.abstract = !place && !weather && !scene.lightNamed && subjects.length === 0
  return scene
}

function readSubjects(text: string): Pick<Scene, 'subjects' | 'colours'> {
  const words = text.match(/[\p{L}\p{N}-]+/gu) ?? []
  const subjects: Scene['subjects'] = []
  const colours: string[] = []
  // A colour belongs to the subject that follows within three words ("a red wooden boat").
  let pending: { colour: string; at: number } | undefined
  const settle = (): void => {
    if (pending) colours.push(pending.colour)
    pending = undefined
  }
  words.forEach((word, at) => {
    if (Object.hasOwn(COLOURS, word)) {
      settle()
      pending = { colour: COLOURS[word] ?? '#888888', at }
      return
    }
    const found = Object.hasOwn(SUBJECT_WORDS, word) ? SUBJECT_WORDS[word] : undefined
    if (!found) return
    const kind: Subject =
      found === 'boat' && (words[at - 1] === 'paper' || words[at - 1] === 'origami') ? 'paper boat' : found
    if (subjects.some((subject) => subject.kind === kind)) return
    const colour = pending && at - pending.at <= 3 ? pending.colour : undefined
    if (colour) pending = undefined
    if (subjects.length < 3) subjects.push({ kind, colour })
  })
  settle()
  return { subjects, colours }
}

const LIGHT_PHRASES: Record<Light, string> = {
  dawn: 'soft rose light of early morning',
  day: 'clear daylight and airy colours',
  sunset: 'glowing warm light along the horizon',
  night: 'quiet deep blue shadows',
  storm: 'dramatic grey clouds',
  winter: 'crisp cold air and pale light'
}

/** The prompt as the simulated Creator rewrites it: the words as given, and a few that fit. */
export function enhancePrompt(prompt: string): string {
  const scene = readScene(prompt)
  const extras = scene.abstract
    ? ['flowing shapes', 'harmonious colours', 'soft light']
    : [LIGHT_PHRASES[scene.light], scene.water ? 'gentle reflections' : 'layered depth', 'fine detail']
  return `${prompt.trim().replace(/[.,;\s]+$/, '')}, ${extras.join(', ')}`
}
