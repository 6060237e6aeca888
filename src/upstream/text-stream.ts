import type { TextChange } from './chat-client.ts'

/** Where in a message its text was read; Sydney has two places (docs/protocol/chat-sydney.md section 6.1), Copilot one. */
export type Channel = 'text' | 'card'

/** Keeps what a reader has been shown equal to a text that grows, shrinks or changes. */
export interface TextStream {
  /**
   * Shows `text` in full: a delta where it continues what was shown of the same channel, else a replacement; nothing
   * when it is equal.
   */
  show(text: string, channel?: Channel): void
  /** What the reader has in front of them now. */
  readonly shown: string
}

/** @see docs/protocol/chat-sydney.md section 6.2, rules 3 to 6 */
export function createTextStream(onText: ((change: TextChange) => void) | undefined): TextStream {
  let shown = ''
  let shownOf: Channel | undefined
  return {
    show(text, channel = 'text') {
      const isSameChannel = shown === '' || channel === shownOf
      shownOf = channel
      if (text === shown) return
      const isContinued = isSameChannel && text.startsWith(shown)
      const added = isContinued ? text.slice(shown.length) : text
      shown = text
      onText?.(isContinued ? { kind: 'delta', text: added } : { kind: 'replace', text: added })
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
