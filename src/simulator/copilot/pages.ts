import { type Exchange, sendHtml, sendJson } from '../frame.ts'
import { PICTURE_PATH, servePicture } from './pictures.ts'
import { breach, playPage, refuseCall } from './refusals.ts'
import { bearerOf } from './start.ts'
import type { World } from './world.ts'

const HISTORY = /^\/c\/api\/conversations\/([\w-]+)\/history$/

/** Entries of the list; the page loads more while somebody scrolls. */
const LISTED = 20

const isSignedIn = ({ sessions }: World, x: Exchange): boolean =>
  sessions.identify(x.cookies, bearerOf(x)) === 'signed-in'

/** `GET /`: the cookies that a visitor gets. */
async function home({ frame, sessions }: World, x: Exchange): Promise<void> {
  const how = frame.take('copilot.home')
  if (await playPage(frame, x, how)) return
  const clearance = 'cf_clearance=simulated-clearance; path=/; Max-Age=1800; Secure; HttpOnly; SameSite=None'
  x.res.setHeader('set-cookie', [sessions.bot(), ...(how.clearance ? [clearance] : [])])
  sendHtml(x.res, 200, '<!doctype html><html lang="en"><title>Microsoft Copilot</title><div id="app"></div>')
}

/** `GET /c/api/user`. */
async function user(world: World, x: Exchange): Promise<void> {
  const { frame, sessions } = world
  const how = frame.take('copilot.user')
  if (await playPage(frame, x, how)) return
  if (!['2', '4'].includes(x.url.searchParams.get('api-version') ?? '')) {
    return breach(frame, x, 'api-version', 'The user is asked for with api-version=2 or 4.')
  }
  const identity = sessions.identify(x.cookies, bearerOf(x))
  if (identity === 'dead') return refuseCall(x, 'unauthorized')
  const known = identity === 'signed-in' && !how.anonymous
  sendJson(x.res, 200, {
    firstName: known ? 'Olivier' : null,
    isSubscriptionUser: false,
    remainingUsage: { reasoningCalls: known ? 5 : 0, deepResearchCalls: 0, voice: 1 }
  })
}

/** `GET /c/api/config`. */
async function config({ frame }: World, x: Exchange): Promise<void> {
  const how = frame.take('copilot.config')
  if (await playPage(frame, x, how)) return
  const voices = [{ id: 'wave', name: 'Wave' }]
  sendJson(x.res, 200, { maxTextMessageLength: how.maxTextMessageLength, voices, defaultVoice: 'wave' })
}

/** `GET /c/api/conversations` and `GET /c/api/conversations/{id}/history`, newest first. */
async function history(world: World, x: Exchange): Promise<void> {
  const { frame, conversations } = world
  const how = frame.take('copilot.history')
  if (await playPage(frame, x, how)) return
  if (!isSignedIn(world, x)) return refuseCall(x, 'unauthorized')
  const id = HISTORY.exec(x.url.pathname)?.[1]
  if (id === undefined) {
    const results = conversations
      .latest(LISTED)
      .map(({ id, title, updatedAt }) => ({ id, type: 'chat', title, updatedAt }))
    return sendJson(x.res, 200, { results, next: null })
  }
  const conversation = conversations.get(id)
  if (conversation === undefined) return sendJson(x.res, 404, { message: 'Not Found' })
  const said = (type: 'human' | 'ai', text: string) => ({
    author: { type },
    content: [{ type: 'text', text }]
  })
  const results = conversation.memory
    .flatMap(({ prompt, answer }) => [said('human', prompt), said('ai', answer)])
    .reverse()
  sendJson(x.res, 200, { results, next: null })
}

/** Adds everything of the page that is read. */
export function registerPages(world: World): void {
  const { frame, pictures } = world
  const routes: [name: string, match: (path: string) => boolean, run: typeof home][] = [
    ['home', (path) => path === '/', home],
    ['user', (path) => path === '/c/api/user', user],
    ['config', (path) => path === '/c/api/config', config],
    ['history', (path) => path === '/c/api/conversations' || HISTORY.test(path), history]
  ]
  for (const [name, match, run] of routes) {
    frame.count(`copilot.${name}`, 0)
    frame.handle(
      ({ pathname }, method) => method === 'GET' && match(pathname),
      (x) => {
        frame.count(`copilot.${name}`)
        return run(world, x)
      }
    )
  }
  frame.count('copilot.picture', 0)
  frame.handle(
    ({ pathname }, method) => (method === 'GET' || method === 'HEAD') && PICTURE_PATH.test(pathname),
    (x) => servePicture(frame, pictures, x)
  )
}
