import type { Exchange } from '../frame.ts'
import type { Account, Aspect, Job, Model } from './jobs.ts'

/** A rule of the protocol that a request breaks. */
export interface Breach {
  rule: string
  detail: string
}

const MODELS: Record<string, Model> = { 0: 'dalle', 1: 'gpt4o', 4: 'maiimage1' }
const ASPECTS: Record<string, { aspect: Aspect; body: string }> = {
  1: { aspect: 'square', body: '1:1' },
  2: { aspect: 'landscape', body: '7:4' },
  3: { aspect: 'portrait', body: '4:7' }
}

/** The model of a submit; DALL-E when it names none. */
export const modelOf = (url: URL): Model => MODELS[url.searchParams.get('mdl') ?? '0'] ?? 'dalle'

/** The aspect of a picture submit; square when it names none. */
export const aspectOf = (url: URL): Aspect => ASPECTS[url.searchParams.get('ar') ?? '1']?.aspect ?? 'square'

/** Bing makes upright films unless a newer client asks for 16:9. */
export function filmAspectOf(url: URL, body: string): Aspect {
  const wide = url.searchParams.get('ar') === '5' || new URLSearchParams(body).get('aspectRatio') === '16:9'
  return wide ? 'landscape' : 'portrait'
}

type Rule = (x: Exchange, account: Account) => Breach | undefined

const breach = (rule: string, detail: string): Breach => ({ rule, detail })
const query = (x: Exchange, name: string): string | null => x.url.searchParams.get(name)
const formOf = (x: Exchange): URLSearchParams => new URLSearchParams(x.body)

const hasCookie: Rule = (x) => (x.cookies._U ? undefined : breach('cookie', 'A submit needs the cookie _U.'))

const isForm: Rule = (x) =>
  /^application\/x-www-form-urlencoded\b/i.test(x.req.headers['content-type'] ?? '')
    ? undefined
    : breach('content-type', 'The body of a submit is form-encoded.')

const samePrompt: Rule = (x) => {
  const [asked, sent] = [query(x, 'q'), formOf(x).get('q')]
  if (!asked) return breach('q', 'The query has no q.')
  return asked === sent ? undefined : breach('q', 'q in the body is not the q of the query.')
}

const formCode: Rule = (x) =>
  query(x, 'FORM') === 'GENCRE' ? undefined : breach('FORM', 'FORM of a submit is GENCRE.')

const sameModel: Rule = (x) => {
  const [number, name] = [query(x, 'mdl') ?? '', formOf(x).get('model')]
  const model = Object.hasOwn(MODELS, number) ? MODELS[number] : undefined
  if (!model) return breach('mdl', 'mdl is 0, 1 or 4.')
  return model === name ? undefined : breach('mdl', `mdl ${number} goes with model ${model} in the body.`)
}

const sameAspect: Rule = (x) => {
  const [number, name] = [query(x, 'ar') ?? '', formOf(x).get('aspectRatio')]
  const aspect = Object.hasOwn(ASPECTS, number) ? ASPECTS[number] : undefined
  if (!aspect) return breach('ar', 'ar is 1, 2 or 3.')
  return aspect.body === name
    ? undefined
    : breach('ar', `ar ${number} goes with aspectRatio ${aspect.body} in the body.`)
}

const speed: Rule = (x) =>
  ['3', '4'].includes(query(x, 'rt') ?? '') ? undefined : breach('rt', 'rt is 3 or 4.')

