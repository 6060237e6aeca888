import { BASE } from './script/base.ts'
import { CHAT } from './script/chat.ts'
import { CREATIONS } from './script/creations.ts'
import { MARKDOWN } from './script/markdown.ts'
import { RECENT } from './script/recent.ts'
import { START } from './script/start.ts'

/**
 * The page's script. It stands inline in the page, so it holds no closing script tag and no HTML comment.
 * Everything that comes from the gateway reaches the page as text nodes and checked addresses.
 */
export const SCRIPT = `'use strict';\n${[BASE, MARKDOWN, CHAT, RECENT, CREATIONS, START].join('')}`
