import type { FailureId } from '../failures.ts'

/** What video adds to the constants of ../image-creator. Variant V2 of docs/protocol/video.md, seen Jan to Feb 2026. */

/** The three parameters that choose the queue always go together. Standard takes hours, fast takes minutes. Seen 2025 to Mar 2026. */
export const SPEEDS = {
  standard: { rt: 3, pt: 3, sm: 0 },
  fast: { rt: 4, pt: 4, sm: 1 }
} as const

/** The page that the form is on. */
export const VIDEO_PAGE = '/images/create?ctype=video'

/** Further query parameters and the body of a submit. The result is 9:16 whatever `aspectRatio` says. */
export const SUBMIT_QUERY = { mdl: 0, ar: 1, ctype: 'video' } as const
export const SUBMIT_BODY = { model: 'dalle', aspectRatio: '1:1' } as const
/** Added to a submit that was answered with the start page. One source, Mar 2026. */
export const REPEAT_IID = 'images.as'

/** Further query parameters of a poll. */
export const POLL_QUERY = { ctype: 'video', sm: 1, girftp: 1 } as const

/** An attribute with a video's address, in HTML or in JSON that quotes HTML. */
export const VIDEO_ATTRIBUTE = /\bourl\s*=\s*(?:\\?["']|\\u0022|&quot;)([^<>]+?)(?:\\?["']|\\u0022|&quot;)/gi
/** Where `showContent` may hide the address instead. */
export const VIDEO_ELEMENT =
  /<(?:video|source)\b[^<>]*?\ssrc\s*=\s*(?:"([^"<>]+)"|'([^'<>]+)'|([^\s"'<>]+))/gi
/** Marks the address of a video. */
export const VIDEO_PID = 'videocreator'
/** Parameters that only the address of the poster picture has. One source, Oct 2026. */
export const POSTER_PARAMETERS = ['w', 'h', 'c', 'rs', 'qlt', 'o'] as const

/** Error texts that only video has, in lower case; one source, Mar 2026. Loose: for pages without a video, never for JSON. */
export const VIDEO_ERROR_TEXTS: readonly { text: RegExp; row: FailureId }[] = [
  { text: /too many requests|rate limit|\bconcurrent\b/, row: 'V2' },
  {
    text: /something went wrong|try again later|we couldn't create|error occurred|unable to generate/,
    row: 'V6'
  }
]
