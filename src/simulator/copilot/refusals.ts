import { type Exchange, type Frame, playFaults, sendJson, type Upgrade } from '../frame.ts'
import { answerHttp } from '../upgrade.ts'
import type { PageBehaviour, Refusal } from './behaviour.ts'

interface Page {
  status: number
  body: string
  headers: Record<string, string>
}

const HTML = { 'content-type': 'text/html; charset=utf-8' }
const JSON_TYPE = { 'content-type': 'application/json; charset=utf-8' }

const PAGES: Record<Exclude<Refusal, 'none'>, Page> = {
  unauthorized: { status: 401, body: '{"message":"Unauthorized"}', headers: JSON_TYPE },
  cloudflare: {
    status: 403,
    body: '<!DOCTYPE html><html lang="en-US"><head><title>Just a moment...</title></head><body><noscript>Enable JavaScript and cookies to continue</noscript></body></html>',
    headers: { ...HTML, server: 'cloudflare', 'cf-mitigated': 'challenge' }
  },
  'client-refused': { status: 460, body: '', headers: {} },
  'too-many': {
    status: 429,
    body: '{"message":"Too Many Requests"}',
    headers: { ...JSON_TYPE, 'retry-after': '7' }
  },
  overloaded: {
    status: 502,
    body: '<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>',
    headers: { ...HTML, server: 'cloudflare' }
  }
}

/** Answers an HTTP call with a refusal. */
export function refuseCall({ res }: Exchange, refusal: Exclude<Refusal, 'none'>): void {
  const { status, body, headers } = PAGES[refusal]
  res.writeHead(status, headers).end(body)
}

/** Answers an upgrade with a refusal. */
export function refuseUpgrade(upgrade: Upgrade, refusal: Exclude<Refusal, 'none'>): void {
  const { status, body, headers } = PAGES[refusal]
  answerHttp(upgrade, status, body, headers)
}

/**
 * Plays the faults of an HTTP call, then its refusal.
 * @returns `true` when the call is dealt with
 */
export async function playPage(frame: Frame, x: Exchange, how: PageBehaviour): Promise<boolean> {
  if (await playFaults(frame, x, how)) return true
  if (how.refusal === 'none') return false
  refuseCall(x, how.refusal)
  return true
}

/** Records a broken rule of an HTTP call and answers 400. */
export function breach(frame: Frame, { res }: Exchange, rule: string, detail: string): void {
  frame.violate('copilot', rule, detail)
  sendJson(res, 400, { message: `Simulator: this request breaks the protocol. ${rule}: ${detail}` })
}
