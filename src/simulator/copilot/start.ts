import { randomUUID } from 'node:crypto'
import { type Exchange, sendHtml, sendJson } from '../frame.ts'
import type { OddBody, OpenBehaviour, StartBehaviour } from './behaviour.ts'
import type { Fault, Json } from './client-events.ts'
import { parse } from './client-events.ts'
import { breach, playPage, refuseCall } from './refusals.ts'
import { faultOfCaller, type Identity } from './session.ts'
import type { World } from './world.ts'

const START = '/c/api/start'
const CONVERSATIONS = '/c/api/conversations'

/** The token of `Authorization: Bearer`, if there is one. */
export const bearerOf = ({ req }: Exchange): string | undefined =>
  /^Bearer (.+)$/.exec(req.headers.authorization ?? '')?.[1]

function playOddBody({ res }: Exchange, odd: OddBody): boolean {
  switch (odd) {
    case 'none':
      return false
    case 'empty':
      res.writeHead(200, { 'content-length': '0' }).end()
      return true
    case 'html':
      sendHtml(res, 200, '<!doctype html><title>Copilot</title><p>Something went wrong.</p>')
      return true
    case 'not-json':
      res.writeHead(200, { 'content-type': 'application/json' }).end('{"currentConversationId":"Kq3v')
      return true
    case 'array':
      sendJson(res, 200, [])
      return true
  }
}

/** First broken rule of the body; docs/protocol/chat-copilot.md section 2. */
function faultOfBody({ req, body, url }: Exchange): Fault | undefined {
  const sent = body === '' ? {} : parse(body)
  if (url.pathname === CONVERSATIONS) {
    return sent === undefined ? ['body', 'The body must be empty or a JSON object.'] : undefined
  }
  if (!/^application\/json\b/.test(req.headers['content-type'] ?? '')) {
    return ['content-type', 'Content-Type must be application/json.']
  }
  const { timeZone, startNewConversation } = (sent ?? {}) as Json
  if (typeof timeZone !== 'string' || !/^[A-Z]\w+(\/[\w+-]+)*$/.test(timeZone)) {
    return ['time-zone', 'timeZone must be the name of a time zone.']
  }
  return typeof startNewConversation === 'boolean'
    ? undefined
    : ['start-new', 'startNewConversation must be a boolean.']
}

/**
 * What both ways of opening a conversation check first.
 * @returns who is calling, or `undefined` when the call was answered
 */
async function admit(world: World, x: Exchange, how: OpenBehaviour): Promise<Identity | undefined> {
  const { frame, sessions, pace } = world
  if (await playPage(frame, x, how)) return undefined
  const fault = faultOfCaller(frame, x.req, x.cookies) ?? faultOfBody(x)
  const bearer = bearerOf(x)
  const identity = sessions.identify(x.cookies, how.bearer === 'ignored' ? undefined : bearer)
  if (fault !== undefined) breach(frame, x, ...fault)
  else if (pace.exceededAt('start')) refuseCall(x, 'overloaded')
  else if (how.needsHome && !sessions.cameHome(x.cookies)) refuseCall(x, 'cloudflare')
  else if (identity === 'dead' || (how.bearer === 'refused' && bearer !== undefined)) {
    refuseCall(x, 'unauthorized')
  } else if (!playOddBody(x, how.oddBody)) return identity
  return undefined
}

function give(world: World, field: OpenBehaviour['id']): Record<string, string> {
  world.frame.count('copilot.create')
  const { id } = world.conversations.create()
  return field === 'none' ? {} : { [field]: id }
}

function cookiesOf({ sessions }: World, x: Exchange, how: StartBehaviour, identity: Identity): string[] {
  const lines: string[] = []
  if (identity === 'nobody') lines.push(sessions.anonymous())
  if (how.rotate === '__cf_bm') lines.push(sessions.bot())
  if (how.rotate === '_C_Auth' && identity === 'signed-in') {
    lines.push(sessions.auth(x.cookies, how.expireRotated))
  }
  if (how.rotate === 'empty-auth') lines.push('_C_Auth=; path=/; Secure; HttpOnly; SameSite=None')
  return lines
}

async function start(world: World, x: Exchange): Promise<void> {
  const { frame } = world
  const how = frame.take('copilot.start')
  frame.count('copilot.start')
  const identity = await admit(world, x, how)
  if (identity === undefined) return frame.count('copilot.start.refused')
  if (identity === 'nobody' && !how.anonymous) {
    frame.count('copilot.start.refused')
    return refuseCall(x, 'unauthorized')
  }
  x.res.setHeader('set-cookie', cookiesOf(world, x, how, identity))
  const ban = how.banExpiresInMs
  sendJson(x.res, 200, {
    ...give(world, how.id),
    remainingTurns: how.remainingTurns,
    isBlocked: how.isBlocked,
    banExpiresAt: ban === 0 ? null : new Date(Date.now() + ban).toISOString(),
    userId: randomUUID(),
    isNewUser: identity !== 'signed-in',
    features: ['partial-generated-images'],
    cohortStatus: null
  })
}

async function open(world: World, x: Exchange): Promise<void> {
  const { frame } = world
  const how = frame.take('copilot.conversations')
  frame.count('copilot.conversations')
  const identity = await admit(world, x, how)
  if (identity === undefined) return frame.count('copilot.conversations.refused')
  if (identity === 'nobody') {
    frame.count('copilot.conversations.refused')
    return refuseCall(x, 'unauthorized')
  }
  sendJson(x.res, 200, give(world, how.id))
}

/** Adds `POST /c/api/start` and `POST /c/api/conversations`. */
export function registerStart(world: World): void {
  const { frame } = world
  for (const name of ['start', 'start.refused', 'conversations', 'conversations.refused', 'create']) {
    frame.count(`copilot.${name}`, 0)
  }
  frame.handle(
    ({ pathname }, method) => method === 'POST' && pathname === START,
    (x) => start(world, x)
  )
  frame.handle(
    ({ pathname }, method) => method === 'POST' && pathname === CONVERSATIONS,
    (x) => open(world, x)
  )
}
