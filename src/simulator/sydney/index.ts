import type { Frame } from '../frame.ts'
import { createConversations } from './conversations.ts'
import { registerCreate } from './create.ts'
import { registerHub } from './hub.ts'

/** Adds the chat half: creating conversations, and the hub that answers their questions. */
export function registerSydney(frame: Frame): void {
  const conversations = createConversations()
  registerCreate(frame, conversations)
  registerHub(frame, conversations)
}
