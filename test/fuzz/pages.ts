import {
  g3Json,
  messageAnswer,
  pendingAnswer,
  readyImages,
  readyVideo
} from '../../src/simulator/creator/answers.ts'
import {
  creatorDefaults,
  MARKERS,
  PENDING_SHAPES,
  READY_SHAPES,
  TEXTS,
  URL_FORMS,
  VIDEO_READY_SHAPES
} from '../../src/simulator/creator/behaviour.ts'
import type { Job } from '../../src/simulator/creator/jobs.ts'
import { landingPage, resultPage } from '../../src/simulator/creator/pages.ts'
import { errorPanel, refusalBlock } from '../../src/simulator/creator/texts.ts'
import { fixture } from '../support/creator.ts'

export const BING = 'https://www.bing.com'
export const MEDIA = 'https://th.bing.com'
export const PROMPT = 'a fox & "friends"'

const job: Job = {
  id: '1-0123456789abcdef0123456789abcdef',
  kind: 'image',
  prompt: PROMPT,
  model: 'dalle',
  aspect: 'square',
  slow: false,
  rejected: false,
  submittedAt: 0,
  serial: 1,
  polls: 3,
  done: false,
  media: []
}
const names = ['OIG1.aaaa', 'OIG2.bbbb', 'OIG3.cccc', 'OIG4.dddd']
const session = { ig: '0A1B2C3D4E5F60718293A4B5C6D7E8F9', salt: 's4lt-Value_09', serial: 1 }
const { poll } = creatorDefaults

const ofImages = (name: string) =>
  fixture(new URL('../upstream/image-creator/parser.test.ts', import.meta.url).href, name)
const ofVideos = (name: string) =>
  fixture(new URL('../upstream/video-creator/parser.test.ts', import.meta.url).href, name)

/** The simulator makes one id anew for each page; the inputs of a run have to be the same each time. */
const steady = (html: string) => html.replace(/EventID:"\w+"/g, `EventID:"${'0'.repeat(32)}"`)

/** Start pages, refusals and result pages of the Creator. */
export const CREATOR_PAGES: readonly string[] = [
  ...['landing-signed-in', 'landing-signed-out', 'outage'].map((name) => ofImages(`${name}.html.txt`)),
  ...[true, false].map((signedIn) =>
    steady(
      landingPage({
        session,
        withIg: signedIn,
        signedIn,
        fastLeft: 15,
        balance: 'label',
        foreignIds: [job.id]
      })
    )
  ),
  ...TEXTS.map((text) => `<html><body>${errorPanel(text)}</body></html>`),
  ...MARKERS.map((marker) => `<html><body>${refusalBlock(marker)}</body></html>`),
  steady(
    resultPage({
      pollUrl: `/images/create/async/results/${job.id}?q=a`,
      prompt: PROMPT,
      session,
      hiddenPanel: true
    })
  ),
  `<html><head><meta http-equiv="refresh" content="0; url=/images/create?q=${encodeURIComponent(PROMPT)}&amp;id=${job.id}"></head></html>`,
  '{"authns":"x"}'
]

/** Answers to polls for pictures. */
export const IMAGE_POLLS: readonly string[] = [
  ...['ready', 'streaming', 'g3-page'].map((name) => ofImages(`${name}.html.txt`)),
  ofImages('g3-complete.json'),
  ...PENDING_SHAPES.map((shape) => pendingAnswer(shape, `${MEDIA}/th/id/x`).body),
  ...READY_SHAPES.map((ready) => readyImages(job, names, MEDIA, { ...poll, ready, hiddenPanel: true }).body),
  ...URL_FORMS.map(
    (urls) => readyImages(job, names, MEDIA, { ...poll, urls, g3: true, escapedUrls: true }).body
  ),
  readyImages(job, names, MEDIA, { ...poll, g3: true, g3Page: true }).body,
  g3Json({ status: 3, errorType: 16 }, poll).body,
  messageAnswer('Something odd').body
]

/** Answers to polls for films. */
export const VIDEO_POLLS: readonly string[] = [
  ...['card', 'ourl-after-poster'].map((name) => ofVideos(`${name}.html.txt`)),
  ...PENDING_SHAPES.map((shape) => pendingAnswer(shape, `${MEDIA}/th/id/x`).body),
  ...VIDEO_READY_SHAPES.map(
    (shape) =>
      readyVideo({ ...job, kind: 'video', id: `4${job.id.slice(1)}` }, 'OVID.eeee', MEDIA, shape).body
  ),
  ...TEXTS.map((text) => `<html><body>${errorPanel(text)}</body></html>`)
]

/** Pieces of pages that the parsers look for. */
export const PAGE_WORDS: readonly string[] = [
  '<a id="id_a" style="display:none">',
  '<a id="id_l">',
  '<meta http-equiv="refresh" content="',
  '<a class="iusc" m=\'{"CustomData":"{\\"MediaUrl\\":\\"',
  '<img class="mimg" src="',
  '<style type="text/css">',
  'data-results="{&quot;requestStatus&quot;:2,',
  '"status":2,"records":[{"mediaItems":[{"src":',
  '{"errorMessage":',
  '"showContent":"',
  ' ourl="',
  '<video src="',
  '<source src=',
  'https://th.bing.com/th/id/OIG.x?pid=ImgGn',
  'http://[::1',
  'https://www.bing.com:99999/',
  '//\\/\\u0000',
  '\\u',
  '\\ud800',
  '&#x110000;',
  '&#xd800;',
  '&amp;',
  '_G={IG:"',
  'Salt:"',
  '?id=1-0123456789abcdef0123456789abcdef',
  'data-selcap="',
  '<noscript>',
  '<script>',
  '<!--',
  '-->',
  '<![CDATA[',
  '<',
  '>',
  '"',
  "'",
  '=',
  ' ',
  '\0'
]
