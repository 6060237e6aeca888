import t from 'tap'
import type { Answer, TextChange } from '../../../src/upstream/chat-client.ts'
import { UpstreamError } from '../../../src/upstream/failures.ts'
import { createAnswerReducer } from '../../../src/upstream/sydney/answer.ts'
import type { HubRecord } from '../../../src/upstream/sydney/codec.ts'
import { readFixture } from './fixtures/read-fixture.ts'

type Json = Record<string, unknown>

// --- Records, after docs/protocol/chat-sydney.md sections 6 and 7 ---

const update = (messages: Json[], more: Json = {}): HubRecord => ({
  type: 1,
  target: 'update',
  arguments: [{ requestId: 'r', result: null, messages, ...more }]
})
const bot = (text: string, more: Json = {}): Json => ({
  author: 'bot',
  contentOrigin: 'DeepLeo',
  text,
  ...more
})
const user = (more: Json = {}): Json => ({
  author: 'user',
  text: 'A question',
  contentOrigin: 'cib',
  offense: 'None',
  ...more
})
const say = (text: string, more: Json = {}) => update([bot(text, more)])
const begin = (text: string, more: Json = {}) => update([bot(text, more)], { cursor: { j: '$', p: -1 } })
const onlyCard = (body: Json[], more: Json = {}): Json => ({
  author: 'bot',
  contentOrigin: 'DeepLeo',
  text: null,
  adaptiveCards: [{ type: 'AdaptiveCard', body }],
  ...more
})
const card = (text: string, more: Json = {}) => update([onlyCard([{ type: 'TextBlock', text }], more)])
const LINK = '[1]: https://a.example/ "A"\n'
const LEARN_MORE = { id: 'AttributionsTextBlockID', text: 'Learn more: [1. a.example](https://a.example/)' }
const apology = bot('Sorry, no.', { contentOrigin: 'Apology' })
const disengaged = { author: 'bot', messageType: 'Disengaged', hiddenText: '> Conversation disengaged' }
const loader = bot('Generating answers for you...', { messageType: 'InternalLoaderMessage' })
const final = (messages: Json[] | undefined, more: Json = {}): HubRecord => ({
  type: 2,
  invocationId: '0',
  item: { messages, result: { value: 'Success' }, ...more }
})
const failed = (value: string, more: Json = {}) =>
  final(undefined, { result: { value, error: value, ...more } })
const done: HubRecord = { type: 3, invocationId: '0' }
const throttling = (used: number, max: number) => ({
  numUserMessagesInConversation: used,
  maxNumUserMessagesInConversation: max
})

interface Played {
  changes: TextChange[]
  /** What a reader has in front of them at the end. */
  shown: string
  isOver: boolean
  answer?: Omit<Answer, 'conversation'>
  row?: string
  error?: UpstreamError
}

function play(records: HubRecord[], invocationId = 0): Played {
  const changes: TextChange[] = []
  const reducer = createAnswerReducer(invocationId, (change) => changes.push(change))
  const isOver = records.some((record) => reducer.take(record))
  const played: Played = { changes, shown: '', isOver }
  if (isOver || reducer.isDecided) {
    try {
      played.answer = reducer.finish()
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error
      played.error = error
      played.row = error.row
    }
  }
  for (const { kind, text } of changes) played.shown = kind === 'delta' ? played.shown + text : text
  return played
}

const short = (changes: TextChange[]) =>
  changes.map(({ kind, text }) => (kind === 'delta' ? `+${text}` : `=${text}`))

// --- What a reader sees ---

