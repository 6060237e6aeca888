import type { Column } from './cell.ts'

const CHAT: readonly Column[] = ['chat plain', 'chat stream']
const CREATION: readonly Column[] = ['image', 'video submit', 'video poll']
const SUBMIT: readonly Column[] = ['video submit']
const POLL: readonly Column[] = ['video poll']
const VIDEO: readonly Column[] = [...SUBMIT, ...POLL]

const LATER = 'Seen while looking at a creation; a submit is over by then.'
const BEFORE = 'Seen before a video is accepted; who looks at one meets other rows.'

/** Rows that occur in other columns only, or are another row there. */
const ROWS: readonly (readonly [rows: string, columns: readonly Column[], reason: string])[] = [
  ['T2', ['chat stream'], 'The hub has one deadline for connection and handshake together: W5.'],
  ['T2', POLL, 'As T1 there: trouble of looking, which is repeated.'],
  ['T10', POLL, 'Pages are what polls answer with anyway: I15, V4, V6.'],
  ['T11', POLL, 'Half of a JSON is waited for (V4); an unknown shape three times in a row is V7.'],
  ['C1', POLL, 'A video that was accepted had a cookie. When it is taken away later: V8.'],
  ['I1 I2 I3 I11 I16 I26', POLL, BEFORE],
  ['I2', SUBMIT, 'V3.'],
  ['I18', POLL, 'V4.'],
  ['I19', POLL, 'V6.'],
  ['I21', POLL, 'V9.'],
  ['I18 I19 I20 I21', SUBMIT, LATER],
  ['I22 I23 I24', VIDEO, 'About pictures.'],
  ['I25', SUBMIT, LATER],
  ['I25', POLL, 'V11.'],
  ['V1', SUBMIT, 'Stands for the rows I1 to I17 in this column.'],
  ['V1 V3', POLL, BEFORE],
  ['V4 V7 V8 V9 V10 V11', SUBMIT, LATER],
  ['V5', SUBMIT, 'I4.']
]

/** Rows of a section belong to one protocol. */
const SECTIONS: readonly (readonly [rows: RegExp, columns: readonly Column[], reason: string])[] = [
  [/^(?:[WS]|C(?!1$))\d/, CREATION, "Bing's chat protocol; the creators speak another one."],
  [/^G\d/, CREATION, 'A rule of conversations; creations have none.'],
  [/^P\d/, CREATION, "Copilot's protocol; the creators speak Bing's."],
  [/^[IV]\d/, CHAT, "The creators' protocol; chats speak another one."],
  [/^V\d/, ['image'], 'About videos; what is the same with images is a row of theirs.']
]

/** Why a row can't occur in a column; `undefined` when it can. */
export function reasonFor(row: string, column: Column): string | undefined {
  const ofRow = ROWS.find(([rows, columns]) => rows.split(' ').includes(row) && columns.includes(column))
  const ofSection = SECTIONS.find(([rows, columns]) => rows.test(row) && columns.includes(column))
  return ofRow?.[2] ?? ofSection?.[2]
}
