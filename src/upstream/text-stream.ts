import type { TextChange } from './chat-client.ts'

/** Where in a message its text was read; Sydney has two places (docs/protocol/chat-sydney.md section 6.1), Copilot one. */
export type Channel = 'text' | 'card'

/** Keeps what a reader has been shown equal to a text that grows, shrinks or changes. */
export interface TextStream {
  /**
   * Shows `text` in full: a delta where it continues what was shown of the same channel, else a replacement; nothing
   * when it is equal. Half a character at its end is held back.
   */
  show(text: string, channel?: Channel): void
  /**
   * Shows what follows the text that was given so far. Costs as much as `text` is long, where `show` looks at everything.
   * Half a character at its end is held back until the other one comes.
   */
  append(text: string): void
  /** What the reader has in front of them now. */
  readonly shown: string
}

/** @see docs/protocol/chat-sydney.md section 6.2, rules 3 to 6 */
export function createTextStream(onText: ((change: TextChange) => void) | undefined): TextStream {
  let shown = ''
  let shownOf: Channel | undefined
  /** Half a character that was given and not shown. */
  let half = ''
  return {
    show(given, channel = 'text') {
      const text = withoutHalfCharacter(given)
      half = given.slice(text.length)
      const isSameChannel = shown === '' || channel === shownOf
      shownOf = channel
      if (text === shown) return
      const isContinued = isSameChannel && text.startsWith(shown)
      const added = isContinued ? text.slice(shown.length) : text
      shown = text
      onText?.(isContinued ? { kind: 'delta', text: added } : { kind: 'replace', text: added })
    },
    append(given) {
      const more = half + given
      const text = withoutHalfCharacter(more)
      half = more.slice(text.length)
      if (text === '') return
      shown += text
      onText?.({ kind: 'delta', text })
    },
    get shown() {
      return shown
    }
  }
}

/**
 * The text without half a character at its end: the upstream cuts by UTF-16 units, and the second half comes later.
 * What is shown therefore always ends, and every delta begins, between code points.
 */
export function withoutHalfCharacter(text: string): string {
  // Not by an expression that ends in `$`: it would look at all of a long text for each piece that is added.
  const last = text.charCodeAt(text.length - 1)
  return last >= 0xd800 && last <= 0xdbff ? text.slice(0, -1) : text
}
