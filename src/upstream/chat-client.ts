/** How a chat upstream looks to the rest of the gateway. One implementation per protocol. */
export interface ChatClient {
  /**
   * Opens a conversation upstream.
   * @throws {UpstreamError} rows T1–T11, then C1–C10, S1 and S2 (Sydney) or P1–P7 and P19 (Copilot) of
   *   docs/protocol/failures.md; or the signal's reason
   */
  create(signal: AbortSignal): Promise<UpstreamConversation>
  /**
   * Asks one question and waits for the whole answer. Repeats it by itself only where the failure's row allows and
   * nothing of an answer has arrived. May replace the conversation (a first turn whose token had expired): the one
   * that was really used is in the result.
   * @throws {UpstreamError} rows T1–T11, then C1, C4, W1–W12 and S1–S20 (Sydney) or P2 and P6–P19 (Copilot), on a first
   *   turn also those of `create`; or the signal's reason
   */
  ask(conversation: UpstreamConversation, question: Question, options: AskOptions): Promise<Answer>
  /** Connections that wait for a question; absent where the protocol has none. */
  readonly idleSockets?: number
  close(): Promise<void>
}

/** What the upstream wants back with each turn. Secret, and opaque to everybody but the client that made it. */
export type UpstreamConversation = Record<string, string | null>

export type Tone = 'creative' | 'balanced' | 'precise'

export interface Question {
  prompt: string
  /** Number of answered turns before this one. */
  invocationId: number
  tone: Tone | undefined
  /** Characters of prompts and answers so far; tells a closed socket from a context that grew too long (row W9). */
  contextChars: number
  /**
   * A first question that was asked before and may have been counted, unknown to us. A session can't be begun twice, so it goes to a
   * fresh conversation.
   */
  inDoubt: boolean
}

export interface AskOptions {
  signal: AbortSignal
  /** Called as the answer grows. `replace` takes back everything said so far. Text is cut only between code points. */
  onText?: (change: TextChange) => void
  /** Told once, when the first text of the answer has come, whether or not anybody listens to it. */
  onFirstText?: () => void
  /**
   * Told when the question goes to another conversation than the one given, before it is sent: whoever stores it
   * then keeps it even if the turn fails, so that no repeat opens one more.
   */
  onConversation?: (conversation: UpstreamConversation) => Promise<void>
  /** Told when the question leaves: from here on the upstream may count it. */
  onAsked?: () => void
  /** Told of each repeat, for the log. */
  onRepeat?: (error: Error, attempt: number) => void
  /**
   * Waited for before a repeat goes out, where the protocol's questions have a pace. `false`: there is no time for it any
   * more, so that the call ends with what went wrong.
   */
  admitRepeat?: (() => Promise<boolean>) | undefined
}

export type TextChange = { kind: 'delta' | 'replace'; text: string }

export interface Source {
  title: string
  url: string
}

/** A picture that the upstream drew for an answer. Has an address, a preview or both. */
export interface Picture {
  /** Absolute, as the upstream gave it. Whether it may be fetched is the business of who does. */
  url: string | undefined
  /** The last preview, base64 of a JPEG or PNG: all that there is when the final picture got lost (row P17). */
  preview: string | undefined
  /** What it was drawn from, where the upstream said so. */
  prompt: string | undefined
}

export interface Answer {
  /** Markdown, as the upstream wrote it; empty only where there are pictures. */
  message: string
  /** In order of first appearance; empty when there are none. */
  pictures: Picture[]
  /** In order of first appearance, without repeats; empty when there are none. */
  sources: Source[]
  suggestions: string[]
  /** Turns of this conversation, this one counted in; absent when the upstream did not say. */
  turns: { used: number; max: number } | undefined
  /** Set where a text was kept that the upstream broke off (S12) or withdrew (S17). */
  notice: 'answer_truncated' | 'answer_revoked' | undefined
  /** The upstream will not take another turn (limit reached, or it ended the conversation). */
  ended: boolean
  /** When the conversation expires upstream, in milliseconds since the epoch; absent when the upstream did not say. */
  expiresAt: number | undefined
  /** The conversation to keep for the next turn. */
  conversation: UpstreamConversation
}
