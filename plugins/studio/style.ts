import { CHAT } from './style/chat.ts'
import { CREATIONS } from './style/creations.ts'
import { FRAME } from './style/frame.ts'
import { SCREENS } from './style/screens.ts'

/** The page's style. It stands inline in the page. */
export const STYLE = [FRAME, CHAT, CREATIONS, SCREENS].join('')
