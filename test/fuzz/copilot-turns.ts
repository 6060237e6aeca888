const ids = { messageId: 'b27', partId: 'p1' }
const said = (text: string, more: object = {}) => ({ event: 'appendText', ...ids, text, id: '3', ...more })
const begin = [
  { event: 'connected', requestId: '5d0c', id: '0' },
  {
    event: 'received',
    conversationId: 'Kq3',
    messageId: 'u81',
    createdAt: '2026-07-01T10:00:00.10Z',
    id: '1'
  },
  {
    event: 'startMessage',
    conversationId: 'Kq3',
    messageId: 'b27',
    createdAt: '2026-07-01T10:00:01.90Z',
    id: '2'
  }
]
const end = [
  { event: 'partCompleted', ...ids, id: '7' },
  { event: 'done', messageId: 'b27', id: '8' },
  { event: 'suggestedFollowups', messageId: 'b27', suggestions: ['Which is deepest?'], id: '9' },
  { event: 'titleUpdate', conversationId: 'Kq3', title: 'Three lakes', id: '10' }
]

/** Turns as the socket tells them, one list of events each: answers, pictures, refusals (docs/protocol/chat-copilot.md). */
export const COPILOT_TURNS: readonly (readonly object[])[] = [
  [
    ...begin,
    { event: 'chainOfThought', text: 'Thinking', ...ids },
    said('Lake Alder \ud83d'),
    said('\ude42, "Lake} {Birch\\" '),
    said('and Lake Cedar.', { partId: 'p2' }),
    {
      event: 'citation',
      ...ids,
      title: 'Lakes',
      url: 'https://lakes.example/',
      iconUrl: 'https://lakes.example/i.png'
    },
    ...end
  ],
  [...begin, said('Wrong'), { event: 'replaceText', ...ids, text: 'Right' }, ...end],
  [
    ...begin,
    said('Here:'),
    { event: 'generatingImage', ...ids, partId: 'i1', prompt: 'a fox' },
    { event: 'partialImageGenerated', ...ids, partId: 'i1', content: 'data:image/png;base64,iVBORw0KGgo=' },
    {
      event: 'imageGenerated',
      ...ids,
      partId: 'i1',
      url: '/th/id/OIG.x',
      prompt: 'a fox',
      thumbnailUrl: 'x'
    },
    ...end
  ],
  [...begin.slice(0, 1), { event: 'challenge', method: 'hashcash', parameter: 'abc', id: '0.0001' }],
  [...begin, said('Half'), { event: 'challenge', method: null, parameter: null, id: '4' }],
  ...['invalid-event', 'chat-service-unavailable', 'text-too-long', '__proto__', 'Odd one!'].map(
    (errorCode) => [...begin.slice(0, 1), { event: 'error', errorCode, id: '1' }]
  ),
  [
    ...begin,
    {
      event: 'chatMessageError',
      errorCode: 'throttled',
      errorDetail: { type: 'throttled', nextAvailableAt: '2026-07-01T10:12:30Z' }
    }
  ],
  [
    { event: 'pong' },
    { event: 'modeSelected', mode: 'smart' },
    { event: 'nobody knows', x: [] },
    ...begin,
    ...end
  ]
]

/** Answers to the call that begins a conversation. */
export const COPILOT_STARTS: readonly object[] = [
  {
    currentConversationId: 'Kq3vT7mWn2Xb9LcR5sYdA',
    isNewUser: false,
    remainingTurns: 1000,
    isBlocked: false,
    features: []
  },
  { id: 'Kq3vT7mWn2Xb9LcR5sYdA' },
  { remainingTurns: 0, banExpiresAt: '2030-01-01T00:00:00Z', isBlocked: true }
]

export const COPILOT_WORDS: readonly string[] = [
  '{"event":"appendText","text":"',
  '"event":"done"',
  '"partId":',
  '"__proto__":{"event":"done"},',
  '}{',
  '{{',
  '\\"',
  '"',
  '\\',
  '\u001e',
  '\ufeff',
  '"url":"http://[::1"',
  '"nextAvailableAt":"+275760-09-13T00:00:00Z"'
]