const streams: { name: string; records: HubRecord[]; want: string[] }[] = [
  {
    name: 'growing text',
    records: [
      say('The'),
      say('The tower'),
      say('The tower is high.'),
      final([user(), bot('The tower is high.')])
    ],
    want: ['+The', '+ tower', '+ is high.']
  },
  {
    name: 'the same text twice',
    records: [say('The'), say('The'), final([bot('The')])],
    want: ['+The']
  },
  {
    name: 'nothing but a final record',
    records: [final([user(), bot('All at once.')])],
    want: ['+All at once.']
  },
  {
    name: 'a text that shrinks',
    records: [
      say('The tower is'),
      say('The tower'),
      say('The tower stands.'),
      final([bot('The tower stands.')])
    ],
    want: ['+The tower is', '=The tower', '+ stands.']
  },
  {
    name: 'a text that diverges',
    records: [say('The tower'), say('A tower'), say('A tower stands'), final([bot('A tower stands')])],
    want: ['+The tower', '=A tower', '+ stands']
  },
  {
    name: 'a final text that goes on',
    records: [say('The'), final([bot('The tower')])],
    want: ['+The', '+ tower']
  },
  {
    name: 'a final text that differs',
    records: [say('The tower'), final([bot('In short: tower')])],
    want: ['+The tower', '=In short: tower']
  },
  {
    name: 'a second message, opened by a cursor',
    records: [
      begin('One', { messageId: 'a' }),
      say('One.', { messageId: 'a' }),
      begin('Two', { messageId: 'b' }),
      say('Two.', { messageId: 'b' }),
      final([user(), bot('One.'), bot('', { messageType: 'GenerateContentQuery' }), bot('Two.')])
    ],
    want: ['+One', '+.', '+\n\nTwo', '+.']
  },
  {
    name: 'a second message without ids',
    records: [begin('One'), say('One.'), begin('Two'), say('Two.'), final([bot('One.'), bot('Two.')])],
    want: ['+One', '+.', '+\n\nTwo', '+.']
  },
  {
    name: 'a second message that begins like the first',
    records: [begin('One'), begin('One more'), final([bot('One'), bot('One more')])],
    want: ['+One', '+\n\nOne more']
  },
  {
    name: 'a cursor on every update of one message',
    records: [
      begin('One', { messageId: 'a' }),
      begin('One tower', { messageId: 'a' }),
      final([bot('One tower', { messageId: 'a' })])
    ],
    want: ['+One', '+ tower']
  },
  {
    name: 'a late update of the first of two messages',
    records: [
      begin('One', { messageId: 'a' }),
      begin('Two', { messageId: 'b' }),
      say('One', { messageId: 'a', suggestedResponses: [{ text: 'More?' }] }),
      final([bot('One'), bot('Two')])
    ],
    want: ['+One', '+\n\nTwo']
  },
  {
    name: 'messages that are no answer',
    records: [
      update([loader]),
      update([bot('Searching the web for: `x`', { messageType: 'InternalSearchQuery' })]),
      update([bot('print(42)', { messageType: 'GeneratedCode' })]),
      update([bot('hologram', { messageType: 'HolographicRequest' })]),
      update([user()]),
      say('Yes', { messageType: 'Chat' }),
      final([
        user(),
        loader,
        bot('Yes', { messageType: 'Chat' }),
        bot('q', { messageType: 'RenderCardRequest' })
      ])
    ],
    want: ['+Yes']
  },
  {
    name: 'records of another invocation, of unknown types and targets, with odd members',
    records: [
      { type: 2, invocationId: '7', item: { result: { value: 'Throttled' } } },
      { type: 3, invocationId: '7', error: 'x' },
      { type: 42, target: 'update', arguments: [{ messages: [bot('no')] }] },
      { type: 1, target: 'hologram', arguments: [{ messages: [bot('no')] }] },
      { type: 1, target: 'update' },
      { type: 1, target: 'update', arguments: 'none' },
      {
        type: 1,
        target: 'update',
        arguments: [null, 1, { messages: { 0: bot('no') } }, { messages: [null, 'no', {}] }]
      },
      update([{ author: 'bot', text: 42, messageId: {}, adaptiveCards: 'x', suggestedResponses: 1 }]),
      update([], throttling(1, 30)),
      say('Yes'),
      final([null as unknown as Json, bot('Yes', { sourceAttributions: [null, { seeMoreUrl: 7 }] })])
    ],
    want: ['+Yes']
  },
  {
    name: 'the card never shows in the text',
    records: [
      say('Yes', { adaptiveCards: [{ body: [{ text: '[1]: https://a.example/ "A"\n\nYes, indeed' }] }] }),
      final([bot('Yes.', { adaptiveCards: [{ body: [{ type: 'Image' }, { text: 'Yes\n' }] }] })])
    ],
    want: ['+Yes', '+.']
  },
  {
    name: 'a turn that has only cards',
    records: [
      card('['),
      card('[1'),
      card('[1]: https://a.exam'),
      card(LINK),
      card(`${LINK}\n[`),
      card(`${LINK}\n[2] towers`, { text: '' }),
      card(`${LINK}\n[2] towers stand`, { text: ' ' }),
      final([user(), onlyCard([{ text: `${LINK}\n[2] towers stand.` }, LEARN_MORE])])
    ],
    want: ['+[2] towers', '+ stand', '+.']
  },
  {
    name: 'nothing but a final record with a card',
    records: [final([user(), onlyCard([{ type: 'TextBlock', text: 'All at once.' }])])],
    want: ['+All at once.']
  },
  {
    name: 'a card whose text stands behind an image',
    records: [
      update([onlyCard([{ type: 'Image', url: 'https://a.example/i' }, { text: 'A tower' }])]),
      final([onlyCard([{ type: 'Image', altText: 'x' }, { text: 'A tower.' }, LEARN_MORE])])
    ],
    want: ['+A tower', '+.']
  },
  {
    name: 'two messages of cards',
    records: [
      update([onlyCard([{ text: 'One' }], { messageId: 'a' })], { cursor: {} }),
      update([onlyCard([{ text: 'Two' }], { messageId: 'b' })], { cursor: {} }),
      final([onlyCard([{ text: 'One' }]), onlyCard([{ text: 'Two' }])])
    ],
    want: ['+One', '+\n\nTwo']
  },
  {
    name: 'plain text after a card takes its place',
    records: [
      card('The tower'),
      say('The tower is', { adaptiveCards: [{ body: [{ text: 'The tower is\n' }] }] }),
      card('The tower is high\n'),
      final([bot('The tower is high.')])
    ],
    want: ['+The tower', '=The tower is', '+ high.']
  },
  {
    name: 'a card at the end takes the place of plain text',
    records: [say('The tower'), final([onlyCard([{ text: 'The tower is high.' }])])],
    want: ['+The tower', '=The tower is high.']
  },
  {
    name: 'a card beside plain text in the final record is left out',
    records: [final([onlyCard([{ text: 'card' }]), bot('plain')])],
    want: ['+plain']
  },
  {
    name: 'empty and blank text',
    records: [say(''), say(' \n'), say(' \nYes'), final([bot(' \nYes')])],
    want: ['+ \nYes']
  },
  {
    name: 'text that begins like a farewell waits until it is none',
    records: [
      say('Sorry'),
      say('Sorry, I think'),
      say('Sorry, I think so.'),
      final([bot('Sorry, I think so.')])
    ],
    want: ['+Sorry, I think so.']
  },
  {
    name: 'text after an apology is not shown any more',
    records: [
      say('The answer'),
      update([apology]),
      say('The answer is'),
      final([user(), bot('The answer is 42'), apology])
    ],
    want: ['+The answer']
  }
]

