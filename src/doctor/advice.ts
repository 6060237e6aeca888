import { CONSTANTS_VERSION as COPILOT_VERSION } from '../upstream/copilot/constants.ts'
import type { FailureId } from '../upstream/failures.ts'
import { CONSTANTS_VERSION as CREATOR_VERSION } from '../upstream/image-creator/constants.ts'
import { CONSTANTS_VERSION as SYDNEY_VERSION } from '../upstream/sydney/constants.ts'

/** The protocols whose volatile values are in a `constants.ts` of their own. */
export type Protocol = 'image-creator' | 'sydney' | 'copilot'

/** What to do about a failure row. */
export interface Advice {
  hint?: string
  /** Names in the protocol's `constants.ts` that are probably out of date. */
  constants?: readonly string[]
}

export const NEW_COOKIE =
  'Sign in at bing.com with this account in a browser, copy the cookies anew (the whole Cookie header is best) and put them into BING_COOKIE_FILE or BING_COOKIE_U.'
const PASS_CHALLENGE =
  'Open bing.com in a browser with this account and from this network, pass the check, and give the gateway all cookies of that browser. Until then every further call makes it worse.'
const NETWORK =
  'Microsoft does not serve this network (a data centre, a VPN, a region). Run the gateway where a browser reaches bing.com, or set HTTPS_PROXY to such a place.'
const WAIT = 'Wait, and do not repeat it meanwhile: each attempt counts against the account.'
const LATER = 'This is trouble on the side of Microsoft. Run the doctor again in some minutes.'
const REPORT =
  'Microsoft has probably changed the protocol. Compare the shape above with docs/protocol, and report it with this output.'
const UNREACHABLE =
  'Check DNS, firewall and HTTPS_PROXY of this machine; "curl -I" to the same address shows the same.'

/** Rows that mean the same in every protocol. */
const COMMON: Partial<Record<FailureId, Advice>> = {
  T1: { hint: UNREACHABLE },
  T2: { hint: UNREACHABLE },
  T3: { hint: NETWORK },
  T4: { hint: `The answer stalled. ${LATER}` },
  T5: { hint: NETWORK },
  T6: { hint: NEW_COOKIE },
  T7: { hint: PASS_CHALLENGE },
  T8: { hint: WAIT },
  T9: { hint: LATER },
  'T9-bad': { hint: LATER },
  C1: { hint: NEW_COOKIE }
}

const IMAGE: Partial<Record<FailureId, Advice>> = {
  T10: {
    hint: `${PASS_CHALLENGE} If a browser shows the Image Creator without one, the page has moved.`,
    constants: ['CREATE_PATH']
  },
  T11: { hint: REPORT, constants: ['CREATE_PATH'] },
  'outcome-unknown': {
    hint: 'The prompt left, and nobody knows what became of it: look at bing.com/images/create. If the picture is there, the answer to a submit has changed.',
    constants: ['ID_IN_RESULTS_PATH', 'CREATE_PAGE', 'SIGNED_IN']
  },
  I1: { hint: NEW_COOKIE, constants: ['SIGNED_IN'] },
  I2: {
    hint: 'Make a picture at bing.com/images/create with this account: if that works, the form has changed; if not, the account has no fast creations left.',
    constants: ['SUBMIT_FORM', 'MODELS', 'RT']
  },
  I3: { hint: NEW_COOKIE },
  I4: {
    hint: 'A harmless prompt was refused: the account may be suspended, or the marker now means something else.',
    constants: ['REJECTION_MARKERS']
  },
  I5: {
    hint: 'A harmless prompt was refused: the account may be suspended, or the text now means something else.',
    constants: ['ERROR_TEXTS']
  },
  I6: {
    hint: 'A harmless prompt was put under review: look at the account at bing.com/images/create.',
    constants: ['ERROR_TEXTS']
  },
  I7: {
    hint: 'Try again once. If it stays, the pictures that stand for an error have changed.',
    constants: ['BAD_IMAGES', 'FURNITURE']
  },
  I8: {
    hint: 'The pages are not in English, so their texts cannot be read.',
    constants: ['PAGE_HEADERS', 'ERROR_TEXTS']
  },
  I9: { hint: REPORT, constants: ['ERROR_TEXTS'] },
  I10: { hint: 'Wait until the other creations of this account are ready.' },
  I11: { hint: 'The fast creations of today are used up; they come back at midnight UTC.' },
  I12: { hint: LATER },
  I13: { hint: LATER },
  I14: { hint: NETWORK },
  I15: { hint: LATER },
  I16: { hint: REPORT, constants: ['ID_PARAMETER', 'ID_PATTERN', 'ID_IN_PATH'] },
  I17: { hint: PASS_CHALLENGE },
  I19: { hint: LATER },
  I20: { hint: REPORT, constants: ['RESULTS_PATH', 'POLL_IID'] },
  'I20-auth': { hint: NEW_COOKIE },
  I22: { hint: REPORT, constants: ['PICTURE_ELEMENTS', 'MEDIA_PATH', 'FURNITURE', 'BAD_IMAGES'] },
  I25: { hint: LATER, constants: ['FULL_PICTURE_QUERY'] }
}

