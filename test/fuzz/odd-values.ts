import type { Random } from './random.ts'

/** Texts that programs trip over: halves of characters, invisible ones, other people's syntax, names of JavaScript's own. */
export const ODD_TEXTS: readonly string[] = [
  '',
  ' ',
  '\0',
  'a\0b',
  '\ud800',
  '\udc00\ud800',
  'a\ud83d',
  '\ude42b',
  '\ufeff',
  '\ufffe\uffff',
  '\u2028\u2029',
  '\u202eabc\u202c',
  '\u200b\u200d\u2060',
  'e\u0301\u0301\u0301',
  '👩‍👩‍👧‍👦🏳️‍🌈',
  '\u{10ffff}',
  'İıſKÅ',
  '\r\n\r\n',
  '\x1b[31m',
  '\u001e',
  '\x7f',
  '../../../etc/passwd',
  '%00%ff%2e%2e%2f',
  '{{7*7}}',
  "' OR 1=1 --",
  '<script>alert(1)</script>',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  'NaN',
  'Infinity',
  '-Infinity',
  'null',
  'undefined',
  'true',
  '0',
  '-1',
  '1e999',
  '0x10',
  '٣',
  '9007199254740993',
  'data: x\n\nevent: done',
  '[1]: https://a.example "b"'
]

/** Numbers as JSON may spell them, in and out of range of what JavaScript keeps. */
export const ODD_NUMBERS: readonly string[] = [
  '0',
  '-0',
  '1',
  '-1',
  '0.1',
  '1e999',
  '-1e999',
  '1e-999',
  '4294967296',
  '2147483648',
  '9007199254740993',
  '123456789012345678901234567890',
  '1.0',
  '1E2',
  '1000001'
]

/** Names that mean something to JavaScript or to those who merge objects. */
export const PROTOTYPE_NAMES: readonly string[] = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'valueOf',
  'hasOwnProperty',
  '__defineGetter__',
  'then',
  'toJSON',
  'length'
]

/** JSON that is spelt out: `JSON.stringify` would neither write duplicate keys nor numbers beyond range. */
export class Raw {
  readonly json: string
  constructor(json: string) {
    this.json = json
  }
}

/** As `JSON.stringify`, with `Raw` values as they are. */
export function toJson(value: unknown): string {
  if (value instanceof Raw) return value.json
  if (Array.isArray(value)) return `[${value.map(toJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  return `{${Object.entries(value)
    .map(([name, member]) => `${JSON.stringify(name)}:${toJson(member)}`)
    .join(',')}}`
}

/** One array or object in another, many times. */
export function nested(random: Random, depth: number): Raw {
  return random.chance(0.5)
    ? new Raw('['.repeat(depth) + ']'.repeat(depth))
    : new Raw(`${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`)
}

/** A value of any type but the one that is expected. */
export function oddValue(random: Random): unknown {
  switch (random.below(9)) {
    case 0:
      return null
    case 1:
      return random.chance(0.5)
    case 2:
    case 3:
      return new Raw(random.pick(ODD_NUMBERS))
    case 4:
      return []
    case 5:
      return {}
    case 6:
      return [null, { a: [random.pick(ODD_TEXTS)] }]
    case 7:
      return { [random.pick(PROTOTYPE_NAMES)]: random.pick(ODD_TEXTS) }
    default:
      return random.pick(ODD_TEXTS)
  }
}
