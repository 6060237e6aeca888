import { API } from './script/api.ts'
import { BASE } from './script/base.ts'
import { CHAT } from './script/chat.ts'
import { CREATIONS } from './script/creations.ts'
import { HISTORY } from './script/history.ts'
import { IDENTITY } from './script/identity.ts'
import { MARKDOWN } from './script/markdown.ts'
import { MEDIA } from './script/media.ts'
import { RECENT } from './script/recent.ts'
import { START } from './script/start.ts'
import { WATCH } from './script/watch.ts'
import { WRITING } from './script/writing.ts'

const PARTS = [BASE, IDENTITY, API, MARKDOWN, WRITING, CHAT, HISTORY, MEDIA, RECENT, WATCH, CREATIONS, START]

/**
 * The page's script. It stands inline in the page, so it holds no closing script tag and no HTML comment.
 * Everything that comes from the gateway reaches the page as text nodes and checked addresses.
 */
export const SCRIPT = `'use strict';\n${PARTS.join('')}`