for (const { name, records, want } of streams) {
  t.test(`stream: ${name}`, async (t) => {
    const { changes, answer, shown, isOver, row } = play(records)
    t.equal(row, undefined)
    t.equal(isOver, true)
    t.strictSame(short(changes), want)
    t.equal(shown, answer?.message, 'the changes add up to the message')
  })
}

t.test('text cut at every UTF-16 unit is shown in whole characters only', async (t) => {
  const text = 'a🙂b 👩🏽‍🔬 海辺 🏴󠁧󠁢󠁷󠁬󠁳󠁿é🚀'
  const stages = Array.from({ length: text.length }, (_, i) => text.slice(0, i + 1))
  const { changes, shown } = play([...stages.map((stage) => say(stage)), final([bot(text)])])
  t.equal(shown, text)
  t.ok(changes.every(({ kind }) => kind === 'delta'))
  const half = /(?:[^\ud800-\udbff]|^)[\udc00-\udfff]|[\ud800-\udbff](?:[^\udc00-\udfff]|$)/
  t.strictSame(
    changes.filter(({ text }) => half.test(text)),
    [],
    'no half characters'
  )

  for (let at = 1; at < text.length; at++) {
    const two = play([say(text.slice(0, at)), final([bot(text)])])
    t.equal(two.shown, text)
    t.notOk(
      two.changes.some((change) => half.test(change.text)),
      `cut at ${at}`
    )
  }
})

t.test('half a character that never gets its other half is dropped', async (t) => {
  t.equal(play([say('ab\ud83d'), done]).answer?.message, 'ab')
  t.equal(play([final([bot('ab\ud83d'), bot('cd')])]).answer?.message, 'ab\n\ncd')
})

// --- How a turn ends ---

