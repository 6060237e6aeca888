import t from 'tap'
import { UpstreamError } from '../../../src/upstream/failures.ts'
import { createRecordDecoder, encodeRecord, type HubRecord } from '../../../src/upstream/sydney/codec.ts'
import { readFixture } from './fixtures/read-fixture.ts'

const END = '\u001e'

/** As a server may write it: everything beyond ASCII as an escape, so that a cut can fall into one. */
function escaped(record: HubRecord): string {
  return JSON.stringify(record).replace(
    /[\u0080-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
  )
}

function decode(pieces: Iterable<string>, maxChars?: number): HubRecord[] {
  const decoder = createRecordDecoder(maxChars)
  const records: HubRecord[] = []
  for (const piece of pieces) records.push(...decoder.push(piece))
  return records
}

function pieces(text: string, size: number): string[] {
  return Array.from({ length: Math.ceil(text.length / size) }, (_, i) => text.slice(i * size, (i + 1) * size))
}

function rowOf(act: () => unknown): string | undefined {
  try {
    act()
  } catch (error) {
    return error instanceof UpstreamError ? error.row : String(error)
  }
  return undefined
}

const records = readFixture('search-turn.jsonl')
const plain = records.map((record) => JSON.stringify(record) + END).join('')
const asEscapes = records.map((record) => escaped(record) + END).join('')

t.test('a whole turn in one message', async (t) => {
  t.strictSame(decode([plain]), records)
  t.strictSame(decode([asEscapes]), records)
})

t.test('a turn cut in two at every position', async (t) => {
  for (const [name, text] of [
    ['as it is', plain],
    ['as escapes', asEscapes]
  ] as const) {
    const wanted = JSON.stringify(records)
    const wrong: number[] = []
    for (let at = 0; at <= text.length; at++) {
      const decoded = decode([text.slice(0, at), text.slice(at)])
      if (JSON.stringify(decoded) !== wanted) wrong.push(at)
    }
    t.strictSame(wrong, [], name)
  }
})

t.test('a turn in pieces of every size up to 64 characters', async (t) => {
  const wrong = Array.from({ length: 64 }, (_, i) => i + 1).filter(
    (size) => JSON.stringify(decode(pieces(asEscapes, size))) !== JSON.stringify(records)
  )
  t.strictSame(wrong, [])
})

t.test('the last two records in one message, each record in a message of its own', async (t) => {
  const lines = records.map((record) => JSON.stringify(record) + END)
  t.strictSame(decode([...lines.slice(0, -2), lines.slice(-2).join('')]), records)
  t.strictSame(decode(lines), records)
})

t.test('a record is known once its separator is there', async (t) => {
  const decoder = createRecordDecoder()
  t.strictSame([...decoder.push('{"type":6}')], [])
  t.equal(decoder.isMidRecord, true)
  t.strictSame([...decoder.push(END)], [{ type: 6 }])
  t.equal(decoder.isMidRecord, false)
})

t.test('empty records are nothing', async (t) => {
  t.strictSame(decode([END, `${END}{}${END}${END}`, '']), [{}])
})

for (const [name, bad] of [
  ['half an object', '{"type":1,"target":"upd'],
  ['a page', '<html>no record</html>'],
  ['a number', '42'],
  ['null', 'null'],
  ['an array', '[{"type":6}]'],
  ['a raw separator inside a string', '{"text":"a\u001eb"}']
] as const) {
  t.test(`no record: ${name}`, async (t) => {
    const decoder = createRecordDecoder()
    const seen: HubRecord[] = []
    try {
      for (const record of decoder.push(`{"type":6}${END}${bad}${END}{"type":3}${END}`)) seen.push(record)
      t.fail('must throw')
    } catch (error) {
      t.ok(error instanceof UpstreamError)
      t.equal((error as UpstreamError).row, 'W12')
      t.notMatch(String((error as UpstreamError).cause), /html|upd/, 'what the peer sent is not repeated')
    }
    t.strictSame(seen, [{ type: 6 }], 'the good record before it was delivered')
  })
}

t.test('bounds', async (t) => {
  const record = JSON.stringify({ text: 'x'.repeat(89) })
  t.equal(record.length, 100)
  t.strictSame(decode([record + END], 100), [JSON.parse(record)], 'as long as allowed')
  t.equal(
    rowOf(() => decode([record + END], 99)),
    'W12',
    'too long'
  )
  t.equal(
    rowOf(() => decode(pieces(record, 7), 99)),
    'W12',
    'too long before its end came'
  )
  t.strictSame(
    decode([(record + END).repeat(3)], 100).length,
    3,
    'the bound is for one record, not for a message'
  )
})

t.test('a record of megabytes in thousands of pieces takes no quadratic time', async (t) => {
  const record = JSON.stringify({ text: 'x'.repeat(4_000_000) })
  const startedAt = performance.now()
  t.equal(decode(pieces(record + END, 500)).length, 1)
  t.ok(performance.now() - startedAt < 3000)
})

t.test('what is encoded ends in the separator and holds no other', async (t) => {
  const record = { type: 4, text: `a${END}b \ud83d\ude42` }
  const text = encodeRecord(record)
  t.equal(text.indexOf(END), text.length - 1)
  t.strictSame(decode(text), [record])
})