/** The IG comes from a landing page, and the cookie SRCHHPGUSR carries it together with the page's Salt. */
const session: Rule = (x, account) => {
  const ig = query(x, 'IG')
  if (!ig) {
    return account.servedWithoutIg ? undefined : breach('IG', 'IG is missing though a page handed one out.')
  }
  const known = account.session(ig)
  if (!known) return breach('IG', 'IG was not handed out by a landing page.')
  const cookie = x.cookies.SRCHHPGUSR
  if (!cookie) return breach('SRCHHPGUSR', 'The cookie SRCHHPGUSR is missing.')
  // Clients send it raw or percent-encoded; docs/protocol/images.md section 1.
  const fields = new URLSearchParams(/%3d/i.test(cookie) ? decodeURIComponent(cookie) : cookie)
  if (fields.get('IG') !== ig) return breach('SRCHHPGUSR', 'IG in SRCHHPGUSR is not the IG of the query.')
  if (known.salt !== undefined && fields.get('HVE') !== known.salt) {
    return breach('SRCHHPGUSR', 'HVE in SRCHHPGUSR is not the Salt of the page with this IG.')
  }
  if (!fields.get('SRCHLANG')) return breach('SRCHHPGUSR', 'SRCHHPGUSR has no SRCHLANG.')
  if (!/^\d{9,11}$/.test(fields.get('HV') ?? '')) return breach('SRCHHPGUSR', 'HV is not a time in seconds.')
  return undefined
}

const first = (x: Exchange, account: Account, rules: Rule[]): Breach | undefined => {
  for (const rule of rules) {
    const found = rule(x, account)
    if (found) return found
  }
  return undefined
}

/** What is wrong with a picture submit; docs/protocol/images.md section 2. */
export function checkSubmit(x: Exchange, account: Account): Breach | undefined {
  return first(x, account, [hasCookie, isForm, samePrompt, formCode, sameModel, sameAspect, speed, session])
}

const QUEUES = [
  { rt: '4', pt: '4', sm: '1', name: 'fast' },
  { rt: '3', pt: '3', sm: '0', name: 'standard' }
]

const videoQueue: Rule = (x) => {
  const own = x.url.pathname.endsWith('/ai-video-generator')
  const [rt, pt, sm] = [query(x, 'rt'), query(x, 'pt'), query(x, 'sm')]
  if (!own && query(x, 'ctype') !== 'video') return breach('ctype', 'ctype of a video is video.')
  // The standard queue of the newest dialect leaves rt out.
  const queue = QUEUES.find(
    (one) => one.pt === pt && one.sm === sm && (one.rt === rt || (rt === null && pt === '3'))
  )
  if (!queue) return breach('video-queue', 'rt, pt, sm are 3, 3, 0 (standard) or 4, 4, 1 (fast).')
  return own && queue.name !== 'fast' ? breach('video-queue', 'This path is for the fast queue.') : undefined
}

const videoNumbers: Rule = (x) => {
  if (!['0', '1', null].includes(query(x, 'mdl'))) return breach('mdl', 'mdl of a video is 0 or 1.')
  return ['1', '4', '5', null].includes(query(x, 'ar'))
    ? undefined
    : breach('ar', 'ar of a video is 1, 4 or 5.')
}

/** What is wrong with a video submit; docs/protocol/video.md section 1. */
export function checkVideoSubmit(x: Exchange, account: Account): Breach | undefined {
  const rules = [hasCookie, formCode, videoQueue, videoNumbers]
  // Newer clients send no body and no session at all.
  if (x.body !== '') rules.push(isForm, samePrompt)
  if (query(x, 'IG') || (x.body !== '' && query(x, 'ctype') === 'video')) rules.push(session)
  if (!query(x, 'q')) return breach('q', 'The query has no q.')
  return first(x, account, rules)
}

/** What is wrong with a poll; docs/protocol/images.md section 3, docs/protocol/video.md section 2. */
export function checkPoll(x: Exchange, account: Account, job: Job): Breach | undefined {
  if (query(x, 'q') !== job.prompt) return breach('poll-q', 'q of a poll is the prompt of the job.')
  const ig = query(x, 'IG')
  if (ig && !account.session(ig)) return breach('IG', 'IG was not handed out by a landing page.')
  const iid = query(x, 'IID')
  if (iid && iid !== 'images.as') return breach('IID', 'IID of a poll is images.as.')
  if (job.kind === 'image') {
    return query(x, 'ctype') ? breach('ctype', 'ctype does not belong to the poll of a picture.') : undefined
  }
  const fits = query(x, 'ctype') === 'video' && query(x, 'sm') === '1' && query(x, 'girftp') === '1'
  return fits ? undefined : breach('video-poll', 'The poll of a video has ctype=video, sm=1 and girftp=1.')
}
