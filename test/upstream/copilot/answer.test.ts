import t from 'tap'
import type { Answer, TextChange } from '../../../src/upstream/chat-client.ts'
import { createAnswerReducer } from '../../../src/upstream/copilot/answer.ts'

const NOW = Date.parse('2026-07-01T10:00:00Z')

type Event = Readonly<Record<string, unknown>>

function reduce(events: readonly Event[]) {
  const changes: TextChange[] = []
  const unknown: string[] = []
  const reducer = createAnswerReducer({
    baseUrl: 'https://copilot.example/',
    now: () => NOW,
    onText: (change) => changes.push(change),
    onUnknown: (name) => unknown.push(name)
  })
  for (const event of events) reducer.take(event)
  return { reducer, changes, unknown }
}

/** What a reader has in front of them. */
const shown = (changes: readonly TextChange[]) =>
  changes.reduce((text, change) => (change.kind === 'delta' ? text + change.text : change.text), '')

const append = (text: string, partId = 'p1', messageId = 'b1'): Event => ({
  event: 'appendText',
  messageId,
  partId,
  text
})
const replace = (text: string, partId = 'p1'): Event => ({ ...append(text, partId), event: 'replaceText' })
const done = { event: 'done', messageId: 'b1' }

const EMPTY: Omit<Answer, 'conversation'> = {
  message: '',
  pictures: [],
  sources: [],
  suggestions: [],
  turns: undefined,
  notice: undefined,
  ended: false,
  expiresAt: undefined
}

t.test('the turn of docs/protocol/chat-copilot.md section 5', async (t) => {
  const { reducer, changes, unknown } = reduce([
    { event: 'connected', requestId: '5d0c', id: '0' },
    { event: 'received', conversationId: 'Kq3v', messageId: 'u81', id: '1' },
    { event: 'startMessage', conversationId: 'Kq3v', messageId: 'b27', id: '2' },
    append('Lake Alder, '),
    append('Lake Birch '),
    append('and Lake Cedar.'),
    { event: 'citation', messageId: 'b27', partId: 'p1', title: 'Lakes', url: 'https://lakes.example/' },
    { event: 'partCompleted', messageId: 'b27', partId: 'p1' },
    done,
    { event: 'suggestedFollowups', messageId: 'b27', suggestions: ['Which is deepest?'] },
    { event: 'titleUpdate', conversationId: 'Kq3v', title: 'Three lakes' }
  ])
  t.ok(reducer.isComplete)
  t.strictSame(reducer.finish(), {
    ...EMPTY,
    message: 'Lake Alder, Lake Birch and Lake Cedar.',
    sources: [{ title: 'Lakes', url: 'https://lakes.example/' }],
    suggestions: ['Which is deepest?']
  })
  t.strictSame(
    changes,
    ['Lake Alder, ', 'Lake Birch ', 'and Lake Cedar.'].map((text) => ({ kind: 'delta', text }))
  )
  t.strictSame(unknown, [])
})

t.test('text', async (t) => {
  const cases: { name: string; events: Event[]; message: string; kinds?: string }[] = [
    {
      name: 'replaced by more of it',
      events: [append('One'), replace('One two')],
      message: 'One two',
      kinds: 'delta delta'
    },
    {
      name: 'replaced by less',
      events: [append('One two'), replace('One')],
      message: 'One',
      kinds: 'delta replace'
    },
    {
      name: 'replaced and gone on',
      events: [append('One'), replace('Two'), append('!')],
      message: 'Two!',
      kinds: 'delta replace delta'
    },
    { name: 'replaced before it began', events: [replace('One')], message: 'One' },
    { name: 'parts are paragraphs', events: [append('One'), append('Two', 'p2')], message: 'One\n\nTwo' },
    {
      name: 'parts that part themselves',
      events: [append('One\n'), append('Two', 'p2')],
      message: 'One\nTwo'
    },
    {
      name: 'an earlier part goes on',
      events: [append('One'), append('Three', 'p2'), append(' two')],
      message: 'One two\n\nThree',
      kinds: 'delta delta replace'
    },
    {
      name: 'parts of two messages with one name',
      events: [append('One', 'p1', 'b1'), append('Two', 'p1', 'b2')],
      message: 'One\n\nTwo'
    },
    {
      name: 'halves of a character',
      events: [append('a\ud83d'), append('\ude00b')],
      message: 'a😀b',
      kinds: 'delta delta'
    },
    {
      name: 'half a character, and another part behind it',
      events: [append('a'), append('\ud83d'), append('\ude00b'), append('c', 'p2')],
      message: 'a😀b\n\nc',
      kinds: 'delta delta delta'
    },
    {
      name: 'half a character that is replaced',
      events: [append('a'), append('b\ud83d'), replace('abc'), append('d')],
      message: 'abcd',
      kinds: 'delta delta delta delta'
    },
    {
      name: 'a part behind a picture',
      events: [append('One'), { event: 'generatingImage', partId: 'g1' }, append(' two')],
      message: 'One two',
      kinds: 'delta delta'
    },
    {
      name: 'a part that begins empty',
      events: [append('One'), append('', 'p2'), append('Two', 'p2'), append('!', 'p2'), append('.')],
      message: 'One.\n\nTwo!',
      kinds: 'delta delta delta replace'
    },
    { name: 'half a character at the end', events: [append('a\ud83d')], message: 'a' },
    {
      name: 'reasoning is none of it',
      events: [{ event: 'chainOfThought', text: 'Hm.' }, append('One')],
      message: 'One'
    },
    {
      name: 'members of another type',
      events: [append('One'), { ...append(''), text: 7 }, { event: 'appendText' }],
      message: 'One'
    }
  ]
  for (const { name, events, message, kinds } of cases) {
    const { reducer, changes } = reduce([...events, done])
    t.equal(reducer.finish().message, message, name)
    t.equal(shown(changes), message, `${name}: what was shown`)
    for (const { text } of changes) t.notMatch(text, /\p{Surrogate}/u, `${name}: cut between characters`)
    if (kinds !== undefined) t.equal(changes.map(({ kind }) => kind).join(' '), kinds, name)
  }
})

