import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import sharp from 'sharp'
import type { Test } from 'tap'
import { parseMediaLocation } from '../../src/media/location.ts'
import { mp4Size } from '../../src/media/mp4.ts'
import { pixelSize } from '../../src/media/pixel-size.ts'
import { renderFilm } from '../../src/simulator/creator/film.ts'
import { parseTrustedProxies } from '../../src/trusted-proxies.ts'
import { createAccount } from '../../src/upstream/account.ts'
import type { TextChange } from '../../src/upstream/chat-client.ts'
import { decodeBody } from '../../src/upstream/content-coding.ts'
import { parseCookies } from '../../src/upstream/cookie-import.ts'
import { createAnswerReducer as createCopilotReducer } from '../../src/upstream/copilot/answer.ts'
import { createEventScanner } from '../../src/upstream/copilot/scanner.ts'
import { startConversation } from '../../src/upstream/copilot/start.ts'
import { UpstreamError } from '../../src/upstream/failures.ts'
import { createUpstreamHttp, type UpstreamHttp } from '../../src/upstream/http.ts'
import {
  isFullPage,
  isSignedOut,
  isStartPage,
  readLandingPage
} from '../../src/upstream/image-creator/page.ts'
import { readImagePoll } from '../../src/upstream/image-creator/poll-answer.ts'
import { readSubmitAnswer } from '../../src/upstream/image-creator/submit.ts'
import {
  cleanPictureUrl,
  cleanVideoUrl,
  createMediaHosts,
  statedVideoUrl
} from '../../src/upstream/media/media-url.ts'
import { createAnswerReducer } from '../../src/upstream/sydney/answer.ts'
import { createRecordDecoder } from '../../src/upstream/sydney/codec.ts'
import { createConversation } from '../../src/upstream/sydney/create.ts'
import { readVideoPoll, videoRefusal } from '../../src/upstream/video-creator/parser.ts'
import { isPublicAddress, parseTarget, TargetRefused } from '../../src/webhooks/target.ts'
import { parseLimits, parseWhitelist, WhitelistError } from '../../src/whitelist.ts'
import type { CodecTarget } from './codec-run.ts'
import { COPILOT_STARTS, COPILOT_TURNS, COPILOT_WORDS } from './copilot-turns.ts'
import { CREATE_ANSWERS, HTTP_WORDS } from './http-answers.ts'
import { HUB_TURNS } from './hub-turns.ts'
import { mutateBytes, pieces } from './mutate-bytes.ts'
import { mutateJson } from './mutate-json.ts'
import { ODD_TEXTS, toJson } from './odd-values.ts'
import { BING, CREATOR_PAGES, IMAGE_POLLS, MEDIA, PAGE_WORDS, PROMPT, VIDEO_POLLS } from './pages.ts'
import type { Random } from './random.ts'

const SEPARATOR = '\u001e'

const onlyUpstream = (error: unknown) => error instanceof UpstreamError
/** What a reader of the operator's files says to them: an error of no special kind, never one of the language's own. */
const onlyPlain = (error: unknown) => error instanceof Error && error.constructor === Error
const nothing = () => false

/** As the HTTP client makes text of bytes. */
const textOf = (input: Buffer) => new TextDecoder().decode(input)
const buffers = (texts: readonly string[]) => texts.map((text) => Buffer.from(text))

const pages = buffers([...CREATOR_PAGES, ...IMAGE_POLLS, ...VIDEO_POLLS])
const hosts = createMediaHosts([BING, MEDIA])
const context = { prompt: PROMPT, model: 'GPT4O', mediaUrl: MEDIA, hosts } as const

const hubWords = [
  SEPARATOR,
  `{}${SEPARATOR}`,
  '"messages":[',
  '"adaptiveCards":[{"body":[{"text":"',
  '"messageType":"InternalSearchResult",',
  '"contentOrigin":"Apology",',
  '"type":2,',
  '"cursor":{"j":1},',
  '"text":"\\ud83d"',
  '"__proto__":{"type":3},',
  '[1]: https://a.example/ "',
  '\\u001e',
  'null',
  '1e999'
]

