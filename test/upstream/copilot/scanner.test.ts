import t from 'tap'
import { createEventScanner } from '../../../src/upstream/copilot/scanner.ts'
import { UpstreamError } from '../../../src/upstream/failures.ts'

const scan = (...messages: string[]) => {
  const scanner = createEventScanner()
  return messages.map((message) => scanner.push(message))
}

t.test('events of one message', async (t) => {
  const a = { event: 'appendText', text: 'a' }
  const b = { event: 'done' }
  const text = (value: object) => JSON.stringify(value)
  const cases: { name: string; message: string; want: object[] }[] = [
    { name: 'one', message: text(a), want: [a] },
    { name: 'two without anything between', message: text(a) + text(b), want: [a, b] },
    { name: 'white space between', message: `\n ${text(a)} \r\n\t${text(b)}\n`, want: [a, b] },
    { name: 'record separators', message: `\u001e${text(a)}\u001e\u001e${text(b)}\u001e`, want: [a, b] },
    { name: 'a byte order mark', message: `\ufeff${text(a)}`, want: [a] },
    { name: 'none', message: ' \u001e', want: [] },
    { name: 'empty', message: '', want: [] },
    {
      name: 'braces in a string',
      message: '{"text":"}{"}{"text":"{{{"}',
      want: [{ text: '}{' }, { text: '{{{' }]
    },
    { name: 'quotes in a string', message: '{"text":"\\"}\\""}', want: [{ text: '"}"' }] },
    {
      name: 'a backslash before the end of a string',
      message: '{"a":"\\\\"}{"b":1}',
      want: [{ a: '\\' }, { b: 1 }]
    },
    { name: 'nested', message: '{"a":{"b":[{"c":{}}]}}{}', want: [{ a: { b: [{ c: {} }] } }, {}] }
  ]
  for (const { name, message, want } of cases) t.strictSame(scan(message), [want], name)
})

t.test('an event may come in any number of messages', async (t) => {
  const events = [
    { event: 'appendText', text: 'a "quoted" \\ } { 🎈', id: '0.0002' },
    { event: 'x', nested: { list: [{ deep: '}' }] } }
  ]
  const wire = events.map((event) => JSON.stringify(event)).join('\u001e')
  for (let cut = 0; cut <= wire.length; cut++) {
    t.strictSame(scan(wire.slice(0, cut), wire.slice(cut)).flat(), events, `cut at ${cut}`)
  }
  t.strictSame(scan(...wire).flat(), events, 'character by character')
})

t.test('what is no object ends the reading', async (t) => {
  const cases: { name: string; messages: string[] }[] = [
    { name: 'a word', messages: ['hello'] },
    { name: 'a list', messages: ['[{}]'] },
    { name: 'a page', messages: ['<!doctype html>'] },
    { name: 'behind an event', messages: ['{"event":"done"}]'] },
    { name: 'a closing brace', messages: ['}'] },
    { name: 'braces that hold no JSON', messages: ['{event:1}'] },
    { name: 'brackets that cross', messages: ['{"a":[}'] },
    { name: 'a raw line break in a string', messages: ['{"a":"', '\n"}'] }
  ]
  for (const { name, messages } of cases) {
    t.throws(() => scan(...messages), { code: 'bad_payload', row: 'T11' }, name)
  }
})

t.test('an event that never ends takes a bounded amount of memory', async (t) => {
  const scanner = createEventScanner(1000)
  t.strictSame(scanner.push(`{"a":"${'x'.repeat(990)}`), [])
  t.throws(() => scanner.push('xxxxx'), UpstreamError)
  const many = createEventScanner(1000)
  for (let n = 0; n < 100; n++)
    t.equal(many.push(`{"a":"${'x'.repeat(900)}"}`).length, 1, 'the bound is for one event')
})

t.test('what would keep the process busy is not read', async (t) => {
  const chars = 16 * 1024 * 1024
  const floods: Record<string, string[]> = {
    'empty events': ['{}'.repeat(chars / 2)],
    'short events': ['{"event":"pong"}'.repeat(chars / 16)],
    'space between events': [`{}${' '.repeat(chars)}{}`],
    nesting: [`{"a":${'['.repeat(chars / 2)}${']'.repeat(chars / 2)}}`],
    'short members': [`{"a":[${'"",'.repeat(chars / 3)}0]}`],
    'an event over many messages': ['{"a":[', ...Array.from({ length: 600 }, () => '0,'.repeat(250)), '0]}']
  }
  for (const [name, messages] of Object.entries(floods)) {
    const began = process.cpuUsage()
    t.throws(() => scan(...messages), { row: 'T11' } as object as Error, name)
    const { user, system } = process.cpuUsage(began)
    t.ok(user + system < 3_000_000, `${name}: ${user + system} µs of CPU`)
  }
  const many = '{"event":"appendText","messageId":"b1","partId":"p1","text":"x"}'.repeat(8000)
  t.equal(scan(many).flat().length, 8000, 'a whole answer in one message')
  t.equal(
    scan(...Array.from({ length: 40 }, () => many)).flat().length,
    320_000,
    'the bound is for one message'
  )
  const pieces = many.match(/.{1,100}/g) ?? []
  t.equal(scan(...pieces, ...pieces).flat().length, 16_000, 'and for one event')
})

t.test('a picture of many megabytes is read in time, in one message or in many', async (t) => {
  const content = 'QUJD'.repeat(2 * 1024 * 1024)
  const wire = JSON.stringify({ event: 'partialImageGenerated', content })
  const pieces = wire.match(/.{1,700}/g) ?? []
  const before = performance.now()
  t.equal(scan(wire).flat()[0]?.content, content)
  t.equal(scan(...pieces).flat()[0]?.content, content)
  t.ok(performance.now() - before < 20_000, 'every character is looked at once')
})