const SYDNEY: Partial<Record<FailureId, Advice>> = {
  T10: {
    hint: 'Microsoft has most likely moved this chat to Copilot: set CHAT_UPSTREAM=copilot.',
    constants: ['CREATE_PATH']
  },
  T11: { hint: REPORT, constants: ['CREATE_PATH'] },
  C2: { hint: NEW_COOKIE },
  C3: { hint: `${NEW_COOKIE} If the cookie is fresh, Microsoft dislikes this network.` },
  C4: {
    hint: 'Microsoft does not admit this account to the chat. Open bing.com/chat with it in a browser; use another account of yours, or CHAT_UPSTREAM=copilot.'
  },
  C5: {
    hint: 'Microsoft takes the gateway for a robot, or limits this network. Give it all cookies of the browser, not only _U.',
    constants: ['CREATE_HEADERS', 'USER_AGENT']
  },
  C6: { hint: NETWORK },
  C7: { hint: REPORT, constants: ['SIGNATURE_HEADER', 'ENCRYPTED_SIGNATURE_HEADER'] },
  C8: {
    hint: 'The create call has moved. CHAT_UPSTREAM=copilot uses the service that took over.',
    constants: ['CREATE_PATH', 'BUNDLE_VERSION']
  },
  C9: { hint: REPORT, constants: ['CREATE_RESULTS'] },
  C10: { hint: PASS_CHALLENGE },
  W1: {
    hint: 'The hub takes the connection for one of nobody: renew the cookies, and look whether a browser on this network can chat. The hub was switched off for most accounts in 2024; CHAT_UPSTREAM=copilot uses what took over.',
    constants: ['ACCESS_TOKEN_QUERY', 'HUB_HEADERS']
  },
  W3: { hint: NETWORK },
  W4: { hint: NETWORK, constants: ['HUB_HEADERS'] },
  W5: { hint: LATER, constants: ['HANDSHAKE', 'RECORD_SEPARATOR'] },
  W6: { hint: REPORT, constants: ['HANDSHAKE'] },
  W7: { hint: LATER },
  W8: { hint: LATER },
  W9: { hint: LATER },
  W10: { hint: LATER, constants: ['RECORD_TYPE'] },
  W11: { hint: REPORT, constants: ['RECORD_TYPE', 'ANSWER_TYPE'] },
  W12: { hint: REPORT, constants: ['RECORD_SEPARATOR'] },
  S1: { hint: WAIT },
  S2: {
    hint: 'Open bing.com in a browser with this account, solve the captcha in the chat, and give the gateway the new cookies.'
  },
  S3: { hint: REPORT, constants: ['ACCESS_TOKEN_QUERY'] },
  S4: { hint: REPORT, constants: ['ENCRYPTED_SIGNATURE_HEADER', 'ACCESS_TOKEN_QUERY'] },
  S5: { hint: REPORT, constants: ['SIGNATURE_HEADER'] },
  S6: { hint: NEW_COOKIE },
  S7: { hint: LATER },
  S8: { hint: LATER },
  S9: { hint: NEW_COOKIE, constants: ['OPTION_SETS'] },
  S10: { hint: REPORT, constants: ['OPTION_SETS'] },
  S11: { hint: REPORT, constants: ['OPTION_SETS', 'SOURCE', 'SCENARIO', 'ALLOWED_MESSAGE_TYPES'] },
  S14: { hint: REPORT, constants: ['FAREWELL_OPENINGS'] },
  S15: { hint: WAIT },
  S16: { hint: REPORT, constants: ['APOLOGY_ORIGIN'] },
  S18: { hint: LATER, constants: ['DISENGAGED_TYPE'] },
  S19: { hint: REPORT, constants: ['OFFENSE'] },
  S20: { hint: REPORT, constants: ['ANSWER_TYPE', 'ATTRIBUTIONS_BLOCK_ID'] },
  'S-other': { hint: REPORT, constants: ['TURN_RESULTS'] }
}

