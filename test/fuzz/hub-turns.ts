import { readFixture } from '../upstream/sydney/fixtures/read-fixture.ts'

type Json = Record<string, unknown>

const update = (fields: Json) => ({ type: 1, target: 'update', arguments: [fields] })
const said = (messages: Json[], more: Json = {}) =>
  update({ requestId: 'r', result: null, messages, ...more })
const bot = (fields: Json) => ({
  author: 'bot',
  messageId: 'm1',
  contentOrigin: 'DeepLeo',
  offense: 'None',
  ...fields
})
const final = (result: Json, messages: Json[] = [], more: Json = {}) => ({
  type: 2,
  invocationId: '0',
  item: {
    messages: [{ author: 'user', text: 'hi', messageId: 'u' }, ...messages],
    result,
    throttling: { maxNumUserMessagesInConversation: 30, numUserMessagesInConversation: 1 },
    conversationExpiryTime: '2026-01-01T12:00:00Z',
    ...more
  }
})
const end = { type: 3, invocationId: '0' }
const card = (text: string) => [{ type: 'AdaptiveCard', body: [{ type: 'TextBlock', text, wrap: true }] }]

const answer = bot({
  text: 'Hello 🙂 [^1^]',
  adaptiveCards: card('[1]: https://a.example/x "A"\n\nHello 🙂 [^1^][1]'),
  sourceAttributions: [{ providerDisplayName: 'A', seeMoreUrl: 'https://a.example/x' }],
  suggestedResponses: [{ text: 'And then?' }]
})

/** Turns as the hub tells them, one list of records each: answers, searches, refusals, failures, ends of every kind. */
export const HUB_TURNS: readonly (readonly object[])[] = [
  readFixture('search-turn.jsonl'),
  readFixture('expired-turn.jsonl'),
  [
    {},
    { type: 6 },
    said([bot({ text: 'Hel' })], { cursor: { j: '$', p: -1 } }),
    said([bot({ text: 'Hello \ud83d' })]),
    said([answer]),
    said([bot({ messageId: 'm2', text: 'More' })], { cursor: { j: '$', p: -1 } }),
    final({ value: 'Success', message: null }, [answer, bot({ messageId: 'm2', text: 'More.' })]),
    end
  ],
  [
    said([bot({ messageType: 'InternalSearchQuery', text: 'Searching' })]),
    said([
      bot({
        messageType: 'InternalSearchResult',
        text: '```json {"web_search_results":[]} ```',
        groundingInfo: { web_search_results: [{ title: 'T', url: 'https://b.example', snippets: [] }] }
      })
    ]),
    said([bot({ adaptiveCards: card('Only a card'), text: '' })]),
    said([
      bot({
        adaptiveCards: [
          {
            body: [
              { type: 'Image', url: 'x' },
              { type: 'TextBlock', text: 'Only a card.' }
            ]
          }
        ]
      })
    ]),
    final({ value: 'Success' }, [bot({ adaptiveCards: card('Only a card.') })])
  ],
  [
    said([bot({ text: 'I should not' })]),
    said([bot({ text: 'My mistake', contentOrigin: 'Apology' })]),
    final({ value: 'Success' }, [bot({ contentOrigin: 'Apology', text: 'Sorry' })]),
    end
  ],
  [
    said([bot({ messageType: 'Disengaged' })]),
    final({ value: 'Success' }, [bot({ messageType: 'Disengaged' })])
  ],
  [
    said([{ author: 'user', text: 'hi', offense: 'OffenseTrigger', topicChangerText: 'Another one?' }]),
    final({ value: 'Success' })
  ],
  ...[
    { value: 'Throttled', message: 'Request is throttled.' },
    { value: 'CaptchaChallenge', message: 'User needs to solve CAPTCHA to continue.' },
    { value: 'InvalidSession', message: 'Signature expired' },
    { value: 'UnauthorizedRequest', message: "IDX10223: Lifetime validation failed. ValidTo (UTC): '1'" },
    { value: 'InternalError', message: 'DeepLeo', exception: 'maximum context length\n at x' },
    { value: 'Nobody knows', message: 7, exception: {} }
  ].map((result) => [final(result)]),
  [said([bot({ text: 'Thanks for this conversation! I’ve reached my limit' })]), { ...end, error: 'gone' }],
  [said([answer]), { type: 7, error: 'Connection closed with an error.', allowReconnect: true }],
  [
    said([answer]),
    { type: 2, invocationId: '7', item: {} },
    { type: 99, odd: [] },
    { type: 1, target: 'other', arguments: [1] },
    end
  ]
]
