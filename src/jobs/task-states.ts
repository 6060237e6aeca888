/**
 * The life of a creation task, as data. Every store uses this table, so that a terminal state stays terminal wherever the row lies.
 *
 * - `queued`: accepted by the gateway, nothing sent upstream yet
 * - `submitting`: a worker is about to send the prompt. Once it has noted that (`sentAt`), a process that dies leaves an
 *   unknown outcome, never a second submit
 * - `polling`: the upstream's id is stored
 * - `paused`: the upstream's id is stored, but a person must renew the cookie before anybody can look again
 *
 * A queued task with an error could not be sent, as that error says; at least not by the gateway that has noted it.
 */
export const TRANSITIONS = {
  queued: ['submitting', 'failed', 'cancelled'],
  submitting: ['polling', 'queued', 'failed', 'cancelled'],
  polling: ['paused', 'completed', 'failed', 'cancelled'],
  paused: ['polling', 'completed', 'failed', 'cancelled'],
  completed: [],
  failed: [],
  cancelled: []
} as const satisfies Record<string, readonly string[]>

export type TaskState = keyof typeof TRANSITIONS

/** What callers see: the four states that seed clients and the contract know. */
export type TaskStatus = 'processing' | 'completed' | 'failed' | 'cancelled'

/** States from which `to` may be entered. */
export function sourcesOf(to: TaskState): TaskState[] {
  return taskStates.filter((from) => (TRANSITIONS[from] as readonly TaskState[]).includes(to))
}

export const taskStates = Object.keys(TRANSITIONS) as TaskState[]

export const terminalStates = taskStates.filter((state) => TRANSITIONS[state].length === 0)

/** States in which the upstream is, or may be, working on the task. */
export const inFlightStates = ['submitting', 'polling', 'paused'] as const satisfies readonly TaskState[]

export function isTerminal(state: TaskState): boolean {
  return TRANSITIONS[state].length === 0
}

export function publicStatus(state: TaskState): TaskStatus {
  return state === 'completed' || state === 'failed' || state === 'cancelled' ? state : 'processing'
}
