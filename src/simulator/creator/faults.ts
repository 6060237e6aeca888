import type { FaultLists } from '../frame.ts'
import { HTTP_NONSENSE, HTTP_TROUBLE } from '../http-faults.ts'

const refusedSubmit = {
  ...HTTP_TROUBLE,
  ...HTTP_NONSENSE,
  lost: { answer: 'lost' },
  'start-page': { answer: 'start-page' },
  'no-id': { answer: 'no-id' },
  'content-policy': { marker: 'girer-icon' },
  blocked: { text: 'blocked' },
  'under-review': { text: 'under-review' },
  problem: { text: 'problem' },
  'no-region': { text: 'region' },
  outage: { text: 'outage' }
} as const

const looking = {
  ...HTTP_TROUBLE,
  ...HTTP_NONSENSE,
  'not-found': { status: 404, body: 'Not Found' },
  'content-policy': { marker: 'girer-icon' },
  failed: { errorMessage: 'Something went wrong.' },
  'still-working': { neverReady: true }
} as const

/**
 * What can go wrong at random in the image and video half, and passes by itself; docs/protocol/images.md and video.md.
 * A landing page that is no landing page would mean a dead cookie, so there are none of those.
 */
export const creatorFaults = {
  bootstrap: {
    ...HTTP_TROUBLE,
    'without-ig': { withoutIg: true },
    'without-salt': { withoutSalt: true },
    moved: { moved: true },
    'outage-page': { text: 'outage' }
  },
  submit: {
    ...refusedSubmit,
    'unsafe-image': { text: 'unsafe-image' },
    language: { text: 'language' },
    'short-prompt': { text: 'short-prompt' },
    ongoing: { text: 'ongoing' },
    'no-coins': { text: 'no-coins' },
    'high-demand': { text: 'high-demand' }
  },
  resultPage: { ...HTTP_TROUBLE, ...HTTP_NONSENSE },
  poll: {
    ...looking,
    'no-images': { ready: 'no-images' },
    'bad-unsafe': { ready: 'bad-unsafe' },
    'bad-overloaded': { ready: 'bad-overloaded' },
    'no-scheme': { ready: 'no-scheme' },
    'one-no-scheme': { ready: 'one-no-scheme', images: 4 },
    'unsafe-result': { g3: true, errorType: 16 },
    duplicates: { duplicates: true }
  },
  videoSubmit: {
    ...refusedSubmit,
    concurrent: { text: 'video-concurrent' },
    'too-fast': { text: 'video-rate' }
  },
  videoPoll: { ...looking, 'went-wrong': { text: 'video-wrong' }, 'no-film': { ready: 'json-neither' } },
  media: { ...HTTP_TROUBLE, ...HTTP_NONSENSE, expired: { expired: true }, forbidden: { forbidden: true } }
} satisfies FaultLists