const NEW_COPILOT =
  'Sign in at copilot.microsoft.com in a browser and give the gateway its cookies (COPILOT_COOKIE_FILE) and its access token (COPILOT_ACCESS_TOKEN_FILE) anew.'
const PASS_COPILOT =
  'Open copilot.microsoft.com in a browser with this account and from this network, pass the check, and give the gateway all cookies of that browser. The gateway answers no challenge itself.'

const COPILOT: Partial<Record<FailureId, Advice>> = {
  T6: { hint: NEW_COPILOT },
  T10: { hint: PASS_COPILOT, constants: ['START_PATH'] },
  T11: { hint: REPORT, constants: ['START_PATH', 'ID_FIELDS'] },
  P1: { hint: NEW_COPILOT },
  P2: { hint: PASS_COPILOT },
  P3: { hint: 'Use another account of yours, or ask Microsoft why this one is blocked.' },
  'P3-until': { hint: WAIT },
  P4: { hint: REPORT, constants: ['ID_FIELDS', 'START_BODY'] },
  P5: { hint: WAIT },
  P6: { hint: `The access token has expired, or was made for another site. ${NEW_COPILOT}` },
  'P6-cookies': {
    hint: `The cookies have expired, or this account needs an access token beside them. ${NEW_COPILOT}`
  },
  P7: { hint: 'Look for a newer version of the gateway.', constants: ['SOCKET_HEADERS', 'USER_AGENT'] },
  P9: { hint: PASS_COPILOT },
  P10: { hint: REPORT, constants: ['SET_OPTIONS', 'SESSION_QUERY', 'API_VERSION_QUERY'] },
  P11: {
    hint: `${NETWORK.replace('bing.com', 'copilot.microsoft.com')} Anonymous visitors are served in few regions.`
  },
  P12: { hint: REPORT, constants: ['MAX_PROMPT_CHARS'] },
  P13: { hint: WAIT },
  P14: { hint: REPORT, constants: ['ERROR_ROWS', 'CHAT_PATH'] },
  P15: { hint: NEW_COPILOT },
  P16: { hint: LATER },
  P18: { hint: LATER, constants: ['SET_OPTIONS'] },
  P19: {
    hint: 'Copilot is overloaded, or was asked too often by this account: lower COPILOT_TURNS_PER_MINUTE.'
  },
  'P-empty': { hint: REPORT, constants: ['MODES'] }
}

/** Advice of each protocol beside what is common. Exported for the test that compares the names with the files. */
export const ADVICE: Record<Protocol, Partial<Record<FailureId, Advice>>> = {
  'image-creator': IMAGE,
  sydney: SYDNEY,
  copilot: COPILOT
}

const VERSIONS: Record<Protocol, string> = {
  'image-creator': CREATOR_VERSION,
  sydney: SYDNEY_VERSION,
  copilot: COPILOT_VERSION
}

/** What to do about a row that a protocol's call ended with, in one or two sentences. */
export function hintFor(protocol: Protocol, row: FailureId): string | undefined {
  const { hint, constants } = ADVICE[protocol][row] ?? COMMON[row] ?? {}
  return [hint, ...(constants === undefined ? [] : [outdated(protocol, constants)])].join(' ') || undefined
}

/** Says which values are probably out of date, and where they stand. */
export function outdated(protocol: Protocol, names: readonly string[]): string {
  return `Probably out of date: ${names.join(', ')} in src/upstream/${protocol}/constants.ts (compared with the protocol on ${VERSIONS[protocol]}).`
}