const farewell = "Thanks for this conversation! I've reached my limit, will you hit “New topic,” please?"
const ends: { name: string; records: HubRecord[]; row?: string; want?: Partial<Answer>; shows?: string[] }[] =
  [
    {
      name: 'S13 last turn',
      records: [final([bot('x')], { throttling: throttling(30, 30) })],
      want: { ended: true, turns: { used: 30, max: 30 } }
    },
    {
      name: 'not the last turn',
      records: [final([bot('x')], { throttling: throttling(29, 30) })],
      want: { ended: false }
    },
    {
      name: 'throttling from an update',
      records: [update([bot('x')], { throttling: throttling(2, 20) }), final([bot('x')])],
      want: { turns: { used: 2, max: 20 } }
    },
    {
      name: 'throttling of a wrong shape',
      records: [final([bot('x')], { throttling: { numUserMessagesInConversation: '3' } })],
      want: { turns: undefined, ended: false }
    },
    { name: 'S14 farewell', records: [say(farewell), final([user(), bot(farewell)])], row: 'S14', shows: [] },
    {
      name: 'S14 farewell with a typographic apostrophe',
      records: [final([bot(farewell.replace("'", '’'))])],
      row: 'S14',
      shows: []
    },
    {
      name: 'S14 the other wording',
      records: [say('Sorry, I think we need to move on! Click “New topic”.'), done],
      row: 'S14',
      shows: []
    },
    { name: 'S14 although the hub just left', records: [say(farewell)], row: 'S14', shows: [] },
    {
      name: 'S15 daily farewell',
      records: [final([bot("Thanks for this conversation! I've reached my daily limit. Come back later.")])],
      row: 'S15',
      shows: []
    },
    {
      name: 'S15 daily limit in the usual wording',
      records: [final([bot(`${farewell} Until tomorrow!`)])],
      row: 'S15',
      shows: []
    },
    {
      name: 'a long text that begins like a farewell',
      records: [final([bot(`${farewell}${' And so on.'.repeat(40)}`)])],
      want: { notice: undefined }
    },
    {
      name: 'S16 apology only',
      records: [update([apology]), final([user(), apology])],
      row: 'S16',
      shows: []
    },
    { name: 'S16 although the hub just left', records: [update([apology])], row: 'S16', shows: [] },
    {
      name: 'S16 wins over a failure that could be repeated',
      records: [update([apology]), failed('InternalError', { message: 'DeepLeo' })],
      row: 'S16'
    },
    {
      name: 'S17 apology after text',
      records: [say('The answer'), update([apology]), final([user(), apology])],
      want: { message: 'The answer', notice: 'answer_revoked' },
      shows: ['+The answer']
    },
    {
      name: 'S17 apology in the final record only',
      records: [say('The ans'), final([user(), bot('The answer'), apology])],
      want: { message: 'The ans', notice: 'answer_revoked' }
    },
    {
      name: 'S17 although the hub just left',
      records: [say('The ans'), update([apology])],
      want: { message: 'The ans', notice: 'answer_revoked' }
    },
    { name: 'S18 disengaged', records: [update([disengaged]), final([user(), disengaged])], row: 'S18' },
    {
      name: 'S18 disengaged after text',
      records: [say('Bye.'), update([disengaged]), final([user(), bot('Bye.'), disengaged])],
      want: { message: 'Bye.', ended: true, notice: undefined }
    },
    { name: 'S18 disengaged in the final record only', records: [final([user(), disengaged])], row: 'S18' },
    { name: 'S19 echo last', records: [final([loader, user()])], row: 'S19' },
    { name: 'S19 echo only', records: [final([user()])], row: 'S19' },
    { name: 'S19 offense', records: [final([user({ offense: 'OffenseTrigger' }), loader])], row: 'S19' },
    {
      name: 'S19 topic changer',
      records: [final([user({ topicChangerText: 'Something else?' }), loader])],
      row: 'S19'
    },
    {
      name: 'S19 an offense on an update, then type 3 alone',
      records: [update([user({ offense: 'OffenseTrigger' })]), done],
      row: 'S19'
    },
    { name: 'an echo last beside an answer', records: [final([bot('x'), user()])], want: { message: 'x' } },
    { name: 'S20 no bot text', records: [final([user(), loader])], row: 'S20' },
    { name: 'S20 no messages at all', records: [final(undefined)], row: 'S20' },
    { name: 'W11 type 3 after text', records: [say('x'), done], want: { message: 'x', notice: undefined } },
    {
      name: 'W11 type 3 with an error after text',
      records: [say('x'), { type: 3, error: 'e' }],
      want: { message: 'x', notice: 'answer_truncated' }
    },
    { name: 'W11 type 3 with an error', records: [{ type: 3, invocationId: '0', error: 'e' }], row: 'W11' },
    { name: 'W11 type 3 alone', records: [done], row: 'W11' },
    {
      name: 'W12 a final record without a result',
      records: [{ type: 2, invocationId: '0', item: null }],
      row: 'W12'
    },
    {
      name: 'a final record without a result, after text',
      records: [say('x'), { type: 2, item: {} }],
      want: { message: 'x' }
    },
    {
      name: 'S12 a failure after text',
      records: [say('The ans'), failed('InternalError', { message: 'DeepLeo' })],
      want: { message: 'The ans', notice: 'answer_truncated' }
    },
    {
      name: 'S12 a failure with text in the final record',
      records: [final([bot('The ans')], { result: { value: 'Throttled' } })],
      want: { message: 'The ans', notice: 'answer_truncated' }
    },
    { name: 'S1', records: [failed('Throttled', { message: 'Request is throttled.' })], row: 'S1' },
    { name: 'S2', records: [failed('CaptchaChallenge')], row: 'S2' },
    { name: 'S3', records: [failed('InvalidSession')], row: 'S3' },
    {
      name: 'S4',
      records: [failed('UnauthorizedRequest', { message: 'Token … (IDX10223: … The token is expired.)' })],
      row: 'S4'
    },
    {
      name: 'S5',
      records: [
        failed('UnauthorizedRequest', { message: 'The conversationSignature is not set and is required' })
      ],
      row: 'S5'
    },
    { name: 'S6', records: [failed('UnauthorizedRequest', { message: 'no' })], row: 'S6' },
    {
      name: 'S7',
      records: [
        failed('InternalError', { message: 'Unhandled Dependency Failure: DeepLeo/Bing', exception: 'x' })
      ],
      row: 'S7'
    },
    {
      name: 'S8 ChatGpt',
      records: [
        failed('InternalError', { message: 'ServiceClient failure for ChatGpt. Cancellation not requested' })
      ],
      row: 'S8'
    },
    {
      name: 'S8 UserOffense',
      records: [failed('InternalError', { message: 'ServiceClient failure for UserOffense' })],
      row: 'S8'
    },
    {
      name: 'S9',
      records: [
        failed('InternalError', { message: 'ConversationStorage:Set:Storage Error: Sender.UserId required' })
      ],
      row: 'S9'
    },
    {
      name: 'S10',
      records: [failed('InternalError', { exception: 'DeepLeo: maximum context length is 8193 tokens' })],
      row: 'S10'
    },
    { name: 'S11', records: [failed('InvalidRequest')], row: 'S11' },
    { name: 'S8 any other', records: [failed('InternalError', { message: 'Oops' })], row: 'S8' },
    { name: 'S8 InternalServerError', records: [failed('InternalServerError')], row: 'S8' },
    { name: 'a card of nothing but links', records: [final([onlyCard([{ text: LINK }])])], row: 'S20' },
    { name: 'a card of attributions', records: [final([onlyCard([LEARN_MORE])])], row: 'S20' },
    { name: 'any other value', records: [failed('Maintenance')], row: 'S-other' },
    { name: 'no value', records: [final(undefined, { result: {} })], row: 'S-other' }
  ]