t.test('an answer in very many pieces', async (t) => {
  const pieces = Array.from({ length: 60_000 }, (_, n) => `${n === 0 ? '' : '\ude00'} ${n % 10} é, \ud83d`)
  const began = process.cpuUsage()
  const { reducer, changes } = reduce([...pieces.map((text) => append(text)), done])
  const { user, system } = process.cpuUsage(began)
  const whole = pieces.join('').slice(0, -1)
  t.ok(reducer.finish().message === whole, 'nothing is missing')
  t.ok(shown(changes) === whole, 'nor was it for the reader')
  // Tenths of a second; minutes where each piece looks at all before it.
  t.ok(user + system < 10_000_000, `${user + system} µs of CPU`)
})

t.test('no longer than an answer can be', async (t) => {
  const piece = 'x'.repeat(1024)
  const most = Array.from({ length: 2048 }, () => append(piece))
  t.equal(reduce([...most, done]).reducer.finish().message.length, 2 * 1024 * 1024)
  t.throws(() => reduce([...most, append('x')]), { row: 'T11' } as object as Error)
  t.throws(() => reduce([...most, append('x', 'p2')]), { row: 'T11' } as object as Error, 'in another part')
  const parts = Array.from({ length: 257 }, (_, n) => append('x', `p${n}`))
  t.equal(reduce([...parts.slice(1), done]).reducer.finish().message.length, 256 * 3 - 2)
  t.throws(() => reduce(parts), { row: 'T11' } as object as Error, 'more parts')
})

t.test('a flood of changes to a long answer ends soon', async (t) => {
  const long = append('x'.repeat(2_000_000), 'long')
  const floods: Record<string, (n: number) => Event> = {
    'two parts in turn': (n) => append('y', n % 2 === 0 ? 'p2' : 'long'),
    'a part that is replaced again and again': (n) => replace(n % 2 === 0 ? 'y' : 'z', 'p2'),
    'many short parts': (n) =>
      n < 200 ? append('y', `p${n}`) : replace(n % 2 === 0 ? 'y' : 'z', `p${n % 200}`)
  }
  for (const [name, flood] of Object.entries(floods)) {
    const { reducer } = reduce(name === 'many short parts' ? [] : [long])
    const began = process.cpuUsage()
    let events = 0
    t.throws(
      () => {
        for (; events < 50_000; events++) reducer.take(flood(events))
      },
      { row: 'T11' } as object as Error,
      name
    )
    const { user, system } = process.cpuUsage(began)
    // A third of a second; minutes where nobody counts.
    t.ok(user + system < 10_000_000, `${name}: ${events} events, ${user + system} µs of CPU`)
  }
  const honest = Array.from({ length: 3000 }, (_, n) => replace('x'.repeat(n * 6)))
  t.equal(
    reduce([...honest, done]).reducer.finish().message.length,
    2999 * 6,
    'an answer that is told anew as it grows'
  )
  const alternating = Array.from({ length: 3000 }, (_, n) => append('word ', `p${n % 2}`))
  t.equal(reduce([...alternating, done]).reducer.finish().message.length, 15_000, 'two parts word by word')
})

t.test('what is kept beside the text is bounded', async (t) => {
  const cite = (n: number, more: string) => ({
    event: 'citation',
    url: `https://a.example/${n}`,
    title: more
  })
  const { reducer } = reduce([cite(1, 'x'.repeat(20_000)), cite(2, 'short'), append('One'), done])
  t.strictSame(reducer.finish().sources, [{ url: 'https://a.example/2', title: 'short' }])
  const id = 'x'.repeat(1_000_000)
  t.equal(
    reduce([append('One', id), append('two', `${id}y`), done]).reducer.finish().message,
    'Onetwo',
    'of an id, so much as tells parts apart'
  )
})