/** A turn's records: some turns have changes in their trees, some in their bytes, some in both. */
function turnOf(
  random: Random,
  turns: readonly (readonly object[])[],
  end: string,
  words: readonly string[]
): Buffer {
  const inTree = random.chance(0.6)
  const records = random
    .pick(turns)
    .map((record) => (inTree && random.chance(0.4) ? mutateJson(random, record, random.pick(turns)) : record))
  if (random.chance(0.2)) records.splice(random.below(records.length + 1), 0, ...random.pick(turns))
  const text = Buffer.from(records.map((record) => toJson(record) + end).join(''))
  return inTree && random.chance(0.7) ? text : mutateBytes(random, { seeds: [text], words })
}

/** What a reader is shown, kept as a client keeps it. */
function reader() {
  let shown = ''
  return {
    take({ kind, text }: TextChange) {
      shown = kind === 'delta' ? shown + text : text
    },
    /** @throws {Error} when it is not what was answered in the end */
    compare(message: string) {
      if (message !== shown)
        throw new Error(`shown ${JSON.stringify(shown)}, answered ${JSON.stringify(message)}`)
    }
  }
}

function readHubTurn(input: Buffer, random: Random): void {
  const decoder = createRecordDecoder()
  const shown = reader()
  const reducer = createAnswerReducer(0, shown.take)
  let isOver = false
  for (const piece of pieces(random, textOf(input))) {
    for (const record of decoder.push(piece)) isOver ||= reducer.take(record)
    if (isOver) break
  }
  if (!isOver && !reducer.isDecided) return
  shown.compare(reducer.finish().message)
}

function readCopilotTurn(input: Buffer, random: Random): void {
  const scanner = createEventScanner()
  const shown = reader()
  const reducer = createCopilotReducer({
    baseUrl: 'https://copilot.microsoft.com',
    now: () => 0,
    onText: shown.take
  })
  for (const piece of pieces(random, textOf(input)))
    for (const event of scanner.push(piece)) if (!reducer.isComplete) reducer.take(event)
  const { message } = reducer.finish()
  if (message !== '') shown.compare(message)
}

async function startCopilot(input: Buffer, random: Random): Promise<void> {
  const status = random.pick([200, 200, 200, 200, 401, 403, 404, 429, 460, 500, 502])
  const http = {
    request: async ({ url }) => ({ status, headers: {}, location: undefined, text: textOf(input), url })
  } as Pick<UpstreamHttp, 'request'> as UpstreamHttp
  await startConversation({
    http,
    baseUrl: 'https://copilot.microsoft.com',
    bearer: undefined,
    identityType: undefined,
    now: () => 0,
    signal: new AbortController().signal
  })
}

/** A poll's JSON with changes in its tree, or anything with changes in its bytes. */
const pollOf = (seeds: readonly Buffer[]) => {
  const trees = seeds.map(String).filter((text) => text.startsWith('{'))
  return (random: Random) =>
    random.chance(0.25)
      ? Buffer.from(toJson(mutateJson(random, JSON.parse(random.pick(trees)))))
      : mutateBytes(random, { seeds: [...seeds, ...pages], words: PAGE_WORDS })
}

const submitStatuses = [200, 200, 200, 200, 301, 302, 303, 400, 401, 403, 404, 414, 429, 431, 500, 503]
const submitLocations = [
  `${BING}/images/create?q=a%20fox&id=1-0123456789abcdef0123456789abcdef&nfy=1`,
  `${BING}/images/create/a-fox/1-0123456789abcdef0123456789abcdef?q=a`,
  'https://login.live.com/login.srf',
  'data:text/html,x'
].map((url) => Buffer.from(url))

const cookieTexts = [
  '1bareValue-with_signs==',
  '_U=abc; SRCHHPGUSR=SRCHLANG=en&HV=1; KievRPSSecAuth=x=y',
  'Cookie: _U="quoted"; a=b',
  JSON.stringify([
    { name: '_U', value: 'abc', domain: '.bing.com', path: '/', secure: true, expirationDate: 1.5 },
    { name: 'other', value: 'x', domain: 'example.com' }
  ]),
  JSON.stringify({ cookies: [{ name: '_U', value: 'abc' }] })
]