for (const { name, records, row, want, shows } of ends) {
  t.test(`end: ${name}`, async (t) => {
    const played = play(records)
    t.equal(played.row, row)
    if (want !== undefined) {
      const got = played.answer as unknown as Json
      t.strictSame(Object.fromEntries(Object.keys(want).map((key) => [key, got?.[key]])), want)
    }
    if (shows !== undefined) t.strictSame(short(played.changes), shows)
  })
}

t.test('a turn that nothing has decided is not over', async (t) => {
  t.strictSame(play([say('The ans')]), {
    changes: [{ kind: 'delta', text: 'The ans' }],
    shown: 'The ans',
    isOver: false
  })
})

t.test('the log gets the wording of a failure without ids', async (t) => {
  const records = readFixture('expired-turn.jsonl')
  const { row, error } = play(records, 3)
  t.equal(row, 'S3')
  t.equal(
    String(error?.cause),
    "Error: result InvalidSession: Conversation … doesn't exist or has expired. Conversations expire after 06:00:00."
  )
  t.equal(play(records, 0).isOver, false, 'it answers another question')
})

// --- What comes with the text ---

t.test('a search turn', async (t) => {
  const { answer, changes } = play(readFixture('search-turn.jsonl'))
  t.strictSame(answer, {
    message: 'The tower in the harbour is 42 m high[^1^]. 灯台 👩🏽‍🔬',
    pictures: [],
    sources: [{ title: 'Harbour tower', url: 'https://harbour.example/tower' }],
    suggestions: ['Who built it?', 'May I climb it? 🧗'],
    turns: { used: 1, max: 30 },
    notice: undefined,
    ended: false,
    expiresAt: Date.UTC(2024, 1, 5, 14, 15, 21, 220)
  })
  t.strictSame(short(changes), ['+The tower in', '+ the harbour is 42', '+ m high[^1^]. 灯台', '+ 👩🏽‍🔬'])
})