t.test('how far a turn has come', async (t) => {
  const state = (events: Event[]) => {
    const { isTaken, isDone, isComplete, hasText, isEnough } = reduce(events).reducer
    return Object.entries({ isTaken, isDone, isComplete, hasText, isEnough })
      .filter(([, is]) => is)
      .map(([name]) => name)
      .join(' ')
  }
  const followups = { event: 'suggestedFollowups', suggestions: ['More?'] }
  t.equal(state([]), '')
  t.equal(state([{ event: 'connected' }, { event: 'pong' }, { event: 'unheardOf' }]), '')
  t.equal(state([{ event: 'received' }]), 'isTaken')
  t.equal(state([append('  \n')]), 'isTaken', 'white space is no answer')
  t.equal(state([append('One')]), 'isTaken hasText')
  t.equal(state([append('One'), done]), 'isTaken isDone hasText isEnough')
  t.equal(state([append('One'), done, followups]), 'isTaken isDone isComplete hasText isEnough')
  t.equal(state([append('One'), followups]), 'isTaken hasText')
  t.equal(
    state([append('One'), followups, done]),
    'isTaken isDone isComplete hasText isEnough',
    'suggestions may come first'
  )
  t.equal(state([{ event: 'generatingImage', partId: 'g1', prompt: 'A fox' }]), 'isTaken')
  const preview = { event: 'partialImageGenerated', partId: 'g1', content: 'QUJD' }
  const final = { event: 'imageGenerated', partId: 'g1', url: 'https://copilot.example/1.png' }
  t.equal(state([preview]), 'isTaken isEnough')
  t.equal(state([final]), 'isTaken isEnough')
  t.equal(state([append('Here.'), preview]), 'isTaken hasText isEnough', 'a picture behind the text')
  t.equal(state([preview, append('  \n')]), 'isTaken isEnough')
  for (const picture of [preview, final])
    t.equal(state([picture, append('It sho')]), 'isTaken hasText', 'text behind the picture, cut off')
  t.equal(state([preview, append('It shows'), final]), 'isTaken hasText isEnough')
})

t.test('sources', async (t) => {
  const cite = (url: unknown, title?: unknown): Event => ({ event: 'citation', url, title })
  const { reducer } = reduce([
    cite('https://b.example/x', 'B'),
    cite('https://a.example', '  '),
    cite('https://b.example/x', 'B again'),
    cite('javascript:alert(1)', 'no'),
    cite('not an address', 'no'),
    cite(undefined, 'no'),
    cite(7),
    append('One'),
    done
  ])
  t.strictSame(reducer.finish().sources, [
    { url: 'https://b.example/x', title: 'B' },
    { url: 'https://a.example', title: 'a.example' }
  ])
})

t.test('suggestions that are none', async (t) => {
  const suggestions = ['One?', '', 'Two?', 7, null, 'One?']
  t.strictSame(
    reduce([append('x'), { event: 'suggestedFollowups', suggestions }]).reducer.finish().suggestions,
    ['One?', 'Two?']
  )
  t.strictSame(
    reduce([append('x'), { event: 'suggestedFollowups', suggestions: 'One?' }]).reducer.finish().suggestions,
    []
  )
})

