import type { Frame } from '../frame.ts'
import { type CopilotConversations, createConversations } from './conversations.ts'
import { createPace, type Pace } from './pace.ts'
import { createPictures, type Pictures } from './pictures.ts'
import { createSessions, type Sessions } from './session.ts'

/** What the routes of this half share. */
export interface World {
  frame: Frame
  conversations: CopilotConversations
  pictures: Pictures
  pace: Pace
  sessions: Sessions
}

export const createWorld = (frame: Frame): World => ({
  frame,
  conversations: createConversations(),
  pictures: createPictures(),
  pace: createPace(frame),
  sessions: createSessions(frame)
})