const links = [
  { body: [{ text: '[1]: https://a.example/ "A \\"1\\""\n[2]: https://b.example/x\n\nText [^1^][1]\n' }] }
]
const pages = JSON.stringify({
  web_search_results: [{ title: 'S', url: 'https://s.example/' }],
  news: [{ title: 'N', url: 'https://n.example/' }]
})
const searched = (more: Json) => ({ author: 'bot', messageType: 'InternalSearchResult', ...more })
const attributed = (...urls: string[]) => ({
  sourceAttributions: urls.map((url, i) => ({ providerDisplayName: `T${i + 1}`, seeMoreUrl: url }))
})

for (const { name, records, want } of [
  {
    name: 'attributions win, without repeats, in order',
    records: [
      final([
        searched({ text: pages }),
        bot('x', {
          ...attributed('https://b.example/', 'https://a.example/', 'https://b.example/'),
          adaptiveCards: links
        })
      ])
    ],
    want: ['T1 https://b.example/', 'T2 https://a.example/']
  },
  {
    name: 'attributions of several messages',
    records: [
      final([
        bot('x', attributed('https://a.example/')),
        bot('y', attributed('https://a.example/', 'https://c.example/'))
      ])
    ],
    want: ['T1 https://a.example/', 'T2 https://c.example/']
  },
  {
    name: 'attributions of an update, when the final record has none',
    records: [
      say('x', attributed('https://a.example/')),
      say('x'),
      final([bot('x', { adaptiveCards: links })])
    ],
    want: ['T1 https://a.example/']
  },
  {
    name: 'link definitions of the card',
    records: [final([searched({ text: pages }), bot('x', { adaptiveCards: links })])],
    want: ['A \\"1\\" https://a.example/', 'b.example https://b.example/x']
  },
  {
    name: 'pages of the search result',
    records: [final([searched({ text: pages }), bot('x')])],
    want: ['S https://s.example/', 'N https://n.example/']
  },
  {
    name: 'pages in parsed form',
    records: [final([searched({ text: 'prose', groundingInfo: JSON.parse(pages) }), bot('x')])],
    want: ['S https://s.example/', 'N https://n.example/']
  },
  {
    name: 'pages of an update',
    records: [update([searched({ text: pages })]), say('x'), done],
    want: ['S https://s.example/', 'N https://n.example/']
  },
  {
    name: 'a search without result',
    records: [final([searched({ text: 'No relevant result.' }), bot('x')])],
    want: []
  },
  {
    name: 'nothing but addresses that open',
    records: [
      final([bot('x', attributed('javascript:alert(1)', 'https://', '', '/x', 'https://a.example/'))])
    ],
    want: ['T5 https://a.example/']
  }
]) {
  t.test(`sources: ${name}`, async (t) => {
    t.strictSame(
      play(records).answer?.sources.map(({ title, url }) => `${title} ${url}`),
      want
    )
  })
}

t.test('suggestions may be on an update only, and come once each', async (t) => {
  const suggestedResponses = [{ text: 'More?' }, { text: 'Why?' }, { text: 'More?' }, { text: '' }, null]
  t.strictSame(play([say('x', { suggestedResponses }), say('x'), final([bot('x')])]).answer?.suggestions, [
    'More?',
    'Why?'
  ])
})