t.test('pictures', async (t) => {
  const drawing = (partId: string, prompt: string): Event => ({
    event: 'generatingImage',
    messageId: 'b1',
    partId,
    prompt
  })
  const preview = (partId: string, content: string): Event => ({
    event: 'partialImageGenerated',
    messageId: 'b1',
    partId,
    content
  })
  const final = (partId: string, url: unknown): Event => ({
    event: 'imageGenerated',
    messageId: 'b1',
    partId,
    url
  })

  const { reducer, changes } = reduce([
    append('Here they are:'),
    drawing('g1', 'A fox'),
    preview('g1', 'Zmlyc3Q='),
    preview('g1', 'data:image/png;base64,bGFzdA=='),
    drawing('g2', 'A hare'),
    preview('g2', 'aGFyZQ=='),
    final('g1', 'https://copilot.example/th/id/BCO.1.png'),
    final('g2', '/th/id/BCO.2.png'),
    final('g3', 'ftp://copilot.example/x'),
    append('Enjoy.', 'p2'),
    done
  ])
  t.strictSame(reducer.finish(), {
    ...EMPTY,
    message: 'Here they are:\n\nEnjoy.',
    pictures: [
      { url: 'https://copilot.example/th/id/BCO.1.png', preview: 'bGFzdA==', prompt: 'A fox' },
      { url: 'https://copilot.example/th/id/BCO.2.png', preview: 'aGFyZQ==', prompt: 'A hare' }
    ]
  })
  t.equal(shown(changes), 'Here they are:\n\nEnjoy.')

  const lost = reduce([drawing('g1', 'A fox'), preview('g1', 'QQ=='), preview('g1', 'Qg=='), done]).reducer
  t.strictSame(
    lost.finish(),
    { ...EMPTY, pictures: [{ url: undefined, preview: 'Qg==', prompt: 'A fox' }] },
    'row P17: the last preview'
  )
  const broken = reduce([preview('g1', 'QQ==')]).reducer.finish()
  t.equal(broken.notice, 'answer_truncated', 'without done')
  const many = reduce([...Array.from({ length: 50 }, (_, n) => preview(`g${n}`, 'QQ==')), done]).reducer
  t.equal(many.finish().pictures.length, 8, 'no more than any answer has')

  const MIB = 1024 * 1024
  const sizes = (events: Event[]) =>
    reduce([append('Here.'), ...events, done])
      .reducer.finish()
      .pictures.map(({ preview }) => (preview?.length ?? 0) / MIB)
  const large = 'QUJD'.repeat(2 * MIB)
  t.strictSame(sizes([preview('g1', 'Q'.repeat(MIB)), preview('g1', `${large}Q`)]), [1], 'too large')
  t.strictSame(sizes([1, 2, 3, 4].map((n) => preview(`g${n}`, large))), [8, 8, 8], 'too large together')
  t.strictSame(
    sizes([1, 1, 1, 1, 2].map((n) => preview(`g${n}`, large))),
    [8, 8],
    'one takes the place of another'
  )
})

t.test('what ends a turn', async (t) => {
  const challenge = { event: 'challenge', method: 'hashcash', parameter: 'x' }
  const error = (errorCode: unknown, more: object = {}) => ({ event: 'error', errorCode, ...more })
  const throttled = (nextAvailableAt: unknown) => ({
    event: 'chatMessageError',
    errorCode: 'throttled',
    errorDetail: { type: 'throttled', nextAvailableAt }
  })
  const cases: {
    name: string
    event: Event
    want: { row: string; code?: string; param?: string; retryAfter?: number }
  }[] = [
    { name: 'a challenge', event: challenge, want: { row: 'P9' } },
    {
      name: 'a challenge without a method',
      event: { event: 'challenge', method: null },
      want: { row: 'P9' }
    },
    {
      name: 'a challenge of another shape',
      event: { event: 'challenge', method: { a: 1 } },
      want: { row: 'P9' }
    },
    { name: 'invalid-event', event: error('invalid-event'), want: { row: 'P10' } },
    { name: 'region', event: error('chat-service-unavailable'), want: { row: 'P11' } },
    { name: 'too long', event: error('text-too-long'), want: { row: 'P12', param: 'prompt' } },
    { name: 'throttled', event: throttled('2026-07-01T10:12:30Z'), want: { row: 'P13', retryAfter: 750 } },
    {
      name: 'throttled until now',
      event: throttled('2026-07-01T10:00:00Z'),
      want: { row: 'P13', retryAfter: 1 }
    },
    { name: 'throttled, no date', event: throttled('soon'), want: { row: 'P13', retryAfter: 60 } },
    {
      name: 'throttled, no detail',
      event: { event: 'chatMessageError', errorCode: 'throttled' },
      want: { row: 'P13', retryAfter: 60 }
    },
    { name: 'another code', event: error('out-of-ink'), want: { row: 'P14', code: 'out-of-ink' } },
    { name: 'prose', event: error('Out of ink, sorry.'), want: { row: 'P14', code: 'upstream_rejected' } },
    {
      name: 'a name of the language',
      event: error('constructor'),
      want: { row: 'P14', code: 'constructor' }
    },
    { name: 'no code', event: { event: 'chatMessageError' }, want: { row: 'P14', code: 'upstream_rejected' } }
  ]
  for (const { name, event, want } of cases) {
    t.throws(() => reduce([event]), want as object as Error, name)
    t.throws(
      () => reduce([{ event: 'received' }, append('One'), event]),
      want as object as Error,
      `${name}, after text`
    )
    t.equal(reduce([append('One'), done, event]).reducer.finish().message, 'One', `${name}, after the answer`)
  }
  t.throws(() => reduce([{ event: 'received' }, done]).reducer.finish(), {
    row: 'P-empty',
    code: 'no_answer'
  })
})

t.test('events of another version', async (t) => {
  const { reducer, unknown } = reduce([
    { event: 'appendCard', text: 'x', partId: 'p1' },
    { event: 7 },
    {},
    { event: '__proto__' },
    append('One'),
    done
  ])
  t.equal(reducer.finish().message, 'One')
  t.strictSame(unknown, ['appendCard', '', '', '__proto__'])
})