function cookieInput(random: Random): Buffer {
  const json = cookieTexts.filter((text) => /^[[{]/.test(text))
  return random.chance(0.4)
    ? Buffer.from(toJson(mutateJson(random, JSON.parse(random.pick(json)))))
    : mutateBytes(random, {
        seeds: buffers(cookieTexts),
        words: ['=', ';', '"', '\r\n', '\ufeff', '_U=', ...ODD_TEXTS]
      })
}

const settingTexts = [
  '# people\nalice conversations=10/h images=50/d videos=5/d\nbob\n\n  carol images=1/s # c\n',
  'conversations=30/h images=100/d',
  's3://bucket/prefix?region=eu&endpoint=https://s3.example&forcePathStyle=true',
  'file:///var/lib/x%20y',
  '10.0.0.0/8, 127.0.0.1, ::1, fd00::/8'
]

const addressTexts = [
  'https://hooks.example:8443/path?token=1',
  'http://127.0.0.1:1/',
  'http://[::ffff:10.0.0.1]/',
  'http://0x7f.1/',
  'https://tse1.mm.bing.net/th/id/OIG.x?pid=ImgGn&amp;w=1',
  '/th/id/OIG.x',
  '//th.bing.com/th/id/OVID.x?pid=videocreator',
  'https:\\/\\/th.bing.com\\/th\\/id\\/OIG\\u002e1'
]

/** A host that answers each connection with the input, whatever it was asked, and hangs up. */
async function answeringHost(t: Test) {
  let answer: Buffer = Buffer.alloc(0)
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => socket.end(answer))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const account = createAccount([url])
  account.replace('a-cookie')
  const http = createUpstreamHttp({ account })
  t.teardown(async () => {
    await http.close()
    await new Promise((resolve) => server.close(resolve))
  })
  return {
    url,
    http,
    account,
    give(bytes: Buffer) {
      answer = bytes
    }
  }
}

/** Everything that reads what others wrote. */
export async function codecTargets(t: Test): Promise<CodecTarget[]> {
  const host = await answeringHost(t)
  const picture = (format: 'jpeg' | 'png' | 'webp' | 'gif' | 'avif') =>
    sharp({ create: { width: 48, height: 32, channels: 3, background: '#48a' } })
      .toFormat(format)
      .toBuffer()
  const pictures = await Promise.all((['jpeg', 'png', 'webp', 'gif', 'avif'] as const).map(picture))
  const film = await renderFilm('a fox', { width: 64, height: 48 }, true)
  const coded = Buffer.from('{"result":{"value":"Success"}}'.repeat(40))

  return [
    {
      name: 'hub-turn',
      corpus: { seeds: [] },
      make: (random) => turnOf(random, HUB_TURNS, SEPARATOR, hubWords),
      feed: readHubTurn,
      allows: onlyUpstream
    },
    {
      name: 'copilot-turn',
      corpus: { seeds: [] },
      make: (random) => turnOf(random, COPILOT_TURNS, random.pick(['', '', '\n', SEPARATOR]), COPILOT_WORDS),
      feed: readCopilotTurn,
      allows: onlyUpstream
    },
    {
      name: 'copilot-start',
      corpus: { seeds: [] },
      make: (random) =>
        random.chance(0.5)
          ? Buffer.from(toJson(mutateJson(random, random.pick(COPILOT_STARTS))))
          : mutateBytes(random, { seeds: COPILOT_STARTS.map((start) => Buffer.from(JSON.stringify(start))) }),
      feed: startCopilot,
      allows: onlyUpstream
    },
    {
      name: 'http-answer',
      corpus: { seeds: CREATE_ANSWERS, words: HTTP_WORDS, maxBytes: 128 * 1024 },
      async feed(input) {
        host.give(input)
        // An answer that never ends is a failure, too: what is thrown then is no UpstreamError.
        await createConversation(host.http, host.url, AbortSignal.timeout(20_000))
      },
      allows: onlyUpstream
    },
    {
      name: 'content-coding',
      corpus: {
        seeds: [gzipSync, deflateSync, deflateRawSync, brotliCompressSync].map((code) => code(coded))
      },
      async feed(input, random) {
        const codings = Array.from({ length: random.few(4) }, () =>
          random.pick(['gzip', 'br', 'deflate', 'x', ''])
        )
        const body = await decodeBody(input, codings.join(','), 100_000)
        // What comes as it is was bounded where it was read.
        if (body !== input && body.length > 100_000) throw new RangeError(`${body.length} bytes`)
      },
      allows: onlyUpstream
    },
    {
      name: 'creator-page',
      corpus: { seeds: pages, words: PAGE_WORDS },
      feed(input) {
        const html = textOf(input)
        isFullPage(html)
        isSignedOut(html)
        isStartPage(html)
        readLandingPage(html)
      },
      allows: onlyUpstream
    },
    {
      name: 'creator-submit',
      corpus: { seeds: pages, words: PAGE_WORDS },
      feed(input, random) {
        const to = textOf(mutateBytes(random, { seeds: submitLocations, maxBytes: 8192, words: PAGE_WORDS }))
        const location = random.chance(0.8) && URL.canParse(to, BING) ? new URL(to, BING).href : undefined
        const status = random.pick(submitStatuses)
        const headers = { 'retry-after': random.pick(ODD_TEXTS) }
        return readSubmitAnswer({ status, headers, location, text: textOf(input), url: BING }, BING, PROMPT)
      },
      allows: onlyUpstream
    },
    {
      name: 'image-poll',
      corpus: { seeds: [] },
      make: pollOf(buffers(IMAGE_POLLS)),
      feed: (input) => readImagePoll(textOf(input), context),
      allows: onlyUpstream
    },
    {
      name: 'video-poll',
      corpus: { seeds: [] },
      make: pollOf(buffers(VIDEO_POLLS)),
      feed(input) {
        readVideoPoll(textOf(input), context)
        videoRefusal(undefined, textOf(input), PROMPT)
      },
      allows: onlyUpstream
    },
    {
      name: 'film-size',
      corpus: {
        seeds: [film, film.subarray(0, 4096)],
        words: ['moov', 'trak', '\0\0\0\x01mdat', '\0\0\0\0free', 'tkhd']
      },
      feed: (input) => mp4Size(input),
      allows: nothing
    },
    {
      name: 'picture-size',
      corpus: {
        seeds: pictures,
        words: ['Exif\0\0', '\xff\xd8', 'RIFF', '<svg ', 'ftypavif'],
        maxBytes: 64 * 1024
      },
      feed: (input) => pixelSize(input, 'image/jpeg'),
      allows: nothing
    },
    {
      name: 'cookie-import',
      corpus: { seeds: [] },
      make: cookieInput,
      feed: (input) => parseCookies(textOf(input)),
      allows: onlyPlain
    },
    {
      name: 'settings',
      corpus: { seeds: buffers(settingTexts), words: [...ODD_TEXTS, 'images=', '/d', '://', '%zz', '/33'] },
      feed(input) {
        const text = textOf(input)
        parseLimits(text)
        parseMediaLocation(text)
        parseTrustedProxies(text)
        parseWhitelist(text)
      },
      allows: (error) => error instanceof WhitelistError
    },
    {
      name: 'addresses',
      corpus: {
        seeds: buffers(addressTexts),
        words: [...ODD_TEXTS, ...PAGE_WORDS, '%', '@', ':', '[::1]', '.', '⒈'],
        maxBytes: 32 * 1024
      },
      feed(input) {
        const text = textOf(input)
        cleanPictureUrl(text, MEDIA, hosts)
        cleanVideoUrl(text, MEDIA, hosts)
        statedVideoUrl(text, MEDIA)
        parseTarget(text, { allows: isPublicAddress })
      },
      allows: (error) => error instanceof TargetRefused
    }
  ]
}
